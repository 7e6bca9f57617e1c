"""The report of the cost model against the Eyeriss chip, in Markdown; every number in it is computed."""

from __future__ import annotations

from collections.abc import Sequence

from mapper.mapping import footprints
from validation.eyeriss_model import ALTERNATIVE, ARCHITECTURE, MODEL, OPEN, Predicted, machine, mb, predict
from validation.eyeriss_published import (
    BATCH,
    CONFIDENCE,
    FILTER_BUS_WORDS,
    LAYERS,
    SOURCE,
    TOTAL_DRAM_MB,
    TOTAL_LATENCY_MS,
    TOTAL_MACS_G,
    TOTAL_PROCESSING_MS,
)
from validation.eyeriss_schedules import schedules
from validation.eyeriss_traffic import buffer, dram, open_question
from validation.markdown import bullets, off, page, paragraph, percent, span, table

files = schedules
"""What is written beside the page."""


def report() -> str:
    """The whole comparison."""
    rows = [predict(layer) for layer in LAYERS]
    other = predict(ALTERNATIVE)
    sections = [
        introduction(rows),
        work(rows),
        buffer(rows, other),
        open_question(next(row for row in rows if row.layer.name == OPEN), other),
        dram(rows),
        latency(rows),
        mappings(rows, other),
    ]
    return page(*sections) + "\n"


def introduction(rows: Sequence[Predicted]) -> str:
    """The results in short, the source and how sure its figures are, the machine."""
    glb = {row.layer.name: percent(mb(row.glb_total), row.layer.glb_mb) for row in rows}
    missed = glb.pop(OPEN)
    time = [percent(row.milliseconds, row.layer.processing_ms) for row in rows]
    equal = sum(row.active_pes == row.layer.active_pes for row in rows)
    return page(
        "# Validation: the Eyeriss chip, AlexNet",
        paragraph(
            f"""The five convolutions of AlexNet (`{MODEL}`), batch {BATCH}, with the mappings that the chip ran,
            counted by the cost model and laid beside what was measured on the chip. Nothing is fitted: the mappings
            follow from the published parameters, the counts from the mappings. `python -m validation eyeriss` prints
            this page."""
        ),
        bullets(
            f"Active PEs: equal in {equal} of {len(rows)} layers. MACs: equal to the digits published.",
            f"Global-buffer accesses: {span([*glb.values()])} in {len(glb)} layers; {missed:+.1f} % in {OPEN}, an open "
            "question.",
            f"DRAM traffic before compression: {off(mb(sum(row.dram_total for row in rows)), TOTAL_DRAM_MB)} against "
            "what was measured after it.",
            f"Processing latency: {span(time)}; the model leaves out what a pass needs beside its MACs.",
            "Power is not compared: the chip's energies per access are not published.",
        ),
        paragraph(f"Source: {SOURCE}. How sure its figures are here:"),
        bullets(*(f"*{label}*: {figures}." for label, figures in CONFIDENCE)),
        paragraph(
            f"""Machine: `{ARCHITECTURE}` as it ships, whose ifmap scratchpads keep what consecutive windows share
            (`rolling`) and whose network lets one read of the global buffer serve all PEs on a diagonal (`halo`). The
            mappings ship as schedules (`mapper archs schedules`): `mapper evaluate {ARCHITECTURE}/{rows[0].layer.name}
            --arch {ARCHITECTURE}` prints all counts of the first. A word is 16 bits, 1 MB is 10^6 bytes, an error is
            (model - measured) / measured. The tests run all these mappings in full, word by word, on the counting
            executor; every count there equals the model's."""
        ),
    )


