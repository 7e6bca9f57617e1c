"""How each ONNX operator is treated: what `mapper ops` and docs/operators.md show.

python -m frontends.onnx.operators > docs/operators.md
"""

from __future__ import annotations

from collections import Counter

from frontends.onnx.control import OPERATORS as CONTROL_FLOW
from frontends.onnx.expand import EXPANSIONS
from frontends.onnx.families import PRODUCTS, REDUCTIONS
from frontends.onnx.registry import ELEMENTWISE, SHAPE_READERS, UNMAPPED, VIEWS
from frontends.onnx.traffic import PICKED

LAYER = "layer: a loop nest"
REDUCTION = "layer: a loop nest of one operand where axes and outputs allow, else data movement"
PARTS = "layers: taken apart into loop nests, and what stands between them as data movement"
SOME = f"{PARTS}; its rarer forms are data movement, with a note"
UNCOUNTED = "data movement, with a note: its multiply-accumulates are not mapped and not counted"
VIEW = "view: moves nothing"
ATTACHED = "attached to the layer whose outputs it works on, else data movement: reads its inputs, writes its outputs"
CONTROL = (
    "its bodies are compiled: a branch that is known, else both; a loop as often as it runs, with a note if unknown"
)
SHAPE = "folded: shapes are known"
PICKING = "data movement: reads what it picks, writes its outputs"
MOVEMENT = "data movement: reads its inputs, writes its outputs"


def treatments() -> dict[str, str]:
    """The treatment, in words, of every operator of the newest opset that the installed onnx knows, by name, then of
    those of other domains that multiply and accumulate.

    Whatever has constant inputs only is folded, and costs nothing.
    """
    from onnx import defs

    schemas = [(s.domain, s.name) for s in defs.get_all_schemas() if not s.deprecated]
    known = {name for domain, name in schemas if not domain}
    others = {(domain, name): SOME if name in UNMAPPED else PARTS for domain, name in EXPANSIONS if domain}
    taken = {name for _, name in others} | known
    domains = {name: domain for domain, name in schemas}
    others |= {(domains.get(name, "com.microsoft"), name): UNCOUNTED for name in UNMAPPED - taken}
    return {name: _treatment(name) for name in sorted(known)} | {".".join(key): others[key] for key in sorted(others)}


def _treatment(name: str) -> str:
    groups = (
        (LAYER, PRODUCTS),
        (REDUCTION, REDUCTIONS),
        (PARTS, {op for domain, op in EXPANSIONS if not domain}),
        (UNCOUNTED, UNMAPPED),
        (VIEW + (", as inference runs it" if name == "Dropout" else ""), VIEWS),
        (f"{ATTACHED} (always if it trains)", ELEMENTWISE & {"BatchNormalization"}),
        (ATTACHED, ELEMENTWISE),
        (CONTROL, CONTROL_FLOW),
        (SHAPE, SHAPE_READERS),
        (PICKING, {op for domain, op in PICKED if not domain}),
    )
    return next((text for text, names in groups if name in names), MOVEMENT)


def markdown() -> str:
    """The table as a document."""
    from onnx import defs

    found = treatments()
    lines = [
        "# Operators",
        "",
        f"How each operator of ONNX opset {defs.onnx_opset_version()} is treated, and those of other domains that",
        "multiply and accumulate; printed by `python -m frontends.onnx.operators`, and by `mapper ops`. What has",
        "constant inputs only is folded and costs nothing. Other operators whose shapes the model states are data",
        "movement.",
        "",
        "| operators | treatment |",
        "|---|---|",
        *(f"| {n} | {text} |" for text, n in Counter(found.values()).most_common()),
        "",
        "| operator | treatment |",
        "|---|---|",
        *(f"| {name} | {text} |" for name, text in found.items()),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
