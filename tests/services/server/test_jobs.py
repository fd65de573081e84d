"""Jobs by REST, from the upload to the removal."""

import io
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
import stub_work
from running import running

from pancascade.errors import OutputError, PancascadeError
from pancascade.services.server import job_routes, scan_process
from pancascade.services.server.job import ServerJob
from pancascade.services.server.job_folder import JobFolder
from pancascade.services.server.job_service import JobService
from pancascade.services.server.result_routes import REPORT_ALONE
from pancascade.services.server.server_settings import ServerSettings


def test_a_scan_becomes_a_job_whose_progress_is_told_until_it_is_done(server):
    answer = server.send(stub_work.upload())
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/jobs/{job['id']}")
    reported = list(server.events(f"/jobs/{job['id']}/events"))
    assert {name for name, _ in reported} == {"job"}
    assert reported[-1][1]["state"] == "done"
    assert reported[-1][1]["summary"]["pancreas_ml"] == 70.25
    assert server.client.get(f"/jobs/{job['id']}").json() == reported[-1][1]
    assert server.client.get("/jobs").json() == {"jobs": [reported[-1][1]]}


def test_progress_reaches_who_listens_to_all_jobs(server):
    job = server.submit("hold")
    for name, data in server.events("/events"):
        assert name == "jobs"
        progress = {one["id"]: one["progress"] for one in data["jobs"]}[job]
        if progress["doing"] == "holding":
            assert progress == {"doing": "holding", "done": 2, "total": 3}
            break
    stub_work.open_gate(server.folder)
    assert server.ended(job)["state"] == "done"


def test_the_results_are_those_that_were_written(server):
    job = server.ended(server.submit())
    links = job["links"]
    for name, file in {"report": "report.html", "mask": "segmentation.nii.gz"}.items():
        assert server.client.get(links[name]).content == stub_work.FILES[file]
    assert server.client.get(links["result"]).json() == {"scan": job["name"]}
    assert server.client.get(links["mask"]).headers["content-disposition"] == (
        f'attachment; filename="{job["name"]}-segmentation.nii.gz"'
    )
    assert server.client.get(links["report"]).headers["content-security-policy"] == REPORT_ALONE
    before = server.on_disk()
    with zipfile.ZipFile(io.BytesIO(server.client.get(links["all"]).content)) as packed:
        content = {name: packed.read(name) for name in packed.namelist()}
    assert {f"{job['name']}/{name}" for name in [*stub_work.FILES, "result.json"]} == set(content)
    assert content[f"{job['name']}/segmentation.nii.gz"] == b"mask"
    assert server.on_disk() == before


def test_of_the_upload_nothing_stays_and_its_name_is_nowhere(server):
    name = "../../MILLER_JANE 1950-01-01.nii.gz"
    job = server.ended(server.send(stub_work.upload(), name=name).json()["id"])
    assert {path.split("/")[1] for path in server.on_disk()} == {"job.json", "result", "scan.nii.gz"}
    everything = server.client.get("/jobs").text + server.client.get("/").text
    for path in (server.folder / "jobs").rglob("*"):
        everything += str(path) + (path.read_text(errors="replace") if path.is_file() else "")
    assert "MILLER" not in everything
    assert len(job["id"]) == 32


def test_the_folder_of_a_job_is_this_users_alone(server):
    job = server.submit()
    assert (server.folder / "jobs" / job).stat().st_mode & 0o077 == 0
    server.ended(job)


def test_a_scan_that_cannot_be_used_is_refused_with_a_reason_and_nothing_of_it_is_kept(server):
    job = server.ended(server.submit("refuse"))
    assert (job["state"], job["reason"]["code"]) == ("refused", "not_ct")
    assert job["reason"]["sentence"] == f"{job['name']}: this is no CT. Give a CT."
    assert server.on_disk() == {f"{job['id']}/job.json"}
    answer = server.client.get(f"/jobs/{job['id']}/report")
    assert (answer.status_code, server.detail(answer)) == (409, f"{job['name']} has no result: it was refused.")


