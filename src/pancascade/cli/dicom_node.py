"""``pancascade dicom-node``: receive studies by C-STORE, and send results back to the PACS."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.cli import segment_options
from pancascade.errors import PacsError

if TYPE_CHECKING:
    from pancascade.services.pacs.node_settings import NodeSettings, TlsFiles


def dicom_node(
    send_to: Annotated[str, typer.Option("--send-to", help="PACS for the results, AE@HOST:PORT.", show_default=False)],
    folder: Annotated[
        Path, typer.Option(help="Folder of the queue; holds studies until their results are sent.", show_default=False)
    ],
    port: Annotated[int, typer.Option(help="TCP port to listen on.")] = 11112,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine's.")] = "127.0.0.1",
    ae_title: Annotated[str, typer.Option("--ae-title", help="AE title of this node.")] = "PANCASCADE",
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", help="Calling AE title to accept; may be given several times. [all]"),
    ] = None,
    quiet_time: Annotated[
        float, typer.Option("--quiet-time", help="Seconds without a new image after which a study is complete.")
    ] = 30,
    patience: Annotated[
        float, typer.Option("--patience", help="Seconds to wait for the rest of a study whose transfer was broken off.")
    ] = 600,
    tls_certificate: Annotated[
        Path | None,
        typer.Option("--tls-certificate", help="PEM certificate of this node; both directions then use TLS."),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="PEM key of the certificate.")] = None,
    tls_ca: Annotated[
        Path | None, typer.Option("--tls-ca", help="PEM certificate of the authority that signed all certificates.")
    ] = None,
    repeat: Annotated[
        bool, typer.Option("--repeat", help="Also segment studies whose images were segmented before.")
    ] = False,
    series: segment_options.SeriesChoice = None,
    model: segment_options.Model = None,
    pancreas_model: segment_options.PancreasModel = None,
    device: segment_options.Device = "cpu",
    backend: Annotated[
        segment_options.Backend, typer.Option("--backend", help="Backend that runs the networks.")
    ] = segment_options.Backend.AUTO,
    max_memory: segment_options.MaxMemory = None,
    keep_doubtful: segment_options.KeepDoubtful = False,
) -> None:
    """Receive CT studies, segment them, and send DICOM-SEG, RTSTRUCT and DICOM SR back; Ctrl-C or SIGTERM ends it.

    Studies and results that were not sent stay in the folder, and the next run continues with them.
    """
    from pancascade.services.pacs.node_settings import DICOM_FORMATS

    settings = _settings(
        send_to=_peer(send_to),
        port=port,
        host=host,
        ae_title=ae_title,
        allowed=tuple(allow or ()),
        quiet_s=quiet_time,
        patience_s=patience,
        tls=_tls(tls_certificate, tls_key, tls_ca),
        repeat=repeat,
        series=series,
        options={
            "model": tuple(model or [segment_options.DEFAULT_MODEL]),
            "pancreas_model": pancreas_model,
            "device": device,
            "backend": backend.value,
            "max_memory_gb": max_memory,
            "keep_doubtful": keep_doubtful,
            "formats": DICOM_FORMATS,
        },
    )
    _serve(settings, folder)


def _serve(settings: "NodeSettings", folder: Path) -> None:
    from pancascade.execution.interrupts import ENDING
    from pancascade.segmentation.batch.case_work import load_batch_models
    from pancascade.services.pacs.node import DicomNode

    logging.getLogger("pancascade.services.pacs").setLevel(logging.INFO)
    node = DicomNode(settings, folder)

    def ready(port: int) -> None:
        said = f"{settings.ae_title} listens on {settings.host}:{port}; results go to {settings.send_to}."
        typer.echo(f"{said} Research use only. Ctrl-C ends it.")

    try:
        load_batch_models(settings.options)
        node.run(ready=ready)
    except KeyboardInterrupt:
        pass
    except SystemExit as ended:
        if ended.code not in [128 + number for number in ENDING]:
            raise
    typer.echo("Ended. The next run continues with the queue.")


def _settings(**choices: object) -> "NodeSettings":
    from pydantic import ValidationError

    from pancascade.files.documents import first_fault
    from pancascade.services.pacs.node_settings import NodeSettings

    try:
        return NodeSettings.model_validate(choices)
    except ValidationError as error:
        raise PacsError(f"{first_fault(error)}. Check the options.") from error


def _peer(text: str) -> object:
    _require_extra()
    from pancascade.services.pacs.node_settings import parse_peer

    return parse_peer(text)


def _tls(certificate: Path | None, key: Path | None, authority: Path | None) -> "TlsFiles | None":
    from pancascade.services.pacs.node_settings import TlsFiles

    if certificate is None and key is None and authority is None:
        return None
    if certificate is None or key is None or authority is None:
        raise PacsError("TLS needs --tls-certificate, --tls-key and --tls-ca. Give all three, or none.")
    return TlsFiles(certificate=certificate, key=key, authority=authority)


def _require_extra() -> None:
    from importlib.util import find_spec

    for library in ("pynetdicom", "highdicom"):
        if find_spec(library) is None:
            raise PacsError(f'A DICOM node needs {library}. Install it with `pip install "pancascade[pacs]"`.')
