"""Whole networks: distinct layers solved in parallel, totals, and where they come from."""

from mapper.network.compile import Compiled, check_network, compile_network
from mapper.network.spent import Spent, spent
from mapper.network.totals import Mapped, Transfer, transfer

__all__ = [
    "Compiled",
    "Mapped",
    "Spent",
    "Transfer",
    "check_network",
    "compile_network",
    "spent",
    "transfer",
]
