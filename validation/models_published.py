"""What the survey says of its networks, and what LeCun et al. say of theirs.

V. Sze, Y.-H. Chen, T.-J. Yang, J. Emer, 'Efficient Processing of Deep Neural Networks: A Tutorial and Survey',
Proceedings of the IEEE 105(12), 2017 (arXiv:1703.09039), section 3.2 and Table II. How sure each cell is stands in
`CONFIDENCE`, which the report prints.
"""

from __future__ import annotations

from fractions import Fraction

SOURCE = (
    "V. Sze, Y.-H. Chen, T.-J. Yang, J. Emer, *Efficient Processing of Deep Neural Networks: A Tutorial and Survey*, "
    "Proceedings of the IEEE 105(12), 2017 (arXiv:1703.09039), section 3.2 and Table II"
)
NETWORKS = ("LeNet-5", "AlexNet", "OverFeat fast", "VGG-16", "GoogLeNet", "ResNet-50")

# a cell with a question mark is recalled
_CELLS = """
input size    | 28    | 227     | 231      | 224     | 224?     | 224?
CONV layers   | 2     | 5       | 5        | 13      | 57?      | 53?
in a row      | 2     | 5       | 5        | 13      | 21       | 49
filter sizes  | 5     | 3,5,11? | 3,5,11?  | 3       | 1,3,5,7? | 1,3,7?
channels      | 1,20? | 3-256   | 3-1024?  | 3-512?  | 3-832?   | 3-2048?
filters       | 20,50? | 96-384 | 96-1024? | 64-512? | 16-384?  | 64-2048?
strides       | 1?    | 1,4?    | 1,4?     | 1?      | 1,2?     | 1,2?
CONV weights  | 2.6k? | 2.3M?   | 16M?     | 14.7M?  | 6.0M?    | 23.5M?
CONV MACs     | 283k? | 666M?   | 2.67G?   | 15.3G?  | 1.43G?   | 3.86G?
FC layers     | 2     | 3       | 3        | 3       | 1        | 1
FC weights    | 58k?  | 58.6M?  | 130M?    | 124M?   | 1M?      | 2M?
FC MACs       | 58k?  | 58.6M?  | 130M?    | 124M?   | 1M?      | 2M?
weights       | 60k   | 61M     | 146M     | 138M    | 7M?      | 25.5M
MACs          | 341k  | 724M    | 2.8G     | 15.5G   | 1.43G?   | 3.9G
"""
_ROWS = [[cell.strip() for cell in line.split("|")] for line in _CELLS.strip().splitlines()]
CELLS = {row: {name: cell.rstrip("?") for name, cell in zip(NETWORKS, cells, strict=True)} for row, *cells in _ROWS}
"""What the survey has, by row of the table and network."""
RECALLED = {(row, name) for row, *cells in _ROWS for name, cell in zip(NETWORKS, cells, strict=True) if "?" in cell}

CAPTION_WEIGHTS, CAPTION_MACS = "431k", "2.3M"
"""Of another version of LeNet-5, in the caption of Table II."""
VGG19_OVER_VGG16 = "1.27"
"""MACs, in the text."""

CONFIDENCE = (
    (
        "read",
        "what the text of section 3.2 states: totals of weights and MACs (but GoogLeNet's), input sizes of the first "
        "four networks, numbers of FC layers, of CONV layers and of those in a row (GoogLeNet: three and nine modules "
        "two deep; ResNet-50: one and sixteen blocks three deep), AlexNet's channels and filters; that VGG-19 takes "
        f"{VGG19_OVER_VGG16} times the MACs of VGG-16; the caption of Table II, which gives another version of LeNet-5 "
        f"{CAPTION_WEIGHTS} weights and {CAPTION_MACS} MACs",
    ),
    (
        "recalled, not read (in italics)",
        "the other cells of Table II. Most of them were filled in from the layer shapes and found to be as the table "
        "is remembered, so that their agreement is little evidence; those that differ from the shapes are as "
        "remembered. "
        "The CONV weights and MACs of AlexNet and VGG-16 were read elsewhere: in the abstract of Y.-H. Chen, T. "
        "Krishna, J. Emer, V. Sze, *Eyeriss*, ISSCC 2016",
    ),
)
"""Label, and the cells to which it applies."""

LENET_1998 = {
    "C1": (28**2 * 6 * (5**2 + 1), 6 * (5**2 + 1)),
    "S2": (14**2 * 6 * (2**2 + 1), 6 * 2),
    # 6 maps read 3 maps each, 9 read 4, one reads all 6
    "C3": (10**2 * (60 * 5**2 + 16), 60 * 5**2 + 16),
    "S4": (5**2 * 16 * (2**2 + 1), 16 * 2),
    "C5": (120 * (16 * 5**2 + 1), 120 * (16 * 5**2 + 1)),
    "F6": (84 * (120 + 1), 84 * (120 + 1)),
    "output": (10 * 84, 0),
}
"""Connections and trainable parameters of each layer of LeNet-5 in Y. LeCun, L. Bottou, Y. Bengio, P. Haffner,
'Gradient-Based Learning Applied to Document Recognition', Proceedings of the IEEE 86(11), 1998, section II.B."""
LENET_1998_CONV_WEIGHTS = 6 * 5**2 + 16 * 6 * 5**2
"""Of C1 and C3 without biases, if C3 read all maps."""
LENET_1998_FC_WEIGHTS = 120 * 16 * 5**2 + 84 * 120
"""Of C5 and F6 without biases."""


def agrees(found: int | str, cell: str) -> bool:
    """Whether a figure is what a cell says: the same, or within half a unit of its last digit."""
    if isinstance(found, str) or cell[-1] not in "kMG":
        return str(found) == cell
    number, scale = cell[:-1], {"k": 10**3, "M": 10**6, "G": 10**9}[cell[-1]]
    unit = Fraction(scale, 10 ** len(number.partition(".")[2]))
    return abs(found - Fraction(number) * scale) <= unit / 2
