"""``--engine`` and ``--address`` of the verbs that work case by case."""

import sys
from pathlib import Path

import pytest

# Small data sets and masks are made once, beside the tests of the store and of evaluation.
sys.path.insert(0, str(Path(__file__).parents[1] / "data" / "store"))
sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from mask_cases import AFFINE, label_map
from small_sets import make_msd

from pancascade.execution import Finished
from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume


@pytest.fixture
def verbs(tmp_path) -> dict[str, list[object]]:
    """Arguments of each verb, on three cases or two."""
    for n, folder in enumerate(("reference", "predictions")):
        for case in range(2):
            write_volume(Volume(label_map(20 * n + case), AFFINE), tmp_path / folder / f"{case}.nii.gz")
    data = make_msd(tmp_path / "Task07_Pancreas")
    return {
        "prepare": ["data", "prepare", data, "--out", tmp_path / "store"],
        "check": ["data", "check", data],
        "evaluate": ["evaluate", tmp_path / "predictions", tmp_path / "reference"],
    }


VERBS = pytest.mark.parametrize("verb", ["prepare", "check", "evaluate"])


class Cluster:
    """In the place of a Ray cluster: does the jobs here, the last one first."""

    made: list[tuple] = []  # noqa: RUF012

    def __init__(self, address, *, workers, cores, gpus):
        self.made.append((address, workers, cores, gpus))
        self.done = []

    def run(self, work, jobs):
        for job in reversed(list(jobs)):
            yield Finished(job, work(job))


@VERBS
def test_on_a_cluster_a_verb_says_what_it_says_on_this_machine(pancascade, verbs, verb, monkeypatch, tmp_path):
    monkeypatch.setattr(Cluster, "made", [])
    monkeypatch.setattr("pancascade.execution.RayCluster", Cluster)
    here = pancascade(*verbs[verb], "--workers", 1)
    if verb == "prepare":
        (tmp_path / "store").rename(tmp_path / "earlier")
    assert Cluster.made == []
    there = pancascade(*verbs[verb], "--engine", "ray", "--address", "head:6379")
    assert there == here
    assert Cluster.made == [("head:6379", 0, 1, 0)]
    if verb == "prepare":
        names = [{path.name for path in (tmp_path / one).rglob("*")} for one in ("earlier", "store")]
        assert names[0] == names[1]


@VERBS
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--address", "auto"), "--address is for a Ray cluster. Give --engine ray as well"),
        (("--engine", "ray", "--address", "auto", "--workers", 2), "--workers does not go with --address"),
        (("--engine", "ray"), 'Ray is not installed. Run pip install "pancascade[cluster]"'),
    ],
)
def test_a_cluster_that_cannot_be_used_is_said_in_one_sentence(
    pancascade, verbs, verb, options, said, monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = pancascade(*verbs[verb], *options)
    assert code == 2
    (line,) = err.strip().splitlines()
    assert said in line
    assert len(line) <= 207
    assert not list((tmp_path / "store").rglob("*.b2nd"))
