"""On a real cluster of two nodes of this machine; skipped where Ray is not installed."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ray = pytest.importorskip("ray", reason="the extra cluster is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

sys.path.insert(0, str(Path(__file__).parent))

# Small data sets and masks are made once, beside the tests of the store and of evaluation.
sys.path.insert(0, str(Path(__file__).parents[1] / "data" / "store"))
sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from cluster_jobs import die, refuse, square_when_told, wait_for_ever  # noqa: E402
from mask_cases import AFFINE, label_map  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402
from small_sets import make_msd  # noqa: E402

from pancascade.data.checking.check import check  # noqa: E402
from pancascade.data.preparing.prepare import prepare  # noqa: E402
from pancascade.data.readers import read_data_set  # noqa: E402
from pancascade.errors import DataError, PancascadeError  # noqa: E402
from pancascade.evaluation import Method, evaluate  # noqa: E402
from pancascade.execution import RayCluster  # noqa: E402
from pancascade.imaging.io import write_volume  # noqa: E402
from pancascade.imaging.volume import Volume  # noqa: E402

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core each, whose workers find this folder. The tests that kill one come last."""
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        started = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        started.add_node(**NODE)
        yield started
        started.shutdown()


def test_a_job_that_kills_its_workers_is_given_up_and_errors_and_signals_are_as_they_were(cluster):
    handler = signal.getsignal(signal.SIGTERM)
    found = {done.job: done for done in RayCluster(cluster.address).run(die, [1, 2, 3])}
    assert {job: done.result for job, done in found.items()} == {1: 1, 2: None, 3: 3}
    assert "died 4 times" in found[2].lost
    with pytest.raises(DataError, match=r"^no 1$"):
        list(RayCluster(cluster.address).run(refuse, [1]))
    with pytest.raises(PancascadeError, match="has no 3 cores"):
        list(RayCluster(cluster.address, cores=3).run(die, [1]))
    assert signal.getsignal(signal.SIGTERM) is handler


def test_an_address_where_no_cluster_answers_is_said():
    with pytest.raises(PancascadeError, match=r"No Ray cluster answers at 127\.0\.0\.1:1\."):
        list(RayCluster("127.0.0.1:1").run(die, [1]))


def test_data_sets_are_checked_and_prepared_and_masks_evaluated_as_here(cluster, tmp_path):
    data = make_msd(tmp_path / "Task07_Pancreas")
    ray.init(address=cluster.address, log_to_driver=False)  # once, so that the workers stay
    there = RayCluster(cluster.address)
    assert check([data], executor=there) == check([data])
    stores = [
        prepare(read_data_set(data), tmp_path / name, executor=executor).manifest
        for name, executor in (("here", None), ("there", there))
    ]
    assert stores[0].cases == stores[1].cases
    for n, folder in enumerate(("reference", "predictions")):
        for case in range(2):
            write_volume(Volume(label_map(20 * n + case), AFFINE), tmp_path / folder / f"{case}.nii.gz")
    methods = [Method("mine", tmp_path / "predictions")]
    assert evaluate(methods, tmp_path / "reference", executor=there) == evaluate(methods, tmp_path / "reference")
    assert ray.is_initialized()  # a connection of others is theirs
    ray.shutdown()


def test_when_a_node_is_killed_half_way_every_job_comes_back_once(cluster, tmp_path):
    (tmp_path / "begun").mkdir()
    for name in ("told", "gate-0", "gate-1"):
        os.mkfifo(tmp_path / name)
    head, other = cluster.head_node, next(node for node in cluster.list_all_nodes() if node is not cluster.head_node)

    def kill_the_other_node() -> str:
        said = []
        while len(said) < 2:
            with (tmp_path / "told").open() as reported:
                said += [line.split() for line in reported.read().splitlines()]
        places = {node: number for number, node in said}
        cluster.remove_node(other, allow_graceful=False)
        (tmp_path / f"gate-{places[head.node_id]}").write_bytes(b".")
        return places[other.node_id]

    taken = []

    def jobs():
        for number in range(12):
            taken.append(number)
            yield (number, str(tmp_path))

    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(kill_the_other_node)
        found, ahead = [], []
        for done in RayCluster(cluster.address).run(square_when_told, jobs()):
            found.append((done.job[0], done.result, done.lost))
            ahead.append(len(taken) - len(found))
    assert sorted(found) == [(number, number**2, None) for number in range(12)]
    assert max(ahead) <= 4
    begun = [path.name.split("-")[0] for path in (tmp_path / "begun").iterdir()]
    assert begun.count(lost.result()) == 2  # on the node that died, and on the one that lives
    assert not ray.is_initialized()


def test_a_cluster_whose_head_is_lost_is_said_and_the_program_goes_on(cluster, tmp_path):
    os.mkfifo(tmp_path / "begun")

    def kill_the_head() -> None:
        (tmp_path / "begun").read_bytes()
        cluster.head_node.kill_gcs_server(check_alive=False)

    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill_the_head)
        with pytest.raises(PancascadeError, match=r"^The Ray cluster was lost\. .* a batch with --resume\.$") as lost:
            list(RayCluster(cluster.address).run(wait_for_ever, [str(tmp_path)]))
        killed.result()
    assert len(str(lost.value)) <= 200
    assert not ray.is_initialized()
