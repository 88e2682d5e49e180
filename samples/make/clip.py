"""The demo film: cards carried over a desk, a spiral chalked on a board, two cards that pass each other; and its truth.

A film is a list of shots; a shot draws frame t of its own time and says what is in it. Nothing is random from frame to frame.
"""

import json
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from . import ink, sound, surface
from .shapes import CLASSES, SHAPES, arc, bend, hand_drawn
from .sound import air, chalk, note, pad, pluck

WIDTH, HEIGHT, RATE = 1280, 720, 30
CARD = 640  # pixels of a card's own picture, both ways
FOCUS = 1700.0  # distance of the eye from the desk, in pixels
SEED = 11


def rng_for(name):
    return np.random.default_rng([SEED, *name.encode()])


def ease(t):
    """0..1 to 0..1, still at both ends."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


# Cards


def hatch(shape, mask, step, angle, rng):
    """Crayon strokes over a mask: uneven parallel lines that cover most of it."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    bow = surface.noise(rng, shape, 3, 2) * step * 1.5
    d = (x * np.cos(angle) + y * np.sin(angle) + bow) % step
    rows = np.clip(step * 0.42 - np.abs(d - step / 2) + 0.8, 0, 1)
    return mask * (0.55 + 0.45 * rows) * (0.8 + 0.2 * surface.noise(rng, shape, 60, 2).clip(-1, 1))


# What is on each card: paper, pen, crayon, pen width in units, wobble.
CARDS = {
    "heart": ((250, 246, 236), (150, 18, 40), (226, 52, 78), 0.085, 0.02),
    "star": ((238, 243, 250), (38, 52, 120), (250, 190, 40), 0.075, 0.012),
    "lightning": ((44, 48, 72), (255, 244, 190), (255, 205, 60), 0.06, 0.012),
}


@lru_cache(maxsize=None)
def card(name):
    """The card's picture (float32 [CARD,CARD,3]); its edge, with round corners, and the shape's lines, both in card units (-1..1)."""
    rng = rng_for(name)
    shape = (CARD, CARD)
    paper, pen, crayon, width, wobble = CARDS[name]
    figure = hand_drawn(SHAPES[name](rng), rng, wobble)
    unit = 0.66
    place = lambda pts: np.asarray(pts) * unit
    px = lambda pts: (place(pts) + 1) * CARD / 2
    out = surface.flat(shape, paper) * (1 + 0.012 * surface.noise(rng, shape, 40, 4, 0.8))[..., None]
    inside = ink.fill(shape, [px(k) for k in figure.contours])
    ink.lay(out, hatch(shape, inside, 15, 0.9, rng), crayon)
    pressure = 1 + 0.18 * np.sin(np.linspace(0, 8, 24))
    ink.lay(out, ink.lines(shape, [px(p) for p, _ in figure.strokes], width * unit * CARD / 2, pressure) * 0.96, pen)
    corner = 0.09
    q = 1 - corner
    edge = np.concatenate([arc(x, y, corner, a, a + np.pi / 2, 10) for x, y, a in ((q, q, 0), (-q, q, np.pi / 2), (-q, -q, np.pi), (q, -q, 3 * np.pi / 2))])
    points = place(np.concatenate([p for p, _ in figure.strokes]))
    grown = points * (1 + width / 2)
    return out.astype(np.float32), edge, grown


class Pose:
    """A card in the air: middle (pixels of the frame), half width, roll, flip about its upright axis, tilt about the level one."""

    def __init__(self, x, y, half, roll=0.0, flip=0.0, tilt=0.0, height=60.0):
        self.x, self.y, self.half, self.roll, self.flip, self.tilt, self.height = x, y, half, roll, flip, tilt, height

    def project(self, points, mirror=False):
        """Card units [n,2] to pixels of the frame."""
        p = np.asarray(points, np.float64)
        u, v = p[:, 0] * (-1 if mirror else 1) * self.half, p[:, 1] * self.half
        x, z = u * np.cos(self.flip), u * np.sin(self.flip)
        y, z = v * np.cos(self.tilt) - z * np.sin(self.tilt), v * np.sin(self.tilt) + z * np.cos(self.tilt)
        c, s = np.cos(self.roll), np.sin(self.roll)
        x, y = x * c - y * s, x * s + y * c
        k = FOCUS / (FOCUS + z)
        return np.stack([self.x + x * k, self.y + y * k], 1)

    def facing(self):
        return np.cos(self.flip) * np.cos(self.tilt)


