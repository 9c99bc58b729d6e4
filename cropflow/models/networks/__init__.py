"""One module per network."""
