"""Which cascade a kind of checkpoint with ONNX files is."""

from collections.abc import Callable, Mapping
from typing import Any

from pancascade.inference.graphs.graph_cascade import GraphCascade, Networks
from pancascade.inference.graphs.graph_network import GraphNetwork
from pancascade.inference.graphs.one_network_graph import OneNetworkGraph
from pancascade.inference.graphs.two_stage_graphs import TwoStageGraphs, TwoStageSettings
from pancascade.labels import Label


def _two_stages(settings: dict[str, Any], networks: Networks) -> GraphCascade:
    read = TwoStageSettings.model_validate(settings)
    saliency = ("saliency",) if read.handover == "saliency" else ()
    return TwoStageGraphs(_named(networks, "first", "second", *saliency), networks, read)


def _single(settings: dict[str, Any], networks: Networks) -> GraphCascade:
    targets = tuple(sorted(Label[name.upper()] for name in settings["labels"]))
    return OneNetworkGraph(_named(networks, "network"), networks, targets, float(settings["scale"]))


def _dsms(settings: dict[str, Any], networks: Networks) -> GraphCascade:
    nested = settings.get("target") == "nested"
    targets = (Label.PANCREAS, Label.TUMOUR) if nested else (Label.PANCREAS,)
    return OneNetworkGraph(_named(networks, "network"), networks, targets, 1.0)


def _named(networks: Networks, *needed: str) -> Mapping[str, GraphNetwork]:
    """Return the networks; refuse them if one that the cascade needs is missing."""
    found = networks(False)
    missing = [name for name in needed if name not in found]
    if missing:
        raise ValueError(f"there is no network {missing[0]}")
    return found


CASCADES: dict[str, Callable[[dict[str, Any], Networks], GraphCascade]] = {
    "qiu2024": _two_stages,
    "coarse_to_fine": _two_stages,
    "single_stage": _single,
    "dsms_unet": _dsms,
}
"""Function that makes a cascade of ONNX files, by its kind."""
