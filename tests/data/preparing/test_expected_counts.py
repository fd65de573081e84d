import pytest

from pancascade.data.preparing.expected_counts import published_counts
from pancascade.data.store.prepared_case import PreparedCase, SliceCounts


def case(name, source, *, slices=100, with_pancreas=0, with_tumour=0):
    return PreparedCase(
        name=name,
        patient=name,
        source=source,
        slices=(),
        grid=None,
        scan_grid=None,
        pancreas_ml=None,
        tumour_ml=None,
        found=SliceCounts(slices=slices, with_pancreas=with_pancreas, with_tumour=with_tumour),
        source_files=(),
        files=(),
    )


def test_msd_as_the_paper_counts_it_does_not_differ():
    tumour = [4, 25] + [9] * 278
    tumour.append(2537 - sum(tumour))
    counts = published_counts(case(f"p{n}", "Task07_Pancreas", with_tumour=t) for n, t in enumerate(tumour))
    assert [(count.found, count.differs) for count in counts] == [
        ("281", False),
        ("2537", False),
        ("4–25", tumour[-1] not in range(4, 26)),
    ]


def test_a_difference_is_one_sentence():
    counts = published_counts(
        [case("a", "Task07_Pancreas", with_tumour=3), case("b", "Task07_Pancreas", with_tumour=9)]
    )
    assert [count.differs for count in counts] == [True, True, True]
    assert counts[1].sentence == (
        "MSD Task07, slices with tumour: found 12, Qiu et al. 2024 gives 2537 (1957 + 580 in 216 + 65 cases)."
    )
    assert counts[2].sentence == "MSD Task07, slices with tumour a case: found 3–9, Qiu et al. 2024 gives 4–25."


def test_nih_is_compared_in_patients_and_slices():
    cases = [case(f"PANCREAS_{n:04d}", "Pancreas-CT", slices=236, with_pancreas=87) for n in range(80)]
    counts = published_counts(cases)
    assert [(count.found, count.differs) for count in counts] == [("80", False), ("18880", True), ("6960", True)]
    assert counts[1].published == "18942"
    assert counts[2].published.startswith("7003 (5304 + 1699 in 62 + 20 patients")


@pytest.mark.parametrize("source", ["nih_slices", "Dataset042_Mine"])
def test_of_other_data_sets_nothing_is_published(source):
    assert published_counts([case("a", source)]) == []
