"""The intermediate representation: layers as loop nests, models as networks of them."""

from mapper.ir.nest import LoopNest, Rank, Reduction, Role, Tensor, Term
from mapper.ir.network import Network, Node
from mapper.ir.operators import conv, gemm, pool
from mapper.ir.text import parse_einsum, parse_extents, parse_nest, parse_network

__all__ = [
    "LoopNest",
    "Network",
    "Node",
    "Rank",
    "Reduction",
    "Role",
    "Tensor",
    "Term",
    "conv",
    "gemm",
    "parse_einsum",
    "parse_extents",
    "parse_nest",
    "parse_network",
    "pool",
]
