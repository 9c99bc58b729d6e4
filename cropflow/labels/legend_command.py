"""``cropflow labels legend``: show and check legends and their tables."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show and check legends and their tables.")

LEGEND = typer.Argument("turkoglu", help="Name of a legend, or path of its CSV file.")


@app.command()
def show(
    legend: str = LEGEND,
    table: str = typer.Option("", "--table", help="Show this table's codes (name, or path of a CSV file) instead."),
) -> None:
    """Write a legend to stdout, tab-separated: id, level, name, parent's name, colour; or a table: code, id, crop."""
    from cropflow.labels.legend import OUT_OF_SCOPE_MARK, read_legend, read_table

    crops = read_legend(legend)
    if table:
        typer.echo("code\tid\tcrop")
        for code, id in read_table(legend, table).items():
            typer.echo(f"{code}\t{id}\t{crops.name(id) if id else OUT_OF_SCOPE_MARK}")
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

    crops = read_legend(legend)
    check_legend(crops)
    counts = ", ".join(f"{len(crops.ids_at(level))} of level {level}" for level in range(1, crops.levels + 1))
    typer.echo(f"{crops.key}: {counts}")
    for name in (*table_names(legend), *table):
        ids = list(read_table(legend, name).values())
        mapped = [id for id in ids if id]
        typer.echo(
            f"{crops.key}, {name}: {len(ids)} codes, {len(mapped)} of them mapped to {len(set(mapped))} of "
            f"{len(crops.ids)} crops, {len(ids) - len(mapped)} out of scope"
        )
