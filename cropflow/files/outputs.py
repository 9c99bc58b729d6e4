"""What a command may replace: results of its own, and nothing else."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from cropflow.errors import CropflowError, listing
from cropflow.files.manifest import is_foreign, manifest_path


def refuse_foreign(output: Path, *sources: Path, folder: bool = True, own: Collection[str] = ()) -> None:
    """Refuse an output whose writing would delete what is not ours; to be asked before anything is read.

    An existing result with its manifest beside it may be replaced, and so may an empty folder.

    Args:
        output: The file or folder that will be written, or replaced where it exists.
        sources: Files and folders that are read.
        folder: Whether the output is a folder.
        own: Names of the files of such a result. A folder of no others is one whose job was killed just before its
            manifest was written.

    Raises:
        CropflowError: If the output is, holds or lies inside a source, is a file instead of a folder or the other way
            round, or exists and is no result.
    """
    final = output.resolve()
    for source in sources:
        place = source.resolve()
        if final == place or final in place.parents or place in final.parents:
            how = "is" if final == place else "holds" if final in place.parents else "lies inside"
            raise CropflowError(f"--output {output} {how} {source}, which is read; expected a place apart from it.")
    if not output.exists():
        return
    if output.is_dir() != folder:
        wanted, found = ("folder", "file") if folder else ("file", "folder")
        raise CropflowError(f"--output {output} is a {found} that exists; expected a {wanted}. Give another name.")
    if manifest_path(output).is_file():
        return
    if not folder:
        raise CropflowError(
            f"--output {output} exists and is no result (it has no {manifest_path(output).name} beside it); expected "
            "a new name, or a result to replace. Move it away, or give another name."
        )
    held = sorted(entry.name for entry in output.iterdir() if not is_foreign(entry))
    if set(held) - set(own):
        raise CropflowError(
            f"--output {output} holds {listing(held, 3)} and is no result (it has no {manifest_path(output).name} "
            "beside it); expected a new or empty folder, or a result to replace. Move it away, or give another name."
        )
