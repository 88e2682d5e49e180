"""Ink on a picture: anti-aliased masks of lines and fillings, and colours laid over them.

Pictures are float32 [h,w,3], RGB, 0..255; masks are float32 [h,w], 0..1; points are in pixels of the picture.
"""

import cv2
import numpy as np

cv2.setNumThreads(1)
FINE = 2  # masks are drawn this many times larger, then averaged
SHIFT = 4  # fractional bits of OpenCV's integer coordinates


def _fixed(points, scale=FINE):
    # the centre of pixel 0 lies at 0 in OpenCV and at 0.5 here
    return np.round((np.asarray(points) * scale - 0.5) * (1 << SHIFT)).clip(-2e6, 2e6).astype(np.int32).reshape(-1, 1, 2)


def _canvas(shape):
    return np.zeros((shape[0] * FINE, shape[1] * FINE), np.uint8)


def _done(canvas, shape):
    return cv2.resize(canvas, (shape[1], shape[0]), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def fill(shape, contours):
    """The inside of closed contours, even-odd: a contour in another one is a hole."""
    canvas = _canvas(shape)
    cv2.fillPoly(canvas, [_fixed(c) for c in contours], 255, cv2.LINE_AA, SHIFT)
    return _done(canvas, shape)


def lines(shape, strokes, width, pressure=None):
    """Pen lines of `width` pixels. `pressure`: factors along each line, for a pen that is not held evenly."""
    canvas = _canvas(shape)
    for points in strokes:
        fixed = _fixed(points)
        if pressure is None:
            cv2.polylines(canvas, [fixed], False, 255, max(1, round(width * FINE)), cv2.LINE_AA, SHIFT)
            continue
        pieces = min(len(points) - 1, len(pressure))
        cuts = np.linspace(0, len(points) - 1, pieces + 1).astype(int)
        for a, b, p in zip(cuts[:-1], cuts[1:], pressure):
            cv2.polylines(canvas, [fixed[a : b + 1]], False, 255, max(1, round(width * FINE * p)), cv2.LINE_AA, SHIFT)
    return _done(canvas, shape)


def lay(picture, mask, colour):
    """Colour (3 values, or a picture) over the picture where the mask says so. In place."""
    picture += mask[..., None] * (np.asarray(colour, np.float32) - picture)
    return picture


def through(matrix, points):
    """Points [n,2] through a homography [3,3]."""
    p = np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return p[:, :2] / p[:, 2:]


def luma(colour):
    return float(np.dot(colour, (0.299, 0.587, 0.114)))


def ink_for(rng, ground, least=55):
    """A pen colour that can be told from the ground (both RGB 0..255)."""
    for _ in range(40):
        kind = rng.random()
        if kind < 0.35:
            colour = np.full(3, rng.uniform(5, 70)) + rng.normal(0, 8, 3)
        elif kind < 0.5:
            colour = np.full(3, rng.uniform(200, 255)) + rng.normal(0, 8, 3)
        else:
            h, s, v = rng.uniform(0, 180), rng.uniform(120, 255), rng.uniform(80, 255)
            colour = cv2.cvtColor(np.uint8([[[h, s, v]]]), cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64)
        colour = colour.clip(0, 255)
        if abs(luma(colour) - luma(ground)) >= least:
            return colour
    return np.zeros(3) if luma(ground) > 127 else np.full(3, 250.0)
