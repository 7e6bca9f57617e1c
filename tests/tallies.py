"""Counts as pairs, for tests that are about one thing: all elements read and written, delivered and reduced."""


def moved(counts):
    """(delivered, reduced) by (fan-out, tensor)."""
    return {key: (moves.delivered, moves.reduced) for key, moves in counts.moves.items()}


def accessed(counts):
    """(reads, writes) by (memory, tensor)."""
    return {key: (access.reads, access.writes) for key, access in counts.accesses.items()}
