"""Layer shapes of networks in the survey: V. Sze, Y.-H. Chen, T.-J. Yang, J. Emer, "Efficient Processing of Deep Neural
Networks: A Tutorial and Survey", Proceedings of the IEEE 105(12), 2017 (arXiv:1703.09039), section 3.2 and Table II.

Confidence: the input sizes (227, 231, 224) and the number of FC layers are verified in the survey's text; the totals
are derived from the shapes below, which are those of the networks' own papers, and agree with what the text states
(61M, 146M and 138M weights; 724M, 2.8G and 15.5G multiply-accumulates). Other versions in circulation differ: AlexNet
for 224-pixel images has 54 x 54 or 55 x 55 first outputs, and it is often shown without groups.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution on H x H inputs of C channels: M filters of R x R; `groups` share the channels out.

    `normalised`: a local response normalisation follows it. C counts all channels, not those of a group.
    """

    name: str
    H: int
    R: int
    C: int
    M: int
    stride: int = 1
    pad: int = 0
    groups: int = 1
    normalised: bool = False

    @property
    def E(self) -> int:
        """Rows and columns of the output."""
        return (self.H + 2 * self.pad - self.R) // self.stride + 1


@dataclass(frozen=True, slots=True)
class Fc:
    """A fully connected layer: M outputs from C channels of R x R."""

    name: str
    C: int
    M: int
    R: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    """A network; where the next layer's input is smaller than an output, a max pooling stands between.

    `conv_macs` and `macs` are the derived totals (of the convolutions, of everything) that the layers must add up to.
    """

    layers: tuple[Conv | Fc, ...]
    pool_kernel: int
    pool_stride: int
    conv_macs: int
    macs: int


ALEXNET = Table(
    (
        Conv("CONV1", 227, 11, 3, 96, stride=4, normalised=True),
        Conv("CONV2", 27, 5, 96, 256, pad=2, groups=2, normalised=True),
        Conv("CONV3", 13, 3, 256, 384, pad=1),
        Conv("CONV4", 13, 3, 384, 384, pad=1, groups=2),
        Conv("CONV5", 13, 3, 384, 256, pad=1, groups=2),
        Fc("FC6", 256, 4096, 6),
        Fc("FC7", 4096, 4096),
        Fc("FC8", 4096, 1000),
    ),
    pool_kernel=3,
    pool_stride=2,
    conv_macs=665_784_864,
    macs=724_406_816,
)

OVERFEAT_FAST = Table(
    (
        Conv("CONV1", 231, 11, 3, 96, stride=4),
        Conv("CONV2", 28, 5, 96, 256),
        Conv("CONV3", 12, 3, 256, 512, pad=1),
        Conv("CONV4", 12, 3, 512, 1024, pad=1),
        Conv("CONV5", 12, 3, 1024, 1024, pad=1),
        Fc("FC6", 1024, 3072, 6),
        Fc("FC7", 3072, 4096),
        Fc("FC8", 4096, 1000),
    ),
    pool_kernel=2,
    pool_stride=2,
    conv_macs=2_671_478_784,
    macs=2_801_403_904,
)

VGG16 = Table(
    (
        Conv("CONV1-1", 224, 3, 3, 64, pad=1),
        Conv("CONV1-2", 224, 3, 64, 64, pad=1),
        Conv("CONV2-1", 112, 3, 64, 128, pad=1),
        Conv("CONV2-2", 112, 3, 128, 128, pad=1),
        Conv("CONV3-1", 56, 3, 128, 256, pad=1),
        Conv("CONV3-2", 56, 3, 256, 256, pad=1),
        Conv("CONV3-3", 56, 3, 256, 256, pad=1),
        Conv("CONV4-1", 28, 3, 256, 512, pad=1),
        Conv("CONV4-2", 28, 3, 512, 512, pad=1),
        Conv("CONV4-3", 28, 3, 512, 512, pad=1),
        Conv("CONV5-1", 14, 3, 512, 512, pad=1),
        Conv("CONV5-2", 14, 3, 512, 512, pad=1),
        Conv("CONV5-3", 14, 3, 512, 512, pad=1),
        Fc("FC6", 512, 4096, 7),
        Fc("FC7", 4096, 4096),
        Fc("FC8", 4096, 1000),
    ),
    pool_kernel=2,
    pool_stride=2,
    conv_macs=15_346_630_656,
    macs=15_470_264_320,
)

TABLES = {"survey/alexnet": ALEXNET, "survey/overfeat_fast": OVERFEAT_FAST, "survey/vgg16": VGG16}
