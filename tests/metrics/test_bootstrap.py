import numpy as np
import pytest

from pancascade.metrics import patient_bootstrap

VALUES = [0.2, 0.4, 0.9, 0.8, 0.5, float("nan")]
PATIENTS = ["a", "a", "b", "c", "c", "d"]


def test_the_mean_is_over_the_values_that_are_numbers():
    interval = patient_bootstrap(VALUES, PATIENTS)
    assert interval.mean == pytest.approx(np.mean(VALUES[:5]))
    assert interval.low < interval.mean < interval.high


def test_a_patient_without_a_number_is_as_if_absent():
    assert patient_bootstrap(VALUES, PATIENTS) == patient_bootstrap(VALUES[:5], PATIENTS[:5])


def test_the_order_of_values_does_not_matter():
    one, turned = patient_bootstrap(VALUES, PATIENTS), patient_bootstrap(VALUES[::-1], PATIENTS[::-1])
    assert tuple(turned) == pytest.approx(tuple(one))


def test_values_of_one_patient_are_not_taken_for_independent():
    values = [0.2] * 20 + [0.4] * 20 + [0.9] * 20
    by_patient = patient_bootstrap(values, [str(i // 20) for i in range(60)], resamples=1000)
    by_slice = patient_bootstrap(values, [str(i) for i in range(60)], resamples=1000)
    assert by_patient.high - by_patient.low > 3 * (by_slice.high - by_slice.low)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).random(30)
    one, same, other = (
        patient_bootstrap(values, [str(i) for i in range(30)], resamples=100, seed=seed) for seed in (3, 3, 4)
    )
    assert one == same != other


def test_patients_are_drawn_with_all_their_values():
    values, patients = VALUES[:5], PATIENTS[:5]
    names = sorted(set(patients))
    draws = np.random.default_rng(0).integers(len(names), size=(500, len(names)))
    means = []
    for draw in draws:
        chosen = [v for i in draw for v, p in zip(values, patients, strict=True) if p == names[i]]
        means.append(np.mean(chosen))
    interval = patient_bootstrap(values, patients, resamples=500, seed=0)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))


def test_one_patient_tells_nothing_about_others():
    interval = patient_bootstrap([0.1, 0.9], ["a", "a"])
    assert interval.mean == pytest.approx(0.5)
    assert np.isnan([interval.low, interval.high]).all()
    only_one_counts = patient_bootstrap([0.1, 0.9, float("nan")], ["a", "a", "b"])
    assert np.isnan([only_one_counts.low, only_one_counts.high]).all()


def test_intervals_shrink_with_more_patients():
    random = np.random.default_rng(0)
    few, many = random.normal(0.5, 0.1, 8), random.normal(0.5, 0.1, 200)
    widths = [
        (i := patient_bootstrap(v, [str(n) for n in range(len(v))], resamples=1000)).high - i.low for v in (few, many)
    ]
    assert widths[1] < 0.5 * widths[0]


def test_nothing_to_average_is_refused():
    with pytest.raises(ValueError, match="no value"):
        patient_bootstrap([float("nan")], ["a"])


def test_every_value_needs_its_patient():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        patient_bootstrap([0.1, 0.2], ["a"])
