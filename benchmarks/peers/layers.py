"""The layers compared: distinct ones of ResNet-50, as plain dims."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution of batch 1, whose input is padded already; a matrix-vector product is one of a single pixel."""

    name: str
    dims: tuple[tuple[str, int], ...]
    stride: int = 1

    @property
    def text(self) -> str:
        """As `mapper map` takes it."""
        return f"conv {' '.join(f'{dim}={size}' for dim, size in self.dims)} stride={self.stride}"


def _conv(name: str, k: int, c: int, pixels: int, window: int, stride: int = 1) -> Layer:
    sizes = {"K": k, "C": c, "P": pixels, "Q": pixels, "R": window, "S": window}
    return Layer(name, tuple(sizes.items()), stride)


LAYERS = (
    _conv("conv1, 7x7 /2: 3 to 64, 112x112", 64, 3, 112, 7, 2),
    _conv("conv2, 3x3: 64 to 64, 56x56", 64, 64, 56, 3),
    _conv("conv2, 1x1: 64 to 256, 56x56", 256, 64, 56, 1),
    _conv("conv3, 3x3 /2: 128 to 128, 28x28", 128, 128, 28, 3, 2),
    _conv("conv4, 1x1: 1024 to 256, 14x14", 256, 1024, 14, 1),
    _conv("conv5, 3x3: 512 to 512, 7x7", 512, 512, 7, 3),
    _conv("fc: 2048 to 1000", 1000, 2048, 1, 1),
)
