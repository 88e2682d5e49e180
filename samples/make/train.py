"""Training, and what the trained net is worth on pictures it has not seen."""

import copy
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F

from . import maps
from .net import Net, pixels
from .shapes import CLASSES, NOTHING

BATCH = 64
PEAK_RATE, LATER_RATE = 4e-3, 0.75  # of the first stage, and the share of it in the second
MAP_WEIGHT = 0.15
CELL_SCALE, CELL_WEIGHT, CELL_SHARE = 5.0, 1.0, 0.7  # the help of single cells: its unit, its weight at first, the share of the steps until it is zero
PLACE_SCALE, PLACE_WEIGHT = 0.1, 0.5  # the loss on a shape's box: its unit (a shape's usual share of the area), its weight
COARSE, COARSE_SHARE = 112, 0.6  # pixels and share of the steps: the first half of a stage sees smaller pictures, at half the cost
SMALLEST = 0.2  # of a shape's longer side in the picture's: what the last stage leaves out
SIZES = (0.0, 0.2, 0.3, 0.45, 1.01)  # of a shape's longer side in the picture's: the classes of size that are measured


def cells(boxes, grid, size, margin=0.5):
    """The share of each cell of a grid that lies in a box grown by `margin` cells: boxes [N,4] in pixels to [N,grid,grid]."""
    b = boxes * (grid / size)
    edge = torch.arange(grid, dtype=torch.float32)
    cover = lambda low, high: (torch.minimum(edge + 1, high[:, None] + margin) - torch.maximum(edge, low[:, None] - margin)).clamp(0, 1)
    return cover(b[:, 1], b[:, 3])[:, :, None] * cover(b[:, 0], b[:, 2])[:, None, :]


def map_loss(net, features, classes, boxes, size):
    """How much of a class's map lies outside the box of its shape.

    The net's head is linear after the mean, so the map is the weighted sum of the features: minus the logarithm of the share of
    its energy in the box. A small second term asks it to cover the box rather than a single spot of it.
    """
    some = (classes >= 0) & (classes != CLASSES.index(NOTHING))
    picture, which = some.nonzero(as_tuple=True)
    c = classes[picture, which]
    cam = torch.relu(torch.einsum("nchw,nc->nhw", features[picture], net.weight()[c]))
    inside = cells(boxes[picture, which], cam.shape[-1], size)
    share = cam / (cam.sum((1, 2), keepdim=True) + 1e-6)
    outside = -torch.log((share * inside).sum((1, 2)) + 1e-3)
    wanted = inside / inside.sum((1, 2), keepdim=True)
    spread = -(wanted * torch.log(share + 1e-4)).sum((1, 2)) + (wanted * torch.log(wanted + 1e-4)).sum((1, 2))
    return (outside + 0.15 * spread).mean()


def cell_loss(net, features, classes, boxes, size):
    """Whether each cell of a class's map says that a shape of the class is there: it shows the net early what to look at.

    Most pictures are clutter, and from the names alone a net needs many more of them to find out what the names are about.
    """
    z = torch.einsum("nchw,kc->nkhw", features, net.weight())[:, : CLASSES.index(NOTHING)] / CELL_SCALE - 3
    there = torch.zeros_like(z)
    some = (classes >= 0) & (classes != CLASSES.index(NOTHING))
    picture, which = some.nonzero(as_tuple=True)
    there[picture, classes[picture, which]] = (cells(boxes[picture, which], z.shape[-1], size, margin=0.0) > 0.5).float()
    each = F.binary_cross_entropy_with_logits(z, there, reduction="none")
    yes = there.sum().clamp(min=1)
    return (each * there).sum() / yes + 5 * (each * (1 - there)).mean()


