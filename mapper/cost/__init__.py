"""The cost model: counts of a mapping, and the energy and cycles that follow from them."""

from mapper.cost.cost import Cost, evaluate
from mapper.cost.traffic import count

__all__ = ["Cost", "count", "evaluate"]
