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


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: pancascade.read_volume(3), "path"),
        (lambda: pancascade.write_volume("array", "scan.nii.gz"), "volume"),
        (lambda: pancascade.read_data_set(None), "path"),
        (lambda: pancascade.read_split(3), "path"),
        (lambda: pancascade.read_result(3), "path"),
        (lambda: pancascade.load_segmentation(3), "folder"),
        (lambda: next(pancascade.segment_many(3, "out")), "inputs"),
        (lambda: pancascade.train(3, "data", out="out"), "recipe"),
        (lambda: pancascade.evaluate(3, "reference"), "predictions"),
        (lambda: pancascade.compare("reference", 3), "methods"),
    ],
)
def test_a_wrong_type_is_one_sentence_that_names_the_argument(call, argument):
    with pytest.raises(TypeError) as refused:
        call()
    sentence = str(refused.value)
    assert sentence.startswith(f"{argument}: give ")
    assert sentence.endswith((" got int.", " got str.", " got NoneType."))


def test_a_layout_may_be_given_by_its_name(tmp_path):
    with pytest.raises(pancascade.PancascadeError, match=r"dataset\.json: no such file"):
        pancascade.read_data_set(str(tmp_path), layout="msd")
    with pytest.raises(pancascade.PancascadeError, match="layout 'msdd': there is none of that name; known are msd"):
        pancascade.read_data_set(tmp_path, layout="msdd")


def test_what_is_printed_of_a_result_names_no_patient():
    from pancascade.results.location import Location
    from pancascade.results.result import Result, ScanGrid

    result = Result(
        scan="folder/of/scan.nii.gz",
        model="a-model",
        measurements={"pancreas": {"volume_ml": 61.24}, "pancreas_with_tumour": {"volume_ml": 62.0}},
        location=Location(confidence=0.314, reasons=("steps_disagree",)),
        grid=ScanGrid(shape=(1, 1, 1), affine=((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))),
        warnings=("Look at it.",),
        identifiers={"PatientName": "Doe"},
    )
    assert (
        str(result) == "<Result of scan.nii.gz by a-model: pancreas 61.2 mL, pancreas with tumour 62.0 mL, 1 warning>"
    )
    assert repr(result.location) == "<Location: confidence 0.31, steps_disagree>"