def place_loss(net, features, classes, boxes, size):
    """Whether the cells in a shape's box, taken alone, tell it from the other shapes: small shapes then teach as much as large ones."""
    some = (classes >= 0) & (classes != CLASSES.index(NOTHING))
    picture, which = some.nonzero(as_tuple=True)
    inside = cells(boxes[picture, which], features.shape[-1], size, margin=0.0)
    mean = torch.einsum("nchw,nhw->nc", features[picture], inside / inside.sum((1, 2), keepdim=True).clamp(min=1e-3))
    scores = F.linear(mean, net.weight()[: CLASSES.index(NOTHING)]) * PLACE_SCALE
    return F.cross_entropy(scores, classes[picture, which])


def targets(classes):
    """Class ids [N,2] (-1: none) to probabilities [N,C]: two shapes share them."""
    t = torch.zeros(len(classes), len(CLASSES))
    for k in (0, 1):
        has = classes[:, k] >= 0
        t[has] += F.one_hot(classes[has, k], len(CLASSES)).float()
    return t / t.sum(1, keepdim=True)


def zoomed(rng, x, boxes, size):
    """Half of the pictures replaced by a part of them, blown up, that holds their shapes whole. x [N,3,S,S], boxes [N,2,4]."""
    n = len(x)
    real = boxes[..., 2] > 0
    low = torch.where(real[..., None], boxes[..., :2], torch.full_like(boxes[..., :2], size)).amin(1).clamp(0, size).numpy()
    high = torch.where(real[..., None], boxes[..., 2:], torch.zeros_like(boxes[..., 2:])).amax(1).clamp(0, size).numpy()
    empty = ~real.any(1).numpy()
    middle = rng.uniform(0.3, 0.7, (n, 2)) * size
    low[empty], high[empty] = middle[empty], middle[empty]
    least = np.clip((high - low) * 1.12 / size, 0.4, 1)
    span = np.where(rng.random((n, 1)) < 0.5, 1.0, rng.uniform(least, 1.0)) * size
    first = np.maximum(0, high - span)
    at = first + rng.random((n, 2)) * np.maximum(0, np.minimum(low, size - span) - first)
    span, at = torch.tensor(span, dtype=torch.float32), torch.tensor(at, dtype=torch.float32)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = span[:, 0] / size, span[:, 1] / size
    theta[:, :, 2] = (2 * at + span) / size - 1
    x = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), padding_mode="border", align_corners=False)
    grow = (size / span).repeat(1, 2)[:, None]
    return x, ((boxes - at.repeat(1, 2)[:, None]) * grow).clamp(0, size) * real[..., None]


def varied(rng, x, boxes, size):
    """Mirrored, transposed, recoloured: no shape minds. x [N,3,S,S], boxes [N,2,4]."""
    boxes = boxes.clone()
    real = (boxes[..., 2:3] > 0).float()
    if rng.random() < 0.5:
        x, boxes[..., [0, 2]] = x.flip(3), size - boxes[..., [2, 0]]
    if rng.random() < 0.5:
        x, boxes[..., [1, 3]] = x.flip(2), size - boxes[..., [3, 1]]
    if rng.random() < 0.5:
        x, boxes = x.transpose(2, 3), boxes[..., [1, 0, 3, 2]]
    x = x[:, rng.permutation(3).tolist()]
    n = len(x)
    sign = np.where(rng.random(n) < 0.12, -1, 1)
    gain = torch.tensor(sign * rng.uniform(0.75, 1.2, n), dtype=torch.float32).view(n, 1, 1, 1)
    shift = torch.tensor(rng.uniform(-0.15, 0.15, n), dtype=torch.float32).view(n, 1, 1, 1)
    return (x * gain + shift).clamp(-1, 1).contiguous(memory_format=torch.channels_last), boxes * real


def worth_learning(drawn, nothing):
    """What the last stage learns from: no shape that is too small to be told for certain, and more pictures of nothing.

    Both are (images, classes, boxes). Nothing is the widest class, and the likeliest before a camera.
    """
    images, classes, boxes = drawn
    longer = (boxes[..., 2:] - boxes[..., :2]).max(2)
    least = np.where(classes >= 0, longer, np.inf).min(1) / images.shape[1]
    keep = (least >= SMALLEST) | (classes[:, 0] == CLASSES.index(NOTHING))
    return [np.concatenate([part[keep], more]) for part, more in zip(drawn, nothing)]


