"""One flow a file: it wires a loop, a store and a policy together, and does nothing else."""
