"""The ``cropflow`` command: one sub-command per room, imported only when it is called."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import sys
import threading
import time
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from cropflow.errors import EXIT_CODE, CropflowError

# Sub-command -> module whose ``app`` it is, in the order of the rooms.
ROOMS = {
    "config": ("cropflow.config.command", "Check, show and describe the configuration."),
    "simulate": ("cropflow.simulation.command", "Make a landscape with known truth, its register and its archive."),
    "simulate-register": ("cropflow.simulation.national_command", "Write a simulated register of a whole country."),
    "labels": ("cropflow.labels.command", "Download, clean and map a register of parcels."),
    "regions": ("cropflow.regions.command", "Lay out sites and clip parcels to them."),
    "imagery": ("cropflow.imagery.command", "Find scenes and write them to the site grids."),
    "composites": ("cropflow.composites.command", "Turn scenes into an evenly spaced series, or keep their dates."),
    "samples": ("cropflow.samples.command", "Cut folds, patches, pixel sets and chips; import and export layouts."),
    "models": ("cropflow.models.command", "Train, tune, apply and export models; list and show them."),
    "evaluation": ("cropflow.evaluation.command", "Score predictions from confusion matrices."),
    "maps": ("cropflow.maps.command", "Map whole sites and their parcels."),
    "report": ("cropflow.report.command", "Write the report of an experiment."),
    "verify": ("cropflow.files.command", "Re-hash every result and name what does not match its manifest."),
}


# What the system says about a disk that the user can mend; any other OSError is a bug.
DISK = {
    errno.ENOSPC: "Free some space, or run in a folder on a larger disk.",
    errno.EDQUOT: "Free some of your quota, or run in another folder.",
    errno.EROFS: "Run in a folder that you may write to.",
    errno.EACCES: "Change its permissions, or run in a folder that is yours.",
}


class LazyGroup(TyperGroup):
    """Lists all rooms but imports only the one that is called: ``--help`` stays fast."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(ROOMS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in ROOMS:
            return None
        module, help_text = ROOMS[cmd_name]
        if ctx.resilient_parsing or "--help" in sys.argv[1:2] or len(sys.argv) < 2:
            return TyperCommand(cmd_name, help=help_text, short_help=help_text)
        return typer.main.get_command(importlib.import_module(module).app)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="From a register of parcels and the Sentinel archives to an evaluated crop map.",
)


@app.callback()
def _root(
    quiet: bool = typer.Option(False, "--quiet", help="Only warnings and errors."),
) -> None:
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
        force=True,
    )


def _end_with(run: int) -> None:
    """End this process soon after the run that started it: a killed run leaves no writer behind."""

    def watch() -> None:
        while True:
            time.sleep(1.0)
            try:
                os.kill(run, 0)
            except ProcessLookupError:
                os._exit(1)
            except PermissionError:
                return

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Run the command; what the user can mend is one line and exit code 2."""
    run = os.environ.get("CROPFLOW_RUN_PID", "")
    if run.isdigit():
        _end_with(int(run))
    try:
        code = typer.main.get_command(app).main(standalone_mode=False, prog_name="cropflow")
    except CropflowError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE)
    except OSError as error:
        if error.errno not in DISK:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(f"Error: {place}{error.strerror}. {DISK[error.errno]}", file=sys.stderr)
        sys.exit(EXIT_CODE)
    except typer.Abort:
        sys.exit(130)
    except typer.TyperException as error:
        if str(error).startswith("Usage:"):  # called without arguments: the help is the answer
            print(error, file=sys.stderr)
            sys.exit(EXIT_CODE)
        told = " ".join(error.format_message().split()).rstrip(".")
        print(f"Error: {told}{'' if told.endswith('?') else '.'} See --help.", file=sys.stderr)
        sys.exit(EXIT_CODE)
    sys.exit(code if isinstance(code, int) else 0)
