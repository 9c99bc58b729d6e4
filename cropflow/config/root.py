"""The whole config: cross-checks between entries, and how text becomes a section."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from cropflow.config.addresses import public
from cropflow.config.base import Name, Section
from cropflow.config.imagery import Imagery, Series
from cropflow.config.load import json_of
from cropflow.config.messages import one_line
from cropflow.config.models import kind_of
from cropflow.config.regions import Clusters, Region
from cropflow.config.registers import Register
from cropflow.config.sample_checks import check_dates, check_history, check_model
from cropflow.config.sections import Experiment, Place, SampleSet, Season
from cropflow.config.server import refused_option
from cropflow.config.shipped import legend_key, legend_names, own_file, own_table_path, table_names
from cropflow.config.simulation import Simulation
from cropflow.config.transfers import check_sensor_dropout, check_transfer, with_sources
from cropflow.errors import CropflowError, listing

AnySection = TypeVar("AnySection", bound=Section)


class Config(Section):
    """Everything a run needs, by name."""

    run: tuple[Name, ...] = Field(default=(), description="Experiments to build.")
    simulations: dict[Name, Simulation] = Field(default={}, description="Simulated landscapes.")
    registers: dict[Name, Register] = Field(default={}, description="Registers of parcels.")
    regions: dict[Name, Region] = Field(default={}, description="Where to map.")
    seasons: dict[Name, Season] = Field(default={}, description="When.")
    imagery: dict[Name, Imagery] = Field(default={}, description="Where scenes come from.")
    series: dict[Name, Series] = Field(default={}, description="How composites are made.")
    sets: dict[Name, SampleSet] = Field(default={}, description="How samples are made.")
    experiments: dict[Name, Experiment] = Field(default={}, description="What is learnt, where and from what.")

    @model_validator(mode="after")
    def _references(self) -> Self:
        for key, value, allowed in self._named():
            if value not in allowed:
                raise ValueError(f"{key} is {value!r}; expected one of: {listing(allowed) or 'none is declared'}")
        self._check_legends()
        for name, simulation in self.simulations.items():
            starts = [self.seasons[season].start for season in simulation.seasons]
            if any(later <= earlier for earlier, later in pairwise(starts)):
                raise ValueError(
                    f"simulations.{name}.seasons is {list(simulation.seasons)}; expected each season once, in order "
                    f"of time"
                )
        for name in self.experiments:
            self._check_experiment(name, self.experiments[name])
            check_sensor_dropout(name, self.experiments[name], self.sets)
            check_transfer(name, self.experiments, self.sets)
        return self

    def _named(self) -> Iterable[tuple[str, str, Collection[str]]]:
        """Every place where one entry names another: key, value, allowed values."""
        for index, wanted in enumerate(self.run):
            yield f"run[{index}]", wanted, self.experiments
        for name, simulation in self.simulations.items():
            for season in simulation.seasons:
                yield f"simulations.{name}.seasons", season, self.seasons
        for name, register in self.registers.items():
            if register.simulation is not None:
                yield f"registers.{name}.simulation", register.simulation, self.simulations
            for season in register.files:
                yield f"registers.{name}.files", season, self.seasons
        for name, imagery in self.imagery.items():
            if imagery.simulation is not None:
                yield f"imagery.{name}.simulation", imagery.simulation, self.simulations
        for name, region in self.regions.items():
            yield f"regions.{name}.imagery", region.imagery, self.imagery
            if region.register_ is not None:
                yield f"regions.{name}.register", region.register_, self.registers
                if isinstance(region.choose, Clusters):
                    yield f"regions.{name}.choose.season", region.choose.season, self.labelled_seasons(region.register_)
        for name, sample_set in self.sets.items():
            yield f"sets.{name}.series", sample_set.series, self.series
        for name, experiment in self.experiments.items():
            yield f"experiments.{name}.set", experiment.set_, self.sets
            for role, places in (("train", experiment.train), ("map", experiment.map)):
                for place in places:
                    yield f"experiments.{name}.{role}.region", place.region, self.regions
                    yield f"experiments.{name}.{role}.season", place.season, self.seasons
            for other in experiment.compare:
                yield f"experiments.{name}.compare", other, self.experiments
            if experiment.transfer is not None:
                yield f"experiments.{name}.transfer.experiment", experiment.transfer.experiment, self.experiments

    def _check_legends(self) -> None:
        """Check that legends and tables exist by name, and that no two legends share the name of their results."""
        keys: dict[str, str] = {name: name for name in legend_names()}
        for name, sample_set in self.sets.items():
            legend = sample_set.legend
            if not own_file(legend) and legend not in legend_names():
                raise ValueError(
                    f"sets.{name}.legend is {legend!r}; expected one of: {listing(legend_names())}, or the path of a "
                    f".csv file"
                )
            if keys.setdefault(legend_key(legend), legend) != legend:
                raise ValueError(
                    f"sets.{name}.legend is {legend!r}; results are named after the file, and {legend_key(legend)!r} "
                    f"is the legend {keys[legend_key(legend)]!r}; expected a file of another name"
                )
        tables = sorted({table for legend in legend_names() for table in table_names(legend)})
        beside = any(own_file(sample_set.legend) for sample_set in self.sets.values())
        for name, register in self.registers.items():
            if not beside and not own_file(register.table) and register.table not in tables:
                raise ValueError(
                    f"registers.{name}.table is {public(register.table)!r}; expected one of: {listing(tables)}, or the "
                    f"path of a .csv file"
                )

    def _check_experiment(self, name: str, experiment: Experiment) -> None:
        for place in experiment.train:
            region = self.regions[place.region]
            if region.register_ is None:
                raise ValueError(
                    f"experiments.{name}.train names the region {place.region!r}, which has no register; "
                    f"give it one, or only map it"
                )
            if isinstance(region.choose, Clusters) and self.sets[experiment.set_].outside == "background":
                raise ValueError(
                    f"sets.{experiment.set_}.outside is 'background', and regions.{place.region} is chosen by "
                    f"clusters, whose sites may hold ground of parcels that belong to another; expected 'unknown'"
                )
            known = self.labelled_seasons(region.register_)
            if place.season not in known:
                raise ValueError(
                    f"experiments.{name}.train.season is {place.season!r}; "
                    f"register {region.register_!r} has: {listing(known)}"
                )
        for place in experiment.map:
            if kind_of(experiment.model) in ("pixel_sets", "chips") and not self.has_parcels(place):
                raise ValueError(
                    f"experiments.{name}.map is {place.region!r} in {place.season!r}, where no register has parcels; "
                    f"its model {experiment.model.name!r} gives each parcel one crop; expected a region and season of "
                    f"a register, or a model of patches or pixels"
                )
        series = self.sets[experiment.set_].series
        check_dates(name, experiment, self.sets[experiment.set_], self.series[series])
        check_model(name, experiment, self.sets[experiment.set_])
        check_history(experiment, self.sets[experiment.set_], self.regions, self.registers)
        for place in (*experiment.train, *experiment.map):
            imagery = self.regions[place.region].imagery
            refused = refused_option(series, self.series[series], imagery, self.imagery[imagery])
            if refused:
                raise ValueError(refused)
        for role, places in (("train", experiment.train), ("map", experiment.map)):
            for place in places:
                self._check_place(f"experiments.{name}.{role}", place, self.sets[experiment.set_].legend)
                self._check_bands(self.sets[experiment.set_], self.regions[place.region].imagery)
                self._check_sensors(experiment.set_, place.region)
                self._check_axis(experiment.set_, place)
        for other in experiment.compare:
            if other == name:
                raise ValueError(f"experiments.{name}.compare is {other!r}, the experiment itself; expected others")
            theirs = self.experiments[other]
            if theirs.train != experiment.train or self.sets[theirs.set_].legend != self.sets[experiment.set_].legend:
                raise ValueError(
                    f"experiments.{name}.compare is {other!r}, which trains elsewhere or has another legend; "
                    f"expected an experiment with the same train and the same legend"
                )

    def has_parcels(self, place: Place) -> bool:
        """Whether a register covers a place."""
        register = self.regions[place.region].register_
        return register is not None and place.season in self.labelled_seasons(register)

    def _check_place(self, key: str, place: Place, legend: str) -> None:
        """Check that a place is seen by its imagery and that its register's table belongs to the legend."""
        region = self.regions[place.region]
        simulation = self.imagery[region.imagery].simulation
        if simulation is not None and place.season not in self.simulations[simulation].imagery_seasons:
            raise ValueError(
                f"{key}.season is {place.season!r}; simulations.{simulation}.imagery_seasons has: "
                f"{listing(self.simulations[simulation].imagery_seasons)}"
            )
        if region.register_ is None or not self.has_parcels(place):
            return
        register = self.registers[region.register_]
        if own_table_path(legend, register.table) is None and register.table not in table_names(legend):
            raise ValueError(
                f"registers.{region.register_}.table is {register.table!r}; legend {legend!r} has: "
                f"{listing(table_names(legend)) or 'none'}, or give the path of a .csv file"
            )

    def _check_bands(self, sample_set: SampleSet, imagery: str) -> None:
        """Check that the imagery of a place has what the options of a series of Sentinel-2 need."""
        if "sentinel2" not in sample_set.sensors:
            return
        key, series, found = f"series.{sample_set.series}", self.series[sample_set.series], self.imagery[imagery]
        for option, bands in series.needed_bands().items():
            if missing := [band for band in bands if band not in found.bands]:
                raise ValueError(
                    f"{key}.{option} needs {listing(bands)}; imagery.{imagery}.bands has {listing(found.bands)}; "
                    f"expected {listing(missing)} among them, or a series without it"
                )
        if series.mask.cloud_score is not None and not found.cloud_score:
            raise ValueError(
                f"{key}.mask.cloud_score is {series.mask.cloud_score}; expected imagery.{imagery}.cloud_score: true, "
                "with source earth_engine, or none in the series"
            )

    def _check_axis(self, set_name: str, place: Place) -> None:
        """Check that a place has the windows before harvest that a series asks for."""
        name = self.sets[set_name].series
        series = self.series[name]
        if series.window is None:
            return
        register = self.regions[place.region].register_
        if register is None or self.registers[register].calendar is None:
            raise ValueError(
                f"series.{name}.window needs a crop calendar; regions.{place.region}.register is {register!r}; "
                f"expected a register with one"
            )
        if place.season not in self.labelled_seasons(register):
            raise ValueError(
                f"series.{name}.window needs the provinces of the parcels in season {place.season!r}; register "
                f"{register!r} has: {listing(self.labelled_seasons(register))}"
            )

    def _check_sensors(self, set_name: str, region: str) -> None:
        """Check that the imagery of a place brings every sensor of the set."""
        imagery = self.regions[region].imagery
        offered = self.imagery[imagery].sensors
        missing = [sensor for sensor in self.sets[set_name].sensors if sensor not in offered]
        if missing:
            raise ValueError(
                f"sets.{set_name}.sensors names {listing(missing)}; imagery.{imagery}.sensors of the region {region!r} "
                f"has: {listing(offered)}"
            )

    def labelled_seasons(self, register: str) -> tuple[str, ...]:
        """Seasons that a register covers."""
        found = self.registers[register]
        return tuple(self.simulations[found.simulation].seasons if found.simulation else found.files)


