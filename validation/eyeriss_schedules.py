"""The mappings that the Eyeriss chip ran, as the schedules that come with the package."""

from __future__ import annotations

from pathlib import Path

import arch_specs
from backends.emit import Schedule, to_yaml
from validation.eyeriss_model import ARCHITECTURE, MODEL, OPEN, mapping_of, nest_of
from validation.eyeriss_published import BATCH, LAYERS, SOURCE, Published

FOLDER = Path(arch_specs.__file__).parent / "schedules" / ARCHITECTURE


def schedules() -> dict[Path, str]:
    """The schedule of each layer, by the file that holds it."""
    return {FOLDER / f"{layer.name}.yaml": _text(layer) for layer in LAYERS}


def _text(layer: Published) -> str:
    nest = nest_of(layer)
    parameters = f"{layer.parameters} (recalled and cross-checked)"
    open_question = "; its measured buffer accesses do not fit this mapping" if layer.name == OPEN else ""
    about = {
        "model": f"{MODEL}, batch {BATCH}",
        "source": f"{SOURCE.replace('*', '')}; {parameters}{open_question}",
    }
    return to_yaml(Schedule(layer.name, nest, ARCHITECTURE, mapping_of(layer, nest), about))
