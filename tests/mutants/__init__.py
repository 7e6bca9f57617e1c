"""Wrong models and wrong executors, each one plausible mistake in one function, by what is wrong with it."""
