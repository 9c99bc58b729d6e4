"""The configuration: pydantic models are the source, everything else is generated or checked from them."""

from cropflow.config.base import Section
from cropflow.config.imagery import Imagery, Series
from cropflow.config.regions import Region
from cropflow.config.registers import Register
from cropflow.config.root import Config
from cropflow.config.sections import Experiment, SampleSet, Season
from cropflow.config.simulation import Simulation

__all__ = [
    "Config",
    "Experiment",
    "Imagery",
    "Region",
    "Register",
    "SampleSet",
    "Season",
    "Section",
    "Series",
    "Simulation",
]
