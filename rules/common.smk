import fcntl
import hashlib
import json
import os
import shlex
import subprocess
import sys
from datetime import date
from pathlib import Path

# Not workflow.basedir: inside a module that is the importing workflow's folder.
checkout = Path(str(workflow.current_basedir)).parent
# A job ends with the run that started it, so that a killed run leaves no writer behind.
watch = f"export CROPFLOW_RUN_PID={os.getpid()}; "
if (checkout / "cropflow" / "__main__.py").is_file():
    shell.prefix(f"{watch}export PYTHONPATH={shlex.quote(str(checkout))}; ")
else:
    shell.prefix(watch)


def refuse(message):
    """Say in one line what the user can mend, and end with exit code 2."""
    print(f"Error: {message}", file=sys.stderr)
    sys.stderr.flush()
    os._exit(2)


def check_names(content, where=""):
    """Refuse names that YAML reads as numbers or truth values: beside the quoted name they would be lost."""
    if isinstance(content, dict):
        for key, value in content.items():
            if not isinstance(key, str):
                refuse(
                    f"{where or 'config'} has the key {key!r}; expected text. Write it in quotes."
                )
            check_names(value, f"{where}.{key}" if where else key)


def checked(content):
    """Check the config in one place; a mistake is one line and exit code 2.

    Gives the config with its defaults filled in, and the samples that the model of each experiment learns from.
    """
    if Path("results").exists() and not Path("results").is_dir():
        refuse("results is a file; expected the folder of results, or none. Give it another name.")
    check_names(content)
    environment = dict(os.environ)
    if (checkout / "cropflow" / "__main__.py").is_file():
        environment["PYTHONPATH"] = str(checkout)
    answer = subprocess.run(
        [sys.executable, "-m", "cropflow", "config", "show", "--samples", "-"],
        input=json.dumps(content, default=str),
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
    )
    if answer.returncode != 0:
        sys.exit(2)
    content = json.loads(answer.stdout)
    samples = content.pop("samples")
    return content, samples


def hold_results():
    """Let one run at a time write; the lock dies with its process, so a killed run never stands in the way."""
    work = Path("results/.work")
    try:
        work.mkdir(parents=True, exist_ok=True)
        handle = open(work / "lock", "a+")
    except OSError as error:
        refuse(
            f"results/ cannot be written ({error.strerror}); expected a folder that you may write to."
        )
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        refuse(
            f"results/ is being written by the run with process id {handle.read().strip()}; expected no other run. "
            "Wait for it, or copy config.yaml into another folder and run there with --directory."
        )
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    globals()["held"] = handle  # closed, and so released, with the process


def constraints():
    """Wildcards are the names of the config's entries, so that a wrong name fails at once."""
    kinds = {
        "simulation": "simulations",
        "register": "registers",
        "region": "regions",
        "season": "seasons",
        "series": "series",
        "set": "sets",
        "experiment": "experiments",
    }
    names = {key: "|".join(map(str, config[kind])) or "none" for key, kind in kinds.items()}
    names["sensor"] = "sentinel2|sentinel1_ascending|sentinel1_descending"
    return {
        **names,
        "earlier": names["season"],
        "fold": r"\d+",
        "trial": r"\d+",
        "legend": r"[A-Za-z0-9_-]+",
    }


def room_code(*rooms):
    """Hash the modules and tables of a rule's rooms, which Snakemake does not watch.

    A room is named with the rooms that it imports: `tests/unit/test_rules.py` holds the two together.
    """
    ground = ["files", "compiling.py", "regions/grid.py"]
    digest = hashlib.sha256()
    for room in [*rooms, *ground]:
        place = checkout / "cropflow" / room
        files = (
            [place]
            if place.is_file()
            else [*place.rglob("*.py"), *place.rglob("*.csv"), *place.rglob("*.j2")]
        )
        for file in sorted(files):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def as_json(content):
    return json.dumps(content, sort_keys=True)


def entry(kind):
    """Hand a rule its own entry of the config, so that only its own changes rerun it."""
    return lambda wildcards: as_json(config[kind][wildcards[kind_wildcard[kind]]])


kind_wildcard = {"series": "series", "sets": "set", "regions": "region", "seasons": "season"}


def simulated_or(path, simulation, folder):
    """A path of the config, or the folder of the simulation that stands in for it."""
    return f"<results>/simulation/{simulation}/{folder}" if simulation else path
