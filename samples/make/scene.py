"""One labelled picture: shapes by pen or printed, on paper, boards and other grounds, among things that are no shapes."""

import cv2
import numpy as np

from . import ink, surface
from .shapes import SHAPES, hand_drawn

SIZE = 160  # pixels, both ways
LEAST = 12  # pixels: the shorter side of the smallest shape


class Placed:
    """A figure with the homography that takes its units to pixels."""

    def __init__(self, name, figure, matrix):
        self.name, self.figure, self.matrix = name, figure, matrix
        square = ink.through(matrix, [(-1, -1), (1, -1), (1, 1), (-1, 1)])
        self.scale = np.sqrt(abs(cv2.contourArea(square.astype(np.float32)))) / 2  # pixels per unit

    def strokes(self, figure=None):
        return [ink.through(self.matrix, p) for p, _ in (figure or self.figure).strokes]

    def contours(self, figure=None):
        return [ink.through(self.matrix, c) for c in (figure or self.figure).contours]

    def box(self, margin=0.0):
        """x0, y0, x1, y1 in pixels around all that is drawn."""
        p = np.concatenate([*self.strokes(), *self.contours()])
        return np.concatenate([p.min(0) - margin, p.max(0) + margin])


def view(rng, aspect):
    """How a plane is turned, seen in perspective and squeezed; without size and place."""
    angle = rng.normal(0, 0.25) if rng.random() < 0.65 else rng.uniform(0, 6.283)
    c, s = np.cos(angle), np.sin(angle)
    stretch = np.exp(rng.normal(0, 0.1))
    turn = np.array([[c * stretch, -s / stretch, 0], [s * stretch, c / stretch, 0], [0, 0, 1]])
    tilt = np.eye(3)
    if rng.random() < 0.7:
        tilt[2, :2] = rng.uniform(-0.16, 0.16, 2)
    return np.diag([np.sqrt(aspect), 1 / np.sqrt(aspect), 1]) @ tilt @ turn


def fit(matrix, points, size, region, rng, n):
    """Adds scale and shift: the points' longer side gets `size` pixels and lies in the region (0..1), nearly always whole."""
    p = ink.through(matrix, points)
    low, high = p.min(0), p.max(0)
    room = np.array([region[2] - region[0], region[3] - region[1]]) * n
    scale = max(size / (high - low).max(), LEAST / (high - low).min())
    scale = min(scale, *(0.97 * room / (high - low)))
    free = room - (high - low) * scale
    slack = 0.06 * (high - low) * scale if rng.random() < 0.08 else 0.0  # a little out of the frame
    at = np.array(region[:2]) * n + rng.uniform(-slack, free + slack)
    return np.array([[scale, 0, at[0] - low[0] * scale], [0, scale, at[1] - low[1] * scale], [0, 0, 1]]) @ matrix


def place(rng, names, n=SIZE, clear=False):
    """Figures for the names, one or two, on one plane or on two; a list of planes (matrix, [Placed])."""
    aspect = 0.5625 * np.exp(rng.normal(0, 0.06)) if rng.random() < 0.4 else np.exp(rng.uniform(np.log(0.5), np.log(2)))
    figures = [SHAPES[name](rng) for name in names]
    if len(names) == 2 and rng.random() < 0.5:
        cut = rng.uniform(0.42, 0.58)
        regions = [(0, 0, cut, 1), (cut, 0, 1, 1)] if rng.random() < 0.6 else [(0, 0, 1, cut), (0, cut, 1, 1)]
        if rng.random() < 0.5:
            regions.reverse()
        groups = [([f], [name], r) for f, name, r in zip(figures, names, regions)]
    else:
        groups = [(figures, names, (0, 0, 1, 1))]
    planes = []
    for group, group_names, region in groups:
        locals_ = [np.eye(3)]
        if len(group) == 2:
            gap = rng.uniform(1.15, 1.6)
            d = np.array([gap, rng.normal(0, 0.3)])[:: rng.choice([-1, 1])]
            locals_ = [np.array([[1, 0, -d[0]], [0, 1, -d[1]], [0, 0, 1]]), np.array([[1, 0, d[0]], [0, 1, d[1]], [0, 0, 1]])]
        matrix = view(rng, aspect)
        points = np.concatenate([ink.through(m, p) for f, m in zip(group, locals_) for p, _ in f.strokes])
        size = n * np.exp(rng.uniform(np.log(0.3 if clear else 0.15), np.log(0.9))) if clear or rng.random() < 0.9 else n * rng.uniform(0.12, 0.2)
        if len(names) == 2:
            size = n * rng.uniform(0.5, 0.95) if len(group) == 2 else n * rng.uniform(0.22, 0.6)
        matrix = fit(matrix, points, max(size, 17), region, rng, n)
        planes.append((matrix, [Placed(name, f, matrix @ m) for name, f, m in zip(group_names, group, locals_)]))
    return planes


