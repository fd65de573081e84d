"""The same scan on a GPU."""

import numpy as np
import pytest
import torch
from abdomen_phantom import HounsfieldCascade, abdomen, dice, volume_cascade

from pancascade.segmentation import segment


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("cascade", [HounsfieldCascade, volume_cascade])
def test_a_gpu_gives_the_mask_of_the_cpu(make_model, cascade):
    scan, truth = abdomen()
    model = make_model(cascade())
    on_cpu, on_gpu = segment(scan, model=model), segment(scan, model=model, device="cuda")
    assert dice(on_gpu.mask.voxels > 0, truth > 0) > 0.9
    assert dice(on_gpu.mask.voxels > 0, on_cpu.mask.voxels > 0) > 0.99
    np.testing.assert_allclose(on_gpu.probabilities, on_cpu.probabilities, atol=0.05)
    assert on_gpu.runs_on.startswith("torch")
