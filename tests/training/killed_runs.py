"""A run in a process of its own, which kills itself where a test wants it."""

import os
import signal
import warnings
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

LOADED = ["pancascade.training.processes", "torch.utils.tensorboard", "matplotlib.figure"]


def quick_starts() -> ForkServerContext:
    """Processes that are copies of one that has loaded everything."""
    context = get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    return context


def exit_code_of_run(folder: Path, *, kill_at: str, resume: bool = False) -> int | None:
    """Train in the project's folder ``killed`` until ``batch EPOCH:BATCHES`` or ``writing TIMES`` of the state."""
    process = quick_starts().Process(target=_train, args=(folder, kill_at, resume))
    process.start()
    process.join()
    return process.exitcode


def _train(folder: Path, kill_at: str, resume: bool) -> None:
    import torch

    from pancascade.methods import checkpoint
    from pancascade.training import fit, validation

    warnings.simplefilter("error")
    torch.set_num_threads(1)
    validation._draw_sheet = lambda _, picture: picture.touch()  # it takes as long as the epoch, and nobody looks at it
    save_file, written = checkpoint.save_file, []

    def half_written(tensors, path, metadata):
        save_file(tensors, path, metadata=metadata)
        if "last" in path.name:
            written.append(path)
        if "last" in path.name and kill_at == f"writing {len(written)}":
            os.truncate(path, path.stat().st_size // 2)
            _die()

    def progress(run, done, batches):
        if kill_at == f"batch {run.epoch}:{done}":
            _die()

    checkpoint.save_file = half_written
    fit(folder / "tiny.yaml", folder, out=folder / "killed", resume=resume, progress=progress)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
