"""``cropflow labels legend``: show, check and compare legends and their tables."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show, check and compare legends and their tables.")

LEGEND = typer.Argument("cropflow", help="Name of a legend, or path of its CSV file.")


@app.command()
def show(
    legend: str = LEGEND,
    table: str = typer.Option("", "--table", help="Show this table's codes (name, or path of a CSV file) instead."),
) -> None:
    """Write a legend to stdout, tab-separated: id, level, name, parent's name, colour; or a table: code, id, crop."""
    from cropflow.labels.legend import read_legend, read_table
    from cropflow.labels.tables import crop_or_mark

    crops = read_legend(legend)
    if table:
        typer.echo("code\tid\tcrop")
        for code, id in read_table(legend, table).items():
            typer.echo(f"{code}\t{id}\t{crop_or_mark(crops, id)}")
        return
    typer.echo("id\tlevel\tname\tparent\tcolour")
    for crop in crops.crops:
        parent = "" if crop.parent is None else crops.name(crop.parent)
        red, green, blue = crop.colour
        typer.echo(f"{crop.id}\t{crop.level}\t{crop.name}\t{parent}\t#{red:02x}{green:02x}{blue:02x}")


@app.command()
def check(
    legend: str = LEGEND,
    table: list[str] = typer.Option(
        [], "--table", help="Check this table too (path of a CSV file); the legend's own are always checked."
    ),
) -> None:
    """Check that a legend is a tree, that its ids are those given out, and that its tables map to it; count codes."""
    from cropflow.labels.legend import check_legend, read_legend, read_table, table_names
    from cropflow.labels.tables import OUT_OF_SCOPE, UNKNOWN

    crops = read_legend(legend)
    check_legend(crops)
    counts = ", ".join(f"{len(crops.ids_at(level))} of level {level}" for level in range(1, crops.levels + 1))
    typer.echo(f"{crops.key}: {counts}")
    for name in (*table_names(legend), *table):
        ids = list(read_table(legend, name).values())
        mapped = [id for id in ids if id not in (OUT_OF_SCOPE, UNKNOWN)]
        typer.echo(
            f"{crops.key}, {name}: {len(ids)} codes, {len(mapped)} of them mapped to {len(set(mapped))} of "
            f"{len(crops.ids)} crops, {ids.count(OUT_OF_SCOPE)} out of scope, {ids.count(UNKNOWN)} ignored"
        )


@app.command()
def diff(
    first: str = typer.Argument(..., help="Name of a legend, or path of its CSV file."),
    second: str = typer.Argument(..., help="The legend, or the version of it, to compare with."),
    table: list[str] = typer.Option(
        [],
        "--table",
        help="Compare this table of both (name, or path of a CSV file); given twice: the first's, and the second's. "
        "Default: every table that both have.",
    ),
) -> None:
    """Write what differs between two legends and their tables as lines of columns.

    Classes: added, removed, renumbered (another id), renamed (same id), moved (another parent), recoloured. Codes:
    added, removed, or mapped to another crop. Exit code 0: nothing differs; 1: something does; 2: an error.
    """
    from cropflow.labels.comparison import as_lines, compare_codes, compare_legends, pairs_of_tables
    from cropflow.labels.legend import read_legend, read_table

    one, other = read_legend(first), read_legend(second)
    found = compare_legends(one, other)
    for left, right in pairs_of_tables(first, second, table):
        codes = compare_codes(one, read_table(first, left), other, read_table(second, right))
        found += [found_one.within(left if left == right else f"{left} and {right}") for found_one in codes]
    for line in as_lines(found):
        typer.echo(line)
    if found:
        raise typer.Exit(1)
