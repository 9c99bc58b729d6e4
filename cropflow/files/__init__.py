"""Every reader and writer of the project: atomic, checked, and with a manifest beside each result."""
