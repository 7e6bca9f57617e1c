"""The search: the best mapping of a layer on an architecture, with its proof."""

from mapper.search.result import Result, Status

__all__ = ["Result", "Status"]
