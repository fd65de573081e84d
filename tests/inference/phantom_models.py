import json
import sys
from pathlib import Path
from types import SimpleNamespace

# DICOM series are written beside the tests of reading.
sys.path.insert(0, str(Path(__file__).parents[1] / "imaging" / "io"))

import pytest
from abdomen_phantom import GRID, HounsfieldCascade, described

WIDE = {"weights": "wide.safetensors", "input": "scan"}
CLOSE = {"weights": "close.safetensors", "input": "roi", "margin_mm": 15, "organ_weight": 0.5}


@pytest.fixture
def make_model(tmp_path, monkeypatch):
    """A model of our own by path, whose checkpoints are the given cascades."""

    def make(
        wide=None, close=None, *, wide_canvas=None, close_canvas=None, close_step=None, fallback_search=True
    ) -> str:
        known = {
            "wide.safetensors": _with_description(wide or HounsfieldCascade(), wide_canvas),
            "close.safetensors": _with_description(close, close_canvas),
        }
        monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
        monkeypatch.setattr(
            "pancascade.inference.runners.torch_runners.load_checkpoint", lambda path: known[Path(path).name]
        )
        path = tmp_path / "models" / "phantom.json"
        path.parent.mkdir(exist_ok=True)
        first = WIDE | {"fallback_search": fallback_search}
        steps = [first] if close is None else [first, CLOSE | (close_step or {})]
        path.write_text(json.dumps({"name": "phantom", "summary": "knows the phantom", "steps": steps}))
        return str(path)

    return make


def _with_description(cascade, canvas):
    if cascade is not None and cascade.dimensions == 3:
        return cascade, SimpleNamespace(canvas=GRID, training={})
    return cascade, described(**(canvas or {}))
