"""docs/methods.md says what is there: its snippets work, the code that it names exists."""

import re
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml

import pancascade
from pancascade.inference.models.known_models import find_model
from pancascade.methods.cascades import build_cascade
from pancascade.methods.networks.focusing_net import FocusingNet
from pancascade.training.recipe import Recipe, find_recipe, read_recipe

PAGE = Path(__file__).parents[1] / "docs" / "methods.md"
PACKAGE = Path(pancascade.__file__).parent
RECIPES = {"A": "qiu2024", "B": "lsnet", "C": "dsms_unet", "D": "zhao2019"}


def snippets(kind: str) -> list[tuple[str, str]]:
    """Letter of the section and text of each snippet of a kind."""
    sections = re.split(r"(?m)^## ", PAGE.read_text(encoding="utf-8"))[1:]
    return [
        (section[0], text) for section in sections for text in re.findall(rf"```{kind}\n(.*?)```", section, re.DOTALL)
    ]


def named_code() -> list[tuple[str, str]]:
    """Module and name of everything written as `folder/file.py::name`."""
    return sorted(
        set(re.findall(r"`((?:[a-z_0-9]+/)+[a-z_0-9]+\.py)::([A-Za-z_0-9.]+)`", PAGE.read_text(encoding="utf-8")))
    )


@pytest.mark.parametrize(("paper", "text"), snippets("yaml"))
def test_a_snippet_in_its_papers_recipe_is_a_recipe_whose_networks_run(paper, text, tmp_path):
    part, recipe = yaml.safe_load(text), yaml.safe_load(find_recipe(RECIPES[paper]).read_text(encoding="utf-8"))
    if not set(part) <= set(Recipe.model_fields):
        part = {"cascade": recipe["cascade"] | part}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe | part, allow_unicode=True), encoding="utf-8")
    with torch.device("meta"):
        cascade = build_cascade(read_recipe(path).cascade)
        images = torch.zeros((1, 1, 32, 32, 16) if cascade.dimensions == 3 else (2, 1, 64, 64))
        for name in ("network", "first", "second"):
            network = getattr(cascade, name, None)
            if network is not None and not isinstance(network, FocusingNet):  # its autocast knows no meta device
                network(images)


@pytest.mark.parametrize(("paper", "text"), snippets("json"))
def test_a_model_of_the_page_is_a_model(paper, text, tmp_path):
    path = tmp_path / "model.json"
    path.write_text(text, encoding="utf-8")
    assert [step.rois_from for step in find_model(str(path)).steps] == ["self", "previous_step"]


def test_the_page_has_snippets_for_every_paper():
    assert {paper for paper, _ in snippets("yaml")} == set(RECIPES)
    assert len(named_code()) > 30


@pytest.mark.parametrize(("file", "name"), named_code())
def test_code_that_the_page_names_exists(file, name):
    assert (PACKAGE / file).is_file()
    found = import_module("pancascade." + file.removesuffix(".py").replace("/", "."))
    for part in name.split("."):
        found = getattr(found, part)


def test_sections_that_docstrings_cite_exist():
    headings = {
        heading.split()[0] for heading in re.findall(r"(?m)^#{2,4} (\S+ .*)$", PAGE.read_text(encoding="utf-8"))
    }
    for path in PACKAGE.rglob("*.py"):
        cited = re.findall(r"methods\.md §([A-D]\d?|\d)", path.read_text(encoding="utf-8"))
        assert set(cited) <= headings, path
