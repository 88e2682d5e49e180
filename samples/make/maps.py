"""Grad-CAM of the net, and whether a map hits its object."""

import numpy as np
import torch
import torch.nn.functional as F

TOLERANCE = 5  # pixels of 160, the 15 px of the pointing game at the usual 500


def grad_cam(net, x, classes):
    """Scores [N,C] and maps [N,h,w] (after ReLU, not normalised) of one class per picture, by autograd as in the paper."""
    a = net.features(x).detach().requires_grad_()
    scores = net.score(a)
    (g,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), a)
    return scores.detach(), torch.relu((g.mean((2, 3), keepdim=True) * a).sum(1)).detach()


def judge(cam, box, size):
    """One map [h,w] against one box (x0, y0, x1, y1): hit, hit within TOLERANCE, share of the energy inside, share of the area."""
    big = F.interpolate(cam[None, None], (size, size), mode="bilinear", align_corners=False)[0, 0].numpy().astype(np.float64)
    x0, y0, x1, y1 = box
    at = np.arange(size) + 0.5  # middles of the pixels
    inside = ((at >= y0) & (at <= y1))[:, None] & ((at >= x0) & (at <= x1))[None]
    area = float((x1 - x0) * (y1 - y0)) / size**2
    total = big.sum()
    if total <= 0:
        return False, False, 0.0, area
    y, x = np.unravel_index(big.argmax(), big.shape)
    x, y = x + 0.5, y + 0.5
    near = x0 - TOLERANCE <= x <= x1 + TOLERANCE and y0 - TOLERANCE <= y <= y1 + TOLERANCE
    return bool(inside[int(y), int(x)]), bool(near), float(big[inside].sum() / total), area
