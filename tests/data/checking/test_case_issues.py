"""What facts are held against a case: each fault by its kind, a sound case of nothing."""

from pathlib import Path

import pytest

from pancascade.data.checking.case_issues import find_case_issues
from pancascade.data.checking.case_statistics import CaseStatistics, Fault, FaultKind
from pancascade.data.checking.data_set_issues import find_issues
from pancascade.data.checking.duplicates import DuplicatePair, HashedImage
from pancascade.data.checking.issues import Severity
from pancascade.data.checking.label_statistics import LabelledLesion, LabelStatistics
from pancascade.data.readers.label_flips import Turned, clearly_better, together
from pancascade.data.readers.structure import OURS, PANORAMA, Structure

RIGHT_WAY = (
    Turned(directions=(), contrast_hu=35, spread_hu=31),
    Turned(directions=("head and feet",), contrast_hu=6, spread_hu=68),
    Turned(directions=("front and back",), contrast_hu=9, spread_hu=70),
)
LESION = LabelledLesion(voxels=5000, volume_ml=6, extent_mm=24, touches_pancreas=True)


def label_statistics(**changes) -> LabelStatistics:
    known = {
        "voxels": {"1": 60000, "2": 5000},
        "structures": {Structure.PANCREAS: 60000, Structure.TUMOUR: 5000},
        "pancreas_ml": 70.0,
        "tumour_ml": 6.0,
        "lesions": (LESION,),
        "lesion_count": 1,
        "pieces": (65000,),
        "start": (100, 100, 20),
        "stop": (200, 160, 70),
        "border_voxels": {"left": 100, "right": 80, "front": 90, "back": 99, "feet": 20, "head": 30},
        "outside_body": 0.0,
        "turned": RIGHT_WAY,
    }
    return LabelStatistics.model_validate({**known, **changes})


def case_statistics(name: str = "a", **changes) -> CaseStatistics:
    known = {
        "name": name,
        "patient": name,
        "source": "set",
        "files": (f"{name}.nii.gz", f"{name}_label.nii.gz"),
        "shape": (512, 512, 100),
        "spacing_mm": (0.8, 0.8, 2.5),
        "orientation": "LPS",
        "label_orientation": "LPS",
        "hu": (-1024, -1000, -900, 0, 150, 300, 2000),
        "meaning": dict(OURS),
        "label": label_statistics(),
    }
    return CaseStatistics.model_validate({**known, **changes})


def kinds(found) -> list[tuple[str, str]]:
    return [(issue.kind, issue.severity.value) for issue in found]


@pytest.mark.parametrize("field", ["scan", "region", "slice"])
def test_a_sound_case_is_accused_of_nothing(field):
    assert find_case_issues(case_statistics(field=field)) == []
    assert find_issues([case_statistics("a", field=field), case_statistics("b", field=field)]) == []


def test_a_fault_is_an_error_of_its_kind_and_nothing_else_is_said():
    fault = Fault(kind=FaultKind.OTHER_GRID, message="a_label.nii.gz: not on the grid of a.nii.gz.")
    (issue,) = find_case_issues(case_statistics(fault=fault, label=None, warnings=("slices are 8 mm apart",)))
    assert (issue.kind, issue.severity, issue.case, issue.patient) == ("other-grid", Severity.ERROR, "a", "a")
    assert issue.message == fault.message


