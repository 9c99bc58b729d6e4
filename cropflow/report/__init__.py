"""Report: one HTML page per experiment that opens offline."""
