"""What the files in the repository are worth: shapes.onnx on the held-out pictures and on the clip, and a film of its maps.

Needs no torch and no training. After the last feature map the net is a mean and a linear layer, so the gradient of a score is the
layer's weight over the number of cells everywhere, and Grad-CAM is that weighted sum after ReLU.
"""

import json

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from .shapes import CLASSES, NOTHING

TOLERANCE = 5  # pixels of 160


class Model:
    """shapes.onnx with its last feature map as a second output."""

    def __init__(self, path, threads=2):
        model = onnx.load(path)
        weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
        self.weight = weights["head/weight"]
        self.size = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
        model.graph.output.append(onnx.helper.make_tensor_value_info("top/relu", onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def run(self, images):
        """u8 [N,S,S,3] RGB to probabilities [N,C] and maps of all classes [N,C,h,w]."""
        x = (np.float32(images).transpose(0, 3, 1, 2) - 127.5) / 127.5
        logits, features = self.session.run(["logits", "top/relu"], {"input": np.ascontiguousarray(x)})
        p = np.exp(logits - logits.max(1, keepdims=True))
        maps = np.einsum("nchw,kc->nkhw", features, self.weight) / features[0, 0].size
        return p / p.sum(1, keepdims=True), np.maximum(maps, 0)


def judge(cam, box, width, height):
    """One map against one box in a picture of that size: hit, hit within the tolerance, share of the energy in the box, its share of the area."""
    big = cv2.resize(cam.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    x0, y0, x1, y1 = box
    area = (x1 - x0) * (y1 - y0) / (width * height)
    if big.max() <= 0:
        return False, False, 0.0, area
    y, x = np.add(np.unravel_index(big.argmax(), big.shape), 0.5)
    dx, dy = TOLERANCE * width / 160, TOLERANCE * height / 160
    inside = big[max(0, round(y0)) : round(y1), max(0, round(x0)) : round(x1)].sum() / big.sum()
    return bool(x0 <= x <= x1 and y0 <= y <= y1), bool(x0 - dx <= x <= x1 + dx and y0 - dy <= y <= y1 + dy), float(inside), area


def told(rows):
    """The means of what `judge` says, in words."""
    hit, near, energy, area = np.mean(rows, 0)
    return f"{len(rows)} maps: pointing game {hit:.1%} ({near:.1%} within {TOLERANCE} px of 160), energy in the box {energy:.1%}, the box's share of the area {area:.1%}"


def frames(path):
    film = cv2.VideoCapture(str(path))
    while True:
        ok, picture = film.read()
        if not ok:
            return
        yield picture[..., ::-1]


def check_heldout(model, folder):
    """The held-out pictures of the repository; prints and returns the lines."""
    truth = json.loads((folder / "pictures.json").read_text())
    right, one, two = [], [], []
    for picture, image in zip(truth["pictures"], frames(folder / "pictures.mkv"), strict=True):
        p, maps = model.run(image[None])
        objects = picture["objects"]
        if len(objects) < 2:
            right.append(p[0].argmax() == (objects[0]["class"] if objects else CLASSES.index(NOTHING)))
        for o in objects:
            (one if len(objects) == 1 else two).append(judge(maps[0, o["class"]], o["box"], truth["size"], truth["size"]))
    return [f"held-out: {np.mean(right):.1%} of {len(right)} pictures named right", f"  one shape, {told(one)}", f"  two shapes, {told(two)}"]


def check_clip(model, folder, film=None):
    """The clip: frames named right, maps that hit. `film`: where to write it with the maps painted on (BGR, for looking at)."""
    truth = json.loads((folder / "shapes.json").read_text())
    w, h = truth["width"], truth["height"]
    out = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"mp4v"), truth["rate"], (w, h)) if film else None
    right, wrong, one, two, top = [], [], [], [], 1e-6
    for entry, picture in zip(truth["frames"], frames(folder / "shapes.mp4"), strict=True):
        p, maps = model.run(cv2.resize(picture, (model.size, model.size), interpolation=cv2.INTER_AREA)[None])
        best = int(p[0].argmax())
        if not entry["transition"] and len(entry["objects"]) < 2:
            wanted = entry["objects"][0]["class"] if entry["objects"] else CLASSES.index(NOTHING)
            right.append(best == wanted)
            if best != wanted:
                wrong.append(f"{entry['frame']}:{CLASSES[best]}")
        if not entry["transition"]:
            for o in entry["objects"]:
                (one if len(entry["objects"]) == 1 else two).append(judge(maps[0, o["class"]], o["box"], w, h))
        if out:
            pair = [o["class"] for o in entry["objects"]] if len(entry["objects"]) == 2 else [best]
            top = max(top * 0.98, max(maps[0, c].max() for c in pair))
            painted = picture[..., ::-1].copy()
            for c in pair:
                heat = cv2.resize(maps[0, c] / top, (w, h), interpolation=cv2.INTER_LINEAR).clip(0, 1)
                colour = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_TURBO if c == pair[0] else cv2.COLORMAP_WINTER)
                a = (0.65 * heat**0.8)[..., None]
                painted = (painted * (1 - a) + colour * a).astype(np.uint8)
            cv2.putText(painted, f"{CLASSES[best]} {p[0, best]:.0%}", (28, 690), cv2.FONT_HERSHEY_DUPLEX, 1.2, (255, 255, 255), 2, cv2.LINE_AA)
            out.write(painted)
    lines = [f"clip: {np.mean(right):.1%} of {len(right)} frames with at most one shape, outside transitions, named right" + (f"; not: {' '.join(wrong)}" if wrong else "")]
    return lines + [f"  one shape, {told(one)}", f"  two shapes, {told(two)}"]
