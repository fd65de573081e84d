"""The papers that come with the package, one file each, in ``published/``."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from pancascade.errors import DataError
from pancascade.files.documents import first_fault, reason
from pancascade.files.yaml_documents import read_yaml
from pancascade.reproduction.published_tables import Paper, Table


def published_folder() -> Path:
    """Return the folder of the papers that come with the package."""
    return Path(str(files("pancascade.reproduction"))) / "published"


def published_papers() -> Mapping[str, Path]:
    """Return the papers' files by short name."""
    return {path.stem: path for path in sorted(published_folder().glob("*.yaml"))}


def read_published(name: str) -> Paper:
    """Read a paper by its short name, or from a YAML file of the same form.

    Raises:
        DataError: There is no such paper, or the file does not hold a paper's tables.
    """
    known = published_papers()
    path = known.get(name, Path(name))
    if path.suffix not in (".yaml", ".yml"):
        raise DataError(f"{name}: no such paper; known are {', '.join(known)}, or give a .yaml file.")
    try:
        return Paper.model_validate(read_yaml(path))
    except ValidationError as error:
        raise DataError(f"{path.name}: not a paper's tables ({first_fault(error)}).") from error
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path.name}: not a readable file of tables ({reason(error)}).") from error


def find_table(paper: Paper, number: str) -> Table:
    """Return a table of a paper.

    Raises:
        DataError: The paper has no table of that number.
    """
    if number not in paper.tables:
        raise DataError(f"{paper.paper}: has no table {number}; known are {', '.join(paper.tables)}.")
    return paper.tables[number]