def missing_paths(config: Config, folder: Path) -> list[str]:
    """Local files that the experiments in ``run`` need and that do not exist.

    Args:
        config: The checked config.
        folder: What relative paths are relative to.

    Returns:
        One ``key: path`` per missing file, in the order of the config.
    """
    places = {
        (place.region, place.season, config.experiments[name].set_)
        for name in with_sources(config.run, config.experiments)
        for place in (*config.experiments[name].train, *config.experiments[name].map)
    }
    found: dict[str, str] = {}
    for region, season, set_name in sorted(places):
        found |= {f"regions.{region}.{key}": file for key, file in config.regions[region].local_files().items()}
        legend = config.sets[set_name].legend
        if own_file(legend):
            found[f"sets.{set_name}.legend"] = legend
        imagery = config.regions[region].imagery
        path = config.imagery[imagery].path
        if path is not None:
            found[f"imagery.{imagery}.path"] = path
        register = config.regions[region].register_
        if register is None or season not in config.labelled_seasons(register):
            continue
        if season in config.registers[register].files:
            path = config.registers[register].files[season].path
            if path is not None:
                found[f"registers.{register}.files.{season}.path"] = path
        for name in ("national", "provinces", "calendar"):
            section = getattr(config.registers[register], name)
            if section is not None:
                found[f"registers.{register}.{name}.path"] = section.path
        table = config.registers[register].table
        path = own_table_path(legend, table)
        if path is not None:
            found[f"registers.{register}.table" if own_file(table) else f"sets.{set_name}.legend's table"] = path
    return [f"{key}: {public(path)}" for key, path in found.items() if not (folder / path).exists()]


def parse(model: type[AnySection], content: Any, where: str = "") -> AnySection:
    """Parse values into a section.

    Raises:
        CropflowError: One line that names the key, the value and what is allowed.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise CropflowError(one_line(error, where, content, model)) from None


def parse_json(model: type[AnySection], text: str, where: str = "--settings") -> AnySection:
    """Parse the JSON text of an option into a section.

    Raises:
        CropflowError: If the text is no JSON or not the section.
    """
    return parse(model, json_of(text, where), where)
