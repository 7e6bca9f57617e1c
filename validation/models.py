"""The report of the survey's networks: ours, the files that onnx ships, and the survey's own figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from frontends import survey
from validation.markdown import bullets, off, page, paragraph, table
from validation.models_networks import (
    Layer,
    changed,
    figures,
    groups,
    layers,
    network,
    round_down,
    smaller_images,
    stride_in_the_middle,
    total,
)
from validation.models_published import (
    CAPTION_MACS,
    CAPTION_WEIGHTS,
    CELLS,
    CONFIDENCE,
    LENET_1998,
    LENET_1998_CONV_WEIGHTS,
    LENET_1998_FC_WEIGHTS,
    NETWORKS,
    RECALLED,
    SOURCE,
    VGG19_OVER_VGG16,
    agrees,
)

if TYPE_CHECKING:
    import onnx

    from mapper.ir import Network

OURS = dict(zip(NETWORKS, survey.names(), strict=True))
TOTALS = ("CONV layers", "CONV weights", "CONV MACs", "FC layers", "FC weights", "FC MACs", "weights", "MACs")
SHIPPED = {"AlexNet": "alexnet", "VGG-16": "vgg19", "GoogLeNet": "inception_v1", "ResNet-50": "resnet50"}
CHANGES: dict[str, Callable[[onnx.GraphProto], None]] = {
    "AlexNet": smaller_images,
    "GoogLeNet": round_down,
    "ResNet-50": stride_in_the_middle,
}
"""What makes a network of ours the shipped file."""


def disagreements() -> list[tuple[str, str]]:
    """The cells of the survey's table that our networks do not round to: row and network."""
    found = {name: figures(network(ours)) for name, ours in OURS.items()}
    return [
        (row, name)
        for row, cells in CELLS.items()
        for name, cell in cells.items()
        if not agrees(found[name][row], cell)
    ]


def report() -> str:
    """The page."""
    return (
        page(introduction(), ours(), cells(), lenet(), googlenet(), shipped(), alexnet(), inception(), resnet(), vgg())
        + "\n"
    )


def introduction() -> str:
    """What is compared, and what came of it."""
    apart = Counter(name for _, name in disagreements())
    return page(
        "# Validation: the networks of the survey",
        paragraph(
            """Layers, weights and multiply-accumulates (MACs) of the networks `survey/...`, which are built from the
            layer shapes of their papers; of the files of these networks that the `onnx` package ships; and as the
            survey states them. Weights are those of convolutions (CONV) and fully connected layers (FC), without
            biases; batch 1. `python -m validation models` prints this page."""
        ),
        paragraph(f"Source: {SOURCE}. How sure its figures are here:"),
        bullets(*(f"*{label}*: {what}." for label, what in CONFIDENCE)),
        "In short:",
        bullets(
            f"Of the survey's {sum(map(len, CELLS.values()))} cells below, all but {sum(apart.values())} are our "
            f"figures, rounded: {_and(f'{n} of {name}' for name, n in apart.items())} differ.",
            "LeNet-5: the survey's figures are those of the version of 1998, ours is the one of the table's caption.",
            "GoogLeNet: the survey's figure is that of poolings that round sizes down, which the shipped file has too.",
            "The shipped AlexNet, GoogLeNet and ResNet-50 have our weights but other MACs, for one or two reasons "
            "each; once these are changed in our networks, all layers are the shipped ones.",
        ),
    )


def ours() -> str:
    """The totals of our networks."""
    found = {name: figures(network(short)) for name, short in OURS.items()}
    rows = [[f"`{OURS[name]}`", *(f"{found[name][row]:,}" for row in TOTALS)] for name in NETWORKS]
    return page("## Ours", table(["network", *TOTALS], rows))


def cells() -> str:
    """The survey's table."""
    apart = set(disagreements())

    def cell(row: str, name: str) -> str:
        mark = "*" * (((row, name) in RECALLED) + 2 * ((row, name) in apart))
        return f"{mark}{CELLS[row][name]}{mark}"

    return page(
        "## The survey's",
        paragraph(
            """In italics what was recalled and not read; bold where ours differs, that is, is not within half a unit of
            the last digit. Channels and filters are the least and the most of a convolution; channels are those of a
            group. "In a row" is the most convolutions on a way from input to output."""
        ),
        table(["", *NETWORKS], [[row, *(cell(row, name) for name in NETWORKS)] for row in CELLS]),
    )


