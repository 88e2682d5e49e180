"""What lies behind a shape, all of it computed: noise, wood, walls, boards, pages, shelves, clutter; then light and lens.

Whatever is drawn here must not be one of the classes: no whole rectangles, discs or plus signs stand alone; rectangles come in
rows or are cut by the frame, and loose lines stay open.
"""

import cv2
import numpy as np

from . import ink

WORDS = "note list milk read call 1247 key plan draft Rust video frame layer 35 km/h sum tea ship page new test go way light".split()
FONTS = [cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX]


def noise(rng, shape, scale, octaves=4, fall=0.5):
    """Fractal noise, about -1..1; `scale`: cells of the coarsest octave along the longer side."""
    out = np.zeros(shape, np.float32)
    size = 1.0
    total = 0.0
    for o in range(octaves):
        n = scale * 2**o
        cells = (max(2, round(n * shape[0] / max(shape))) + 3, max(2, round(n * shape[1] / max(shape))) + 3)
        grid = rng.uniform(-1, 1, cells).astype(np.float32)
        out += size * cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
        total += size
        size *= fall
    return out / total * 1.6


def colour(rng, low=0, high=255, most=255):
    """Any colour of a given brightness and saturation at most `most`."""
    hsv = np.uint8([[[rng.integers(0, 180), rng.integers(0, most), rng.integers(low, max(low + 1, high))]]])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)


def flat(shape, c):
    return np.broadcast_to(np.float32(c), (*shape, 3)).copy()


