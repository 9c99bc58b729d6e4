"""cropflow names its own version where it is not installed, only on the path."""

from __future__ import annotations

import json
import subprocess
import sys

import cropflow

HIDDEN = """
import json
from importlib import metadata

found = metadata.version

def version(name):
    if name == "cropflow":
        raise metadata.PackageNotFoundError(name)
    return found(name)

metadata.version = version

from cropflow.files.manifest import _versions
from cropflow.models.checkpoints import versions

print(json.dumps([versions(), _versions()]))
"""


def test_versions_need_no_installed_cropflow_and_do_not_depend_on_it() -> None:
    from cropflow.files.manifest import _versions
    from cropflow.models.checkpoints import versions

    result = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == [versions(), _versions()]
    assert versions()["cropflow"] == _versions()["cropflow"] == cropflow.__version__
