"""Compiled loops behind batches: each runs on one thread and releases the interpreter."""