def paper_colour(rng):
    kind = rng.random()
    if kind < 0.6:
        return np.float32(rng.uniform(215, 255) - np.array([0, rng.uniform(0, 8), rng.uniform(0, 30)]))
    if kind < 0.8:
        return surface.colour(rng, 180, 255, 110)
    return surface.colour(rng, 25, 255, 200)


def sheet(rng, out, matrix, reach):
    """A sheet of paper in the plane, around `reach` (x0, y0, x1, y1 in units), with its shadow. In place; returns the quad."""
    shape = out.shape[:2]
    spread = rng.uniform(0.2, 1.3, 4) if rng.random() < 0.7 else rng.uniform(0.15, 0.4, 4)
    x0, y0, x1, y1 = np.array(reach) + spread * [-1, -1, 1, 1]
    a = rng.normal(0, 0.06)
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]) @ np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    quad = ink.through(matrix, corners)
    if not np.isfinite(quad).all() or np.abs(quad).max() > 20 * max(shape):
        return None
    mask = ink.fill(shape, [quad])
    if rng.random() < 0.7:
        d = rng.normal(0, 0.025 * max(shape), 2)
        shade = cv2.GaussianBlur(ink.fill(shape, [quad + d]), (0, 0), rng.uniform(0.8, 5))
        ink.lay(out, shade * rng.uniform(0.2, 0.7), (10, 8, 6))
    colour = surface.flat(shape, paper_colour(rng))
    if rng.random() < 0.3:
        colour = surface.page(rng, shape, colour)
    colour = colour * (1 + (surface.noise(rng, shape, 3, 4, 0.7) * rng.uniform(0.0, 0.06)))[..., None]
    colour = colour * (1 - rng.uniform(0, 0.3) * surface.ramp(shape, rng.uniform(0, 7)))[..., None]
    ink.lay(out, mask, colour)
    if rng.random() < 0.25:
        k = rng.integers(4)
        edge = quad[k] * (t := rng.uniform(0.2, 0.8)) + quad[(k + 1) % 4] * (1 - t)
        inward = quad.mean(0) - edge
        reach_in = np.hypot(*inward)
        surface.fingers(rng, out, edge, inward / max(1e-6, reach_in), min(0.25 * reach_in, 0.08 * max(shape)))
    return quad


def ground_under(out, box):
    """Mean colour and spread of the brightness in a box of pixels."""
    h, w = out.shape[:2]
    x0, y0, x1, y1 = np.array(box).round().astype(int)
    part = out[max(0, y0) : min(h, y1 + 1), max(0, x0) : min(w, x1 + 1)].reshape(-1, 3)
    return part.mean(0), float((part @ np.float32([0.299, 0.587, 0.114])).std())


def texture(rng, mask, kind):
    """What the pen leaves of a line: pencil and chalk are grainy."""
    if kind == "ink":
        return mask
    grain = rng.uniform(0, 1, mask.shape).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), 0.5)
    return mask * np.clip((grain - 0.28) * 4, 0.25, 1)


def pen_width(rng, placed):
    """Pixels; from a thin pen to the thickest that leaves the shape what it is."""
    w = np.exp(rng.uniform(np.log(0.035), np.log(max(0.05, placed.figure.widest))))
    return max(1.0, w * placed.scale)