def work(rows: Sequence[Predicted]) -> str:
    """Active PEs and MACs."""
    cells = [
        [
            row.layer.name,
            f"{row.active_pes}",
            f"{row.layer.active_pes}",
            off(row.active_pes, row.layer.active_pes),
            f"{row.macs / row.cost.counts.steps:.2f}",
            f"{row.macs:,}",
            f"{row.layer.macs_g:.2f} G",
            off(row.macs / 1e9, row.layer.macs_g),
        ]
        for row in rows
    ]
    macs = sum(row.macs for row in rows)
    cells.append(["all", "", "", "", "", f"{macs:,}", f"{TOTAL_MACS_G} G", off(macs / 1e9, TOTAL_MACS_G)])
    head = ["layer", "active PEs, model", "published", "error", "mean", "MACs, model", "published", "error"]
    first, height = rows[0].layer, rows[0].nest.extents["P"]
    return page(
        "## Active PEs and work",
        table(head, cells),
        paragraph(
            f"""The active PEs are the most that work in a step, beside them their mean over the run. {first.name}
            computes {height} output rows in strips of {first.e}, the last of {height % first.e}: hence its lower mean.
            MACs differ from the published ones by the rounding of those only."""
        ),
    )


def latency(rows: Sequence[Predicted]) -> str:
    """Processing cycles, and what is missing in them."""
    gaps = [(row.measured_cycles - row.cost.cycles) / row.passes for row in rows]
    loads = [-(-row.filter_words_per_pass // FILTER_BUS_WORDS) for row in rows]
    cells = [
        [
            row.layer.name,
            f"{row.cost.cycles:,}",
            row.cost.bottleneck,
            f"{row.milliseconds:.2f}",
            f"{row.layer.processing_ms}",
            off(row.milliseconds, row.layer.processing_ms),
            f"{row.passes:,}",
            f"{gap:,.0f}",
            f"{load:,}",
        ]
        for row, gap, load in zip(rows, gaps, loads, strict=True)
    ]
    cycles, time = sum(row.cost.cycles for row in rows), sum(row.milliseconds for row in rows)
    passes, error = sum(row.passes for row in rows), off(time, TOTAL_PROCESSING_MS)
    cells.append(["all", f"{cycles:,}", "", f"{time:.2f}", f"{TOTAL_PROCESSING_MS}", error, f"{passes:,}", "", ""])
    head = "layer,cycles,bottleneck,ms,measured ms,error,passes,missing cycles per pass,cycles to bring its filters"
    arch = machine()
    memory = arch.memory("WSPAD")
    held = [footprints(row.nest, arch, row.mapping, memory)["W"] for row in rows]
    ratios = [gap / load for gap, load in zip(gaps, loads, strict=True)]
    return page(
        "## Processing latency",
        f"At {rows[0].clock_hz / 1e6:.0f} MHz:",
        table(head.split(","), cells),
        paragraph(
            f"""The model is a lower bound: one MAC per cycle in each active PE, everything else overlapped. Much of
            what it leaves out recurs with each pass: filling pipelines and networks, and bringing new filters to
            scratchpads that have no room for them during the pass before (a pass takes {min(held)} to {max(held)} of
            their {memory.size_words} words). The last two columns set the cycles missing per pass beside those in which
            the 64-bit network brings a pass its filters. The former are {min(ratios):.1f} to {max(ratios):.1f} times
            the latter, so filters alone do not explain them; the rest is unexplained. The paper's total latency
            ({TOTAL_LATENCY_MS} ms) includes more than processing and is not compared."""
        ),
    )


def mappings(rows: Sequence[Predicted], other: Predicted) -> str:
    """All mappings in full."""
    columns = {axis.name: axis.size for axis in machine().fanouts[0].axes}["x"]
    folded = "".join(
        f" The {row.layer.e} output rows of {row.layer.name} are folded into {columns} + {row.layer.e - columns}"
        " columns: the second part is a clipped piece of the spatial loops."
        for row in rows
        if row.layer.e > columns
    )
    blocks = [
        f"{row.layer.name}, {row.layer.parameters}{', not as published' if row is other else ''}:\n\n"
        f"```text\n{row.nest}\n\n{row.mapping}```"
        for row in (*rows, other)
    ]
    return page(
        "## The mappings",
        paragraph(
            f"""A PE set is a filter's rows by e output rows. The buffer holds partial sums of m filters, n images and e
            rows until all channels are done, and the ifmap of a pass's q x r channels while p x t filters at a time
            pass over it; Table III does not state this order, the buffer's contents imply it.{folded}"""
        ),
        *blocks,
    )
