import pytest

from pancascade.imaging.preprocessing import Canvas
from pancascade.methods.cascades import SingleStageSettings, build_cascade
from pancascade.methods.checkpoint import describe, load_checkpoint, save_checkpoint
from pancascade.methods.networks import NetworkSettings

SETTINGS = SingleStageSettings(network=NetworkSettings(name="unet", preset="tiny"))


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    save_checkpoint(path, build_cascade(SETTINGS), description=describe(SETTINGS, Canvas(size=(32, 32))))
    return path


def test_a_joined_checkpoint_is_written_and_named(pancascade, checkpoint, tmp_path):
    out = tmp_path / "new" / "joined.safetensors"
    code, reported, err = pancascade("join", f"network={checkpoint}", "--out", out)
    assert (code, err) == (0, "")
    assert str(out) in reported
    assert load_checkpoint(out)[1].training == {"joined": {"network": "run.safetensors"}}


@pytest.mark.parametrize(
    ("stages", "sentence"),
    [
        (["{path}"], "write it as STAGE=CHECKPOINT"),
        (["network={path}", "network={path}"], "stage network is given twice"),
        (["first={path}"], "has no stage 'first'; it has network"),
        (["network=gone.safetensors"], "gone.safetensors"),
    ],
)
def test_what_cannot_be_joined_is_one_sentence(pancascade, checkpoint, tmp_path, stages, sentence):
    out = tmp_path / "joined.safetensors"
    code, _, err = pancascade("join", *(text.format(path=checkpoint) for text in stages), "--out", out)
    assert code == 2
    assert err.count("\n") == 1
    assert sentence in err
    assert not out.exists()


def test_nothing_is_overwritten(pancascade, checkpoint):
    before = checkpoint.read_bytes()
    code, _, err = pancascade("join", f"network={checkpoint}", "--out", checkpoint)
    assert code == 2
    assert "exists already" in err
    assert checkpoint.read_bytes() == before
