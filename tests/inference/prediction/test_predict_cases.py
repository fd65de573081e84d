"""The papers' pass over a data set: what is written, what is kept, what is refused."""

from dataclasses import replace
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from abdomen_phantom import WINDOW, HounsfieldCascade, abdomen, dice, turned, volume_cascade
from PIL import Image

from pancascade.errors import CheckpointError, DataError, OutputError
from pancascade.evaluation.prediction_set import PredictionSet, PredictionSource, read_prediction_set
from pancascade.imaging.io import read_volume, write_volume
from pancascade.imaging.postprocessing import decide
from pancascade.imaging.volume import Volume
from pancascade.inference.localization.region_probabilities import STEP
from pancascade.inference.prediction import find_checkpoint, predict_cases
from pancascade.inference.prediction.predict_job import PredictJob, do_job, fair_threads
from pancascade.inference.prediction.scan_pass import lps_slices, read_for_pass, run_scan, scan_lps_hu
from pancascade.inference.prediction.slice_pass import SliceOnNetworkGrid, batches_on_network_grid
from pancascade.inference.runners.torch_runners import load_runner


def mask_of(folder, name):
    return np.asarray(Image.open(folder / f"{name}.png"))


def test_a_slice_s_mask_is_the_cascade_s_answer_on_the_picture_s_own_pixels(weights, pictures, tmp_path):
    _, cases = pictures
    cascade = HounsfieldCascade()
    found = predict_cases(weights(cascade, spacing_mm=None), cases, tmp_path / "out")
    assert [case.case for case in found.done] == [case.name for case in cases]
    for case in cases:
        (axial,) = case.read_slices()
        shown = torch.from_numpy(WINDOW.apply(axial.hu))[None, None]
        padded = torch.nn.functional.pad(shown, (3, 3, 9, 9))
        expected = decide(cascade.segment(padded, cascade.locate(padded)).numpy())[0, 9:-9, 3:-3]
        assert expected.any()
        assert np.array_equal(mask_of(tmp_path / "out", case.name)[::-1], expected)


def test_slices_share_batches_and_never_see_each_other(weights, pictures, tmp_path):
    _, cases = pictures
    cascade = HounsfieldCascade()
    path = weights(cascade)
    predict_cases(path, cases, tmp_path / "all")
    assert len(cascade.sizes) == 1
    for case in cases:
        predict_cases(path, [case], tmp_path / case.name)
        assert np.array_equal(mask_of(tmp_path / "all", case.name), mask_of(tmp_path / case.name, case.name))


def test_a_scan_s_mask_lies_on_the_grid_of_its_file_however_that_is_stored(weights, scans, tmp_path):
    _, cases = scans
    scan, truth = abdomen()
    predict_cases(weights(spacing_mm=None), cases, tmp_path / "out")
    straight, other = (read_volume(tmp_path / "out" / f"{name}.nii.gz") for name in "ab")
    assert straight.on_same_grid_as(turned(scan, "LPS"))
    assert other.on_same_grid_as(turned(scan, "SRA"))
    assert np.array_equal(turned(other, "LPS").voxels, straight.voxels)
    bright = scan.voxels >= 150
    assert np.array_equal(straight.voxels > 0, bright)
    assert dice(straight.voxels > 0, truth > 0) < 1  # the vessel is left in: no rule about components


def test_a_volume_s_mask_is_the_vote_of_the_3d_cascade(weights, scans, tmp_path):
    cascade = volume_cascade(factor=2, margin=2, coarse_margin=1)
    predict_cases(weights(cascade), scans[1][:1], tmp_path / "out")
    scan, _ = abdomen()
    images = torch.from_numpy(WINDOW.apply(scan.voxels))[None, None]
    with torch.inference_mode():
        expected = decide(cascade(images).numpy())[0]
    assert expected.any()
    assert np.array_equal(read_volume(tmp_path / "out" / "a.nii.gz").voxels, expected)


def test_probabilities_decide_the_masks(weights, pictures, scans, tmp_path):
    predict_cases(weights(), pictures[1], tmp_path / "slices", probabilities=True)
    for case in pictures[1]:
        stored = np.load(tmp_path / "slices" / "probabilities" / f"{case.name}.npz", allow_pickle=False)
        assert stored["probabilities"].shape[0] == 3
        decided = decide(stored["probabilities"].astype(np.float32)[None])[0]
        assert (decided != mask_of(tmp_path / "slices", case.name)).mean() < 0.001
    predict_cases(weights(), scans[1][1:], tmp_path / "scans", probabilities=True)
    tumour = read_volume(tmp_path / "scans" / "probabilities" / "tumour" / "b.nii.gz")
    mask = read_volume(tmp_path / "scans" / "b.nii.gz")
    assert tumour.on_same_grid_as(mask)
    assert np.array_equal(tumour.voxels >= 0.5, mask.voxels == 2)