def show(out, pose, front, back=None):
    """Draws the card with its shadow; in place. Returns what is seen of it: (name, box, whole: bool)."""
    seen, mirror = (front, False) if pose.facing() >= 0 or back is None else (back, True)
    texture, edge, points = card(seen)
    outline = pose.project(edge, mirror)
    box = np.concatenate([(p := pose.project(points, mirror)).min(0), p.max(0)])
    shape = out.shape[:2]
    for lift, dark in ((1.0, 0.42), (0.25, 0.3)):  # a wide soft shadow and a narrow one
        small = (shape[0] // 4, shape[1] // 4)
        shade = ink.fill(small, [(outline + np.array([0.35, 0.6]) * pose.height * lift) / 4])
        shade = cv2.GaussianBlur(shade, (0, 0), max(0.8, pose.height * lift * 0.07))
        out *= 1 - dark * cv2.resize(shade, shape[::-1], interpolation=cv2.INTER_LINEAR)[..., None]
    low = np.floor(outline.min(0)).astype(int) - 2
    high = np.ceil(outline.max(0)).astype(int) + 2
    low, high = np.maximum(low, 0), np.minimum(high, [WIDTH, HEIGHT])
    if (high <= low).any():
        return seen, box, False
    w, h = high - low
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    to = ((pose.project(corners, mirror) - low) * 2 - 0.5).astype(np.float32)
    at = ((corners + 1) * CARD / 2 - 0.5).astype(np.float32)
    big = cv2.warpPerspective(texture, cv2.getPerspectiveTransform(at, to), (int(w * 2), int(h * 2)), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    face = cv2.resize(big, (int(w), int(h)), interpolation=cv2.INTER_AREA)
    mask = ink.fill((int(h), int(w)), [outline - low])
    # turned to the light from the upper left, the card is brighter
    tone = 0.74 + 0.26 * abs(pose.facing()) - 0.16 * np.sin(pose.flip * (-1 if mirror else 1)) * np.cos(pose.flip) - 0.1 * np.sin(pose.tilt)
    ink.lay(out[low[1] : high[1], low[0] : high[0]], mask, face * np.float32(tone))
    frame = np.array([0, 0, WIDTH, HEIGHT])
    whole = bool((box[:2] >= -2).all() and (box[2:] <= frame[2:] + 2).all())
    return seen, box, whole


# Places


@lru_cache(maxsize=None)
def desk():
    rng = rng_for("desk")
    shape = (HEIGHT, WIDTH)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    out = np.empty((*shape, 3), np.float32)
    plank = 156
    for k in range(HEIGHT // plank + 1):  # boards with grain, each from another tree
        rows = slice(k * plank, min(HEIGHT, (k + 1) * plank))
        part = (rows.stop - rows.start, WIDTH)
        warp = surface.noise(rng, part, 2.2, 3)
        v = (y[rows] / plank + warp * 0.5 + rng.uniform(0, 9)) * rng.uniform(2.2, 3.6)
        grain = np.sin(v * 6.28) * 0.5 + np.sin(v * 17.0) * 0.25
        fibre = cv2.blur(rng.normal(0, 1, part).astype(np.float32), (61, 1)) * 2.2
        tone = rng.uniform(0.86, 1.06) * (1 + 0.055 * grain + 0.045 * fibre)
        out[rows] = np.float32([146, 98, 60]) * tone[..., None]
        out[rows.start : rows.start + 3] *= 0.55
        out[rows.start + 3 : rows.start + 5] *= 1.1
    # a written sheet that leaves the frame at the upper left, with pencils beside it
    sheet = [(-60, -80), (262, -80), (236, 306), (-60, 290)]
    shadow(out, sheet, 14)
    paper = surface.flat(shape, (228, 224, 212))
    surface.write(rng, paper, (70, 74, 96), 9, (8, 10, 236, 292))
    ink.lay(out, ink.fill(shape, [sheet]), paper)
    for a, b, tone in (((1010, 610), (1330, 690), (214, 160, 52)), ((1040, 664), (1300, 770), (44, 104, 116))):
        pencil(out, np.array(a, float), np.array(b, float), tone)
    cable = np.stack([np.linspace(-20, 520, 80), 676 + 26 * np.sin(np.linspace(0, 5.2, 80))], 1)
    ink.lay(out, cv2.GaussianBlur(ink.lines(shape, [cable + [5, 8]], 11), (0, 0), 4) * 0.5, (12, 8, 6))
    ink.lay(out, ink.lines(shape, [cable], 9), (46, 48, 54))
    ink.lay(out, ink.lines(shape, [cable - [0, 2]], 2.5), (96, 98, 106))
    # a ruler that leaves the frame at the right
    rule = np.array([(1130, -20), (1216, -20), (1216, 330), (1130, 330)]) @ np.array([[0.995, 0.1], [-0.1, 0.995]]) + [30, -90]
    shadow(out, rule, 8)
    ink.lay(out, ink.fill(shape, [rule]), (206, 196, 158))
    along, across = (rule[3] - rule[0]) / 35, (rule[1] - rule[0]) / 86
    ticks = [np.array([rule[0] + along * k, rule[0] + along * k + across * (34 if k % 5 == 0 else 18)]) for k in range(1, 35)]
    ink.lay(out, ink.lines(shape, ticks, 2), (70, 62, 44))
    return out


def shadow(out, quad, lift):
    """A soft shadow of something flat; in place."""
    mask = cv2.GaussianBlur(ink.fill(out.shape[:2], [np.asarray(quad, float) + [lift * 0.5, lift * 0.8]]), (0, 0), lift * 0.6)
    out *= 1 - 0.5 * mask[..., None]


def pencil(out, tip, end, tone):
    """A pencil from its tip to its end (pixels); in place."""
    d = (end - tip) / np.hypot(*(end - tip))
    side = np.array([-d[1], d[0]]) * 11
    shape = out.shape[:2]
    ink.lay(out, cv2.GaussianBlur(ink.lines(shape, [np.array([tip, end]) + [7, 11]], 18), (0, 0), 6) * 0.5, (10, 8, 6))
    body = tip + d * 46
    ink.lay(out, ink.fill(shape, [[body + side, end + side, end - side, body - side]]), tone)
    ink.lay(out, ink.fill(shape, [[body + side * 0.35, end + side * 0.35, end - side * 0.3, body - side * 0.3]]), np.clip(np.array(tone) * 1.18 + 10, 0, 255))
    ink.lay(out, ink.fill(shape, [[body + side, tip, body - side]]), (222, 190, 148))
    ink.lay(out, ink.fill(shape, [[tip + d * 15 + side * 0.33, tip, tip + d * 15 - side * 0.33]]), (52, 46, 44))


@lru_cache(maxsize=None)
def blackboard():
    rng = rng_for("board")
    shape = (HEIGHT, WIDTH)
    out = surface.flat(shape, (38, 68, 56)) * (1 + 0.06 * surface.noise(rng, shape, 3, 5, 0.6))[..., None]
    for _ in range(26):  # where the sponge went
        a = rng.uniform(-0.5, 0.5) + rng.choice([0, np.pi])
        at = rng.uniform(0, 1, 2) * [WIDTH, HEIGHT]
        reach = np.array([np.cos(a), np.sin(a)]) * rng.uniform(120, 420)
        mask = cv2.GaussianBlur(ink.lines(shape, [np.array([at, at + reach])], rng.uniform(30, 90)), (0, 0), 22)
        out += mask[..., None] * rng.uniform(3, 13)
    dust = np.float32([196, 204, 196])
    surface.write(rng, out, dust * 0.62, 3, (40, 34, 330, 176))
    for k in range(3):
        line = np.stack([np.linspace(980, 1240, 60), 600 + k * 26 + 7 * np.sin(np.linspace(0, 9 + 2 * k, 60))], 1)
        ink.lay(out, chalky(ink.lines(shape, [line], 5)) * 0.6, dust)
    out[:18] = np.float32([118, 84, 54])
    out[18:24] *= 0.5
    return out.astype(np.float32)


@lru_cache(maxsize=None)
def grain():
    rng = rng_for("grain")
    g = cv2.GaussianBlur(rng.uniform(0, 1, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 0.8)
    return np.clip((g - g.mean()) / g.std() * 0.28 + 0.86, 0.25, 1)


def chalky(mask):
    return mask * grain()


@lru_cache(maxsize=None)
def lamp(x, y, reach, floor):
    """A pool of light: float32 [h,w,1]."""
    yy, xx = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    d = np.hypot(xx - x, (yy - y) * 1.15) / reach
    return (floor + (1 - floor) * np.exp(-(d**2)))[..., None].astype(np.float32)


# Shots. Each: t in seconds of its own -> (picture float32, [(name, box, whole)], turning: bool)

def shot_cards(t):
    """A heart comes in, wanders, turns into a star, comes near, turns into a bolt as the daylight goes."""
    out = desk().copy()
    objects, turning = [], False
    if t >= 0.7:
        s = t - 0.7
        come = ease(s / 0.9)
        x = 660 + 330 * np.sin(0.95 * s + 0.2) * min(1, s / 1.5)
        y = 372 + 96 * np.sin(1.62 * s + 0.5)
        x, y = x * come + 1500 * (1 - come), y * come + 420 * (1 - come)
        half = 158 + 14 * np.sin(1.1 * s) + 62 * np.exp(-(((t - 4.5) / 0.75) ** 2)) - 34 * np.exp(-(((t - 6.9) / 0.7) ** 2))
        turns = ease((t - 3.05) / 0.62) + ease((t - 5.6) / 0.62)
        flip = np.pi * turns
        first = turns < 1.0
        front, back = ("heart", "star") if first else ("lightning", "star")
        local = flip if first else flip - 2 * np.pi
        turning = 0.02 < turns % 1 < 0.98
        pose = Pose(x, y, half, 0.22 * np.sin(0.9 * s + 1.0) + 0.5 * (1 - come), local + 0.16 * np.sin(1.3 * s) * (not turning), 0.2 * np.sin(1.05 * s + 2), 60 + 40 * turning)
        objects.append(show(out, pose, front, back))
    day = 1 - 0.48 * ease((t - 5.3) / 1.3)
    warm = np.float32([1.0, 0.97 - 0.02 * (1 - day), 0.93 - 0.16 * (1 - day)])
    pool = lamp(470, 250, 1000, 0.55)
    return out * pool * day * warm * 1.15, objects, turning


def shot_board(t):
    """A spiral is chalked on the board; the camera goes near; a cloud passes before the sun."""
    rng = rng_for("spiral")
    turns = 3.1
    u = np.linspace(0, 1, 420)
    r = 0.05 + 0.95 * u
    line = np.stack([r * np.cos(u * turns * 2 * np.pi - 0.6), r * np.sin(u * turns * 2 * np.pi - 0.6)], 1)
    line = bend(rng, 0.03)(line)
    middle = np.array([676.0, 388.0])
    done = np.clip((t - 0.15) / 1.35, 0, 1) ** 0.8
    points = middle + 176 * line[: max(2, int(len(line) * done))]
    out = blackboard().copy()
    ink.lay(out, chalky(ink.lines((HEIGHT, WIDTH), [points], 13)) * 0.93, (240, 240, 228))
    near = 1 + 0.42 * ease((t - 1.5) / 2.0)
    sway = np.array([60 * np.sin(1.1 * (t - 1.5)), 22 * np.sin(1.7 * (t - 1.5))]) * ease((t - 1.5) / 1.0)
    roll = 0.07 * np.sin(1.0 * (t - 1.5)) * ease((t - 1.5) / 1.0)
    c, s = near * np.cos(roll), near * np.sin(roll)
    at = np.array([640.0, 372.0])
    m = np.array([[c, -s, 0], [s, c, 0]])
    m[:, 2] = at + sway - m[:, :2] @ at
    out = cv2.warpAffine(out, m, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    grown = middle + (176 * line[: len(points)]) * 1.035
    p = grown @ m[:, :2].T + m[:, 2]
    box = np.concatenate([p.min(0), p.max(0)])
    sun = 1 - 0.3 * np.exp(-(((t - 2.7) / 0.5) ** 2))
    out = out * lamp(820, 300, 1050, 0.6) * np.float32(1.12 * sun)
    objects = [("spiral", box, True)] if done > 0.05 else []
    return out, objects, 0.05 < done < 1


def shot_two(t):
    """Heart and star come in from both sides and wheel round each other, one near, one far."""
    out = desk().copy()
    come, go = ease(t / 0.9), ease((t - 4.15) / 0.8)
    a = 1.45 * (t - 0.6)
    found = []
    for name, phase, side in (("heart", np.pi, -1), ("star", 0.0, 1)):
        w = a + phase
        depth = np.sin(w)
        x = 640 + 318 * np.cos(w)
        y = 366 + 128 * np.sin(w)
        x += side * 900 * (1 - come) + side * 1000 * go
        half = 134 + 34 * depth
        pose = Pose(x, y, half, 0.16 * np.sin(1.4 * t + phase), 0.2 * np.sin(1.2 * t + phase), 0.16 * np.cos(1.0 * t), 60 + 30 * (depth + 1))
        found.append((depth, pose, name))
    objects = [show(out, pose, name) for _, pose, name in sorted(found, key=lambda f: f[0])]
    light = 0.42 + 0.58 * ease(t / 1.2)
    return out * lamp(640, 300, 1050, 0.55) * np.float32(1.15 * light), objects, False


SHOTS = [(7.9, shot_cards), (3.7, shot_board), (5.0, shot_two)]  # seconds, what
SECONDS = sum(s for s, _ in SHOTS)


def frame(k):
    """Frame k: u8 [720,1280,3] RGB and its truth."""
    t, index = k / RATE, 0
    while index < len(SHOTS) - 1 and t >= SHOTS[index][0] - 1e-9:
        t -= SHOTS[index][0]
        index += 1
    picture, found, turning = SHOTS[index][1](t)
    objects = []
    for name, box, whole in found:
        cut = np.clip(box, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
        area, full = np.prod(cut[2:] - cut[:2]), np.prod(box[2:] - box[:2])
        if area <= 0.02 * full:
            continue
        objects.append({"class": CLASSES.index(name), "label": name, "box": [round(float(v), 1) for v in cut], "whole": whole})
    truth = {"frame": k, "objects": objects, "transition": bool(turning or any(not o["whole"] for o in objects))}
    return np.ascontiguousarray(picture.clip(0, 255).astype(np.uint8)), truth


def tune():
    """The sound that goes with the shots."""
    rng = rng_for("sound")
    motifs = {"heart": (0, 4, 7, 12), "star": (7, 11, 14, 19), "lightning": (12, 6, 3, 0), "spiral": (0, 2, 4, 7, 9, 12)}
    chords = [(0.0, (-12, 0, 4, 7)), (3.3, (-5, 2, 7, 11)), (5.8, (-3, 0, 3, 9)), (7.9, (-7, 0, 5, 9)), (11.6, (-12, 0, 4, 7)), (14.1, (-5, 2, 7, 11))]
    ends = [c[0] for c in chords[1:]] + [SECONDS + 0.8]
    events = [(t, pad([note(n, 110) for n in c], e - t + 0.8), 0.16, 0.0) for (t, c), e in zip(chords, ends)]

    def play(start, name, pan, step=0.16, up=12):
        return [(start + k * step, pluck(note(n + up)), 0.5, pan) for k, n in enumerate(motifs[name])]

    events += play(1.2, "heart", 0.3) + play(2.3, "heart", 0.2, up=0)
    events += [(2.95, air(rng, 0.8), 0.10, 0.0)] + play(3.5, "star", -0.2) + play(4.6, "star", -0.3, up=0)
    events += [(5.5, air(rng, 0.8), 0.10, 0.0)] + play(6.1, "lightning", 0.1, 0.11) + play(7.1, "lightning", 0.2, 0.11, 0)
    events += [(8.05, chalk(rng, 1.35), 0.05, 0.1)] + play(9.4, "spiral", 0.0, 0.14) + play(10.5, "spiral", 0.0, 0.11, 0)
    events += play(12.2, "heart", -0.7) + play(12.9, "star", 0.7) + play(14.0, "heart", 0.6) + play(14.7, "star", -0.6)
    events += [(15.7, pluck(note(n), 2.0), 0.4, 0.0) for n in (0, 7, 12, 16)]
    return sound.mix(SECONDS, events)


def write(folder, threads=2):
    """Writes shapes.mp4 and shapes.json; returns a line about them."""
    count = round(SECONDS * RATE)
    film = folder / "shapes.mp4"
    with tempfile.TemporaryDirectory() as temp:
        sound.save(f"{temp}/sound.wav", tune())
        command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(RATE), "-i", "-", "-i", f"{temp}/sound.wav",
                   "-vf", "scale=out_color_matrix=bt709:out_range=tv", "-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
                   "-c:v", "libx264", "-preset", "slow", "-crf", "22", "-g", "60", "-threads", "1", "-c:a", "aac", "-b:a", "96k",
                   "-movflags", "+faststart", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", str(film)]  # fmt: skip
        truths = []
        with ProcessPoolExecutor(threads, mp_context=get_context("spawn")) as pool:
            pipe = subprocess.Popen(command, stdin=subprocess.PIPE)
            for picture, truth in pool.map(frame, range(count), chunksize=4):
                pipe.stdin.write(picture.tobytes())
                truths.append(truth)
            pipe.stdin.close()
            if pipe.wait() != 0:
                raise SystemExit("ffmpeg could not write the clip")
    lines = ",\n".join("  " + json.dumps(t) for t in truths)
    head = f'"width": {WIDTH}, "height": {HEIGHT}, "rate": {RATE},\n "classes": {json.dumps(CLASSES)}'
    (folder / "shapes.json").write_text(f'{{{head},\n "frames": [\n{lines}\n ]}}\n')
    return f"{count} frames, {film.stat().st_size} bytes"
