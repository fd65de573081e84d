"""Initialisation of stage 2 with the fitting weights of stage 1."""

import torch
from torch import Tensor, nn

from pancascade.errors import RecipeError

HEAD = "head."


def transferable(first: nn.Module, second: nn.Module) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors of stage 1 that fit stage 2, and the names in stage 2 that none fits.

    The names are those of stage 2's backbone if it has one (`FocusingNet`), else of the whole network. Statistics of
    normalisations are included. A head need not fit, because the stages may have different targets.

    Returns:
        Tensors by their name in the backbone; names of those that are missing there or of another shape.
    """
    theirs, places = first.state_dict(), _backbone(second).state_dict()
    fitting = {name: theirs[name] for name in places if name in theirs and theirs[name].shape == places[name].shape}
    return fitting, [name for name in places if name not in fitting and not name.startswith(HEAD)]


def require_transferable(first: nn.Module, second: nn.Module) -> None:
    """Check that the whole backbone of stage 2 can start from stage 1.

    Raises:
        RecipeError: A tensor of the backbone has no counterpart in stage 1.
    """
    _, missing = transferable(first, second)
    if missing:
        raise RecipeError(
            f"cascade.second_start: {len(missing)} tensors of stage 2, the first {missing[0]}, fit none of stage 1. "
            "Give both stages one network and preset, or take random."
        )


@torch.no_grad()
def transfer_weights(first: nn.Module, second: nn.Module) -> int:
    """Copy stage 1's weights and statistics into stage 2's backbone, and return the number of tensors.

    Source: Qiu et al. 2024, §4.5.1, "migrating the pancreatic segmentation model"; methods.md §A6.
    """
    fitting, _ = transferable(first, second)
    _backbone(second).load_state_dict(fitting, strict=False)
    return len(fitting)


def _backbone(network: nn.Module) -> nn.Module:
    backbone = getattr(network, "backbone", network)
    return backbone if isinstance(backbone, nn.Module) else network
