"""Comparisons of the cost model with what others published; `python -m validation NAME` prints one."""
