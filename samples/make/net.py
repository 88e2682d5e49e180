"""The classifier: three strided convolutions, a residual block at a quarter of the size and four at an eighth, global average pooling, one linear layer.

The last feature map is 20×20 for 160×160 pixels, fine enough for crisp maps, and what follows it is linear: Grad-CAM is then
exactly the share of every cell in the score. The middle blocks are dilated, so that a large shape is seen as a whole.
"""

import torch
from torch import nn

WIDTHS = (16, 32, 64)
DILATIONS = (1, 2, 3, 1)
FEATURES = 128
GAIN = 8.0  # the head's weights are learnt in this unit: a small shape must speak loudly in few cells to be heard in the mean


def unit(cin, cout, kernel=3, stride=1, dilation=1):
    pad = dilation * (kernel // 2)
    return nn.Sequential(nn.Conv2d(cin, cout, kernel, stride, pad, dilation, bias=False), nn.BatchNorm2d(cout))


class Block(nn.Module):
    def __init__(self, width, dilation):
        super().__init__()
        self.a = unit(width, width, dilation=dilation)
        self.b = unit(width, width, dilation=dilation)

    def forward(self, x):
        return torch.relu(x + self.b(torch.relu(self.a(x))))


class Net(nn.Module):
    """Pixels [N,3,S,S] as (x − 127.5) / 127.5 to raw scores [N,classes].

    `fine`: with the block at a quarter of the size. It sees the details of small shapes, costs a fifth of the time, and joins in the
    second stage of training; it starts as the identity.
    """

    def __init__(self, classes, fine=True):
        super().__init__()
        self.stem = nn.ModuleList(unit(a, b, stride=2) for a, b in zip((3, *WIDTHS), WIDTHS))
        self.fine = Block(WIDTHS[-2], 1) if fine else None
        if fine:
            nn.init.zeros_(self.fine.b[1].weight)
        self.blocks = nn.ModuleList(Block(WIDTHS[-1], d) for d in DILATIONS)
        self.top = unit(WIDTHS[-1], FEATURES, kernel=1)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x):
        for k, layer in enumerate(self.stem):
            if k == 2 and self.fine is not None:
                x = self.fine(x)
            x = torch.relu(layer(x))
        for block in self.blocks:
            x = block(x)
        return torch.relu(self.top(x))

    def weight(self):
        """The share of each feature in each score [classes,features], and so in each class's map."""
        return self.head.weight * GAIN

    def score(self, features):
        return nn.functional.linear(features.mean((2, 3)), self.weight(), self.head.bias)

    def forward(self, x):
        return self.score(self.features(x))


def pixels(images):
    """u8 [N,S,S,3] (numpy or torch) to what the net takes."""
    return (torch.as_tensor(images).permute(0, 3, 1, 2).float() - 127.5) / 127.5
