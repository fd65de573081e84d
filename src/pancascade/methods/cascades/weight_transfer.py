"""Stage 2 from the weights of stage 1: what fits, and taking it over."""

import torch
from torch import Tensor, nn

from pancascade.errors import RecipeError

HEAD = "head."


def transferable(first: nn.Module, second: nn.Module) -> tuple[dict[str, Tensor], list[str]]:
    """Stage 1's tensors that have a place in stage 2, and the places that none of them fits.

    The places are those of stage 2's backbone, where it is a network around one (`FocusingNet`), else all of its own.
    Statistics of normalisations count as well. A head need not fit, for the stages find different things.

    Returns:
        Tensors by their name in the backbone; names of those that are missing there or of another shape.
    """
    theirs, places = first.state_dict(), _backbone(second).state_dict()
    fitting = {name: theirs[name] for name in places if name in theirs and theirs[name].shape == places[name].shape}
    return fitting, [name for name in places if name not in fitting and not name.startswith(HEAD)]


def require_transferable(first: nn.Module, second: nn.Module) -> None:
    """Pass only if all of stage 2's backbone can start from stage 1.

    Raises:
        RecipeError: A tensor of it has no counterpart.
    """
    _, missing = transferable(first, second)
    if missing:
        raise RecipeError(
            f"cascade.second_start: {len(missing)} tensors of stage 2, the first {missing[0]}, fit none of stage 1. "
            "Give both stages one network and preset, or take random."
        )


@torch.no_grad()
def transfer_weights(first: nn.Module, second: nn.Module) -> int:
    """Copy stage 1's weights and statistics into stage 2's backbone; gives their number.

    Source: Qiu et al. 2024, §4.5.1, "migrating the pancreatic segmentation model"; methods.md §A6.
    """
    fitting, _ = transferable(first, second)
    _backbone(second).load_state_dict(fitting, strict=False)
    return len(fitting)


def _backbone(network: nn.Module) -> nn.Module:
    backbone = getattr(network, "backbone", network)
    return backbone if isinstance(backbone, nn.Module) else network
