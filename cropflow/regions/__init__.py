"""Regions: where to map. Sites, their UTM zones and their pixel grids."""
