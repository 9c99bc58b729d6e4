"""The search for settings: what a trial tries, and which trial is kept."""
