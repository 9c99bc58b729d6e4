"""Sources are opened by the name that the config gives them, and nothing else is imported."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cropflow.config.imagery import Imagery
from cropflow.errors import CropflowError
from cropflow.files.remote import Limits
from cropflow.imagery.local import LocalSource
from cropflow.imagery.opening import asks_service, local_files, open_source

ITEMS = Imagery.model_validate({"source": "items", "path": "x"})
SAFE = Imagery.model_validate({"source": "safe", "path": "x"})


def test_local_sources_know_their_place(tmp_path):
    for settings, kind in ((ITEMS, "items"), (SAFE, "safe")):
        source = open_source(settings, tmp_path, Limits(1, 1))
        assert isinstance(source, LocalSource)
        assert (source.path, source.kind, source.remote, asks_service(settings)) == (tmp_path, kind, False, False)


def test_a_local_source_without_a_place_or_with_a_wrong_one_is_refused(tmp_path):
    with pytest.raises(CropflowError, match="--source is missing; source items reads local files"):
        open_source(ITEMS, None, Limits(1, 1))
    with pytest.raises(CropflowError, match=r"nowhere is missing; .* imagery\.<name>\.path"):
        open_source(ITEMS, tmp_path / "nowhere", Limits(1, 1))


def test_a_service_leaves_no_file_to_hash():
    settings = Imagery.model_validate({"source": "stac", "provider": "earth-search"})
    assert asks_service(settings)
    assert local_files(settings, "sentinel2", None, []) == {}


def test_local_scenes_import_no_client_of_a_service(root):
    script = (
        "import sys, json; from pathlib import Path\n"
        "from cropflow.config.imagery import Imagery\n"
        "from cropflow.files.remote import Limits\n"
        "from cropflow.imagery.opening import open_source\n"
        "open_source(Imagery.model_validate({'source': 'items', 'path': 'x'}), Path('.'), Limits(1, 1))\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) & {"ee", "pystac_client", "planetary_computer", "odc", "httpx"} == set()


def test_a_sensor_that_the_settings_lack_is_named(remote_export):
    export = remote_export(sensors=["sentinel2"])
    export.settings["sensors"] = ["sentinel1_ascending"]
    with pytest.raises(CropflowError, match=r"--sensor is 'sentinel2'; expected one of imagery\.<name>\.sensors: sent"):
        export.run("export")
