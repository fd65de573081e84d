import json
import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pancascade.data.readers.case import Case
from pancascade.data.readers.scan_files import scan_files
from pancascade.data.readers.structure import OURS, PANORAMA, Structure
from pancascade.data.splits.check_report import duplicate_patients, read_report, sizes_in_report
from pancascade.data.splits.split_designs import DESIGNS, custom_design, draw_design, find_design
from pancascade.data.splits.splits import PARTS, read_split, write_split
from pancascade.data.splits.stratified_draw import deal_patients, joined_groups, rounded_table, sizes_of
from pancascade.data.splits.tumour_sizes import CaseSize, read_tumour_sizes, size_strata, sizes_in_store
from pancascade.errors import DataError
from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume

MSD = [f"pancreas_{number:03d}" for number in range(1, 282)]
NIH = [f"PANCREAS_{number:04d}" for number in range(1, 83)]
WITHOUT_REPEATED = [name for name in NIH if name not in {"PANCREAS_0025", "PANCREAS_0070"}]


@st.composite
def deals(draw):
    """Patients of a few strata, sizes of two to five parts, and groups of patients."""
    strata = draw(st.lists(st.sampled_from("abcd"), min_size=2, max_size=60))
    patients = {f"p{number:02d}": stratum for number, stratum in enumerate(strata)}
    cuts = sorted(draw(st.lists(st.integers(0, len(strata)), min_size=1, max_size=4)))
    sizes = [high - low for low, high in zip([0, *cuts], [*cuts, len(strata)], strict=True)]
    groups = draw(st.lists(st.sets(st.sampled_from(sorted(patients)), min_size=2, max_size=3), max_size=3))
    return patients, sizes, groups, draw(st.integers(0, 99))


@given(deals())
def test_parts_are_disjoint_and_complete_and_of_exact_size_and_strata_balance_to_within_one(draw_batches):
    patients, sizes, _, seed = draw_batches
    parts = deal_patients(patients, sizes, seed=seed)
    assert sorted(name for part in parts for name in part) == sorted(patients)
    assert [len(part) for part in parts] == sizes
    for stratum in set(patients.values()):
        members = sum(found == stratum for found in patients.values())
        for part, size in zip(parts, sizes, strict=True):
            share = Fraction(members * size, len(patients))
            assert math.floor(share) <= sum(patients[name] == stratum for name in part) <= math.ceil(share)


@given(deals())
def test_groups_are_never_separated_and_nobody_is_lost_for_them(draw_batches):
    patients, sizes, groups, seed = draw_batches
    parts = deal_patients(patients, sizes, seed=seed, groups=groups)
    assert sorted(name for part in parts for name in part) == sorted(patients)
    for group in groups:
        assert sum(bool(group & set(part)) for part in parts) == 1
    biggest = max((len(group) for group in joined_groups(groups, patients)), default=0)
    if min(sizes) >= sum(map(len, joined_groups(groups, patients))) or not biggest:
        assert [len(part) for part in parts] == sizes


@given(deals(), st.randoms(use_true_random=False))
def test_the_same_seed_gives_the_same_parts_in_any_order_of_patients_and_groups(draw_batches, shuffler):
    patients, sizes, groups, seed = draw_batches
    names = list(patients)
    shuffler.shuffle(names)
    again = deal_patients({name: patients[name] for name in names}, sizes, seed=seed, groups=groups[::-1])
    assert again == deal_patients(patients, sizes, seed=seed, groups=groups)


def test_another_seed_gives_other_parts():
    patients = dict.fromkeys(MSD, "all")
    assert deal_patients(patients, [216, 65], seed=0) != deal_patients(patients, [216, 65], seed=1)


def test_sizes_that_do_not_add_up_are_refused():
    with pytest.raises(ValueError, match="need 5 patients, got 3"):
        deal_patients(dict.fromkeys("abc", ""), [2, 3], seed=0)


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=5),
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
    st.integers(0, 999),
)
def test_a_rounded_table_keeps_all_sums_and_rounds_every_entry(rows, shares, seed):
    columns = sizes_of([share + 0.01 for share in shares], sum(rows))
    table = rounded_table(rows, columns, random.Random(seed))
    assert [sum(row) for row in table] == rows
    assert [sum(column) for column in zip(*table, strict=True)] == columns
    for row, counts in zip(rows, table, strict=True):
        for column, count in zip(columns, counts, strict=True):
            assert abs(count - Fraction(row * column, sum(rows) or 1)) < 1


