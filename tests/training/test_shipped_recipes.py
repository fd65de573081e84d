"""Every shipped recipe takes a step: its networks fit its cascade, its cascade fits its phases."""

import pytest
import torch

from pancascade.labels import Label
from pancascade.methods.cascades import Qiu2024, ThreeViewsSettings, build_cascade
from pancascade.methods.networks import NetworkSettings
from pancascade.training.recipe import read_recipe, recipes_folder

pytestmark = pytest.mark.usefixtures("one_thread")

TAKEN_BY_QIU2024 = ("qiu2024_authors", "qiu2024_nih")
"""Their networks are those of `qiu2024`, which is slow enough once; `test_recipes_on_their_data` takes their steps."""

RECIPES = sorted(path.stem for path in recipes_folder().glob("*.yaml") if path.stem not in TAKEN_BY_QIU2024)


def made_small(cascade):
    """What makes a step quick. Six networks of VGG-16's size are only drawn, not filled."""
    if not isinstance(cascade, ThreeViewsSettings):
        return {"crop_size": (32, 32)} if hasattr(cascade, "crop_size") else {}
    with torch.device("meta"):
        build_cascade(cascade)
    tiny = NetworkSettings(name=cascade.first.name, preset="tiny")
    return {"first": tiny, "second": tiny, "slices_per_volume": 1}


def last_layers(cascade):
    """Parameters at the outputs of the full-size networks of qiu2024, whose gradients cost little; None: all."""
    if not (isinstance(cascade, Qiu2024) and sum(one.numel() for one in cascade.parameters()) > 10_000_000):
        return None
    return [list(network.parameters())[-1] for network in (cascade.first, cascade.second)]


@pytest.mark.parametrize("name", RECIPES)
def test_every_phase_of_a_shipped_recipe_teaches_its_cascade(name):
    recipe = read_recipe(recipes_folder() / f"{name}.yaml")
    torch.manual_seed(0)
    cascade = build_cascade(recipe.cascade.model_copy(update=made_small(recipe.cascade))).train()
    size = (96, 80, 64) if cascade.dimensions == 3 else (32, 32)
    channels = 1 if cascade.dimensions == 3 else recipe.canvas.channels
    images = torch.rand(1 if cascade.dimensions == 3 else 2, channels, *size)
    labels = torch.zeros(len(images), *size, dtype=torch.uint8)
    inside = tuple(slice(side // 4, 3 * side // 4) for side in size)
    labels[(slice(None), *inside)] = Label.PANCREAS
    labels[(slice(None), *(slice(side // 3, side // 2) for side in size))] = Label.TUMOUR
    phases = list(dict.fromkeys(phase.name for phase in recipe.phases))
    for phase in phases:
        cascade.begin_epoch(0, epochs=1, phase=phase)
        steps = 0
        for losses in cascade.losses(images, labels, phase=phase, generator=torch.Generator().manual_seed(0)):
            total = torch.stack(list(losses.values())).sum()
            assert torch.isfinite(total)
            total.backward(inputs=None if phase == phases[-1] else last_layers(cascade))
            steps += 1
        assert steps
        assert any(p.grad is not None and bool(p.grad.any()) for p in cascade.parameters())
        cascade.zero_grad()