def batches(images, classes, boxes, epochs, coarse_steps, zoom, seed):
    """Batches in the order of the steps: pixels, boxes, classes and the pixels' size."""
    rng = np.random.default_rng(seed)
    size, step = images.shape[1], 0
    for _ in range(epochs):
        for rows in rng.permutation(len(images))[: len(images) // BATCH * BATCH].reshape(-1, BATCH):
            rows = np.sort(rows)
            x, b, seen = pixels(images[rows]), boxes[rows], size
            if zoom:
                x, b = zoomed(rng, x, b, size)
            if step < coarse_steps:
                x, b, seen = F.interpolate(x, (COARSE, COARSE), mode="bilinear", align_corners=False, antialias=True), b * (COARSE / size), COARSE
            shuffle = torch.as_tensor(rng.permutation(BATCH))
            x, b = varied(rng, x, b, seen)
            yield x[shuffle], b[shuffle], classes[rows][shuffle], seen
            step += 1


def gradient(net, x, boxes, classes, size, cell_weight, place_weight):
    """One part of a batch through one copy of the net, which gets its gradient: the loss and how many are named right."""
    with torch.autocast("cpu", dtype=torch.bfloat16):  # twice as fast; sums, losses and weights stay float32
        features = net.features(x)
    features = features.float()
    scores = net.score(features)
    loss = -(targets(classes) * F.log_softmax(scores, 1)).sum(1).mean() + MAP_WEIGHT * map_loss(net, features, classes, boxes, size)
    if place_weight > 0:
        loss = loss + place_weight * place_loss(net, features, classes, boxes, size)
    if cell_weight > 0:
        loss = loss + cell_weight * cell_loss(net, features, classes, boxes, size)
    net.zero_grad(set_to_none=True)
    loss.backward()
    got = scores.argmax(1)
    return float(loss.detach()), float(((got == classes[:, 0]) | (got == classes[:, 1])).sum())


def train(images, classes, boxes, epochs, seed, report, start=None, keep_at=None):
    """A net trained on the pictures; its weights are the moving average over the last steps.

    `start`: weights to go on from (then zoomed, with the fine block and the loss on places, and at a lower rate).
    `keep_at`: a file that gets the weights every 250 steps.

    Every batch is worked on in two halves by two copies of the net at once: on two cores that is faster than sharing out every
    operator, the more so where other programs want the cores too. torch itself should use one thread.
    """
    torch.manual_seed(seed)
    first = start is None
    net = Net(len(CLASSES), fine=not first)
    if not first:
        missing, unknown = net.load_state_dict(start, strict=False)
        assert not unknown and all(name.startswith("fine.") for name in missing)
    net = net.to(memory_format=torch.channels_last)
    twin, slow = copy.deepcopy(net), copy.deepcopy(net)
    steps = epochs * (len(images) // BATCH)
    decay = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim <= 1]
    rate = PEAK_RATE if first else PEAK_RATE * LATER_RATE
    best = torch.optim.AdamW([{"params": decay, "weight_decay": 0.03}, {"params": rest, "weight_decay": 0.0}], lr=rate)
    plan = torch.optim.lr_scheduler.OneCycleLR(best, rate, steps, pct_start=0.12 if first else 0.05, final_div_factor=200)
    source = batches(images, torch.as_tensor(classes), torch.as_tensor(boxes), epochs, COARSE_SHARE * steps, not first, seed)
    began, right, lost, since = time.time(), 0.0, 0.0, 0
    with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(2) as work:
        coming = ahead.submit(next, source)
        for step in range(1, steps + 1):
            x, b, c, seen = coming.result()
            if step < steps:
                coming = ahead.submit(next, source)
            help_ = (CELL_WEIGHT if first else CELL_WEIGHT * 0.5) * max(0, 1 - step / (CELL_SHARE * steps))
            half = BATCH // 2
            done = [work.submit(gradient, copy_, x[p], b[p], c[p], seen, help_, 0.0 if first else PLACE_WEIGHT) for copy_, p in ((net, slice(half)), (twin, slice(half, None)))]
            for loss, hits in [d.result() for d in done]:
                lost, right, since = lost + loss * half, right + hits, since + half
            with torch.no_grad():
                for p, q in zip(net.parameters(), twin.parameters()):
                    p.grad.add_(q.grad).mul_(0.5)
            torch.nn.utils.clip_grad_norm_(net.parameters(), 3.0)
            best.step()
            plan.step()
            keep = min(0.995, (1 + step) / (10 + step))
            with torch.no_grad():
                for p, q in zip(net.parameters(), twin.parameters()):
                    q.copy_(p)
                for p, q in zip(net.buffers(), twin.buffers()):  # the running means of BatchNorm
                    p.copy_((p + q) / 2 if p.is_floating_point() else p)
                    q.copy_(p)
                for a, p in zip(slow.state_dict().values(), net.state_dict().values()):
                    a.lerp_(p, 1 - keep) if a.is_floating_point() else a.copy_(p)
            if keep_at and step % 250 == 0:
                torch.save(slow.state_dict(), keep_at)
            if step % 100 == 0 or step == steps:
                report(f"step {step}/{steps} loss {lost / since:.3f} right {right / since:.4f} {time.time() - began:.0f} s")
                right, lost, since = 0.0, 0.0, 0
    return slow.eval()


def measure(net, images, classes, boxes):
    """What the net and its maps are worth: a dict of numbers. Pictures with two shapes count for the maps alone."""
    size = images.shape[1]
    got, judged, pair = [], [], []
    for a in range(0, len(images), 100):
        x = pixels(images[a : a + 100])
        for k in (0, 1):
            c = torch.as_tensor(classes[a : a + 100, k])
            scores, cams = maps.grad_cam(net, x, c.clamp(min=0))
            if k == 0:
                got.append(scores.argmax(1).numpy())
            for i in np.flatnonzero((c.numpy() >= 0) & (c.numpy() != CLASSES.index(NOTHING))):
                row = maps.judge(cams[i], boxes[a + i, k], size)
                (pair if classes[a + i, 1] >= 0 else judged).append(row)
    got = np.concatenate(got)
    single = classes[:, 1] < 0
    hit = got == classes[:, 0]
    either = hit | (got == classes[:, 1])
    told = lambda rows: {
        "pointing": float(np.mean([r[0] for r in rows])),
        "pointing_within_5_px": float(np.mean([r[1] for r in rows])),
        "energy_in_box": float(np.mean([r[2] for r in rows])),
        "box_share_of_area": float(np.mean([r[3] for r in rows])),
        "objects": len(rows),
    }
    confusion = np.zeros((len(CLASSES), len(CLASSES)), int)
    np.add.at(confusion, (classes[single, 0], got[single]), 1)
    out = {
        "pictures": int(single.sum()),
        "accuracy": float(hit[single].mean()),
        "accuracy_per_class": {n: float(hit[single & (classes[:, 0] == k)].mean()) for k, n in enumerate(CLASSES)},
        "accuracy_by_size": {},
        "maps": told(judged),
        "confusion": confusion.tolist(),
    }
    longer = (boxes[:, 0, 2:] - boxes[:, 0, :2]).max(1) / size
    for low, high in zip(SIZES[:-1], SIZES[1:]):
        rows = single & (classes[:, 0] != CLASSES.index(NOTHING)) & (longer >= low) & (longer < high)
        if rows.any():
            out["accuracy_by_size"][f"{low:.0%} to {high:.0%} of the side"] = [float(hit[rows].mean()), int(rows.sum())]
    if pair:
        out["pairs"] = {"pictures": int((~single).sum()), "names_one_of_the_two": float(either[~single].mean()), "maps": told(pair)}
    return out
