"""Training: losses, optimisers, the Lightning module, resuming, and the folder of a trained model."""
