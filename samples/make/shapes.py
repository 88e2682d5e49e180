"""The shapes: outlines in unit coordinates (about -1..1, y downwards), a new variation at every call.

A figure says how it is drawn with a pen (`strokes`) and how it is cut out of paper (`contours`, filled
even-odd, so a second contour is a hole). Nothing here knows pixels.
"""

from dataclasses import dataclass, field

import numpy as np

TAU = 2 * np.pi


@dataclass
class Figure:
    """One shape in unit coordinates."""

    strokes: list  # of (points [n,2], closed: bool): the way of the pen
    contours: list = field(default_factory=list)  # of points [n,2]: the filled form; empty: strokes only
    widest: float = 0.2  # the thickest pen that leaves the shape what it is, in units
    accent: list = field(default_factory=list)  # of contours that may take a second colour


def arc(cx, cy, r, start, end, n=48):
    """Points of a circular arc, angles in radians, both ends included."""
    t = np.linspace(start, end, n)
    return np.stack([cx + r * np.cos(t), cy + r * np.sin(t)], 1)


def polygon(*points):
    return np.array(points, np.float64)


def outline(points, **more):
    return Figure([(points, True)], [points], **more)


def circle(rng):
    """One closed round line, or a disc."""
    return outline(arc(0, 0, 1, 0, TAU, 72)[:-1], widest=0.17)


def ring(rng):
    """Two round lines, one in the other, or a disc with a hole: never a single thin line (that is a circle)."""
    r = rng.uniform(0.42, 0.68)
    dx, dy = rng.normal(0, 0.025, 2)
    outer, inner = arc(0, 0, 1, 0, TAU, 72)[:-1], arc(dx, dy, r, 0, TAU, 60)[:-1]
    return Figure([(outer, True), (inner, True)], [outer, inner], widest=min(0.10, (1 - r) * 0.28))


def triangle(rng):
    top = rng.uniform(-0.35, 0.35)
    h = rng.uniform(0.75, 1.05)
    return outline(polygon((top, -h), (1, h * 0.85), (-1, h * 0.85)), widest=0.18)


def square(rng):
    j = rng.normal(0, 0.03, (4, 2))
    return outline(polygon((-1, -1), (1, -1), (1, 1), (-1, 1)) + j, widest=0.2)


def star(rng):
    """Five points; by pen also in one go, with the lines crossing inside."""
    inner = rng.uniform(0.36, 0.52)
    t = np.arange(10) * TAU / 10 - TAU / 4
    r = np.where(np.arange(10) % 2 == 0, 1, inner)[:, None]
    contour = np.stack([np.cos(t), np.sin(t)], 1) * r
    figure = outline(contour, widest=0.13)
    if rng.random() < 0.3:
        figure.strokes = [(contour[[0, 4, 8, 2, 6]] * 1.0, True)]
        figure.widest = 0.1
    return figure


def heart(rng):
    t = np.linspace(0, TAU, 80)[:-1]
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return outline(np.stack([x / 16.5, (y + 2.5) / rng.uniform(13.5, 16)], 1), widest=0.15)


def cross(rng):
    """A plus of two bars; by pen an outline or two lines that cross in the middle."""
    w = rng.uniform(0.2, 0.38)
    contour = polygon((-w, -1), (w, -1), (w, -w), (1, -w), (1, w), (w, w), (w, 1), (-w, 1), (-w, w), (-1, w), (-1, -w), (-w, -w))
    if rng.random() < 0.45:
        return Figure([(polygon((-1, 0), (1, 0)), False), (polygon((0, -1), (0, 1)), False)], [contour], widest=0.4)
    return outline(contour, widest=0.12)


def arrow(rng):
    """A shaft and one head; by pen an outline or three lines."""
    head, half, w = rng.uniform(0.5, 0.85), rng.uniform(0.5, 0.72), rng.uniform(0.13, 0.26)
    back = 1 - head
    contour = polygon((-1, -w), (back, -w), (back, -half), (1, 0), (back, half), (back, w), (-1, w))
    if rng.random() < 0.5:
        barbs = polygon((back + 0.1, -half), (1, 0), (back + 0.1, half))
        return Figure([(polygon((-1, 0), (0.97, 0)), False), (barbs, False)], [contour], widest=0.26)
    return outline(contour, widest=0.12)


