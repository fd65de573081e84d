"""``pancascade view``: show one result in the browser."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pancascade.imaging.volume import Volume
    from pancascade.services.viewer import Pictures


def view(
    result: Annotated[Path, typer.Argument(help="Folder of a result.", metavar="RESULT")],
    scan: Annotated[Path | None, typer.Option(help="Path of the scan, if it was moved after the segmentation.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write one HTML file that holds everything, instead of serving the page.")
    ] = None,
    author: Annotated[str, typer.Option(help="Your name or initials, for corrections.")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the loopback address; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Show a result in the browser: CT, mask, probabilities, lesions; correct the mask by hand.

    The page works offline. A corrected mask is saved beside the result; the result's own mask is not changed.
    """
    from pancascade.cli.out_folder import require_other_files
    from pancascade.results.result_files import folder_of_result
    from pancascade.services.viewer import Pictures, viewer_document, write_single_page

    folder = folder_of_result(result)
    if out is not None:
        require_other_files({"--out": out}, read=[folder, *folder.glob("*")])
    volume = _scan(folder, scan)
    pictures = Pictures(folder, volume)
    document = viewer_document(folder, scan=volume is not None, corrections=out is None, author=author)
    pictures.content(document["files"]["mask"])  # an early error if there is no mask
    if volume is None:
        typer.echo("The scan was not found, so only the mask is shown. Give the scan's path with --scan.", err=True)
    if out is not None:
        write_single_page(out, document, pictures)
        typer.echo(f"Written: {out}")
        return
    _serve(folder, document, pictures, port=port, browser=browser)


def _scan(folder: Path, scan: Path | None) -> "Volume | None":
    """Return the segmented scan; None if it was moved and no path was given."""
    from pancascade.errors import ScanError
    from pancascade.results.result import read_result
    from pancascade.segmentation.thresholding import find_scan

    read = read_result(folder)
    try:
        return find_scan(read, folder.absolute(), scan=scan)
    except ScanError:
        if scan is not None:
            raise
        return None


def _serve(folder: Path, document: "dict[str, Any]", pictures: "Pictures", *, port: int, browser: bool) -> None:
    import webbrowser
    from datetime import UTC, datetime

    from pancascade.errors import OutputError
    from pancascade.results.corrections import save_correction
    from pancascade.services.viewer.serving import Shown, ViewerServer

    def save(content: bytes, author: str) -> str:
        return save_correction(folder, content, author=author, now=datetime.now(UTC)).name

    try:
        server = ViewerServer(Shown(document, pictures, save), port=port)
    except OSError as error:
        raise OutputError(f"--port {port}: is in use or not allowed. Choose another, or 0 for a free one.") from error
    with server:
        typer.echo(f"{server.address}\nCtrl-C ends it.")
        if browser:
            webbrowser.open(server.address)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    typer.echo("Ended.")
