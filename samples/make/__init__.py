"""Makes everything in `samples/`: the pictures, the classifier trained on them, and the clip.

Map of the house, in the order in which things are made:

    shapes   what a heart is: outlines in unit coordinates, a new variation at every call
    ink      lines, fillings and colours on a picture, anti-aliased
    surface  what lies behind: wood, paper, boards, rooms, clutter; light and lens over it
    scene    one labelled picture: shapes by pen or printed, on a surface, among distractors
    data     many of them, in parallel, the same for the same seed
    net      the classifier
    maps     Grad-CAM of it, and whether a map hits its object
    train    training, measuring, export to ONNX
    heldout  the small held-out set that the project's tests read
    clip     the demo film and its truth
    sound    its sound
"""
