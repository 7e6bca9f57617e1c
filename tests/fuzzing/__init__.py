"""Mutated inputs of every kind, each made from its kind and a seed alone: is each read, or refused in one line?

`python tests/fuzz.py` runs them; `validation/fuzz.py` reports how many were tried.
"""
