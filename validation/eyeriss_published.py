"""What was published about the Eyeriss chip running the convolutions of AlexNet.

Source: Y.-H. Chen, T. Krishna, J. S. Emer, V. Sze, 'Eyeriss: An Energy-Efficient Reconfigurable Accelerator for Deep
Convolutional Neural Networks', IEEE JSSC 52(1), 2017: mapping parameters of Table III, measurements of Table V (batch
4, 1 V, 200 MHz core clock). How sure each figure is stands in `CONFIDENCE`, which the report prints.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = (
    "Y.-H. Chen, T. Krishna, J. S. Emer, V. Sze, *Eyeriss: An Energy-Efficient Reconfigurable Accelerator for Deep "
    "Convolutional Neural Networks*, IEEE JSSC 52(1), 2017: Table III (mapping parameters) and Table V (measurements)"
)
CONFIDENCE = (
    (
        "verified",
        "active PEs and processing latencies of the layers (they are also in the test data of nn_dataflow, github "
        "stanford-mast/nn_dataflow); the totals of Table V (in the text of the paper or a digest of it); MACs, which "
        "follow from the shapes; what the text says of compression",
    ),
    (
        "recalled and cross-checked, not copied from the page",
        "the mapping parameters (they agree with what the text says of each layer, with what the artifact of "
        "Sparseloop and the validation of MAESTRO have of them, and with the active PEs; they fit scratchpads and "
        "buffer); the "
        "layers' global-buffer and DRAM figures (they add up to the verified totals within rounding)",
    ),
    ("recalled, unverified", "how much compression reduced the DRAM traffic of each layer"),
)
"""Label, and the figures to which it applies."""


@dataclass(frozen=True, slots=True)
class Published:
    """A layer: the mapping parameters of Table III and the measurements of Table V for a batch of `BATCH`.

    A processing pass convolves `n` images, `p` x `t` filters and `q` x `r` channels for `e` rows of outputs; `p` and
    `q` are interleaved in a PE, `r` and `t` are sets of PEs; the global buffer holds partial sums of `m` filters.
    MB are 10^6 bytes: total accesses divided by MACs give the paper's 0.0029 DRAM accesses per MAC only so.
    `dram_reduction` is the traffic without compression over that with it.
    """

    name: str
    m: int
    n: int
    e: int
    p: int
    q: int
    r: int
    t: int
    active_pes: int
    macs_g: float
    processing_ms: float
    glb_mb: float
    dram_mb: float
    dram_reduction: float

    @property
    def parameters(self) -> str:
        """The mapping parameters in words."""
        return " ".join(f"{name}={getattr(self, name)}" for name in ("m", "n", "e", "p", "q", "r", "t"))


LAYERS = (
    #                   m  n   e   p  q  r  t   PEs GMAC    ms   GLB DRAM reduction
    Published("CONV1", 96, 1,  7, 16, 1, 1, 2, 154, 0.42, 16.5, 18.5, 5.0, 1.2),
    Published("CONV2", 64, 1, 27, 16, 2, 1, 1, 135, 0.90, 39.2, 77.6, 4.0, 1.4),
    Published("CONV3", 64, 4, 13, 16, 4, 1, 4, 156, 0.60, 21.8, 50.2, 3.0, 1.7),
    Published("CONV4", 64, 4, 13, 16, 3, 2, 2, 156, 0.45, 16.0, 37.4, 2.1, 1.8),
    Published("CONV5", 64, 4, 13, 16, 3, 2, 2, 156, 0.30, 10.0, 24.9, 1.3, 1.9),
)  # fmt: skip
BATCH = 4
BYTES_PER_WORD = 2
FILTER_BUS_WORDS = 4
"""Filter words per cycle that the 64-bit network brings to the array (text of the paper)."""

TOTAL_MACS_G, TOTAL_PROCESSING_MS, TOTAL_LATENCY_MS, TOTAL_GLB_MB, TOTAL_DRAM_MB = 2.66, 103.5, 115.3, 208.5, 15.4
ROUNDING_MB = 0.05
"""By how much a measured figure in MB may be rounded: they are given to 0.1 MB."""
DRAM_REDUCTION = 1.2, 1.9
"""Least and most over the layers (text of the paper)."""
FEATURE_MAP_SAVING = {"CONV1": 30, "CONV5": 75}
"""Per cent of the feature maps' DRAM traffic that compression saves, 'nearly' in the text of the paper."""
