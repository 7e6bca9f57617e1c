"""Execution of mappings: word by word with counters, and the reference result."""

from importlib.util import find_spec

from backends.execute.counting import Execution, execute
from mapper.errors import MissingExtraError

__all__ = ["Execution", "execute", "require_extra"]


def require_extra() -> None:
    """Raise MissingExtraError unless what execution needs is installed."""
    for package in ("numba", "onnxruntime"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "verify")