def test_rounding_favours_no_part():
    draws = [rounded_table([1, 1, 2], [1, 3], random.Random(seed)) for seed in range(3000)]
    assert np.mean([table[0][0] for table in draws]) == pytest.approx(0.25, abs=0.03)
    assert np.mean([table[2][0] for table in draws]) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("shares", "count", "sizes"),
    [
        ((216, 0, 65), 281, [216, 0, 65]),
        ((216, 0, 65), 280, [215, 0, 65]),
        ((62, 0, 20), 80, [60, 0, 20]),
        ((70, 10, 20), 3, [1, 1, 1]),
        ((70, 10, 20), 281, [197, 28, 56]),
        ((1, 1, 1, 1, 1), 12, [3, 3, 2, 2, 2]),
    ],
)
def test_shares_become_whole_sizes(shares, count, sizes):
    assert sizes_of(shares, count) == sizes


def test_groups_that_share_a_patient_are_one():
    assert joined_groups([{"a", "b"}, {"c", "d"}, {"b", "c"}, {"e", "gone"}], "abcdef") == [["a", "b", "c", "d"]]


@pytest.mark.parametrize(
    ("name", "patients", "sizes"),
    [
        ("qiu2024-msd", MSD, [216, 0, 65]),
        ("qiu2024-nih", NIH, [62, 0, 20]),
        ("lsnet", WITHOUT_REPEATED, [60, 0, 20]),
        ("dsms", MSD, [197, 28, 56]),
        ("five-fold", MSD, [57, 56, 56, 56, 56]),
        ("70-10-20", MSD, [197, 28, 56]),
    ],
)
def test_the_papers_designs_have_the_papers_sizes(name, patients, sizes):
    drawn = draw_design(DESIGNS[name], patients, seed=3)
    assert [len(part) for part in drawn.parts] == sizes
    assert not any("split in proportion" in remark for remark in drawn.remarks)
    unpublished = "not the paper's lists" in drawn.note
    assert unpublished == (name not in {"five-fold", "70-10-20"})


def test_another_number_of_patients_is_told_and_split_in_proportion():
    drawn = draw_design(DESIGNS["qiu2024-msd"], MSD[:-1], seed=0)
    assert [len(part) for part in drawn.parts] == [215, 0, 65]
    assert (
        "qiu2024-msd is for 281 patients, here are 280: split in proportion (train 215, validation 0, test 65)."
        in drawn.remarks
    )


@pytest.mark.parametrize("prefix", ["PANCREAS_", ""])
def test_zhao_s_folds_are_rstn_s_blocks_and_patient_2_takes_25_and_70_along(prefix):
    drawn = draw_design(DESIGNS["zhao2019"], [name.replace("PANCREAS_", prefix) for name in NIH], seed=0)
    numbers = [[int(name.removeprefix(prefix)) for name in fold] for fold in drawn.parts]
    assert numbers == [
        sorted([*range(1, 21), 25, 70]),
        [number for number in range(21, 41) if number != 25],
        list(range(41, 62)),
        [number for number in range(62, 83) if number != 70],
    ]


def test_zhao_s_blocks_keep_the_gaps_of_the_eighty_patients():
    drawn = draw_design(DESIGNS["zhao2019"], WITHOUT_REPEATED, seed=0)
    assert [len(fold) for fold in drawn.parts] == [20, 19, 21, 20]
    assert any("here are 80: its blocks hold (fold 0 20, fold 1 19" in remark for remark in drawn.remarks)


def test_zhao_s_blocks_refuse_a_patient_who_is_none_of_nih_s():
    with pytest.raises(DataError, match="pancreas_005: not a patient of NIH"):
        draw_design(DESIGNS["zhao2019"], [*NIH, "pancreas_005"], seed=0)


@pytest.mark.parametrize("seed", range(20))
def test_the_repeated_scans_of_nih_stay_together_in_a_draw(seed):
    for names in (NIH, [name.removeprefix("PANCREAS_") for name in NIH]):
        drawn = draw_design(DESIGNS["qiu2024-nih"], names, seed=seed)
        same = {names[1], names[24], names[69]}
        assert sum(bool(same & set(part)) for part in drawn.parts) == 1
        assert [len(part) for part in drawn.parts] == [62, 0, 20]


def test_plain_numbers_are_nih_s_only_in_designs_for_nih():
    names = [f"{number:04d}" for number in range(1, 83)]
    apart = [
        sum(
            bool({"0002", "0025", "0070"} & set(part)) for part in draw_design(DESIGNS["70-10-20"], names, seed=n).parts
        )
        for n in range(20)
    ]
    assert max(apart) > 1


