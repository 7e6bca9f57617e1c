"""Print every trade of energy against cycles of a layer, watch the search, then keep to a dataflow within a time limit.

python examples/trade_energy_for_time.py
"""

from fractions import Fraction
from pathlib import Path

import mapper

layer = mapper.conv(K=16, C=16, P=14, Q=14, R=3, S=3)
arch = mapper.load_architecture(str(Path(__file__).with_name("weight_stationary.yaml")))


def show(progress: mapper.Progress) -> None:
    """Called, in another thread, whenever a better mapping is found."""
    if progress.incumbent is not None:
        print(f"  {progress.seconds:.1f} s: {float(progress.incumbent):,.0f} pJ, at least {float(progress.bound):,.0f}")


result = mapper.search(layer, arch, objective="pareto", time_limit=60, on_progress=show)
print(f"front of {len(result.front)}, {result.status}:")
for point in result.front:
    print(f"  {float(point.cost.energy):,.0f} pJ, {point.cost.cycles:,} cycles, {point.cost.utilization:.0%} in use")

limits = mapper.Limits(min_utilization=Fraction(1, 2))
for dataflow in ("weight_stationary", "output_stationary"):
    found = mapper.search(layer, arch, dataflow=dataflow, limits=limits, time_limit=30)
    energy = float(found.cost.energy)
    print(f"{dataflow}: {energy:,.0f} pJ, {found.cost.cycles:,} cycles, {found.status}, gap {found.gap:.1%}")