def by_pen(rng, out, placed, ground):
    """Lines of a pen, perhaps drawn twice, perhaps hatched."""
    shape = out.shape[:2]
    pen = ink.ink_for(rng, ground)
    kind = rng.choice(["ink", "ink", "ink", "grain"])
    width = pen_width(rng, placed)
    wobble = abs(rng.normal(0, 0.035))
    drawn = hand_drawn(placed.figure, rng, wobble)
    pressure = None
    if rng.random() < 0.4:
        pressure = 1 + 0.35 * np.sin(np.linspace(0, rng.uniform(2, 9), 12) + rng.uniform(0, 6))
    mask = ink.lines(shape, placed.strokes(drawn), width, pressure)
    if rng.random() < 0.2 and placed.name not in ("ring", "spiral"):
        mask = np.maximum(mask, ink.lines(shape, placed.strokes(hand_drawn(drawn, rng, 0.03)), width * 0.8))
    inside = drawn.contours and placed.name != "spiral"
    if inside and len(placed.figure.strokes[0][0]) > 2:
        look = rng.random()
        if look < 0.2:  # coloured in, with another pen
            ink.lay(out, ink.fill(shape, placed.contours(drawn)) * rng.uniform(0.4, 1), ink.ink_for(rng, ground, 25))
        elif look < 0.35:  # hatched
            step = max(2.2, width * rng.uniform(1.8, 4))
            y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
            a = rng.uniform(0, 3.14)
            d = (x * np.cos(a) + y * np.sin(a)) % step
            rows = np.clip(width / 2 + 0.5 - np.abs(d - step / 2), 0, 1)
            mask = np.maximum(mask, ink.fill(shape, placed.contours(drawn)) * rows)
    if rng.random() < 0.06 and ink.luma(ground) < 90:  # a light tube
        ink.lay(out, np.clip(cv2.GaussianBlur(mask, (0, 0), width * 1.5) * 0.9, 0, 1), pen * 0.9)
    ink.lay(out, texture(rng, mask, kind) * rng.uniform(0.75, 1), pen)
    return width


def printed(rng, out, placed, ground):
    """A filled form: flat, shaded or textured; a sticker with a border; a cut-out with a shadow."""
    shape = out.shape[:2]
    figure = placed.figure if rng.random() < 0.5 else hand_drawn(placed.figure, rng, abs(rng.normal(0, 0.025)))
    contours = placed.contours(figure)
    mask = ink.fill(shape, contours)
    pen = np.float32(ink.ink_for(rng, ground))
    look = rng.random()
    colour = surface.flat(shape, pen)
    if look < 0.3:
        colour = colour * (1 - rng.uniform(0.1, 0.45) * surface.ramp(shape, rng.uniform(0, 7)))[..., None]
    elif look < 0.45:
        colour = colour * (1 + 0.3 * surface.noise(rng, shape, rng.uniform(4, 16), 3))[..., None]
    closed = [np.concatenate([c, c[:1]]) for c in contours]
    border = 0.0
    if rng.random() < 0.3:
        d = rng.normal(0, 0.03 * max(shape), 2)
        ink.lay(out, cv2.GaussianBlur(ink.fill(shape, [c + d for c in contours]), (0, 0), rng.uniform(0.7, 3)) * rng.uniform(0.2, 0.6), (8, 6, 6))
    if rng.random() < 0.25:
        border = max(1.0, rng.uniform(0.04, 0.09 if placed.name in ("circle", "ring") else 0.16) * placed.scale)
        ink.lay(out, ink.lines(shape, closed, border * 2), ink.ink_for(rng, pen) if rng.random() < 0.5 else (250, 250, 250))
    ink.lay(out, mask, colour)
    if figure.accent and rng.random() < 0.85:
        ink.lay(out, ink.fill(shape, [ink.through(placed.matrix, c) for c in figure.accent]), ink.ink_for(rng, pen, 35))
    if rng.random() < 0.25:
        width = max(1.0, rng.uniform(0.03, 0.08) * placed.scale)
        ink.lay(out, ink.lines(shape, closed, width), ink.ink_for(rng, pen, 35))
    return border * 2


def draw(rng, out, placed, filled):
    """The shape, in a style that can be seen on its ground. In place; returns its box in pixels."""
    ground, busy = ground_under(out, placed.box())
    if filled or (busy > 45 and placed.figure.contours):
        width = printed(rng, out, placed, ground) if placed.figure.contours else by_pen(rng, out, placed, ground)
    else:
        width = by_pen(rng, out, placed, ground)
    return placed.box(width / 2)


def apart(boxes, where, size, allowed=0.15):
    """Whether a thing of half width `size` about `where` stays off all boxes, but for a small part."""
    for x0, y0, x1, y1 in boxes:
        w = min(x1, where[0] + size) - max(x0, where[0] - size)
        h = min(y1, where[1] + size) - max(y0, where[1] - size)
        if w > 0 and h > 0 and w * h > allowed * min((x1 - x0) * (y1 - y0), 4 * size * size):
            return False
    return True


