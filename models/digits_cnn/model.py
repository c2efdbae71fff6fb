"""A residual convolutional network for 8x8 handwritten digits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

IMAGE_SIZE = 8
CLASSES = 10
STEM_CHANNELS = 32
BODY_CHANNELS = 64


class DigitsCnn(nn.Module):
    """Two residual blocks between a convolutional stem and a linear classifier.

    Every convolution is followed by batch normalisation and carries no bias of its own.
    The first block keeps the shape and adds its input back unchanged; the second doubles the
    channels, so its shortcut is a 1x1 convolution.

    ===========  ============================================  ===============
    stage        layers                                        output [C, H, W]
    ===========  ============================================  ===============
    stem         conv 3x3, batch norm, relu                    32, 8, 8
    block1       two 3x3 convs + identity, relu                32, 8, 8
    pool         max pool 2x2                                  32, 4, 4
    block2       two 3x3 convs + 1x1 conv shortcut, relu       64, 4, 4
    head         global average pool, linear                   10
    ===========  ============================================  ===============
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem_conv = nn.Conv2d(1, STEM_CHANNELS, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(STEM_CHANNELS)

        self.block1_conv1 = nn.Conv2d(STEM_CHANNELS, STEM_CHANNELS, 3, padding=1, bias=False)
        self.block1_bn1 = nn.BatchNorm2d(STEM_CHANNELS)
        self.block1_conv2 = nn.Conv2d(STEM_CHANNELS, STEM_CHANNELS, 3, padding=1, bias=False)
        self.block1_bn2 = nn.BatchNorm2d(STEM_CHANNELS)

        self.pool = nn.MaxPool2d(2)

        self.block2_conv1 = nn.Conv2d(STEM_CHANNELS, BODY_CHANNELS, 3, padding=1, bias=False)
        self.block2_bn1 = nn.BatchNorm2d(BODY_CHANNELS)
        self.block2_conv2 = nn.Conv2d(BODY_CHANNELS, BODY_CHANNELS, 3, padding=1, bias=False)
        self.block2_bn2 = nn.BatchNorm2d(BODY_CHANNELS)
        self.block2_shortcut_conv = nn.Conv2d(STEM_CHANNELS, BODY_CHANNELS, 1, bias=False)
        self.block2_shortcut_bn = nn.BatchNorm2d(BODY_CHANNELS)

        self.classifier = nn.Linear(BODY_CHANNELS, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Map images [N, 1, 8, 8] with pixels in 0..1 to class logits [N, 10]."""
        x = torch.relu(self.stem_bn(self.stem_conv(image)))

        y = torch.relu(self.block1_bn1(self.block1_conv1(x)))
        y = self.block1_bn2(self.block1_conv2(y))
        x = torch.relu(y + x)

        x = self.pool(x)

        y = torch.relu(self.block2_bn1(self.block2_conv1(x)))
        y = self.block2_bn2(self.block2_conv2(y))
        x = torch.relu(y + self.block2_shortcut_bn(self.block2_shortcut_conv(x)))

        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits
