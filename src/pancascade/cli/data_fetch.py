"""``pancascade data fetch``: list, describe and download public data sets."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.errors import DataError, FetchError

if TYPE_CHECKING:
    from rich.console import Console

    from pancascade.data.fetching.sources import Source

DIFFERS = 1
"""Exit code if all was downloaded, but the counts differ from the known ones."""


def fetch(
    name: Annotated[str | None, typer.Argument(help="A data set; without it, all known data sets are listed.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the download; without it, the data set is only described.")
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the data set's licence without being asked.")
    ] = False,
    table: Annotated[
        Path | None, typer.Option(help="YAML table of data sets, for example with addresses of a mirror.")
    ] = None,
) -> None:
    """Describe public data sets and their licences; download them where the source allows it.

    An interrupted download continues when the same command is run again. A published checksum is checked; without one,
    the number of files is checked, and `pancascade data check` checks every scan.
    """
    from rich.console import Console

    from pancascade.data.fetching.sources import find_source, known_sources

    console = Console(markup=False, highlight=False, soft_wrap=True)
    if name is None:
        if out is not None:
            raise DataError("--out needs the name of a data set; without arguments all are listed.")
        _list(known_sources(table), console)
        return
    source = find_source(name, table)
    _describe(source, console)
    if out is not None:
        _accept(source, asked=not accept_licence)
        _download(source, out, console)


def _list(sources: "list[Source]", console: "Console") -> None:
    from rich.table import Column, Table

    table = Table(Column("name", no_wrap=True), "what", "patients", "licence", "download")
    for source in sources:
        how = "unattended" if source.unattended else "by hand"
        table.add_row(source.name, source.title, source.patients, source.licence, how)
    console.print(table, soft_wrap=False)
    console.print("`pancascade data fetch NAME` describes one; with --out DIR it downloads.")


def _describe(source: "Source", console: "Console") -> None:
    lines = {
        source.title: source.what,
        "Patients": source.patients,
        "Size": source.size,
        "Licence": f"{source.licence} ({source.licence_url})",
        "Cite": source.attribution,
        "Page": source.page,
    }
    for title, text in lines.items():
        console.print(f"{title}: {text}")
    if source.collection is not None:
        kinds = " and ".join(source.collection.modalities)
        console.print(
            f"Unattended: {kinds} series of the collection {source.collection.name} by {source.collection.api}; the "
            "archive gives each file's MD5."
        )
    for file in source.files:
        known = f"{file.checksum}, published by {file.checksum_of}" if file.checksum else "no checksum is published"
        console.print(f"Unattended: {file.url} ({known})")
    console.print(f"By hand: {source.by_hand}")


def _accept(source: "Source", *, asked: bool) -> None:
    if not asked:
        return
    if not sys.stdin.isatty():
        raise FetchError(
            f"{source.name}: its licence, {source.licence} ({source.licence_url}), must be accepted. Read it, and pass "
            "--accept-licence."
        )
    if not typer.confirm(f"Do you accept {source.licence}?"):
        raise FetchError(f"{source.name}: nothing was downloaded, because its licence was not accepted.")


def _download(source: "Source", out: Path, console: "Console") -> None:
    from pancascade.cli.progress import shown_progress
    from pancascade.data.fetching.fetch import fetch, missing_of

    with shown_progress(source.name, size=True) as show:

        def reported(what: str, done: int, total: int | None) -> None:
            if what == "series":
                show(0, what=f"{source.name}, series {done + 1} of {total}")
            else:
                show(done, total)

        folder = fetch(source, out, progress=reported)
    console.print(f"Downloaded: {folder} (licence and citation: {folder / 'fetched.json'})")
    differences = missing_of(source, folder)
    for difference in differences:
        console.print(f"Differs: {difference}", style="yellow")
    if source.data_set is not None:
        _recognise(folder / source.data_set, console)
    if differences:
        raise typer.Exit(DIFFERS)


def _recognise(data_set: Path, console: "Console") -> None:
    from pancascade.data.readers import recognise

    layout = recognise(data_set)
    console.print(f"Layout: {layout}. Next: pancascade data check {data_set}")
