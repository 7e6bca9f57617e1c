"""The sections of the Eyeriss report on the global buffer and the DRAM."""

from __future__ import annotations

from collections.abc import Sequence

from validation.eyeriss_model import CHIP, LESS, OPEN, Predicted, mb, padding, predict
from validation.eyeriss_published import (
    DRAM_REDUCTION,
    FEATURE_MAP_SAVING,
    LAYERS,
    ROUNDING_MB,
    TOTAL_DRAM_MB,
    TOTAL_GLB_MB,
)
from validation.markdown import off, page, paragraph, percent, span, table


def buffer(rows: Sequence[Predicted], other: Predicted) -> str:
    """Accesses of the global buffer, beside the measured ones and with less sharing."""
    fitting = [row for row in rows if row.layer.name != OPEN]
    total = [percent(mb(row.glb_total), row.layer.glb_mb) for row in fitting]
    array = [percent(mb(row.glb_array_side), row.layer.glb_mb) for row in fitting]
    worst = max(abs(percent(mb(row.glb_without_arrival), row.layer.glb_mb)) for row in fitting)
    rounding = max(ROUNDING_MB / row.layer.glb_mb for row in fitting) * 100
    parts = "layer,ifmap from DRAM,ifmap to array,sums to array,sums from array,results to DRAM,all"
    errors = "layer,measured,all,error,array side,error,all but ifmap from DRAM,error"
    return page(
        "## Global buffer",
        "Accesses in MB, by what is read and written:",
        table(parts.split(","), map(_parts, rows)),
        "Against the measurement, in MB:",
        table(
            errors.split(","),
            [
                *(_compared(row.layer.name, row.layer.glb_mb, [row]) for row in rows),
                _compared("all", TOTAL_GLB_MB, rows),
                _compared(f"*{OPEN}, not as published*", other.layer.glb_mb, [other]),
            ],
        ),
        paragraph(
            f"""The model counts all accesses. Which of them the published figure counts, the sources at hand do not
            say. In {_names(fitting)} all accesses are {span(total)} off, those of the array alone {span(array)}. All
            but the writes of the ifmap that arrives from DRAM are within {worst:.1f} %, where the measured figures
            themselves are rounded by up to {rounding:.1f} %. Two readings give that number: either the chip's count
            includes results on their way to DRAM but not the ifmap's arrival; or it is the array's side only, and the
            first pass over the channels reads partial sums as all others do, where the model lets it begin from zero.
            This count was chosen among three *after* seeing the numbers of {len(fitting)} layers, so the error to hold
            against the model is that of all accesses. {OPEN} misses under each of them."""
        ),
        "What sharing input words is worth, all accesses in MB:",
        table(
            ["layer", "neither", "sliding window", "window and diagonal", "measured"],
            [
                [
                    row.layer.name,
                    *(f"{mb(predict(row.layer, sharing).glb_total):.2f}" for sharing in (*LESS, CHIP)),
                    f"{row.layer.glb_mb}",
                ]
                for row in rows
            ],
        ),
    )


def _parts(row: Predicted) -> list[str]:
    ifmap, sums = (row.dram("I"), row.inputs_to_array), (row.sums_to_array, row.sums_from_array)
    return [row.layer.name, *(f"{mb(words):.2f}" for words in (*ifmap, *sums, row.dram("O"), row.glb_total))]


def _compared(name: str, measured: float, group: Sequence[Predicted]) -> list[str]:
    cells = [name, f"{measured}"]
    for words in (
        sum(row.glb_total for row in group),
        sum(row.glb_array_side for row in group),
        sum(row.glb_without_arrival for row in group),
    ):
        cells += [f"{mb(words):.2f}", off(mb(words), measured)]
    return cells


