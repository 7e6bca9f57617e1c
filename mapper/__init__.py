"""tilewright: proves the best way to run a neural network on an accelerator."""
