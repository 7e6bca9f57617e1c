"""Side by side with other mappers, each in an environment of its own: `python -m benchmarks.peers`."""