def test_a_resumed_run_does_only_what_is_left_and_gives_the_same_masks(weights, pictures, tmp_path):
    _, cases = pictures
    cascade = HounsfieldCascade()
    path = weights(cascade)
    whole = predict_cases(path, cases, tmp_path / "out")
    before = {case.name: mask_of(tmp_path / "out", case.name) for case in cases}
    cascade.sizes.clear()
    again = predict_cases(path, cases, tmp_path / "out", resume=True)
    assert (again, cascade.sizes) == (whole, [])
    (tmp_path / "out" / "s3.png").unlink()
    draft, foreign = (tmp_path / "out" / name for name in (".0123abcd.s3.png", ".keep"))
    draft.touch()
    foreign.touch()
    reported = []
    predict_cases(path, cases, tmp_path / "out", resume=True, on_done=lambda *count: reported.append(count))
    assert reported[0] == (5, 6)
    assert (draft.exists(), foreign.exists()) == (False, True)
    assert reported[-1] == (6, 6)
    assert len(cascade.sizes) == 1
    assert all(np.array_equal(mask_of(tmp_path / "out", name), mask) for name, mask in before.items())


def test_an_interrupted_run_leaves_what_is_done_and_says_that_it_is_not_finished(weights, scans, tmp_path):
    def interrupt(done, total):
        if done == 1:  # a killed process would leave what stands there now
            assert [case.case for case in read_prediction_set(tmp_path / "out").done] == ["a"]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_cases(weights(), scans[1], tmp_path / "out", on_done=interrupt)
    left = read_prediction_set(tmp_path / "out")
    assert (left.state, [case.case for case in left.done]) == ("running", ["a"])
    found = predict_cases(weights(), scans[1], tmp_path / "out", resume=True)
    assert (found.state, len(found.done)) == ("finished", 2)


def test_predictions_are_not_mixed_with_others_nor_written_over(weights, pictures, tmp_path):
    _, cases = pictures
    path, out = weights(), tmp_path / "out"
    predict_cases(path, cases, out)
    with pytest.raises(OutputError, match="holds predictions already"):
        predict_cases(path, cases, out)
    with pytest.raises(OutputError, match="other weights"):
        predict_cases(weights(name="other"), cases, out, resume=True)
    with pytest.raises(OutputError, match="other --probabilities"):
        predict_cases(path, cases, out, resume=True, probabilities=True)
    (out / "s1.png").write_bytes(b"edited by hand")
    with pytest.raises(OutputError, match=r"s1\.png was changed"):
        predict_cases(path, cases, out, resume=True)
    with pytest.raises(OutputError, match=r"holds no predictions\.json"):
        predict_cases(path, cases, pictures[0])


def test_a_case_that_cannot_be_read_costs_no_other(weights, pictures, tmp_path):
    folder, cases = pictures
    (folder / "images" / "s2.png").write_bytes(b"no picture")
    found = predict_cases(weights(), cases, tmp_path / "out")
    assert [case.case for case in found.failed] == ["s2"]
    assert "not a readable picture" in found.failed[0].message
    assert len(found.done) == 5
    assert not (tmp_path / "out" / "s2.png").exists()


def test_a_case_that_failed_is_tried_again_by_a_resumed_run(weights, pictures, tmp_path):
    folder, cases = pictures
    picture = folder / "images" / "s2.png"
    good = picture.read_bytes()
    picture.write_bytes(b"no picture")
    predict_cases(weights(), cases, tmp_path / "out")
    picture.write_bytes(good)
    assert len(predict_cases(weights(), cases, tmp_path / "out", resume=True).done) == 6


def test_a_scan_that_is_not_in_hounsfield_units_is_not_predicted(weights, scans, tmp_path):
    _, (good, bad) = scans
    shown = read_volume(bad.scan.image)
    write_volume(shown.with_voxels(np.clip(shown.voxels, 0, 255)), bad.scan.image)
    found = predict_cases(weights(), [good, bad], tmp_path / "out")
    assert [case.case for case in found.failed] == ["b"]
    assert not (tmp_path / "out" / "b.nii.gz").exists()


def test_single_slices_are_done_a_batch_at_a_time(weights, pictures, tmp_path, monkeypatch):
    monkeypatch.setitem(predict_cases.__globals__, "BATCH_SLICES", 4)
    reported = []
    predict_cases(weights(), pictures[1], tmp_path / "out", on_done=lambda *count: reported.append(count))
    assert reported == [(0, 6), (4, 6), (6, 6)]


def test_canvases_of_different_sizes_share_no_batch(monkeypatch):
    shapes = {"a": (1, 1, 4, 4), "b": (1, 1, 4, 6)}

    def drawn(runner, slices, place):
        return SliceOnNetworkGrid(None, torch.zeros(shapes[slices[place]]), None)

    monkeypatch.setattr("pancascade.inference.prediction.slice_pass.slice_on_grid", drawn)
    batches = list(batches_on_network_grid(None, [(0, "aab"), (1, "ba")]))
    assert [[key for key, _ in batch] for batch in batches] == [[0, 0], [0, 1], [1]]