FLIPPED = tuple(
    Turned(directions=way, contrast_hu=contrast, spread_hu=spread)
    for way, contrast, spread in (((), 6, 68), (("left and right",), 35, 31), (("head and feet",), 9, 70))
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"unknown": ("7",), "voxels": {"1": 60000, "2": 5000, "7": 3}}, ("unknown-label", "error")),
        ({"voxels": {}, "structures": {}, "turned": (), "lesions": (), "pieces": ()}, ("empty-label", "error")),
        ({"structures": {Structure.TUMOUR: 5000}}, ("no-pancreas", "warning")),
        ({"structures": {Structure.VEIN: 5000}, "lesions": ()}, ("no-pancreas", "error")),
        ({"turned": FLIPPED}, ("flipped-label", "error")),
        ({"outside_body": 0.06}, ("label-outside-body", "error")),
        ({"border_voxels": {"left": 9, "head": 0}}, ("label-touches-border", "warning")),
        ({"pancreas_ml": 3.0}, ("implausible-volume", "warning")),
        ({"pancreas_ml": 900.0}, ("implausible-volume", "warning")),
        ({"pieces": (50000, 15000)}, ("fragmented-label", "warning")),
        ({"lesions": (LESION.model_copy(update={"voxels": 9}),)}, ("tiny-lesion", "warning")),
        ({"lesions": (LESION.model_copy(update={"extent_mm": 2.9}),)}, ("tiny-lesion", "warning")),
        (
            {"lesions": (LESION, LESION.model_copy(update={"voxels": 2})), "lesion_count": 2},
            ("tiny-lesion", "note"),
        ),
        (
            {"lesions": (LESION.model_copy(update={"touches_pancreas": False}),), "pieces": (50000, 15000)},
            ("tumour-outside-pancreas", "warning"),
        ),
    ],
)
def test_each_fault_of_a_label_is_named_and_nothing_else(changes, expected):
    if changes.get("pancreas_ml") == 3.0:
        changes = {**changes, "tumour_ml": 0.0}
    (issue,) = find_case_issues(case_statistics(label=label_statistics(**changes)))
    assert (issue.kind, issue.severity.value) == expected
    assert issue.case == "a"
    assert "a_label.nii.gz" in issue.message
    assert "\n" not in issue.message


def test_a_flipped_label_is_not_accused_of_what_follows_from_the_flip():
    label = label_statistics(turned=FLIPPED, outside_body=0.6, border_voxels={"left": 0}, pieces=(5, 5))
    (issue,) = find_case_issues(case_statistics(label=label))
    assert issue.kind == "flipped-label"
    assert "left and right are exchanged" in issue.message


def test_a_label_that_the_reader_turns_round_is_a_note():
    assert kinds(find_case_issues(case_statistics(turned_by_reader=("head and feet",)))) == [("flipped-label", "note")]


def test_a_region_may_touch_its_border_and_a_slice_says_little():
    touching = label_statistics(border_voxels={"head": 0})
    assert find_case_issues(case_statistics(field="region", label=touching)) == []
    slices = label_statistics(
        border_voxels={"head": 0}, pieces=(40, 30), turned=FLIPPED, pancreas_ml=None, tumour_ml=None
    )
    assert find_case_issues(case_statistics(field="slice", label=slices)) == []
    assert kinds(find_case_issues(case_statistics(field="slice", label=LabelStatistics(voxels={})))) == [
        ("empty-label", "note")
    ]


def test_what_is_unusual_for_a_ct_is_a_note():
    (issue,) = find_case_issues(
        case_statistics(warnings=("slices are 7.5 mm apart; small lesions may fall between them.",))
    )
    assert (issue.kind, issue.severity) == ("unusual-scan", Severity.NOTE)
    assert issue.message.startswith("a.nii.gz: slices are 7.5 mm apart")


def test_a_flip_needs_an_organ_that_shows_the_other_way_round():
    blurred = (
        Turned(directions=(), contrast_hu=-5, spread_hu=112),
        Turned(directions=("x",), contrast_hu=35, spread_hu=97),
    )
    assert clearly_better(blurred) is None  # bright, but over air and bone
    close = (
        Turned(directions=(), contrast_hu=20, spread_hu=31),
        Turned(directions=("x",), contrast_hu=30, spread_hu=30),
    )
    assert clearly_better(close) is None
    assert clearly_better(FLIPPED).best.directions == ("left and right",)
    assert clearly_better(()) is None