def open_question(published: Predicted, other: Predicted) -> str:
    """Why the third layer validates nothing."""
    channels, step = published.nest.extents["C"], published.layer.q * published.layer.r
    passes = -(-channels // step)
    measured = sum(layer.glb_mb for layer in LAYERS)
    alike = " and ".join(
        layer.name for layer in LAYERS if (layer.q, layer.r, layer.t) == (other.layer.q, other.layer.r, other.layer.t)
    )
    return page(
        f"## {OPEN}: an open question",
        paragraph(
            f"""With its published parameters (q={published.layer.q} r={published.layer.r} t={published.layer.t}) {OPEN}
            takes {channels} channels in passes of {step}. That alone makes {passes} writes and {passes - 1} reads of
            each partial sum, {mb(published.sums_from_array + published.sums_to_array):.1f} MB, where
            {published.layer.glb_mb} MB were measured for everything."""
        ),
        paragraph(
            f"""Neither figure looks misremembered: the text of the paper gives t={published.layer.t} for {OPEN} and
            Sparseloop's artifact the same p, q, t and n; the layers' measured accesses add up to {measured:.1f} MB,
            against {TOTAL_GLB_MB} MB in all. With q={other.layer.q} r={other.layer.r} t={other.layer.t}, as in {alike},
            {other.active_pes} PEs are active ({published.active_pes} as published), the tiles fit, the latency is
            {other.milliseconds:.1f} instead of {published.milliseconds:.1f} ms, and the accesses are
            {mb(other.glb_total):.1f} MB, or {mb(other.glb_without_arrival):.1f} MB without the ifmap's arrival. That
            mapping was looked for because the published one misses, so its fit is no evidence by itself. The measured
            row may not have been taken with the mapping of Table III; until that is known, {OPEN}'s buffer accesses
            validate nothing."""
        ),
    )


def dram(rows: Sequence[Predicted]) -> str:
    """DRAM words before compression, beside the measured traffic after it."""
    least, most = DRAM_REDUCTION
    above = [
        f"{row.layer.name} (at least {mb(row.dram_total) / (row.layer.dram_mb + ROUNDING_MB):.2f}x, as its "
        f"{row.layer.dram_mb} MB are rounded)"
        for row in rows
        if mb(row.dram_total) / row.layer.dram_mb > most
    ]
    share = ", ".join(f"{row.layer.name} {float(padding(row.layer)) * 100:.0f} %" for row in rows)
    traffic = "layer,ifmap words,filter words,ofmap words,all,MB,measured MB,error"
    ratios = "layer,reduction,without padding,published (recalled)"
    savings = "saving on feature maps,without padding,published"
    return page(
        "## DRAM",
        table(
            traffic.split(","),
            [
                *(_traffic(row.layer.name, row.layer.dram_mb, [row]) for row in rows),
                _traffic("all", TOTAL_DRAM_MB, rows),
            ],
        ),
        paragraph(
            """The model's words are not compressed, the measured ones are: the chip run-length-codes feature maps,
            except the first ifmap, and leaves filters as they are. So the error is what compression saves, with
            whatever else differs. If compression explains all of it, it reduces the traffic by these ratios, and that
            of feature maps by these savings:"""
        ),
        table([*ratios.split(","), *savings.split(",")], map(_reduction, rows)),
        paragraph(
            f"""The model fetches padding with the ifmap ({share} of it); whether the chip does is not known here, hence
            the columns without it. The text of the paper gives {least}x to {most}x for the layers. Above that, padding
            included: {", ".join(above) or "none"}."""
        ),
    )


def _traffic(name: str, measured: float, group: Sequence[Predicted]) -> list[str]:
    words = [sum(row.dram(tensor) for row in group) for tensor in ("I", "W", "O")]
    found = mb(sum(words))
    return [name, *(f"{n:,}" for n in (*words, sum(words))), f"{found:.2f}", f"{measured}", off(found, measured)]


def _reduction(row: Predicted) -> list[str]:
    filters, measured, ratios, savings = mb(row.dram("W")), row.layer.dram_mb, [], []
    for skipped in (0, row.dram_padding):
        maps = mb(row.dram("I") + row.dram("O") - skipped)
        ratios.append(f"{(maps + filters) / measured:.2f}x")
        savings.append(f"{(1 - (measured - filters) / maps) * 100:.0f} %")
    known = FEATURE_MAP_SAVING.get(row.layer.name)
    return [row.layer.name, *ratios, f"{row.layer.dram_reduction}x", *savings, f"nearly {known} %" if known else ""]


def _names(rows: Sequence[Predicted]) -> str:
    *first, last = (row.layer.name for row in rows)
    return f"{', '.join(first)} and {last}"
