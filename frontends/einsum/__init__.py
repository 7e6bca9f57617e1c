"""Layers written by hand."""

from frontends.einsum.layer import parse_layer

__all__ = ["parse_layer"]
