"""Trained models applied: to the blocks kept out, to whole sites."""
