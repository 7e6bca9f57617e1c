"""The intermediate representation: layers as loop nests, models as networks of them."""

from mapper.ir.nest import LoopNest, Rank, Reduction, Role, Tensor, Term
from mapper.ir.network import Network, Node
from mapper.ir.operators import conv, gemm, pool
from mapper.ir.roles import DimRole, dim_roles, named
from mapper.ir.text import parse_einsum, parse_extents, parse_nest, parse_network

__all__ = [
    "DimRole",
    "LoopNest",
    "Network",
    "Node",
    "Rank",
    "Reduction",
    "Role",
    "Tensor",
    "Term",
    "conv",
    "dim_roles",
    "gemm",
    "named",
    "parse_einsum",
    "parse_extents",
    "parse_nest",
    "parse_network",
    "pool",
]
