import inspect
import subprocess
import sys

import pytest

import pancascade


def test_what_is_public_is_there():
    wanted = {"segment", "segment_many", "train", "evaluate", "compare", "Volume", "Prediction", "read_volume"}
    assert set(pancascade.__all__) >= wanted
    assert dir(pancascade) == sorted(pancascade.__all__)
    for name in pancascade.__all__:
        assert getattr(pancascade, name) is not None


def test_segment_takes_scan_model_and_device():
    parameters = inspect.signature(pancascade.segment).parameters
    assert next(iter(parameters)) == "scan"
    for name in ("model", "device"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert isinstance(parameters[name].default, str)
    assert parameters["device"].default == "cpu"


def test_a_segmentation_has_mask_probabilities_and_save():
    for name in ("probabilities", "save", "warnings"):
        assert hasattr(pancascade.Segmentation, name)
    assert {"mask", "notices", "model"} <= set(pancascade.Segmentation.__dataclass_fields__)
    assert next(iter(list(inspect.signature(pancascade.Segmentation.save).parameters)[1:])) == "folder"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'segmnet'"):
        pancascade.segmnet  # noqa: B018


def test_the_version_is_the_installed_one():
    from importlib.metadata import version

    assert pancascade.__version__ == version("pancascade")


def test_importing_the_package_loads_no_torch():
    code = (
        "import pancascade, sys; assert not {'torch', 'nibabel', 'matplotlib'} & sys.modules.keys();"
        "pancascade.evaluate, pancascade.compare, pancascade.read_volume, pancascade.train, pancascade.read_result;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
