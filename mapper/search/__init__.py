"""The search: the best mapping of a layer on an architecture, with its proof.

The package can be called: `mapper.search(layer, arch, ...)` is `mapper.search_layer`, which has its types.
"""

import sys
from types import ModuleType
from typing import Any

from mapper.search.extents import Factors
from mapper.search.limits import Limits
from mapper.search.mapspace import Mapspace
from mapper.search.result import Engine, Objective, Point, Progress, Result, Statistics, Status

__all__ = [
    "Engine",
    "Factors",
    "Limits",
    "Mapspace",
    "Objective",
    "Point",
    "Progress",
    "Result",
    "Statistics",
    "Status",
]


class _Search(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Result:
        """See `mapper.search_layer`."""
        import mapper

        return mapper.search_layer(*arguments, **options)


sys.modules[__name__].__class__ = _Search
