"""What was imported is what models read and learn from."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from cropflow.models.command import app
from cropflow.models.data.reading import read_samples
from cropflow.models.data.samples import Split
from cropflow.models.data.survey import survey

FOLDS = {"count": 3}
IMPORTS = {
    "deep_crop_rotation": ("rotation", "pixel_sets", {"year": 2019, "lags": 2, "folds": {**FOLDS, "unit": "sample"}}),
    "pse_tsa": ("districts", "pixel_sets", {"start": "2018-10-01", "folds": FOLDS}),
    "temporal_unet_hdf5": ("zones", "patches", {"folds": FOLDS}),
    "siamese_geotiff": ("siamese", "patches", {"start": "2018-05-01", "folds": FOLDS}),
    "canadian_hdf5": ("canadian", "chips", {"folds": FOLDS}),
    "pastis": ("pastis", "patches", {}),
}


@pytest.mark.parametrize("layout", IMPORTS)
def test_models_read_what_was_imported(samples, request, layout):
    fixture, kind, settings = IMPORTS[layout]
    found = samples(layout, request.getfixturevalue(fixture), **settings)
    read = read_samples(kind, ["there/then"], [found.folder])
    assert len(read) == found.summary["kept"]
    known = survey(read, Split(0, 5 if layout == "pastis" else 3, False))
    assert {str(crop) for crop in known.classes} <= set(found.summary["crops"])
    assert all(mean > 0 for of_sensor in known.statistics[:1] for mean in of_sensor.mean)


def test_a_network_trains_on_imported_parcels(samples, districts, tmp_path):
    found = samples("pse_tsa", districts, start="2018-10-01", folds=FOLDS)
    model = {
        "name": "pse_tsa", "fusion": "early", "parcel_features": False, "pixel_widths": [4], "date_width": 4,
        "decoder_widths": [4], "epochs": 1, "batch_size": 2,
    }  # fmt: skip
    arguments = {
        "place": "there/then", "samples": found.folder, "settings": json.dumps(model), "legend": "rpg_groups_finistere",
        "folds": 3, "fold": 0, "work": tmp_path / "work", "output": tmp_path / "model",
    }  # fmt: skip
    options = [part for name, value in arguments.items() for part in (f"--{name}", str(value))]
    done = CliRunner().invoke(app, ["train", *options], catch_exceptions=False)
    assert done.exit_code == 0
    told = json.loads((tmp_path / "model" / "model.json").read_text())
    assert told["classes"] == [1, 12]