class Graded(HounsfieldCascade):
    """Probabilities of every size."""

    def above(self, images, hu):
        return super().above(images, hu) ** 0.2


def test_stored_probabilities_are_rounded_to_the_nearest_step(weights, scans, tmp_path):
    case, path = scans[1][1], weights(Graded(), spacing_mm=None)
    predict_cases(path, [case], tmp_path / "out", probabilities=True)
    exact = run_scan(load_runner(path, torch.device("cpu")), read_for_pass(case.scan), probabilities=True)
    for label, wanted in exact.probabilities.items():
        stored = read_volume(tmp_path / "out" / "probabilities" / label.title / "b.nii.gz").voxels
        assert np.unique(wanted.voxels).size > 3
        assert np.abs(stored - wanted.voxels.astype(np.float32)).max() <= 0.5 * STEP + 1e-6


def test_slices_have_the_spacing_of_their_rows_before_that_of_their_columns():
    scan = Volume(np.zeros((5, 4, 2), np.int16), np.diag((-0.7, -0.9, 3.0, 1.0)))
    (first, _) = lps_slices(scan_lps_hu(scan))
    assert first.hu.shape == (4, 5)
    assert (first.spacing_mm, first.slice_mm) == (pytest.approx((0.9, 0.7)), pytest.approx(3.0))


def test_a_process_takes_its_share_of_the_threads(weights, pictures, tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr("torch.set_num_threads", taken.append)
    (tmp_path / "out").mkdir()
    do_job(PredictJob(weights(), tuple(pictures[1][:1]), tmp_path / "out", "cpu", False, 3))
    assert taken == [3]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"checkpoint_digest": "other"}, "weights"),
        ({"probabilities": True}, "--probabilities"),
        ({"backend": "torch f32, cuda"}, "device or backend"),
        ({"source": PredictionSource(part="test")}, "cases (data set, reading, split or part)"),
        ({"checkpoint": "renamed.safetensors", "state": "finished"}, None),
    ],
)
def test_what_makes_predictions_those_of_other_work_is_named(change, words):
    one = PredictionSet(state="running", checkpoint="best.safetensors", checkpoint_digest="a", backend="torch f32, cpu")
    assert one.same_work(one.model_copy(update=change)) == words


def test_where_nothing_can_be_predicted_no_folder_is_left(weights, pictures, tmp_path):
    with pytest.raises(DataError, match=r"needs whole scans"):
        predict_cases(weights(volume_cascade()), pictures[1], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_cases_of_one_name_and_two_slices_of_one_name_are_refused(weights, pictures, tmp_path):
    _, cases = pictures
    with pytest.raises(DataError, match="too similar"):
        predict_cases(weights(), [cases[0], cases[0]], tmp_path / "out")
    with pytest.raises(DataError, match="too similar"):  # where capitals do not count, one would be written over
        predict_cases(weights(), [cases[0], replace(cases[0], name="S0")], tmp_path / "out")
    found = predict_cases(weights(), [*cases, replace(cases[0], name="again")], tmp_path / "out")
    assert {case.case for case in found.failed} == {"s0", "again"}


def test_a_run_s_folder_means_its_best_weights(weights, tmp_path):
    path = weights(name="best")
    assert find_checkpoint(path.parent) == find_checkpoint(path) == path
    with pytest.raises(CheckpointError, match=r"holds no best\.safetensors"):
        find_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        find_checkpoint(tmp_path / "weights.txt")


def test_jobs_travel_to_other_processes(pictures, scans, tmp_path):
    for cases in (pictures[1], scans[1]):
        job = PredictJob(tmp_path, tuple(cases), tmp_path, "cpu", False)
        sent = ForkingPickler.loads(ForkingPickler.dumps(job))
        assert [len(case.read_slices()) for case in sent.cases] == [len(case.read_slices()) for case in cases]


def test_processes_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert fair_threads(1, cores=8) is None
    assert fair_threads(4, cores=8) == 2
    assert fair_threads(16, cores=8) == 1


def test_a_scan_of_other_numbers_is_seen_as_training_sees_it():
    scan, _ = abdomen()
    odd = scan.with_voxels(scan.voxels.astype(np.float32) + 0.4)
    odd.voxels[0, 0, 0] = 1e6
    seen = scan_lps_hu(odd).voxels
    assert seen.dtype == np.int16
    assert seen[0, 0, 0] == np.iinfo(np.int16).max
    assert np.array_equal(seen[1:], np.trunc(odd.voxels[1:]))
    assert scan_lps_hu(scan).voxels is scan.voxels or np.shares_memory(scan_lps_hu(scan).voxels, scan.voxels)
