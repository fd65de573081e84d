"""Compare the speed of a batch with a shell loop over ``segment``, on the same scans, in the same run.

    python benchmarks/batch.py SCAN... --workers 2 --out batch.json

Both start with compiled and cached networks. The loop starts `pancascade segment` once per scan, as a shell does, with
the default number of threads. The output contains the load of the machine, since both numbers depend on it, and the
parts of the time of one scan: a process needs its start-up time before each scan, a batch once per worker.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pancascade.execution.parallel import available_cores

PANCASCADE = [sys.executable, "-c", "from pancascade.cli.app import main; main()"]

SHARES = """
import json, resource, sys, time

def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime + used.ru_stime

parts, last = {}, spent()

def mark(what):
    global last
    now = spent()
    parts[what] = {"seconds": round(now[0] - last[0], 2), "cpu_s": round(now[1] - last[1], 2)}
    last = now

from pancascade.segmentation import segment
from pancascade.inference.runners.loading import load_models
mark("imports")
loaded = load_models("qiu2024-small", "cpu")
mark("load the model")
for which in ("first scan", "the same again"):
    found = segment(sys.argv[1], loaded=loaded)
    mark(f"{which}: segment")
    found.save(sys.argv[2])
    mark(f"{which}: save")
print(json.dumps(parts))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", type=Path)
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument(
        "--rounds", type=int, default=1, help="Number of rounds of loop and batch in turn; the best of each counts."
    )
    parser.add_argument("--out", type=Path, default=Path("batch.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        parts = where_the_time_goes(arguments.scans[0], place)
        rounds = []
        for number in range(arguments.rounds):
            rounds.append(
                {
                    "loop": timed(lambda number=number: loop(arguments.scans, place / f"loop{number}")),
                    "batch": timed(
                        lambda number=number: batch(arguments.scans, place / f"batch{number}", arguments.workers)
                    ),
                }
            )
    report = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": available_cores(),
            "load_average": os.getloadavg(),
        },
        "scans": [scan.name for scan in arguments.scans],
        "workers": arguments.workers,
        "one_scan": parts,
        "rounds": rounds,
        **gains(rounds, len(arguments.scans)),
    }
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    show(report)


def where_the_time_goes(scan: Path, folder: Path) -> dict[str, Any]:
    """Return the seconds of one process by task; the run before it fills the cache of compiled networks."""
    command = [sys.executable, "-c", SHARES, str(scan), str(folder / "one")]
    answers = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2)]
    found: dict[str, Any] = json.loads(answers[1])
    return found


def loop(scans: Sequence[Path], out: Path) -> int:
    """Run one process per scan and return the number of results."""
    for number, scan in enumerate(scans):
        command = [*PANCASCADE, "segment", str(scan), "--out", str(out / str(number))]
        subprocess.run(command, check=False, capture_output=True)
    return len(list(out.glob("*/result.json")))


def batch(scans: Sequence[Path], out: Path, workers: int) -> int:
    """Run one batch and return the number of results."""
    command = [*PANCASCADE, "batch", *map(str, scans), "--out", str(out), "--workers", str(workers)]
    subprocess.run(command, check=False, capture_output=True)
    return len(list(out.glob("*/result.json")))


def timed(work: Any) -> dict[str, float]:
    """Return the seconds, and the processor seconds of all started processes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    results = work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_s": round(spent, 1),
        "results": results,
        "load_before": round(os.getloadavg()[0], 1),
    }


def gains(rounds: Sequence[dict[str, dict[str, float]]], scans: int) -> dict[str, Any]:
    """Return scans per hour of the best round of each, and the ratio of batch to loop."""
    best = {way: {what: min(one[way][what] for one in rounds) for what in ("seconds", "cpu_s")} for way in rounds[0]}
    return {
        "scans_an_hour": {way: round(3600 * scans / best[way]["seconds"]) for way in best},
        "times_as_fast": round(best["loop"]["seconds"] / best["batch"]["seconds"], 2),
        "times_as_fast_by_processor_time": round(best["loop"]["cpu_s"] / best["batch"]["cpu_s"], 2),
    }


def show(report: dict[str, Any]) -> None:
    print(
        f"{len(report['scans'])} scans, {report['workers']} workers, load {report['machine']['load_average'][0]:.1f}\n"
    )
    print(f"{'one scan in one process':32}{'s':>8}{'CPU s':>8}")
    for what, spent in report["one_scan"].items():
        print(f"{what:32}{spent['seconds']:8.1f}{spent['cpu_s']:8.1f}")
    print(f"\n{'':32}{'s':>8}{'CPU s':>8}{'results':>9}{'load':>6}")
    for number, one in enumerate(report["rounds"], start=1):
        for way, spent in one.items():
            title = f"{way}, round {number}"
            print(
                f"{title:32}{spent['seconds']:8.1f}{spent['cpu_s']:8.1f}{spent['results']:9.0f}{spent['load_before']:6.1f}"
            )
    for way, count in report["scans_an_hour"].items():
        print(f"{way}: {count} scans per hour")
    print(f"{report['times_as_fast']} times as fast; by processor time {report['times_as_fast_by_processor_time']}")


if __name__ == "__main__":
    main()
