"""A map of regions, parcels and one composite on a page."""