def test_slices_are_looked_at_together():
    one, other = (Turned(directions=(), contrast_hu=hu, spread_hu=20) for hu in (10, 30))
    assert together([(one, FLIPPED[1]), (other,)]) == (Turned(directions=(), contrast_hu=20, spread_hu=20),)


def test_masks_of_a_patient_that_are_all_turned_are_an_error():
    turned = [
        case_statistics(f"s{n}", patient="p", field="slice", label=label_statistics(turned=FLIPPED)) for n in range(5)
    ]
    (issue,) = find_issues(turned)
    assert (issue.kind, issue.severity, issue.patient) == ("flipped-label", Severity.ERROR, "p")
    assert (issue.case, issue.others) == ("s0", ("s1", "s2", "s3", "s4"))
    assert find_issues(turned[:4]) == []


def test_the_worst_comes_first():
    label = label_statistics(unknown=("7",), voxels={"1": 1, "7": 3}, border_voxels={"head": 0})
    found = find_issues([case_statistics("b", warnings=("odd",)), case_statistics("a", label=label)])
    assert [issue.severity for issue in found] == [Severity.ERROR, Severity.WARNING, Severity.NOTE]


def test_what_differs_within_a_set_is_noted():
    members = [case_statistics(f"c{n}") for n in range(6)]
    members.append(
        case_statistics("d", patient="c1", orientation="RAS", spacing_mm=(0.8, 0.8, 7.5), meaning=dict(PANORAMA))
    )
    found = find_issues(members)
    assert {issue.kind for issue in found} == {"several-cases", "mixed-orientation", "odd-spacing"}
    assert all(issue.severity is Severity.NOTE for issue in found)
    (odd,) = [issue for issue in found if issue.kind == "odd-spacing"]
    assert odd.others == ("d",)


def test_label_values_that_mean_something_else_in_another_set_are_noted():
    found = find_issues([case_statistics("a"), case_statistics("b", source="other", meaning=dict(PANORAMA))])
    assert kinds(found) == [("label-meaning", "note")] * 2
    assert "value 1 is pancreas in set, tumour in other" in found[0].message


def pair(first: str, second: str, kind="same-image") -> DuplicatePair:
    images = (HashedImage(name=name, patient=patient, source="set", hash="h") for name, patient in (first, second))
    return DuplicatePair(*images, similarity=0.99, kind=kind)


def test_an_image_of_two_patients_is_an_error_and_of_one_a_note():
    found = find_issues([], pairs=[pair(("a", "p"), ("b", "q")), pair(("c", "p"), ("d", "p"), "near-duplicate")])
    assert kinds(found) == [("duplicate-patient", "error"), ("repeated-scan", "note")]
    assert (found[0].case, found[0].others) == ("a", ("b",))


def test_a_file_without_its_partner_is_a_warning_and_any_other_a_note():
    loose = {"set": [Path("set/labelsTr/x.nii.gz"), Path("set/old/y.nii.gz"), Path("set/old/z.nii.gz")]}
    found = find_issues([], loose=loose)
    assert kinds(found) == [("loose-file", "warning"), ("loose-file", "note")]
    assert "labelsTr/x.nii.gz" in found[0].message
    assert "2 image files" in found[1].message


@pytest.mark.parametrize(("contrast_hu", "spread_hu"), [(4, 30), (60, 90)], ids=["no contrast", "not one tissue"])
def test_a_label_that_follows_no_organ_is_a_warning_but_a_tumour_alone_is_not(contrast_hu, spread_hu):
    turned = (Turned(directions=(), contrast_hu=contrast_hu, spread_hu=spread_hu),)
    (issue,) = find_case_issues(case_statistics(label=label_statistics(turned=turned)))
    assert (issue.kind, issue.severity) == ("misplaced-label", Severity.WARNING)
    alone = label_statistics(turned=turned, structures={Structure.TUMOUR: 5000}, pieces=())
    assert "misplaced-label" not in [one.kind for one in find_case_issues(case_statistics(label=alone))]
    assert find_case_issues(case_statistics(field="slice", label=label_statistics(turned=turned))) == []