def lenet() -> str:
    """Why LeNet-5 differs."""
    mine = figures(network(OURS["LeNet-5"]))
    connections, parameters = (sum(pair[i] for pair in LENET_1998.values()) for i in (0, 1))
    stated = {row: cells["LeNet-5"] for row, cells in CELLS.items()}
    sources = [
        ("MACs", "connections, additions of biases and subsampling included", connections),
        ("weights", "trainable parameters, those of biases and subsampling included", parameters),
        ("FC weights", "weights of C5 and F6, without biases", LENET_1998_FC_WEIGHTS),
        ("FC MACs", "the same", LENET_1998_FC_WEIGHTS),
        ("CONV weights", "weights of C1 and C3, without biases, as if C3 read all maps", LENET_1998_CONV_WEIGHTS),
        ("CONV MACs", "all connections but the FC MACs", connections - LENET_1998_FC_WEIGHTS),
    ]
    return page(
        "## LeNet-5: another version",
        paragraph(
            f"""`survey/lenet5` is the network of Caffe's example: 28 x 28 images, convolutions with 20 and 50 filters,
            FC layers with 500 and 10 outputs, maximum pooling, ReLU. It has {mine["weights"]:,} weights and
            {mine["MACs"]:,} MACs; the caption of the survey's Table II gives this version {CAPTION_WEIGHTS} and
            {CAPTION_MACS}, and the table's channels and filters, as recalled, are its. The text and the cells of
            weights and MACs mean the network of LeCun et al. 1998, with 6 and 16 filters. These are no MACs in the
            sense of this program: in that network C3 reads some of the maps only, subsampling has weights, and its
            paper counts connections (section II.B, as quoted by others: {connections:,} connections, {parameters:,}
            trainable parameters). From its shapes:"""
        ),
        table(
            ["layer", "connections", "parameters"],
            [
                *([name, *(f"{n:,}" for n in pair)] for name, pair in LENET_1998.items()),
                ["all", f"{connections:,}", f"{parameters:,}"],
            ],
        ),
        "Every cell of the survey that differs follows from them; how, is stated nowhere:",
        bullets(
            *(
                f"{row} {stated[row]}: {n:,}, {what}{'' if agrees(n, stated[row]) else ' (does not round to it)'}."
                for row, what, n in sources
            )
        ),
        paragraph(
            "Caffe's version is the one taken here because all its layers are ordinary ones, which the other's are not."
        ),
    )


def googlenet() -> str:
    """Why GoogLeNet differs."""
    mine, theirs = network(OURS["GoogLeNet"]), network(SHIPPED["GoogLeNet"])
    conv, everything = total(theirs, "macs", "Conv"), total(theirs, "macs")
    stated = CELLS["CONV MACs"]["GoogLeNet"], CELLS["MACs"]["GoogLeNet"]
    both = agrees(conv, stated[0]) and agrees(everything, stated[1])
    return page(
        "## GoogLeNet: sizes rounded down",
        paragraph(
            f"""The survey's {stated[0]} CONV MACs, {stated[1]} in all (recalled) are not those of the sizes in the
            network's paper (Szegedy et al. 2015, Table 1: {_sizes(mine)}), which give {total(mine, "macs", "Conv"):,}
            and {total(mine, "macs"):,}, {off(total(mine, "macs"), everything)}. If its poolings of 3 x 3 with stride 2
            leave out windows that are not whole, as in the shipped file, sizes are {_sizes(theirs)}, and there are
            {conv:,} and {everything:,}: {"both round" if both else "these do not round"} to the survey's. That the
            survey counted so is likely, but was found after the fact and is stated nowhere. Weights do not depend on
            sizes: they agree."""
        ),
    )


def shipped() -> str:
    """The totals of the shipped files."""
    rows = []
    for name, file in SHIPPED.items():
        mine, theirs = network(OURS[name]), network(file)
        for quantity, key, op in (("CONV MACs", "macs", "Conv"), ("MACs", "macs", ""), ("weights", "weights", "")):
            one, other, cell = total(mine, key, op), total(theirs, key, op), CELLS[quantity][name]
            fits = {(True, True): "both", (True, False): "ours", (False, True): "shipped", (False, False): "neither"}
            rows.append(
                [
                    f"`{file}` and `{OURS[name]}`" if quantity == "CONV MACs" else "",
                    quantity,
                    f"{other:,}",
                    f"{one:,}",
                    f"{other - one:+,}" if other != one else "0",
                    cell,
                    fits[agrees(one, cell), agrees(other, cell)],
                ]
            )
    absent = _and(f"`{OURS[name]}`" for name in NETWORKS if name not in SHIPPED)
    return page(
        "## The shipped files",
        paragraph(f"The `onnx` package ships no file of {absent}. VGG-19 is the nearest that it has to VGG-16."),
        table(["", "", "shipped", "ours", "difference", "survey", "rounds to it"], rows),
    )