def ramp(shape, angle):
    """0..1 across the picture in a direction."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    d = np.cos(angle) * x / shape[1] + np.sin(angle) * y / shape[0]
    return (d - d.min()) / max(1e-6, d.max() - d.min())


def clouds(rng, shape):
    n = noise(rng, shape, rng.uniform(1.5, 12), int(rng.integers(2, 6)), rng.uniform(0.4, 0.8))
    palette = np.stack([colour(rng, 20, 255, 200) for _ in range(rng.integers(2, 5))])
    t = (n.clip(-1, 1) + 1) / 2 * (len(palette) - 1)
    return np.stack([np.interp(t, np.arange(len(palette)), palette[:, k]) for k in range(3)], -1).astype(np.float32)


def gradient(rng, shape):
    t = ramp(shape, rng.uniform(0, 7))[..., None]
    return colour(rng, 30, 255, 180) * (1 - t) + colour(rng, 30, 255, 180) * t


def wood(rng, shape, base=None):
    base = np.float32([rng.uniform(90, 220), 0, 0]) if base is None else np.float32(base)
    if base[1] == 0:
        base[1] = base[0] * rng.uniform(0.6, 0.85)
        base[2] = base[1] * rng.uniform(0.45, 0.85)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32) / max(shape)
    a = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.15)
    u, v = x * np.cos(a) + y * np.sin(a), y * np.cos(a) - x * np.sin(a)
    warp = noise(rng, shape, 2.5, 2)
    grain = np.sin((v * rng.uniform(8, 30) + warp * rng.uniform(0.5, 2.0)) * 6.28)
    fibre = cv2.blur(rng.normal(0, 1, shape).astype(np.float32), (9, 1) if abs(np.cos(a)) > 0.7 else (1, 9))
    tone = 1 + 0.09 * grain + 0.12 * fibre + 0.1 * noise(rng, shape, 1.5, 2)
    out = base * tone[..., None]
    if rng.random() < 0.6:  # boards
        n = rng.uniform(2.5, 7)
        seam = np.abs((v * n + rng.random()) % 1 - 0.5) > 0.5 - 0.012 * n / 3
        shade = 1 + 0.12 * np.sin(np.floor(v * n + 40) * 12.9898)
        out = out * shade[..., None] * np.where(seam, 0.55, 1)[..., None]
    return out.astype(np.float32)


def board(rng, shape):
    """Chalkboard, whiteboard or painted wall, with traces of what was wiped away."""
    base = [(35, 60, 48), (28, 30, 33), (235, 238, 240), (200, 190, 175)][rng.integers(4)]
    out = flat(shape, base) + rng.normal(0, 8, 3).astype(np.float32)
    return out + (noise(rng, shape, 4, 4, 0.6) * rng.uniform(2, 18))[..., None]


def page(rng, shape, sheet=None):
    """Paper that fills the frame: plain, ruled, squared or written."""
    out = flat(shape, rng.uniform(205, 250) + rng.normal(0, 6, 3)) if sheet is None else sheet
    kind = rng.integers(4)
    step = max(4, rng.uniform(0.035, 0.1) * max(shape))
    pen = ink.luma(out[0, 0]) + (rng.uniform(-80, -30)) + rng.normal(0, 15, 3)
    angle = rng.normal(0, 0.2)
    if kind in (1, 2):
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
        for a in [angle, angle + np.pi / 2][:kind]:
            d = (y * np.cos(a) + x * np.sin(a)) % step
            ink.lay(out, np.clip(1 - np.abs(d - 1), 0, 1) * rng.uniform(0.3, 0.8), pen)
    if kind == 3:
        write(rng, out, ink.ink_for(rng, out[0, 0]), rows=int(rng.integers(3, 12)))
    return out


def write(rng, out, pen, rows, box=None):
    """Rows of words; in place. `box`: x0, y0, x1, y1 in pixels."""
    h, w = out.shape[:2]
    x0, y0, x1, y1 = box or (0, 0, w, h)
    step = (y1 - y0) / max(1, rows)
    big = 2
    mask = np.zeros((h * big, w * big), np.uint8)
    font = FONTS[rng.integers(len(FONTS))]
    for r in range(rows):
        x = x0 + rng.uniform(0, 0.2) * (x1 - x0)
        while x < x1 - 4:
            word = WORDS[rng.integers(len(WORDS))]
            scale = step * big / 42
            cv2.putText(mask, word, (int(x * big), int((y0 + (r + 0.8) * step) * big)), font, scale, 255, max(1, round(scale * rng.uniform(1.2, 2.6))), cv2.LINE_AA)
            x += cv2.getTextSize(word + " ", font, scale, 1)[0][0] / big + 1
            if rng.random() < 0.15:
                break
    ink.lay(out, cv2.resize(mask, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32) / 255, pen)
    return out


def shelf(rng, shape):
    """Rows of upright spines, edge to edge: rectangles, but never one alone."""
    h, w = shape
    out = flat(shape, colour(rng, 20, 120, 120))
    rows = int(rng.integers(1, 5))
    for r in range(rows):
        x = -rng.uniform(0, 20)
        floor = (r + 1) * h / rows - 2
        while x < w:
            t = rng.uniform(0.02, 0.09) * w
            top = floor - h / rows * rng.uniform(0.6, 0.98)
            c = colour(rng, 30, 240, 220)
            lean = rng.normal(0, 0.03) * h / rows
            out_mask = ink.fill(shape, [[(x, floor), (x + t - 0.6, floor), (x + t - 0.6 + lean, top), (x + lean, top)]])
            ink.lay(out, out_mask, c)
            x += t
    return out


def room(rng, shape):
    """Large planes with straight edges that run out of the frame: walls, a table, a door, a window's frame."""
    h, w = shape
    out = any_surface(rng, shape, [gradient, clouds, wood, board])
    for _ in range(rng.integers(1, 5)):
        a = rng.uniform(0, 2 * np.pi) if rng.random() < 0.4 else rng.choice([0, np.pi / 2, np.pi, -np.pi / 2]) + rng.normal(0, 0.08)
        n = np.array([np.cos(a), np.sin(a)])
        t = np.array([-n[1], n[0]])
        at = np.array([w, h]) * rng.uniform(0.1, 0.9, 2)
        far = 3 * max(h, w)
        thick = far if rng.random() < 0.6 else rng.uniform(0.02, 0.25) * w
        quad = [at - far * t, at + far * t, at + far * t + thick * n, at - far * t + thick * n]
        c = any_surface(rng, shape, [gradient, wood, clouds]) if rng.random() < 0.4 else colour(rng, 20, 255, 160)
        ink.lay(out, ink.fill(shape, [quad]) * rng.uniform(0.6, 1), c)
    return out


