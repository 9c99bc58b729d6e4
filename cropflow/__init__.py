"""From a register of parcels and the Sentinel archives to an evaluated crop map."""

__version__ = "0.1.0"
