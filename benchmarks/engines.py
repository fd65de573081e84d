"""Compare the shipped networks in torch and OpenVINO: milliseconds, difference, share of the machine's peak.

    OMP_NUM_THREADS=2 python benchmarks/engines.py --out engines.json

Batches have the sizes that the engine uses; ``stage 1 + 2`` is locate and segment on the canvas. The peak is the speed
of a large 3×3 convolution in bfloat16 in the same run, with the faster of the two engines. ``ready`` is the time until
the first output: tracing, compiling, comparing with torch.
"""

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import openvino
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from pancascade.imaging.preprocessing import Canvas
from pancascade.inference.backends.backend import Precision
from pancascade.inference.backends.fused_networks import folded
from pancascade.inference.backends.openvino_networks import OpenVinoNetwork, accelerate
from pancascade.inference.export.comparison import image_on_network_grid
from pancascade.inference.models.known_models import find_model
from pancascade.methods.cascades import Cascade, fast_layout
from pancascade.methods.checkpoint import load_checkpoint

ENGINES = ("torch f32", "torch bf16", "torch bf16, folded", "OpenVINO f32", "OpenVINO bf16")


def seconds(run: Callable[[], Any], *, rounds: int) -> float:
    """Return the shortest time of several rounds after one warm-up round, with the least influence of other work."""
    run()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


def peak_gflops() -> dict[str, float]:
    """Return billions of operations per second of a large 3×3 convolution in bfloat16."""
    layer, images = nn.Conv2d(128, 128, 3, padding=1), torch.rand(8, 128, 64, 64)
    operations = flops(layer, images)
    by_openvino = OpenVinoNetwork(layer.eval(), precision="bf16")
    by_torch = fast_layout(nn.Conv2d(128, 128, 3, padding=1).bfloat16())
    shown = fast_layout(images.bfloat16())
    runs: dict[str, Callable[[], Any]] = {"torch": lambda: by_torch(shown), "OpenVINO": lambda: by_openvino(images)}
    return {name: operations / seconds(run, rounds=5) / 1e9 for name, run in runs.items()}


def flops(network: nn.Module, images: Tensor) -> float:
    """Return the number of multiplications and additions of convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        network(images)
    return float(counter.get_total_flops())


def engine(name: str, network: nn.Module) -> tuple[nn.Module, Any]:
    """Return a network as an engine runs it, and its precision."""
    if name.startswith("OpenVINO"):
        precision: Precision = "bf16" if name.endswith("bf16") else "f32"
        return OpenVinoNetwork(network, precision=precision, name=name), nullcontext()
    ready = folded(network) if name.endswith("folded") else network
    return ready, torch.autocast("cpu", dtype=torch.bfloat16) if "bf16" in name else nullcontext()


def measure_network(network: nn.Module, images: Tensor, *, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure every engine on a network, with a batch of images (B, C, H, W)."""
    images = fast_layout(images)
    wanted = tree_leaves(network(images))[-1]
    operations = flops(network, images[:1])
    for name in ENGINES:
        ready, precision = engine(name, network)
        with precision:
            started = time.perf_counter()
            answer = tree_leaves(ready(images))[-1].float()
            first = time.perf_counter() - started
            each = seconds(partial(ready, images), rounds=rounds) / len(images)
        yield {
            "engine": name,
            "ms_a_slice": 1e3 * each,
            "ready_s": max(0.0, first - each * len(images)),
            "gflops": operations / each / 1e9,
            "largest_difference": float((torch.sigmoid(answer) - torch.sigmoid(wanted)).abs().max()),
            "given_up": getattr(ready, "given_up", None),
        }


def measure_stages(cascade: Cascade, images: Tensor, *, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure both stages on a canvas, with a hand-over that has a region in every slice."""
    probabilities = (images > 0.5).float()
    wanted = cascade.segment(images, cascade.from_mask(images, probabilities))
    for name in ("torch f32", "torch bf16", "OpenVINO f32", "OpenVINO bf16"):
        ready = accelerate(cascade, precision="bf16" if "bf16" in name else "f32") if "OpenVINO" in name else cascade

        def run(ready: Cascade = ready) -> Tensor:
            ready.locate(images)
            return ready.segment(images, ready.from_mask(images, probabilities))

        with torch.autocast("cpu", dtype=torch.bfloat16) if "bf16" in name else nullcontext():
            answer = run()
            each = seconds(run, rounds=rounds) / len(images)
        difference = float((answer.float() - wanted).abs().max())
        yield {"engine": name, "ms_a_slice": 1e3 * each, "largest_difference": difference}


def images_of(cascade: Cascade, canvas: Tensor) -> dict[str, Tensor]:
    """Return the input of each network of a cascade, by name, for slices on the canvas."""
    seen: dict[str, Tensor] = {}

    def note(name: str, _: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen[name] = given[0].float()

    hooks = [child.register_forward_pre_hook(partial(note, name)) for name, child in cascade.named_children()]
    cascade.locate(canvas)
    cascade.segment(canvas, cascade.from_mask(canvas, (canvas > 0.5).float()))
    for hook in hooks:
        hook.remove()
    return {name: images for name, images in seen.items() if name != "saliency"}


@torch.inference_mode()
def measure(model: str, *, batches: tuple[int, ...], rounds: int) -> list[dict[str, Any]]:
    """Measure all networks and steps of a model."""
    rows = []
    found = find_model(model)
    for step in found.steps:
        cascade, description = load_checkpoint(found.folder / step.weights)
        if not isinstance(description.canvas, Canvas):
            continue
        canvas = image_on_network_grid(description.canvas.size).expand(max(8, *batches), -1, -1, -1)
        canvas = fast_layout((canvas + 0.05 * torch.rand(canvas.shape)).clamp(0, 1))
        for name, images in images_of(cascade, canvas).items():
            network = cascade.get_submodule(name)
            for batch in batches:
                about = {"part": f"{Path(step.weights).stem} {name}", "batch": batch, "size": list(images.shape[2:])}
                rows += [about | row for row in measure_network(network, images[:batch], rounds=rounds)]
        about = {"part": f"{Path(step.weights).stem} stage 1 + 2", "batch": 8, "size": list(canvas.shape[2:])}
        rows += [about | row for row in measure_stages(cascade, canvas[:8], rounds=rounds)]
    return rows


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qiu2024-small")
    parser.add_argument("--batches", type=int, nargs="+", default=[8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    with torch.inference_mode():
        peaks = peak_gflops()
    peak = max(peaks.values())
    rows = measure(arguments.model, batches=tuple(arguments.batches), rounds=arguments.rounds)
    table = Table("part", "size", "batch", "engine", "ms/slice", "ready s", "largest |Δp|", "share of peak")
    for row in rows:
        row["share_of_peak"] = row["gflops"] / peak if "gflops" in row else None
        share = "" if row["share_of_peak"] is None else f"{row['share_of_peak']:.0%}"
        ready = f"{row['ready_s']:.2f}" if "ready_s" in row else ""
        cells = (row["part"], "×".join(map(str, row["size"])), str(row["batch"]), row["engine"])
        table.add_row(*cells, f"{row['ms_a_slice']:.2f}", ready, f"{row['largest_difference']:.4f}", share)
    console = Console(width=140)
    console.print(table)
    about = {
        "machine": platform.machine(),
        "processor": openvino.Core().get_property("CPU", "FULL_DEVICE_NAME"),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg(),
        "versions": {"torch": torch.__version__, "openvino": openvino.__version__},
        "peak_gflops": peaks,
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }
    console.print(about)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(about | {"model": arguments.model, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