def test_a_report_may_run_its_own_script_and_no_other():
    from pancascade.report.scan.slice_viewer import viewer_script

    policy = dict(part.strip().split(" ", 1) for part in REPORT_ALONE.split(";"))
    assert policy["script-src"] == viewer_script()[1]
    assert policy["default-src"] == "'none'"


@pytest.mark.parametrize("how", ["die", "raise"])
def test_a_worker_that_dies_costs_its_own_job_and_nothing_else(server, how, caplog):
    job = server.ended(server.submit(how))
    assert (job["state"], job["reason"]["code"]) == ("failed", "process_died")
    assert len(job["reason"]["sentence"]) <= 200
    assert "patient" not in str(job) + caplog.text
    assert server.ended(server.submit())["state"] == "done"


@pytest.mark.parametrize("how", ["hold", "hold deaf"])
def test_a_job_that_is_removed_is_stopped_and_its_data_are_gone_at_once(server, how, monkeypatch):
    monkeypatch.setattr(scan_process, "PATIENCE_S", 0 if "deaf" in how else 600)
    job = server.submit(how)
    reported = server.events(f"/jobs/{job}/events")
    while next(reported)[1]["progress"]["doing"] != "holding":
        pass
    assert f"{job}/half-done" in server.on_disk()
    assert server.client.delete(f"/jobs/{job}").json() == {"removed": job}
    assert server.on_disk() == set()
    assert list(reported) == [("removed", {"id": job})]  # who listens hears of it
    assert server.client.get(f"/jobs/{job}").status_code == 404
    assert server.ended(server.submit())["state"] == "done"  # nobody waits at the gate any more


def test_a_job_that_waits_is_removed_before_it_begins(server):
    first, second = server.submit("hold"), server.submit("hold")
    server.wait_until(first, "holding")
    server.client.delete(f"/jobs/{second}")
    stub_work.open_gate(server.folder)
    assert server.ended(first)["state"] == "done"
    assert {path.split("/")[0] for path in server.on_disk()} == {first}


def test_a_full_queue_says_so_and_takes_more_when_there_is_room(server):
    first = server.submit("hold")
    server.wait_until(first, "holding")
    waiting = [server.submit() for _ in range(3)]
    answer = server.send(stub_work.upload())
    assert (answer.status_code, server.detail(answer)) == (503, "The queue is full: 3 scans wait. Try again later.")
    assert answer.headers["retry-after"]
    server.client.delete(f"/jobs/{waiting[0]}")
    last = server.submit()
    stub_work.open_gate(server.folder)
    assert [server.ended(job)["state"] for job in (first, *waiting[1:], last)] == ["done"] * 4


@pytest.mark.parametrize("place", ["", "/events", "/report", "/result.zip", "/view/", "/view/viewer.json"])
def test_a_job_that_there_is_not_is_404(server, place):
    for job in ("0" * 32, "%2e%2e", "..%2f..%2fetc%2fpasswd", "a" * 300):
        answer = server.client.get(f"/jobs/{job}{place}")
        assert answer.status_code == 404
        assert server.detail(answer)


def test_a_result_that_is_not_there_yet_is_409(server):
    job = server.submit("hold")
    answer = server.client.get(f"/jobs/{job}/mask.nii.gz")
    assert (answer.status_code, server.detail(answer).split()[1:5]) == (409, ["is", "not", "done", "yet."])
    stub_work.open_gate(server.folder)
    server.ended(job)


def test_what_has_ended_is_removed_after_a_while_and_what_has_not_stays(server):
    done = server.ended(server.submit())["id"]
    holding = server.submit("hold")
    now = datetime.now(UTC)
    server.service.remove_ended_before(now - timedelta(hours=1))
    assert {job.id for job in server.service.jobs.all()} == {done, holding}
    server.service.remove_ended_before(now + timedelta(hours=1))
    assert {job.id for job in server.service.jobs.all()} == {holding}
    assert not (server.folder / "jobs" / done).exists()
    stub_work.open_gate(server.folder)
    server.ended(holding)


