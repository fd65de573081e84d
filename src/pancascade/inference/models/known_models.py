"""Models by name or path: the shipped ones, checkpoints, model files and folders, networks of other programs."""

from pathlib import Path

from pydantic import ValidationError

from pancascade.errors import UnknownModelError, listed
from pancascade.files.documents import first_fault, read_json, reason
from pancascade.files.given_paths import real_path
from pancascade.inference.external.kinds import kind_of
from pancascade.inference.graphs.graph_files import SUFFIX
from pancascade.inference.models.model import Model, Step
from pancascade.inference.models.model_files import shipped_folder

DEFAULT_MODEL = "qiu2024-small"

EXPORTED = "model.json"
"""Description of a model in its own folder, as written by ``pancascade export --format pancascade``."""


def shipped_models() -> list[Model]:
    """Return the models that come with the package."""
    return [_read(path) for path in sorted(shipped_folder().glob("*.json")) if not path.name.endswith(SUFFIX)]


def is_own(name: str) -> bool:
    """Return whether a name is not that of a shipped model, but a path or a mistake.

    Args:
        name: As for `find_model`.
    """
    if Path(name).suffix in (".safetensors", ".json") and Path(name).is_file():
        return True
    return Path(name).name != name or not (shipped_folder() / f"{name}.json").is_file()


def find_model(name: str) -> Model:
    """Find a shipped model by name, or another by path: checkpoint, model's JSON file or folder, external network.

    Raises:
        UnknownModelError: There is no such model, or its file is damaged.
    """
    path = Path(name)
    if path.suffix == ".safetensors" and path.is_file():
        return Model(name=path.stem, summary="own checkpoint", steps=(Step(weights=path.name),), folder=path.parent)
    if path.suffix == ".json" and path.is_file():
        return _read(path)
    models = {model.name: model for model in shipped_models()}
    if name in models:
        return models[name]
    kind = kind_of(path)
    if kind is not None:
        step = Step(kind=kind, weights=real_path(path).name)
        return Model(name=step.weights, summary="external network", steps=(step,), folder=real_path(path).parent)
    if path.name and path.is_dir():
        if (path / EXPORTED).is_file():
            return _read(path / EXPORTED)
        _refuse_folder(path)
    raise UnknownModelError(
        f"{name}: no such model; shipped: {', '.join(models) or 'none'}; or give the path of a .safetensors file."
    )


def _refuse_folder(folder: Path) -> None:
    """Report which file of a folder, such as a training run's, is the model.

    Raises:
        UnknownModelError: Always.
    """
    if (folder / "best.safetensors").is_file():
        raise UnknownModelError(f"{folder.name}: a folder of a training run. Give its best.safetensors as --model.")
    files = sorted(path.name for path in folder.iterdir() if path.suffix in (".json", ".safetensors"))
    known = f"one of its files, such as {listed(files)}" if files else "a .safetensors or .json file"
    raise UnknownModelError(f"{folder.name}: a folder, no model. Give {known}.")


def _read(path: Path) -> Model:
    try:
        return Model.model_validate({**read_json(path), "folder": path.parent})
    except ValidationError as error:
        raise UnknownModelError(f"{path.name}: not a model description ({first_fault(error)}).") from error
    except (OSError, ValueError, TypeError) as error:
        raise UnknownModelError(f"{path.name}: not a readable model description ({reason(error)}).") from error
