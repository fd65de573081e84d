import numpy as np
import pytest
import torch
from abdomen_phantom import WINDOW, OneLook, abdomen, on_cpu

from pancascade.errors import CheckpointError
from pancascade.imaging.preprocessing import Canvas
from pancascade.inference.runners.finite_output import require_finite
from pancascade.inference.runners.slice_runner import SliceRunner

VALUES = [float("nan"), float("inf"), float("-inf")]


def spoiled(values, value):
    values = values.clone() if isinstance(values, torch.Tensor) else values.copy()
    values[-1, -1, -1, -1] = value  # of the last label, not of the background, which nobody reads
    return values


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_one_value_that_is_no_number_among_many_is_found(value, dtype):
    many = np.ones((4, 2, 512, 512), dtype)
    assert require_finite(many, stage=1) is many
    with pytest.raises(CheckpointError, match="Stage 1 of the model returns NaN or infinity"):
        require_finite(spoiled(many, value), stage=1)


@pytest.mark.parametrize("stage", ["locate", "segment"])
def test_a_network_that_answers_nan_gives_no_mask(monkeypatch, stage):
    from dataclasses import replace

    cascade = OneLook()
    original = getattr(cascade, stage)

    def broken(*arguments):
        answer = original(*arguments)
        if stage == "segment":
            return spoiled(answer, float("nan"))
        return replace(answer, probabilities=spoiled(answer.probabilities, float("nan")))

    monkeypatch.setattr(cascade, stage, broken)
    runner = SliceRunner(on_cpu(cascade), Canvas(size=(64, 64), window=WINDOW), False)
    with pytest.raises(CheckpointError, match=f"Stage {1 if stage == 'locate' else 2} of the model returns NaN"):
        runner.run(abdomen()[0])
    if stage == "segment":
        with pytest.raises(CheckpointError, match="Stage 2 of the model returns NaN"):
            runner.run_slice(np.zeros((64, 64), np.int16), (1.0, 1.0))
