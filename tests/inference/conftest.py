from functools import cache

import pytest
from phantom_models import make_model

__all__ = ["make_model"]


@pytest.fixture(scope="session")
def operators_listed_once():
    """Torch's exporter lists all operators of ONNX anew for each network, which takes a quarter of its time."""
    from torch.onnx._internal.exporter import _registration

    with pytest.MonkeyPatch.context() as patch:
        listed = staticmethod(cache(_registration.ONNXRegistry.from_torchlib))
        patch.setattr(_registration.ONNXRegistry, "from_torchlib", listed)
        yield
