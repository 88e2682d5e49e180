"""Many labelled pictures, drawn in parallel; picture i of a split depends on the seed, the split and i alone."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from .scene import SIZE, picture
from .shapes import CLASSES, NOTHING, SHAPES

SEED = 20240607
SPLITS = {"train": 0, "hard": 1, "committed": 2, "held-out": 3, "nothing": 4}  # a name and its stream of random numbers
CLEAR = ("committed", "held-out")  # without the smallest and faintest shapes, which "train" and "hard" hold as well
PAIRS = 0.15  # the share of pictures that show two different shapes


def names_for(rng, split, i, pairs):
    """The shapes in picture i: every class in turn, now and then with a second one; in the split "nothing" never any."""
    first = CLASSES[i % len(CLASSES)]
    if first == NOTHING or split == "nothing":
        return []
    if rng.random() >= pairs:
        return [first]
    return [first, str(rng.choice([s for s in SHAPES if s != first]))]


def sample(split, i, pairs=PAIRS):
    """Picture i of a split: u8 [S,S,3], class ids [2] (-1: none), boxes [2,4] (x0, y0, x1, y1 in pixels).

    A picture of nothing has the class "nothing" and a box of zeros.
    """
    rng = np.random.default_rng([SEED, SPLITS[split], i])
    names = names_for(rng, split, i, pairs)
    image, found = picture(rng, names, clear=split in CLEAR)
    classes, boxes = np.full(2, -1, np.int64), np.zeros((2, 4), np.float32)
    if not names:
        classes[0] = CLASSES.index(NOTHING)
    for k, (name, box) in enumerate(zip(names, found)):
        classes[k], boxes[k] = CLASSES.index(name), box
    return image, classes, boxes


def _chunk(job):
    split, start, stop, pairs = job
    return [np.stack(part) for part in zip(*(sample(split, i, pairs) for i in range(start, stop)))]


def make(split, count, workers=2, pairs=PAIRS, start=0, report=None):
    """Pictures start..start+count of a split: images u8 [n,S,S,3], classes [n,2], boxes [n,2,4]."""
    jobs = [(split, a, min(a + 100, start + count), pairs) for a in range(start, start + count, 100)]
    images, classes, boxes = np.empty((count, SIZE, SIZE, 3), np.uint8), np.empty((count, 2), np.int64), np.empty((count, 2, 4), np.float32)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for k, (job, part) in enumerate(zip(jobs, pool.map(_chunk, jobs))):
            a, b = job[1] - start, job[2] - start
            images[a:b], classes[a:b], boxes[a:b] = part
            if report and k % 50 == 0:
                report(f"{split}: {b} of {count} pictures")
    return images, classes, boxes


def cached(folder, split, count, workers=2, pairs=PAIRS, report=None, shard=3900):
    """As `make`, kept in files under the folder so that a second run need not draw them again."""
    parts = []
    for start in range(0, count, shard):
        n = min(shard, count - start)
        path = Path(folder) / f"{split}-{pairs}-{start}-{n}.npz"
        if not path.exists():
            part = make(split, n, workers, pairs, start, report)
            path.parent.mkdir(parents=True, exist_ok=True)
            half = path.with_suffix(".part")
            with open(half, "wb") as f:
                np.savez(f, *part)
            half.rename(path)
        with np.load(path) as z:
            parts.append([z[k] for k in z.files])
    return [np.concatenate(column) for column in zip(*parts)]
