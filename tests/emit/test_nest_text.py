"""The readable nest."""

from backends.emit import nest_text
from mapper.arch import load_architecture
from mapper.ir import conv
from mapper.mapping import parse_mapping, violations

MAPPING = """\
keep DRAM I W O
for P 4
keep GLB I rolling
parfor K 3 PE.x
parfor C 1 PE.y
keep RF W O
for R 1
for K 1
for P 1
"""

# K = 8 over 3 instances with 3, 3 and 2; the tile of I is 2 x (4 + 3 - 1), one row of Q and S
EXPECTED = """\
DRAM  I  24 | # I: 2 x 12
DRAM  W  48 | # W: 8 x 2 x 3
DRAM  O  80 | # O: 8 x 10
            | for P in 0..10 step 4
GLB   I  12 |   # I: 2 x 6, rolling
PE.x        |   parfor K in 0..8 step 3 on PE.x
PE.y        |     parfor C in 0..2 on PE.y
RF    W   9 |       # W: 3 x 3
RF    O  12 |       # O: 3 x 4
            |       for R in 0..3
            |         for K in 0..3
            |           for P in 0..4
MAC         |             O[N,G,K,P,Q] += I[N,G,C,P+R,Q+S] * W[G,K,C,R,S]
"""


def test_the_nest_with_memory_tensor_and_tile_in_the_margin():
    nest, arch, mapping = conv(K=8, C=2, P=10, R=3), load_architecture("simple3_rolling"), parse_mapping(MAPPING)
    assert violations(nest, arch, mapping) == []
    assert nest_text(nest, arch, mapping) == EXPECTED