def test_what_cannot_be_stratified_is_drawn_plainly_and_told():
    names = [f"p{number}" for number in range(10)]
    plain = draw_design(DESIGNS["70-10-20"], names, seed=0)
    assert plain.remarks == ("Not stratified: nothing is known of the tumours.",)
    single = draw_design(DESIGNS["70-10-20"], names, seed=0, strata=dict.fromkeys(names, "no tumour"))
    assert single.remarks == ("Not stratified: all patients are of one stratum (no tumour).",)
    assert single.parts == plain.parts


def test_a_group_larger_than_every_part_is_told():
    names = ["a", "b", "c"]
    drawn = draw_design(DESIGNS["70-10-20"], names, seed=0, groups=[names])
    assert sorted(map(len, drawn.parts)) == [0, 0, 3]
    assert any("fits into no part" in remark for remark in drawn.remarks)


def test_an_unknown_design_names_the_known_ones():
    with pytest.raises(DataError, match=r"known are qiu2024-msd, .*or give --parts"):
        find_design("qiu")


def test_shares_of_one_s_own_make_a_design():
    drawn = draw_design(custom_design((80, 10, 10)), MSD, seed=0)
    assert [len(part) for part in drawn.parts] == [225, 28, 28]
    with pytest.raises(DataError, match="train has one"):
        custom_design((0, 50, 50))


def test_too_few_patients_are_refused():
    with pytest.raises(DataError, match="2 patients cannot be split into 3 parts by 70-10-20"):
        draw_design(DESIGNS["70-10-20"], ["a", "b", "a"], seed=0)


@settings(max_examples=25)
@given(st.lists(st.text("abcä_0", min_size=1), min_size=4, max_size=30, unique=True), st.integers(0, 3))
def test_a_file_of_folds_gives_one_fold_to_test_and_the_others_to_train(tmp_path_factory, names, fold):
    path = tmp_path_factory.mktemp("folds") / "split.json"
    folds = [names[start::4] for start in range(4)]
    write_split(path, folds, about={"seed": 4})
    split = read_split(path, fold=fold)
    assert split["test"] == set(folds[fold])
    assert split["train"] == set(names) - set(folds[fold])
    assert split["validation"] == frozenset()
    assert json.loads(path.read_text(encoding="utf-8"))["seed"] == 4


