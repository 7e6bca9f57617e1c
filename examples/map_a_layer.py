"""Map one convolution of VGG on two machines and compare what the rolling window saves.

python examples/map_a_layer.py
"""

import mapper

layer = mapper.conv(K=64, C=64, P=56, Q=56, R=3, S=3)
for arch in ("simple3", "simple3_rolling"):
    result = mapper.search(layer, arch)
    cost = result.cost
    print(f"{arch}: {result.status}, energy {cost.energy}, {cost.cycles} cycles, bound by {cost.bottleneck}")
    print(result.mapping)