def crescent(rng):
    """The moon: a large arc outside, a flatter one inside, two horns."""
    open_ = rng.uniform(0.85, 1.2)  # half the angle of the gap between the horns
    outer = arc(0, 0, 1, open_, TAU - open_, 60)
    tip = outer[0]
    depth = rng.uniform(-0.45, 0.0)  # where the inner arc passes the middle line
    cx = (tip[0] ** 2 + tip[1] ** 2 - depth**2) / (2 * (tip[0] - depth))
    r = cx - depth
    a = np.arctan2(tip[1], tip[0] - cx)
    inner = arc(cx, 0, abs(r), TAU - a, a, 48)
    points = np.concatenate([outer, inner[1:-1]]) - [[-0.15, 0]]
    return outline(points, widest=0.1)


def spiral(rng):
    """A line that winds inwards; never filled."""
    turns = rng.uniform(2.1, 3.6)
    t = np.linspace(0, 1, 150)
    r = 0.06 + 0.94 * t ** rng.uniform(0.85, 1.15)
    a = t * turns * TAU * rng.choice([-1, 1]) + rng.uniform(0, TAU)
    return Figure([(np.stack([r * np.cos(a), r * np.sin(a)], 1), False)], [], widest=0.36 / turns)


def lightning(rng):
    """The bolt: two slanted bars joined by a step."""
    j = rng.normal(0, 0.03, (6, 2))
    points = polygon((0.25, -1), (-0.6, 0.12), (-0.08, 0.12), (-0.35, 1), (0.6, -0.25), (0.1, -0.25))
    return outline((points + j) * [[rng.uniform(0.9, 1.25), 1]], widest=0.1)


def flower(rng):
    """Round petals about a middle."""
    n = int(rng.integers(5, 8))
    depth = rng.uniform(0.16, 0.3)
    t = np.linspace(0, TAU, 40 * n)[:-1]
    r = (1 - depth) + depth * (2 * np.abs(np.cos(n * t / 2)) ** 0.8 - 1)
    petals = np.stack([r * np.cos(t), r * np.sin(t)], 1)
    middle = arc(0, 0, rng.uniform(0.16, 0.26), 0, TAU, 32)[:-1]
    figure = outline(petals, widest=0.1, accent=[middle])
    if rng.random() < 0.8:
        figure.strokes.append((middle, True))
    return figure


# The order is the order of the classes. "nothing" is a class of its own, so that a camera that sees no drawing is
# told so instead of being given the least unlikely shape.
SHAPES = {
    "circle": circle,
    "triangle": triangle,
    "square": square,
    "star": star,
    "heart": heart,
    "cross": cross,
    "arrow": arrow,
    "crescent": crescent,
    "spiral": spiral,
    "ring": ring,
    "lightning": lightning,
    "flower": flower,
}
NOTHING = "nothing"
CLASSES = [*SHAPES, NOTHING]


def dense(points, closed, step=0.04):
    """The same line with a point every `step` units, so that bending it bends its straight parts too."""
    if closed:
        points = np.concatenate([points, points[:1]])
    lengths = np.hypot(*np.diff(points, axis=0).T)
    at = np.concatenate([[0], np.cumsum(lengths)])
    t = np.linspace(0, at[-1], max(2, int(at[-1] / step) + 1))
    return np.stack([np.interp(t, at, points[:, k]) for k in (0, 1)], 1)


def bend(rng, amount):
    """A smooth displacement of the plane, as a shaky hand gives: points [n,2] -> points [n,2]."""
    k = rng.normal(0, 3.0, (5, 2))
    phase = rng.uniform(0, TAU, (5, 2))
    size = rng.normal(0, amount / 2, (5, 2))

    def apply(p):
        wave = np.sin((p @ k.T)[:, :, None] + phase[None])
        return p + (wave * size[None]).sum(1)

    return apply


def hand_drawn(figure, rng, amount):
    """The figure as a hand draws it: bent, its lines made of many points, its ends not quite meeting."""
    move = bend(rng, amount)
    strokes = []
    for points, closed in figure.strokes:
        line = dense(points, closed)
        if closed and len(line) > 20:
            line = np.roll(line[:-1], int(rng.integers(len(line))), axis=0)
            extra = int(rng.integers(-max(1, len(line) // 40), max(2, len(line) // 14)))
            line = np.concatenate([line, line[:extra]]) if extra >= 0 else line[:extra]
            drift = np.linspace(0, 1, len(line))[:, None] * rng.normal(0, amount * 0.5, 2)
            line = line + drift
        strokes.append((move(line), False))
    again = lambda contours: [move(dense(c, True)[:-1]) for c in contours]
    return Figure(strokes, again(figure.contours), figure.widest, again(figure.accent))
