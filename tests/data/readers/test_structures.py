import numpy as np
import pytest

from pancascade.data.readers.case import as_labels
from pancascade.data.readers.label_names import structure_named, structures_of
from pancascade.data.readers.structure import OURS, PANORAMA, Structure
from pancascade.errors import DataError
from pancascade.imaging.volume import Volume
from pancascade.labels import Label


def volume(values) -> Volume:
    return Volume(np.asarray(values).reshape(1, 1, -1), np.eye(4))


def test_panorama_s_six_classes_are_background_pancreas_and_tumour():
    """1 lesion, 2 veins, 3 arteries, 4 parenchyma, 5 pancreatic duct, 6 common bile duct."""
    found = as_labels(volume([0, 1, 2, 3, 4, 5, 6]), PANORAMA).ravel()
    assert found.tolist() == [0, Label.TUMOUR, 0, 0, Label.PANCREAS, Label.PANCREAS, 0]
    assert found.dtype == np.uint8


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_whole_numbers_of_any_type_are_values(dtype):
    assert as_labels(volume(np.array([0, 1, 2], dtype)), OURS).ravel().tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", [3, -1, 0.5, np.nan, 300])
def test_a_value_without_meaning_is_named(value):
    with pytest.raises(DataError, match=r"volume: holds .*no meaning here \(known: 1 pancreas, 2 tumour\)"):
        as_labels(volume(np.array([0, 1, value], np.float64)), OURS)


@pytest.mark.parametrize(
    ("name", "structure"),
    [
        ("pancreas", Structure.PANCREAS),
        ("Pancreas parenchyma", Structure.PANCREAS),
        ("cancer", Structure.TUMOUR),
        ("pancreatic tumor", Structure.TUMOUR),
        ("PDAC lesion", Structure.TUMOUR),
        ("veins", Structure.VEIN),
        ("arteries", Structure.ARTERY),
        ("pancreatic duct", Structure.PANCREATIC_DUCT),
        ("common bile duct", Structure.BILE_DUCT),
        ("spleen", Structure.OTHER),
        ("PDAC", Structure.TUMOUR),
        ("pancreatic cyst", Structure.TUMOUR),
        ("PancreasTumor", Structure.TUMOUR),
        ("Tumour_of_pancreas", Structure.TUMOUR),
        ("lesion 1", Structure.TUMOUR),
        ("liver tumor", Structure.OTHER),
        ("kidney cyst", Structure.OTHER),
        ("kidney_cyst_left", Structure.OTHER),
        ("colon cancer primaries", Structure.OTHER),
        ("bile duct cancer", Structure.OTHER),
        ("non-pancreatic tumor", Structure.OTHER),
        ("no lesion", Structure.OTHER),
        ("masseter", Structure.OTHER),
        ("peripancreatic fluid", Structure.OTHER),
        ("renal parenchyma", Structure.OTHER),
        ("thoracic duct", Structure.OTHER),
        ("cystic duct", Structure.BILE_DUCT),
        ("pancreas without tumor", Structure.PANCREAS),
        ("pancreas w/o lesion", Structure.PANCREAS),
        ("Pancreas (no tumour)", Structure.PANCREAS),
        ("tumor-free pancreas", Structure.PANCREAS),
        ("nontumor pancreas", Structure.PANCREAS),
        ("pancreas with tumor", Structure.PANCREAS),
        ("tumor and pancreas", Structure.PANCREAS),
        ("pancreas_head", Structure.PANCREAS),
        ("portal_vein_and_splenic_vein", Structure.VEIN),
        ("pancreaticoduodenal artery", Structure.ARTERY),
        ("", Structure.OTHER),
    ],
)
def test_names_tell_structures(name, structure):
    assert structure_named(name) is structure


def test_a_cancer_in_a_data_set_of_other_organs_is_not_the_pancreas_s():
    assert structures_of({0: "background", 1: "liver", 2: "cancer"}) == {1: Structure.OTHER, 2: Structure.OTHER}
    assert structures_of({1: "liver", 2: "pancreatic tumor"})[2] is Structure.TUMOUR
    assert structures_of({1: "liver", 2: "pancreas", 3: "tumor"})[3] is Structure.TUMOUR
    assert structures_of({0: "background", 1: "tumor"}) == {1: Structure.TUMOUR}


def test_values_nearly_whole_are_whole_and_others_are_not():
    nearly = volume(np.array([0, 1.0000153, 2.0009], np.float32))
    assert as_labels(nearly, OURS).ravel().tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="no meaning"):
        as_labels(volume(np.array([0, 1.002, 2], np.float32)), OURS)
