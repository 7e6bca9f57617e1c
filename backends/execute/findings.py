"""What is found out about a network by executing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backends.execute.runtime import Array


@dataclass(frozen=True, slots=True)
class Check:
    """A layer, an operator made of layers, or an output of the model: max|ours - reference| / max|reference|, in the
    worst of all times it ran; whether the counts are as expected; and what disagrees first, None if nothing does. The
    reference is ONNX Runtime's value if it is `refereed`, else a value that it did not make alone."""

    name: str
    relative_error: float
    counts_match: bool = True
    mismatch: str | None = None
    refereed: bool = True


@dataclass(frozen=True, slots=True)
class IllConditioned:
    """A value that is further from ONNX Runtime's than the tolerance, though errors of layers of the size that was
    seen move it as far: relative errors, in the maximum norm. Those against double precision are None if there is none,
    and `unknown` says why."""

    name: str
    relative_error: float
    allowed: float
    ours: float | None = None
    referee: float | None = None
    unknown: str | None = None


@dataclass(frozen=True)
class Verification:
    """What was checked of a network; it passed if all counts match and all values agree.

    `layers` has those that ran: a branch may not be taken. `wiring` are the outputs with ONNX Runtime in the place of
    the executor, `others` operators made of layers and the outputs, whose values are in `outputs`. `uncompared` names
    what was not compared, and says why. `steps` counts elements that were rounded to the next step, as a value that is
    quantised, or chosen otherwise, from inputs that agree. `drawn` says from what the inputs were drawn that were not
    given.
    """

    layers: tuple[Check, ...]
    others: tuple[Check, ...] = ()
    outputs: Mapping[str, Array] = field(default_factory=dict, repr=False, compare=False)
    uncompared: tuple[tuple[str, str], ...] = ()
    wiring: tuple[Check, ...] = ()
    ill_conditioned: tuple[IllConditioned, ...] = ()
    steps: int = 0
    drawn: tuple[tuple[str, str], ...] = ()

    @property
    def layers_checked(self) -> int:
        """Layers that were executed and compared."""
        return len(self.layers)

    @property
    def counts_match(self) -> bool:
        """Whether every count of every layer is the expected one."""
        return all(layer.counts_match for layer in self.layers)

    @property
    def max_relative_error(self) -> float:
        """The largest relative error against ONNX Runtime; infinite where shapes differ or values are not finite."""
        checks = (check for check in (*self.layers, *self.others) if check.refereed)
        return max((check.relative_error for check in checks), default=0.0)

    @property
    def refereed(self) -> str | None:
        """What was compared with ONNX Runtime's: "outputs", only "layers", or nothing."""
        outputs = any(check.refereed and check.name.startswith("output ") for check in self.others)
        layers = any(check.refereed for check in (*self.layers, *self.others))
        return "outputs" if outputs else "layers" if layers else None

    @property
    def failure(self) -> str | None:
        """What disagrees first, in words; None if nothing does."""
        failed = [f"layer {check.name}: {check.mismatch}" for check in self.layers if check.mismatch]
        checks = (*self.wiring, *self.others)
        failed += [f"{check.name}: {check.mismatch}" for check in checks if check.mismatch]
        return failed[0] if failed else None

    @property
    def passed(self) -> bool:
        """Whether execution agrees with the cost model and with ONNX Runtime."""
        return self.failure is None
