"""Layer shapes of networks in the survey: V. Sze, Y.-H. Chen, T.-J. Yang, J. Emer, "Efficient Processing of Deep Neural
Networks: A Tutorial and Survey", Proceedings of the IEEE 105(12), 2017 (arXiv:1703.09039), section 3.2 and Table II.

The survey names the networks and gives totals; the shapes are those of the networks' own papers: Krizhevsky et al. 2012
(AlexNet), Sermanet et al. 2014 (OverFeat), Simonyan and Zisserman 2014 (VGG), Szegedy et al. 2015 (GoogLeNet, its Table
1), He et al. 2016 (ResNet, its Table 1), and of Caffe's example for LeNet-5. docs/validation/models.md holds them
against the survey's totals and against other versions in circulation.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution by M filters of R x R, with as many zeros around its input as `pad` says; `groups` share the
    channels out. A ReLU follows unless it says otherwise."""

    name: str
    M: int
    R: int
    stride: int = 1
    pad: int = 0
    groups: int = 1
    relu: bool = True


@dataclass(frozen=True, slots=True)
class Fc:
    """A fully connected layer of M outputs. A ReLU follows unless it is the last layer."""

    name: str
    M: int


@dataclass(frozen=True, slots=True)
class Pool:
    """The maximum over windows of R x R; windows that begin inside the input count, as in Caffe: sizes round up."""

    R: int
    stride: int


@dataclass(frozen=True, slots=True)
class Norm:
    """A local response normalisation."""


@dataclass(frozen=True, slots=True)
class Average:
    """The mean of each channel."""


@dataclass(frozen=True, slots=True)
class Inception:
    """Four branches side by side, by their numbers of filters: 1 x 1; 1 x 1 and then 3 x 3; 1 x 1 and then 5 x 5; the
    maximum over 3 x 3 and then 1 x 1."""

    name: str
    M1: int
    M3_reduce: int
    M3: int
    M5_reduce: int
    M5: int
    M_pool: int


@dataclass(frozen=True, slots=True)
class Bottlenecks:
    """Blocks of 1 x 1 and 3 x 3 convolutions with M filters and a 1 x 1 with 4 M, to which the block's input is added.

    The first block has the stride, in its first convolution (as in the models of He et al. 2016; in later versions in
    the 3 x 3) and in the 1 x 1 that makes its input fit. Batch normalisation is part of weights and biases.
    """

    name: str
    blocks: int
    M: int
    stride: int = 1


Part = Conv | Fc | Pool | Norm | Average | Inception | Bottlenecks


@dataclass(frozen=True, slots=True)
class Table:
    """A network on H x H images of C channels."""

    C: int
    H: int
    parts: tuple[Part, ...]


def _vgg(name: str, convolutions: int, M: int) -> tuple[Part, ...]:
    return (*(Conv(f"{name}-{number}", M, 3, pad=1) for number in range(1, convolutions + 1)), Pool(2, 2))


# Caffe's variant, which the footnote of the survey's Table II describes; that of LeCun et al. 1998 connects its second
# convolution to some of the channels only and pools with weights. No ReLU follows its convolutions.
LENET5 = Table(
    1,
    28,
    (
        Conv("CONV1", 20, 5, relu=False),
        Pool(2, 2),
        Conv("CONV2", 50, 5, relu=False),
        Pool(2, 2),
        Fc("FC1", 500),
        Fc("FC2", 10),
    ),
)

ALEXNET = Table(
    3,
    227,
    (
        Conv("CONV1", 96, 11, stride=4),
        Norm(),
        Pool(3, 2),
        Conv("CONV2", 256, 5, pad=2, groups=2),
        Norm(),
        Pool(3, 2),
        Conv("CONV3", 384, 3, pad=1),
        Conv("CONV4", 384, 3, pad=1, groups=2),
        Conv("CONV5", 256, 3, pad=1, groups=2),
        Pool(3, 2),
        Fc("FC6", 4096),
        Fc("FC7", 4096),
        Fc("FC8", 1000),
    ),
)

OVERFEAT_FAST = Table(
    3,
    231,
    (
        Conv("CONV1", 96, 11, stride=4),
        Pool(2, 2),
        Conv("CONV2", 256, 5),
        Pool(2, 2),
        Conv("CONV3", 512, 3, pad=1),
        Conv("CONV4", 1024, 3, pad=1),
        Conv("CONV5", 1024, 3, pad=1),
        Pool(2, 2),
        Fc("FC6", 3072),
        Fc("FC7", 4096),
        Fc("FC8", 1000),
    ),
)

VGG16 = Table(
    3,
    224,
    (
        *_vgg("CONV1", 2, 64),
        *_vgg("CONV2", 2, 128),
        *_vgg("CONV3", 3, 256),
        *_vgg("CONV4", 3, 512),
        *_vgg("CONV5", 3, 512),
        Fc("FC6", 4096),
        Fc("FC7", 4096),
        Fc("FC8", 1000),
    ),
)

# without the auxiliary classifiers, which only training uses
GOOGLENET = Table(
    3,
    224,
    (
        Conv("conv1", 64, 7, stride=2, pad=3),
        Pool(3, 2),
        Norm(),
        Conv("conv2_reduce", 64, 1),
        Conv("conv2", 192, 3, pad=1),
        Norm(),
        Pool(3, 2),
        Inception("3a", 64, 96, 128, 16, 32, 32),
        Inception("3b", 128, 128, 192, 32, 96, 64),
        Pool(3, 2),
        Inception("4a", 192, 96, 208, 16, 48, 64),
        Inception("4b", 160, 112, 224, 24, 64, 64),
        Inception("4c", 128, 128, 256, 24, 64, 64),
        Inception("4d", 112, 144, 288, 32, 64, 64),
        Inception("4e", 256, 160, 320, 32, 128, 128),
        Pool(3, 2),
        Inception("5a", 256, 160, 320, 32, 128, 128),
        Inception("5b", 384, 192, 384, 48, 128, 128),
        Average(),
        Fc("fc", 1000),
    ),
)

RESNET50 = Table(
    3,
    224,
    (
        Conv("conv1", 64, 7, stride=2, pad=3),
        Pool(3, 2),
        Bottlenecks("conv2", 3, 64),
        Bottlenecks("conv3", 4, 128, stride=2),
        Bottlenecks("conv4", 6, 256, stride=2),
        Bottlenecks("conv5", 3, 512, stride=2),
        Average(),
        Fc("fc", 1000),
    ),
)

TABLES = {
    "survey/lenet5": LENET5,
    "survey/alexnet": ALEXNET,
    "survey/overfeat_fast": OVERFEAT_FAST,
    "survey/vgg16": VGG16,
    "survey/googlenet": GOOGLENET,
    "survey/resnet50": RESNET50,
}
