"""Whole networks: distinct layers solved in parallel, totals, and the summary that is written."""

from mapper.network.compile import Compiled, check_network, compile_network
from mapper.network.summary import exact, layers_csv, mapped_data, summary
from mapper.network.totals import Mapped, Transfer, transfer

__all__ = [
    "Compiled",
    "Mapped",
    "Transfer",
    "check_network",
    "compile_network",
    "exact",
    "layers_csv",
    "mapped_data",
    "summary",
    "transfer",
]
