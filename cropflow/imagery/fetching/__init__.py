"""What a service is asked for: planned, fetched once, kept until it is written."""
