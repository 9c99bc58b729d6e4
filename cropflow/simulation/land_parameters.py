"""The numbers of the simulated land and its register: value, unit, how sure they are, and where they come from.

Marks as in :mod:`cropflow.simulation.parameters`. RPG22: 100 random parcels of the French register 2022. Crops have
their numbers in :mod:`cropflow.simulation.crops`, rotations in :mod:`cropflow.simulation.rotation`.
"""

from __future__ import annotations

from cropflow.simulation.parameters import Parameter, Table

TABLE = Table(
    {
        # --- land --------------------------------------------------------------------------------------------------
        "field.area_levels": Parameter(
            (0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.998), "quantiles of field.area", "M", "RPG22; the ends E"
        ),
        "field.area": Parameter(
            (0.01, 0.04, 0.3, 0.8, 2.0, 8.0, 40.0), "ha", "M", "RPG22: log-normal, median 0.8 ha, sigma 1.4; the ends E"
        ),
        "field.spread_in_crop": Parameter(1.0, "sd of the log of areas", "E", "1.4 over all crops (M, RPG22)"),
        "field.hedges": Parameter((0.03, 0.35, 0.10), "share of borders: cereal, livestock, southern", "E", "bocage"),
        "field.hedge_width": Parameter(5.0, "m", "E", "trees between fields"),
        "field.buffer_strip": Parameter(25.0, "m, mean width at most", "E", "strips along water and roads"),
        "field.changed": Parameter((0.05, 0.10), "share of fields split or merged in a year", "U", "expert value"),
        "field.second_crop": Parameter((0.02, 0.05), "share of fields, by season", "U", "expert value"),
        "field.second_crop_part": Parameter((0.15, 0.40), "share of the field's length", "E", "expert value"),
        "field.second_crop_from": Parameter(1.0, "ha", "E", "smaller fields hold one crop"),
        "block.area": Parameter(33.0, "ha, median of the largest block left whole", "E", "land between roads"),
        "block.area_spread": Parameter(0.35, "sd of the log", "E", "land between roads"),
        "block.cover": Parameter((0.10, 0.03, 0.01), "share of land: woods, villages, ponds", "E", "whole blocks"),
        "block.copses": Parameter((0.04, 0.5), "share of farmed blocks; ha, median", "E", "woodland among fields"),
        "block.farmsteads": Parameter(
            (0.02, 0.25), "share of farmed blocks; ha, median", "E", "buildings among fields"
        ),
        "block.roads": Parameter((12.0, 9.0, 7.0, 5.0), "m, from main road to track", "E", "with verges"),
        "block.river": Parameter(16.0, "m", "E", "one, where the land is larger than block.river_from"),
        "block.river_from": Parameter(400.0, "ha", "E", "small landscapes keep their fields"),
        "soil.shares": Parameter((0.2, 0.35, 0.3, 0.15), "share of classes 0 to 3", "E", "dark to bright"),
        "soil.patches": Parameter((900.0, 300.0), "m", "E", "size of soil patches"),
        # --- register ----------------------------------------------------------------------------------------------
        "register.missing": Parameter(
            (0.05, 0.15), "share of farmland, by season", "U", "regional RPG metadata; rates U"
        ),
        "register.missing_more": Parameter(2.5, "times as often", "U", "vines, orchards, vegetables; RPG metadata"),
        "register.wrong_code": Parameter((0.01, 0.03), "share of parcels", "U", "Navarre CAP study 2020: 6 % doubtful"),
        "register.wrong_sibling": Parameter(0.85, "share of wrong codes", "U", "wheat/triticale, winter/spring, grass"),
        "register.shift": Parameter((1.0, 3.0), "m, sd in x and y, by season", "U", "redrawn every season"),
        "register.catch_crop": Parameter(0.02, "share of parcels with CULTURE_D1", "M", "RPG22, n = 100, U"),
        "register.second_catch_crop": Parameter(0.25, "share of those with CULTURE_D2 too", "E", "expert value"),
        "register.two_parts": Parameter(0.01, "share of parcels, at least one", "E", "parcels that a track crosses"),
        "register.bow_ties": Parameter(0.003, "share of parcels, at least one", "E", "rings that cross themselves"),
        "register.duplicates": Parameter(
            0.003, "share of parcels, at least one", "E", "same outline and code, other id"
        ),
        "register.slivers": Parameter(0.004, "share of parcels, at least one", "E", "strips along a border"),
        "register.track": Parameter(3.0, "m", "E", "between the parts of a parcel in two parts"),
        "register.sliver_width": Parameter(0.6, "m", "E", "narrower than any parcel"),
    }
)

number, numbers, limits = TABLE.number, TABLE.numbers, TABLE.limits
