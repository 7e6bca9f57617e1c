"""What docs/benchmarks.md shows: `python -m benchmarks` prints its tables."""
