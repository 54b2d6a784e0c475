"""`ventes lake`: the place where the tables are."""

from __future__ import annotations

from typing import Annotated

import typer

lake = typer.Typer(help="Move the tables to another place.", no_args_is_help=True, rich_markup_mode=None)


@lake.callback()
def _group() -> None:
    """Move the tables to another place."""


@lake.command()
def copy(
    to: Annotated[str, typer.Argument(metavar="TO", help="A folder, or s3://bucket/prefix (gs://, az://).")],
) -> None:
    """Copy all tables to another folder or object store, and compare the two.

    The pipeline must be stopped. An interrupted copy continues with the next call. Afterwards set paths.lake to TO; the
    old lake stays as it is.
    """
    from ventes import config
    from ventes.operations import lake_copy
    from ventes.runtime.counts import counted

    settings = config.load()
    done = lake_copy.copy(settings, to, print)
    rows = sum(done.rows.values())
    print(
        f"copied {counted(done.files, 'file')}, {done.size / 1e6:,.1f} MB; {done.there:,} were there already. "
        f"{counted(len(done.rows), 'table')} with {rows:,} rows compared: equal"
    )
    print(f'now set paths.lake = "{to}" in {settings.config_file}')
