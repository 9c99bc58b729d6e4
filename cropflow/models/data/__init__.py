"""What models learn from: samples read through memory maps, batches of them, and their normalisation."""
