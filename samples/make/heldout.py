"""The small held-out set in the repository: pictures as a film of JPEG frames, and what they show as JSON."""

import json
import subprocess
import tempfile
from pathlib import Path

import cv2

from . import data
from .scene import SIZE
from .shapes import CLASSES, NOTHING

PER_CLASS, PAIRS, QUALITY = 20, 24, 82


def write(folder, threads=2):
    """Writes pictures.mkv and pictures.json into the folder; returns a line about it."""
    folder.mkdir(exist_ok=True)
    singles = PER_CLASS * len(CLASSES)
    images, classes, boxes = data.make("committed", singles, threads, pairs=0)
    more = data.make("committed", 2 * PAIRS, threads, pairs=1, start=singles)
    two = [i for i in range(2 * PAIRS) if more[1][i, 1] >= 0][:PAIRS]
    rows = [(images[i], classes[i], boxes[i]) for i in range(singles)] + [tuple(part[i] for part in more) for i in two]
    pictures = []
    with tempfile.TemporaryDirectory() as temp:
        for k, (image, ids, where) in enumerate(rows):
            cv2.imwrite(f"{temp}/{k:04}.jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            objects = [
                {"class": int(c), "label": CLASSES[c], "box": [round(float(v), 1) for v in b]}
                for c, b in zip(ids, where)
                if c >= 0 and CLASSES[c] != NOTHING
            ]
            pictures.append({"frame": k, "objects": objects})
        film = folder / "pictures.mkv"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-framerate", "25", "-i", f"{temp}/%04d.jpg", "-c", "copy", "-fflags", "+bitexact", film], check=True)
    lines = ",\n".join("  " + json.dumps(p) for p in pictures)
    head = f'"size": {SIZE},\n "classes": {json.dumps(CLASSES)}'
    (folder / "pictures.json").write_text(f'{{{head},\n "pictures": [\n{lines}\n ]}}\n')
    return f"{len(rows)} held-out pictures, {film.stat().st_size} bytes"
