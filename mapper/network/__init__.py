"""Whole networks: distinct layers solved in parallel, totals, and the summary that is written."""

from mapper.network.compile import Compiled, Transfer, compile_network, transfer
from mapper.network.summary import exact, layers_csv, summary

__all__ = ["Compiled", "Transfer", "compile_network", "exact", "layers_csv", "summary", "transfer"]