def alexnet() -> str:
    """Why the shipped AlexNet differs."""
    mine, theirs = network(OURS["AlexNet"]), network(SHIPPED["AlexNet"])
    return page(
        "### AlexNet: smaller images, sizes rounded down",
        paragraph(
            f"""The file takes images of 224 x 224, as the network's paper says, and does not pad them: its first
            convolution, 11 x 11 with stride 4 as ours, has (224 - 11) // 4 + 1 = {layers(theirs)[0].size} rows and
            columns. The paper's {layers(mine)[0].size} need 227, which the survey and Caffe take. Poolings of 3 x 3
            with stride 2 then leave a row and a column out, so that sizes are {_sizes(theirs)} and not {_sizes(mine)};
            the last pooling is padded at its end and gives 6 x 6 again, so that the FC layers are the same. Strides,
            groups and filters are the same everywhere."""
        ),
        _differences("AlexNet"),
        _check("AlexNet", "images of 224 x 224 and sizes rounded down in the first two poolings"),
    )


def inception() -> str:
    """Why the shipped GoogLeNet differs."""
    return page(
        "### GoogLeNet (Inception v1): sizes rounded down",
        paragraph(
            f"""Poolings of 3 x 3 with stride 2 are neither padded nor rounded up in the file, so that sizes are
            {_sizes(network(SHIPPED["GoogLeNet"]))} and not {_sizes(network(OURS["GoogLeNet"]))} as in the paper. The
            last pooling, over 7 x 7, is padded at its end to fit."""
        ),
        _differences("GoogLeNet"),
        _check("GoogLeNet", "sizes rounded down in all poolings"),
    )


def resnet() -> str:
    """Why the shipped ResNet-50 differs."""
    return page(
        "### ResNet-50: the stride in the 3 x 3 convolution",
        paragraph(
            """Where a stage begins with a smaller size, the first 1 x 1 convolution of the block has the stride in
            ours, as in the models of He et al. 2016; the 3 x 3 after it has it in the file (a version often called
            1.5). So the 1 x 1 has four times as many outputs; nothing else changes, as the 3 x 3 has the same outputs
            either way."""
        ),
        _differences("ResNet-50"),
        _check("ResNet-50", "the stride moved"),
    )


def vgg() -> str:
    """What VGG-19 has that VGG-16 has not."""
    mine, theirs = network(OURS["VGG-16"]), network(SHIPPED["VGG-16"])
    of_16, of_19 = (Counter(layer.nest for layer in layers(found)) for found in (mine, theirs))
    more = list((of_19 - of_16).elements())
    ratio = total(theirs, "macs") / total(mine, "macs")
    each = _and("{K} filters of {R} x {S} on {C} channels, {P} x {Q} outputs".format(**nest.extents) for nest in more)
    return page(
        "### VGG-19: more layers",
        paragraph(
            f"""{(of_16 & of_19).total()} of {of_16.total()} layers of VGG-16 are in the file, which has {len(more)}
            more: {each}. They have {sum(nest.macs for nest in more):,} MACs, the difference. VGG-19 takes {ratio:.2f}
            times the MACs of VGG-16; {VGG19_OVER_VGG16} times, says the survey."""
        ),
    )


def _sizes(found: Network) -> str:
    """The sizes that outputs have, in order."""
    sizes = [node.nest.extents.get("P", 1) for node in found.layers if node.nest is not None]
    return _and(str(size) for size in dict.fromkeys(sizes) if size > 1)


def _differences(name: str) -> str:
    """The layers whose outputs differ in size, and by how many MACs."""

    def sum_of(some: list[tuple[Layer, Layer]], which: int) -> int:
        return sum(pair[which].macs for pair in some)

    found = groups(layers(network(OURS[name])), layers(network(SHIPPED[name])))
    rows = [
        [
            some[0][0].name if len(some) == 1 else f"{some[0][0].name} to {some[-1][0].name}",
            f"{len(some)}",
            f"{theirs} x {theirs}",
            f"{ours} x {ours}",
            f"{sum_of(some, 1):,}",
            f"{sum_of(some, 0):,}",
            f"{sum_of(some, 1) - sum_of(some, 0):+,}",
        ]
        for (ours, theirs), some in found.items()
    ]
    pairs = [pair for some in found.values() for pair in some]
    both = sum_of(pairs, 1), sum_of(pairs, 0)
    rows.append(["all", f"{len(pairs)}", "", "", *(f"{n:,}" for n in both), f"{both[0] - both[1]:+,}"])
    head = ["layers", "number", "outputs, shipped", "ours", "MACs, shipped", "ours", "difference"]
    return table(head, rows)


def _check(name: str, change: str) -> str:
    """How many layers are the shipped ones once our network is changed."""
    after, theirs = layers(changed(OURS[name], CHANGES[name])), layers(network(SHIPPED[name]))
    same = sum(one.nest == other.nest for one, other in zip(after, theirs, strict=True))
    return paragraph(
        f"""With that changed in `{OURS[name]}` ({change}), {same} of {len(theirs)} layers are those of the file, in its
        order."""
    )


def _and(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