def test_a_scan_of_this_computer_is_segmented_as_a_job(server, tmp_path):
    for what in ("", "refuse"):
        (tmp_path / f"scan{what}.nii").write_bytes(stub_work.upload(what))
    assert (server.service.segment_scan(tmp_path / "scan.nii") / "segmentation.nii.gz").read_bytes() == b"mask"
    with pytest.raises(PancascadeError, match="this is no CT"):
        server.service.segment_scan(tmp_path / "scanrefuse.nii")
    (tmp_path / "empty.nii").touch()
    with pytest.raises(PancascadeError, match="empty"):
        server.service.segment_scan(tmp_path / "empty.nii")


def test_a_server_that_starts_again_knows_what_is_done_and_fails_what_is_not(tmp_path):
    with running(tmp_path) as first:
        done = first.submit()
        first.ended(done)
        held, waiting = first.submit("hold"), first.submit()
        first.wait_until(held, "holding")
        other = ServerSettings(folder=tmp_path)
        with (
            pytest.raises(OutputError, match=r"pancascade serve.* choose another --folder"),
            JobService(other, work=stub_work.work),
        ):
            pass
    leftover = tmp_path / "jobs" / ("a" * 32)
    (leftover / "scratch").mkdir(parents=True)
    (leftover / "scratch" / "incoming").write_bytes(b"half an upload")
    (tmp_path / "jobs" / "somebody else's").mkdir()
    with running(tmp_path) as second:
        states = {job["id"]: (job["state"], job["number"]) for job in second.client.get("/jobs").json()["jobs"]}
        assert states == {done: ("done", 1), held: ("failed", 2), waiting: ("failed", 3)}
        assert "stopped" in second.client.get(f"/jobs/{held}").json()["reason"]["sentence"]
        assert second.client.get(f"/jobs/{done}/mask.nii.gz").content == b"mask"
        assert {path for path in second.on_disk() if done not in path} == {f"{held}/job.json", f"{waiting}/job.json"}
        assert not leftover.exists()
        assert (tmp_path / "jobs" / "somebody else's").exists()


def test_a_server_that_was_killed_leaves_jobs_that_the_next_one_fails(tmp_path):
    (tmp_path / "jobs").mkdir()
    folder = JobFolder.new(tmp_path / "jobs")
    folder.write(
        ServerJob(id=folder.id, number=8, kind="nifti", size_bytes=1, state="running", created="2026-01-01T00:00:00Z")
    )
    for half_done in (folder.scan, folder.path / ".0123.scan.nii.gz", folder.upload("nifti")):
        half_done.write_bytes(b"half")
    with running(tmp_path) as server:
        (found,) = server.client.get("/jobs").json()["jobs"]
        assert (found["state"], found["name"], found["reason"]["code"]) == ("failed", "scan-8", "server_stopped")
        assert server.on_disk() == {f"{folder.id}/job.json"}


def test_a_result_whose_record_did_not_fit_on_the_disk_is_not_lost_with_the_next_start(tmp_path, monkeypatch, caplog):
    write, full = JobFolder.write, [True]

    def written(folder, job):
        if full and job.state == "done":
            raise OutputError("job.json: cannot be written, the disk is full.")
        write(folder, job)

    monkeypatch.setattr(JobFolder, "write", written)
    with running(tmp_path) as server:
        job = server.ended(server.submit())["id"]
        assert "disk is full" in caplog.text
        server.service.jobs.write_missing()
        full.clear()
    with running(tmp_path) as server:
        assert server.client.get(f"/jobs/{job}").json()["state"] == "done"
        assert server.client.get(f"/jobs/{job}/mask.nii.gz").content == b"mask"


def test_a_stream_whose_client_went_before_it_began_is_forgotten(server):
    job_routes._stream(server.service, lambda: ("jobs", {}, True))
    assert not server.service.jobs.changes._listeners