@pytest.mark.parametrize(
    ("content", "fold", "message"),
    [
        ({"folds": [["a"], ["b"]]}, None, "holds 2 folds, and none was named. Name one, 0 to 1"),
        ({"folds": [["a"], ["b"]]}, 2, "there is no fold 2"),
        ({"folds": [["a", "b"], ["b"]]}, 0, "b in both fold 0 and fold 1"),
        ({"folds": [["a"], []]}, 0, "or an empty one"),
        ({"folds": [["a"]]}, 0, "holds 1 folds"),
        ({"folds": {"a": 1}}, 0, "not a split file"),
        ({part: [part] for part in PARTS}, 1, "no folds. Leave fold 1 out"),
    ],
)
def test_a_file_that_does_not_fit_the_fold_is_refused(tmp_path, content, fold, message):
    (tmp_path / "split.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        read_split(tmp_path / "split.json", fold=fold)


def labelled(folder, name, *, tumour_voxels=0, meaning=OURS, patient=None):
    labels = np.zeros((10, 10, 10), np.uint8)
    tumour = next(value for value, structure in meaning.items() if structure is Structure.TUMOUR)
    labels[2:8, 2:8, 2:8] = next(value for value, structure in meaning.items() if structure is Structure.PANCREAS)
    labels.reshape(-1)[:tumour_voxels] = tumour
    write_volume(Volume(labels, np.diag((1.0, 2.0, 2.5, 1.0))), folder / f"{name}.nii.gz")
    scan = scan_files(folder / f"{name}_ct.nii.gz", folder / f"{name}.nii.gz", meaning=meaning)
    return Case.of_scan(name, patient=patient or name, source="set", scan=scan)


def test_tumours_are_measured_without_opening_scans(tmp_path):
    cases = [
        labelled(tmp_path, "none"),
        labelled(tmp_path, "some", tumour_voxels=100),
        labelled(tmp_path, "panorama", tumour_voxels=40, meaning=PANORAMA),
    ]
    seen = []
    sizes = read_tumour_sizes(cases, progress=lambda done, total: seen.append((done, total)))
    assert [size.case for size in sizes] == ["none", "some", "panorama"]
    assert [size.tumour_ml for size in sizes] == pytest.approx([0.0, 0.5, 0.2])
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_label_maps_that_name_no_tumour_are_not_opened(tmp_path):
    scan = scan_files(tmp_path / "a.nii.gz", tmp_path / "gone.nii.gz", meaning={1: Structure.PANCREAS})
    sizes = read_tumour_sizes([Case.of_scan("a", patient="a", source="set", scan=scan)])
    assert sizes == [CaseSize("a", "a", 0.0)]


def test_a_damaged_label_map_costs_only_its_own_size(tmp_path):
    cases = [labelled(tmp_path, "good", tumour_voxels=10), labelled(tmp_path, "bad", tumour_voxels=10)]
    (tmp_path / "bad.nii.gz").write_bytes(b"nothing")
    good, bad = read_tumour_sizes(cases)
    assert good.tumour_ml == pytest.approx(0.05)
    assert bad.tumour_ml is None
    assert "bad.nii.gz" in bad.trouble


def test_strata_go_by_the_largest_tumour_s_diameter():
    sizes = [
        CaseSize("a1", "a", 0.0),
        CaseSize("a2", "a", 4.18),  # a sphere of 2 cm has 4.19 mL, one of 4 cm 33.5 mL
        CaseSize("b", "b", 4.2),
        CaseSize("c", "c", 33.4),
        CaseSize("d", "d", 33.6),
        CaseSize("e", "e", 0.0),
        CaseSize("f1", "f", None),
        CaseSize("f2", "f", 0.0),
        CaseSize("g1", "g", None),
        CaseSize("g2", "g", 50.0),
    ]
    assert size_strata(sizes) == {
        "a": "tumour under 2 cm",
        "b": "tumour of 2 to 4 cm",
        "c": "tumour of 2 to 4 cm",
        "d": "tumour over 4 cm",
        "e": "no tumour",
        "f": "size unknown",
        "g": "tumour over 4 cm",
    }


def test_sizes_come_from_a_store_s_table_where_it_has_them(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = {"case": ["a", "b"], "patient": ["p", "q"], "tumour_ml": [1.5, None]}
    parquet.write_table(pyarrow.table(rows), tmp_path / "cases.parquet")
    assert sizes_in_store(tmp_path) == [CaseSize("a", "p", 1.5), CaseSize("b", "q", None)]
    parquet.write_table(pyarrow.table({"case": ["a"]}), tmp_path / "cases.parquet")
    with pytest.raises(DataError, match="no column patient"):
        sizes_in_store(tmp_path)
    (tmp_path / "cases.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"cases\.parquet: not a readable table"):
        sizes_in_store(tmp_path)


def test_sizes_come_from_a_report_of_a_check_however_it_lists_its_cases(tmp_path):
    rows = [{"case": "a", "tumour_ml": 2}, {"name": "b", "tumour_ml": 0.0}, {"case": "c"}, "odd"]
    assert sizes_in_report({"cases": rows}) == {"a": 2.0, "b": 0.0}
    assert sizes_in_report({"cases": [{"name": "a", "label": {"tumour_ml": 3.5}}, {"name": "b", "label": None}]}) == {
        "a": 3.5
    }
    assert sizes_in_report({"cases": {"a": {"tumour_ml": 2.5}, "b": None}}) == {"a": 2.5}
    assert sizes_in_report({}) == {}
    (tmp_path / "check.json").write_text("[]")
    with pytest.raises(DataError, match=r"check\.json: has no list of findings"):
        read_report(tmp_path / "check.json")


def test_a_report_s_duplicates_are_found_by_case_or_patient_and_strangers_are_told():
    findings = [
        {"kind": "duplicate-patient", "patient": "p", "case": "a", "others": ["b"]},
        {"kind": "duplicate-patient", "case": "c", "others": ["q", "elsewhere"]},
        {"kind": "duplicate-patient", "patient": "p", "others": ["nobody"]},
        {"kind": "duplicate-patient"},
        {"kind": "duplicate-patient", "patient": "p", "others": 5},
        {"kind": "duplicate-patient", "patient": "p", "others": "cq"},
        {"kind": "flipped-label", "patient": "p", "others": ["c"]},
        "odd",
    ]
    patient_of = {"a": "p", "b": "q", "c": "r"}
    assert duplicate_patients({"findings": findings}, patient_of) == ([{"p", "q"}, {"r", "q"}], ["elsewhere", "nobody"])