def litter(rng, shape):
    """Many small pieces: leaves, gravel, confetti."""
    out = any_surface(rng, shape, [gradient, clouds, wood])
    size = rng.uniform(0.015, 0.05) * max(shape)
    palette = [colour(rng, 20, 255, 230) for _ in range(rng.integers(1, 6))]
    for c in palette:
        pieces = []
        for _ in range(rng.integers(8, 60)):
            k = int(rng.integers(3, 8))
            a = np.sort(rng.uniform(0, 6.283, k))
            r = size * rng.uniform(0.3, 1, k)
            pieces.append(rng.uniform(0, 1, 2) * shape[::-1] + np.stack([r * np.cos(a), r * np.sin(a)], 1))
        mask = np.zeros(shape, np.float32)
        for p in pieces:
            cv2.fillPoly(mask, [np.round(p * 16).astype(np.int32)], 1.0, cv2.LINE_8, 4)
        ink.lay(out, mask, c)
    return out


def weave(rng, shape):
    """Stripes, plaid or checks."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32) / max(shape)
    a = rng.uniform(0, np.pi)
    f = rng.uniform(5, 22)
    s = np.sin(6.283 * f * (x * np.cos(a) + y * np.sin(a)))
    if rng.random() < 0.5:
        q = np.sin(6.283 * f * (y * np.cos(a) - x * np.sin(a)))
        s = s * q if rng.random() < 0.5 else (s + q) / 2
    t = (np.clip(s * rng.uniform(0.6, 6), -1, 1)[..., None] + 1) / 2
    return colour(rng, 40, 255, 180) * (1 - t) + colour(rng, 40, 255, 180) * t


SURFACES = {clouds: 3, gradient: 2, wood: 3, board: 2, page: 2, shelf: 1.5, room: 4, litter: 2, weave: 1.5}


def any_surface(rng, shape, among=None):
    among = among or list(SURFACES)
    p = np.array([SURFACES[s] for s in among])
    return np.ascontiguousarray(among[rng.choice(len(among), p=p / p.sum())](rng, shape), dtype=np.float32)


# What else lies about. Each returns lines in units (-1..1) that a pen could have drawn.


def scribble(rng):
    n = int(rng.integers(5, 16))
    p = np.cumsum(rng.normal(0, 1, (n, 2)), 0) if rng.random() < 0.5 else rng.uniform(-1, 1, (n, 2))
    p = (p - p.mean(0)) / max(1e-6, np.abs(p - p.mean(0)).max())
    t = np.linspace(0, n - 1, n * 8)
    i = t.astype(int).clip(0, n - 2)
    f = ((1 - np.cos((t - i) * np.pi)) / 2)[:, None]
    return [p[i] * (1 - f) + p[i + 1] * f]


def zigzag(rng):
    n = int(rng.integers(5, 12))
    return [np.stack([np.linspace(-1, 1, n), np.where(np.arange(n) % 2, 1, -1) * rng.uniform(0.15, 0.6)], 1)]


def wave(rng):
    x = np.linspace(-1, 1, 60)
    return [np.stack([x, np.sin(x * rng.uniform(4, 16) + rng.uniform(0, 6)) * rng.uniform(0.1, 0.4)], 1)]


def bow(rng):
    t = np.linspace(0, rng.uniform(1.0, 3.4), 40)
    return [np.stack([np.cos(t), np.sin(t) * rng.uniform(0.5, 1)], 1)]


def rails(rng):
    n = int(rng.integers(1, 6))
    return [np.array([[-1, y], [1, y + rng.normal(0, 0.05)]]) for y in np.linspace(-0.5, 0.5, n)]


def corner(rng):
    return [np.array([rng.uniform(-1, 0, 2), (0.8, -0.6), rng.uniform(0, 1, 2)])]


def fan(rng):
    """Lines from one point: no arrow (no shaft in the middle), no cross (nothing passes through)."""
    a = rng.uniform(0, 1.0) + np.arange(rng.integers(2, 4)) * rng.uniform(0.5, 1.0)
    return [np.array([(0, 0), (np.cos(t), np.sin(t))]) for t in a]


def loops(rng):
    t = np.linspace(0, rng.uniform(12, 30), 160)
    return [np.stack([t / t[-1] * 2 - 1 + 0.18 * np.sin(t), 0.3 * np.cos(t) * rng.uniform(0.6, 1)], 1)]


SCRAPS = [scribble, scribble, zigzag, wave, bow, rails, corner, fan, loops]
LETTERS = "ABEFGHJKLMNPQRSUWYZ234579?&abdefghknprt"


def scrap(rng, out, where, size, pen, width):
    """One loose piece of pen work about the pixel `where`, `size` pixels in half width; in place."""
    kind = rng.random()
    shape = out.shape[:2]
    if kind < 0.2:
        h, w = shape
        mask = np.zeros((h * 2, w * 2), np.uint8)
        text = LETTERS[rng.integers(len(LETTERS))] if rng.random() < 0.5 else WORDS[rng.integers(len(WORDS))]
        font = FONTS[rng.integers(len(FONTS))]
        base = cv2.getTextSize(text, font, 1.0, 1)[0]
        scale = 4 * size / max(base)
        at = (where * 2 + [-base[0] * scale / 2, base[1] * scale / 2]).astype(int)
        cv2.putText(mask, text, (int(at[0]), int(at[1])), font, scale, 255, max(1, round(width * 2)), cv2.LINE_AA)
        m = cv2.warpAffine(mask, cv2.getRotationMatrix2D((float(where[0] * 2), float(where[1] * 2)), rng.normal(0, 15), 1), (w * 2, h * 2))
        mask = cv2.resize(m, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        return ink.lay(out, mask, pen)
    a = rng.uniform(0, 6.283)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) * size
    strokes = SCRAPS[rng.integers(len(SCRAPS))](rng)
    return ink.lay(out, ink.lines(shape, [s @ turn.T + where for s in strokes], width), pen)


def lump(rng, out, where, size, c):
    """A soft-edged irregular blob (a shadow, a stain, something out of focus); in place."""
    t = np.linspace(0, 6.283, 60)[:-1]
    r = 1 + sum(rng.normal(0, 0.28) * np.cos(k * t + rng.uniform(0, 6)) for k in range(1, 5))
    mask = ink.fill(out.shape[:2], [where + size * np.stack([r * np.cos(t) * rng.uniform(0.5, 1.6), r * np.sin(t)], 1)])
    blur = rng.uniform(0.1, 0.5) * size
    return ink.lay(out, cv2.GaussianBlur(mask, (0, 0), max(0.6, blur)) * rng.uniform(0.3, 1), c)


def stick(rng, out, where, size, c):
    """A long thing with two tones: a pencil, a cable, a bar; in place."""
    a = rng.uniform(0, 6.283)
    d = np.array([np.cos(a), np.sin(a)]) * size * rng.uniform(1.5, 5)
    line = np.linspace(where - d, where + d, 20)
    line += np.sin(np.linspace(0, 3, 20))[:, None] * rng.normal(0, 0.3 * size, 2)
    w = size * rng.uniform(0.1, 0.35)
    ink.lay(out, ink.lines(out.shape[:2], [line], w), c)
    return ink.lay(out, ink.lines(out.shape[:2], [line - [0, w * 0.2]], w * 0.35), np.clip(c * 1.3 + 15, 0, 255))


def fingers(rng, out, at, inward, size):
    """A hand that reaches in from `at` along `inward` and holds something; in place."""
    tone = rng.uniform(0.35, 1.0)
    skin = np.float32([236, 188, 160]) * tone + rng.normal(0, 8, 3)
    side = np.array([-inward[1], inward[0]])
    for k in range(rng.integers(1, 5)):
        root = at + side * (k - 1.2) * size * 0.55 - inward * size * 2.5
        tip = at + side * (k - 1.2) * size * 0.5 + inward * size * rng.uniform(0.1, 0.9)
        for w, c in ((0.58, skin * 0.72), (0.48, skin)):
            ink.lay(out, ink.lines(out.shape[:2], [np.array([root, tip])], size * w), c)
    return out


def person(rng, out):
    """Head and shoulders, roughly, as a webcam has them before it; in place."""
    h, w = out.shape[:2]
    size = rng.uniform(0.09, 0.24) * max(h, w)
    squeeze = np.array([rng.choice([0.5625, 1.0]) * rng.uniform(0.9, 1.1), 1.0])
    neck = np.array([rng.uniform(0.1, 0.9) * w, rng.uniform(0.55, 0.95) * h])
    skin = np.float32([236, 188, 160]) * rng.uniform(0.3, 1.0) + rng.normal(0, 8, 3)
    place = lambda points: neck + np.asarray(points) * size * squeeze
    t = np.linspace(0, 6.283, 50)[:-1]
    oval = lambda x, y, a, b: place(np.stack([x + a * np.cos(t), y + b * np.sin(t)], 1))
    shape = out.shape[:2]
    cloth = any_surface(rng, shape, [weave, clouds, gradient])
    body = [(-0.35, -0.2), (-1.6, 0.2), (-2.0, 1.0), (-2.1, 6), (2.1, 6), (2.0, 1.0), (1.6, 0.2), (0.35, -0.2)]
    ink.lay(out, ink.fill(shape, [place(body)]), cloth)
    hair = np.full(3, rng.uniform(15, 200)) * [1, rng.uniform(0.7, 1), rng.uniform(0.5, 1)]
    ink.lay(out, ink.fill(shape, [oval(0, -1.45, rng.uniform(0.85, 1.1), rng.uniform(1.1, 1.5))]), hair)
    ink.lay(out, ink.fill(shape, [place([(-0.35, -0.9), (0.35, -0.9), (0.42, 0.1), (-0.42, 0.1)])]), skin * 0.8)
    turn = rng.normal(0, 0.12)
    ink.lay(out, ink.fill(shape, [oval(turn, -1.2, 0.78, 1.05)]), skin)
    ink.lay(out, cv2.GaussianBlur(ink.fill(shape, [oval(turn + 0.5, -1.1, 0.35, 0.9)]), (0, 0), size * 0.2) * 0.5, skin * 0.7)
    for x in (-0.32, 0.32):
        ink.lay(out, ink.fill(shape, [oval(turn * 1.6 + x, -1.35, 0.12, 0.06)]), (40, 30, 30))
    mouth = place([(turn * 1.6 - 0.28, -0.62), (turn * 1.6, -0.55), (turn * 1.6 + 0.28, -0.62)])
    return ink.lay(out, ink.lines(shape, [mouth], max(1, size * 0.07)), skin * [0.7, 0.45, 0.45])


# Light and lens.


def light(rng, out):
    """Uneven light, shadows, exposure and colour cast; returns a new picture."""
    shape = out.shape[:2]
    if rng.random() < 0.6:
        out = out * (1 - rng.uniform(0.1, 0.7) * ramp(shape, rng.uniform(0, 7)))[..., None]
    if rng.random() < 0.35:
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32) / max(shape)
        c = rng.uniform(0, 1, 2)
        d = np.hypot(x - c[0], y - c[1])
        out = out * (1 + rng.uniform(-0.5, 0.5) * np.exp(-((d / rng.uniform(0.2, 0.7)) ** 2)))[..., None]
    if rng.random() < 0.25:
        band = (ramp(shape, rng.uniform(0, 7)) > rng.uniform(0.2, 0.8)).astype(np.float32)
        out = out * (1 - rng.uniform(0.15, 0.5) * cv2.GaussianBlur(band, (0, 0), rng.uniform(0.5, 6)))[..., None]
    if rng.random() < 0.5:
        out = out * rng.uniform(0.8, 1.15, 3).astype(np.float32)
    out = out.clip(0, 255)
    if rng.random() < 0.5:
        out = 255 * (out / 255) ** rng.uniform(0.6, 1.7)
    if rng.random() < 0.3:
        out = out * rng.uniform(0.25, 1.0) + rng.uniform(0, 40)
    return out.astype(np.float32)


def lens(rng, out):
    """Blur, motion, sensor noise, JPEG: float32 in, u8 out."""
    if rng.random() < 0.5:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.3, 1.3))
    if rng.random() < 0.15:
        k = int(rng.integers(2, 6))
        kernel = np.zeros((k, k), np.float32)
        kernel[(np.arange(k), np.arange(k)) if rng.random() < 0.5 else (k // 2, slice(None))] = 1 / k
        out = cv2.filter2D(out, -1, kernel if rng.random() < 0.5 else kernel.T.copy())
    if rng.random() < 0.6:
        grain = rng.normal(0, 1, out.shape).astype(np.float32) * rng.uniform(1, 14)
        out = out + (grain if rng.random() < 0.6 else grain.mean(2, keepdims=True) * 1.5)
    out = np.ascontiguousarray(out.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.5:
        _, data = cv2.imencode(".jpg", out[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))])
        out = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    return out
