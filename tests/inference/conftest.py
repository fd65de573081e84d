import json
from pathlib import Path

import pytest
from abdomen_phantom import HounsfieldCascade, described

WIDE = {"weights": "wide.safetensors", "field": "scan"}
CLOSE = {"weights": "close.safetensors", "field": "region", "margin_mm": 15, "organ_weight": 0.5}


@pytest.fixture
def make_model(tmp_path, monkeypatch):
    """A model of our own by path, whose checkpoints are the given cascades."""

    def make(wide=None, close=None, *, wide_canvas=None, close_canvas=None) -> str:
        known = {
            "wide.safetensors": (wide or HounsfieldCascade(), described(**(wide_canvas or {}))),
            "close.safetensors": (close, described(**(close_canvas or {}))),
        }
        monkeypatch.setattr("pancascade.inference.segmenter.load_checkpoint", lambda path: known[Path(path).name])
        path = tmp_path / "models" / "phantom.json"
        path.parent.mkdir(exist_ok=True)
        steps = [WIDE] if close is None else [WIDE, CLOSE]
        path.write_text(json.dumps({"name": "phantom", "summary": "knows the phantom", "steps": steps}))
        return str(path)

    return make