def scatter(rng, out, boxes, count, largest):
    """Loose pen work, stains and sticks, off the boxes. In place."""
    n = max(out.shape)
    for _ in range(count):
        where = rng.uniform(0, 1, 2) * out.shape[1::-1]
        size = n * np.exp(rng.uniform(np.log(0.03), np.log(largest)))
        if not apart(boxes, where, size):
            continue
        kind = rng.random()
        if kind < 0.65:
            ground, _ = ground_under(out, [*(where - size), *(where + size)]) if 0 <= where[0] < n else (np.zeros(3), 0)
            surface.scrap(rng, out, where, size, ink.ink_for(rng, ground, 40), max(1.0, size * rng.uniform(0.04, 0.25)))
        elif kind < 0.8:
            surface.lump(rng, out, where, size, surface.colour(rng))
        elif apart(boxes, where, size * 4):
            surface.stick(rng, out, where, size, surface.colour(rng, 30))


CALM = [surface.board, surface.page, surface.wood, surface.gradient, surface.clouds]


def legible(before, after, box, clear):
    """Whether the shape stands out from what was there before it, by more than that varies itself; `clear`: by much more."""
    h, w = before.shape[:2]
    x0, y0, x1, y1 = np.array(box).round().astype(int)
    part = np.s_[max(0, y0) : min(h, y1 + 1), max(0, x0) : min(w, x1 + 1)]
    change = np.percentile(np.abs(after[part] - before[part]).max(2), 88)
    least, over = (50, 2.2) if clear else (32, 1.4)
    return change > least and change > over * before[part].std((0, 1)).max()


def picture(rng, names, n=SIZE, clear=False):
    """One picture of the named shapes (0, 1 or 2 of them).

    Returns u8 [n,n,3] RGB and, for each name, its box (x0, y0, x1, y1 in pixels, cut at the frame).
    A picture whose shapes cannot be made out is thrown away and drawn anew. `clear`: the pictures that a camera should get right; without
    it, smaller and fainter shapes as well, which is what to learn from.
    """
    while True:
        found = attempt(rng, names, n, clear)
        if found is not None:
            return found


def attempt(rng, names, n, clear):
    shape = (n, n)
    carrier = rng.random()
    on_paper, filled = carrier < 0.45, rng.random() < (0.35 if carrier < 0.45 else 0.5)
    direct_pen = not on_paper and not filled
    out = surface.any_surface(rng, shape, CALM if direct_pen and rng.random() < 0.8 else None)
    if rng.random() < 0.15:
        surface.person(rng, out)
    if not names:
        return surface.lens(rng, surface.light(rng, nothing(rng, out, on_paper))), []
    if not direct_pen:
        scatter(rng, out, [], rng.integers(0, 7), 0.25)
    planes = place(rng, names, n, clear)
    if on_paper:
        for matrix, placed in planes:
            inverse = np.linalg.inv(matrix)
            points = np.concatenate([ink.through(inverse @ p.matrix, q) for p in placed for q, _ in p.figure.strokes])
            sheet(rng, out, matrix, [*points.min(0), *points.max(0)])
    items = [p for _, placed in planes for p in placed]
    rough = [p.box(2) for p in items]
    scatter(rng, out, rough, rng.integers(0, 5), 0.2)
    before = out.copy()
    boxes = [draw(rng, out, p, filled) for p in items]
    seed = rng.integers(1 << 60)  # the same light on the picture without and with the shapes
    before, out = (surface.light(np.random.default_rng(seed), x) for x in (before, out))
    if not all(legible(before, out, box, clear) for box in boxes):
        return None
    out = surface.lens(rng, out)
    order = [[p.name for p in items].index(name) for name in names]
    return out, [np.clip(boxes[k], 0, n) for k in order]


def nothing(rng, out, on_paper):
    """The rest of a picture without a shape: a written or blank sheet that runs out of the frame, and clutter."""
    n = max(out.shape)
    scatter(rng, out, [], rng.integers(0, 6), 0.35)
    if on_paper:
        aspect = np.exp(rng.uniform(np.log(0.5), np.log(2)))
        size = rng.uniform(0.25, 0.7) * n
        a = rng.uniform(0, 6.283)
        at = np.array([np.cos(a), np.sin(a)]) * rng.uniform(0.3, 0.6) * n + n / 2  # its middle near the frame's edge
        matrix = np.array([[size, 0, at[0]], [0, size, at[1]], [0, 0, 1]]) @ view(rng, aspect)
        sheet(rng, out, matrix, (-1, -1, 1, 1))
    scatter(rng, out, [], rng.integers(0, 5), 0.4)
    return out
