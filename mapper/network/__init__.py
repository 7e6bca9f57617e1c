"""Whole networks: distinct layers solved in parallel, totals, and the summary that is written."""

from mapper.network.compile import Compiled, Transfer, check_network, compile_network, transfer
from mapper.network.summary import exact, layers_csv, summary

__all__ = ["Compiled", "Transfer", "check_network", "compile_network", "exact", "layers_csv", "summary", "transfer"]
