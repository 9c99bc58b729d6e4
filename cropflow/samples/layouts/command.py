"""``cropflow samples import`` and ``export``: published layouts to samples of our own, and back."""

from __future__ import annotations

import datetime
import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from cropflow.errors import CropflowError, listing
from cropflow.samples.layouts import EXPORTED, NAMES

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
log = logging.getLogger(__name__)


def _show_conversion(asked: bool) -> None:
    if asked:
        from cropflow.samples.layouts.parcel_files import CONVERSION

        typer.echo(CONVERSION, nl=False)
        raise typer.Exit


@app.command("import")
def import_(
    layout: Annotated[str, typer.Option(help=f"Published layout: {listing(NAMES)}.")],
    source: Annotated[Path, typer.Option(help="Input: folder (or HDF5 file) in that layout.")],
    output: Annotated[Path, typer.Option(help="Output: folder of pixel sets, patches or chips.")],
    settings: Annotated[str, typer.Option(help="Settings of the layout: JSON, or a YAML or JSON file.")] = "{}",
    legend: Annotated[str | None, typer.Option(help="Legend of the samples, by name or CSV file.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="From the layout's labels to crops: table of the legend, or CSV file code,crop.")
    ] = None,
    show_conversion: Annotated[
        bool,
        typer.Option(
            "--show-conversion", callback=_show_conversion, is_eager=True,
            help="Print a program that turns pickled parcels into .npy files, to be run by their owner, and end.",
        ),
    ] = False,
) -> None:  # fmt: skip
    """Read a published layout into samples to train on.

    Input: files as published. Reflectance (judged or scaled by settings.scale) becomes uint16 x 10000, backscatter
    (dB) int16 x 100: rounded to 0.0001 and 0.01 dB. Labels become crops of a legend; folds follow places, never single
    samples unless that is asked for.
    Output: a folder as of samples patches, pixel-sets or chips, with summary.json: samples read, kept, dropped by
    reason. Every sample is read once and held alone.
    """
    from cropflow.config.base import dump
    from cropflow.config.layouts import LAYOUT_SETTINGS
    from cropflow.config.root import parse
    from cropflow.config.shipped import own_file
    from cropflow.files.atomic import atomic_folder
    from cropflow.files.manifest import write_manifest
    from cropflow.files.outputs import refuse_foreign
    from cropflow.samples.layouts import layout_module
    from cropflow.samples.layouts.writing import write_samples

    module = layout_module(layout)
    given = {"legend": legend, "classes": classes}
    content = _read_settings(settings) | {key: value for key, value in given.items() if value is not None}
    chosen = parse(LAYOUT_SETTINGS[layout], content, "--settings")
    if not source.exists():
        raise CropflowError(f"--source {source} is missing; expected data in the layout {layout}.")
    refuse_foreign(output, source)
    opened = module.open_source(source, chosen)
    with atomic_folder(output) as temporary:
        summary = write_samples(opened, temporary, chosen.minimum_dates)
    log.info(
        "kept %d of %d samples (%s), folds by %s: %s", summary["kept"], summary["read"], summary["kind"],
        summary["folds_of"], ", ".join(f"{fold}: {number}" for fold, number in summary["folds"].items()),
    )  # fmt: skip
    for what in ("dropped", "found"):
        for reason, number in summary[what].items():
            log.info("%s %s: %d", what, reason, number)
    own = {"legend": chosen.legend, "classes": chosen.classes, "folds": chosen.folds.table}
    files = {role: Path(name) for role, name in own.items() if name is not None and own_file(name)}
    write_manifest(output, {"source": source, **files}, {"layout": layout} | dump(chosen), summary)


@app.command()
def export(
    layout: Annotated[str, typer.Option(help=f"Published layout that is written: {listing(EXPORTED)}.")],
    samples: Annotated[Path, typer.Option(help="Input: folder of pixel sets, patches or chips.")],
    output: Annotated[Path, typer.Option(help="Output: folder in that layout.")],
    start: Annotated[
        datetime.datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="First day of the season, where the samples do not keep it."),
    ] = None,
) -> None:
    """Write samples in a published layout.

    The original programs read it. Input: samples of the kind that the layout holds. Reflectance is written x 10000, or
    as float32 where the layout takes that, backscatter in dB; both come back to the same numbers.
    Output: the layout's files, a table classes.csv that says what their labels mean, and a table folds.csv with the
    fold of each unit, which settings.folds.table of an import reads; none where a patch lies in several folds.
    """
    from cropflow.files.atomic import atomic_folder
    from cropflow.files.manifest import write_manifest
    from cropflow.files.outputs import refuse_foreign
    from cropflow.samples.layouts import export_module

    module = export_module(layout)
    refuse_foreign(output, samples)
    first = None if start is None else start.date()
    with atomic_folder(output) as temporary:
        counts = module.write(samples, temporary, first)
    log.info("wrote %s", ", ".join(f"{name} {number}" for name, number in counts.items()))
    write_manifest(output, {"samples": samples}, {"layout": layout, "start": first and first.isoformat()}, counts)


def _read_settings(text: str) -> dict[str, Any]:
    import yaml

    if not text.lstrip().startswith("{"):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CropflowError(f"--settings {text!r} is neither JSON nor a file that can be read ({error}).") from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CropflowError(f"--settings is no JSON or YAML: {error}") from None
    if not isinstance(content, dict):
        raise CropflowError(f"--settings is {content!r}; expected keys and values.")
    return content
