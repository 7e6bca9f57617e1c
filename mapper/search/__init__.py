"""The search: the best mapping of a layer on an architecture, with its proof."""

from mapper.search.extents import Factors
from mapper.search.limits import Limits
from mapper.search.mapspace import Mapspace
from mapper.search.result import Objective, Point, Progress, Result, Statistics, Status

__all__ = ["Factors", "Limits", "Mapspace", "Objective", "Point", "Progress", "Result", "Statistics", "Status"]
