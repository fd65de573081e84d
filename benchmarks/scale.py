"""Measure the cost of submitting many cases: efficiency of workers, overhead per case, memory over 100,000 cases.

    python benchmarks/scale.py --out scale.json
    python benchmarks/scale.py --cases 100000 --ray-cases 5000 --cost-ms 1 --seed 0

There are two parts, each with processes of this machine and with Ray (left out if it is not installed):

- efficiency: jobs of some processor time each, with 1 and 2 workers; seconds of one worker over twice those of two.
- many: jobs that only wait for a known time, which is drawn for each. The additional time of a job is the overhead of
  submitting it and of returning its result. The memory of the submitting process is measured during the run.

The ledger of a batch is measured as well: lines that are each on the disk before the next, and their memory.
"""

import argparse
import json
import os
import platform
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pancascade.execution import Executor, LocalProcesses, RayCluster
from pancascade.execution.parallel import available_cores
from pancascade.segmentation.batch.ledger import Ledger, LedgerEntry

LOOKS = 20
"""Number of memory measurements."""

WARM = 8
"""Jobs before the measurement, so that the processes have started."""


def compute(seconds: float) -> float:
    """Use this processor time."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return seconds


def wait(seconds: float) -> float:
    """Wait for a known time, independent of other work on the machine."""
    time.sleep(seconds)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000, help="Cases with processes.")
    parser.add_argument("--lines", type=int, default=5_000, help="Lines of the ledger.")
    parser.add_argument("--ray-cases", type=int, default=5_000)
    parser.add_argument("--cost-ms", type=float, default=1.0, help="Mean time of a stub.")
    parser.add_argument("--jobs", type=int, default=100, help="Jobs to measure the efficiency.")
    parser.add_argument("--job-ms", type=float, default=100.0, help="Processor time of each job.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("scale.json"))
    arguments = parser.parse_args()
    engines: dict[str, Callable[[int], Executor]] = {"processes": lambda workers: LocalProcesses(workers, threads=1)}
    counts = {"processes": arguments.cases}
    if find_spec("ray") is not None:
        engines["ray"] = lambda workers: RayCluster(workers=workers)
        counts["ray"] = arguments.ray_cases
    report: dict[str, Any] = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": available_cores(),
            "load_average": os.getloadavg(),
            "python": platform.python_version(),
        },
        "seed": arguments.seed,
        "efficiency": {},
        "many": {},
        "ledger": ledger(arguments.lines),
    }
    for name, make in engines.items():
        report["many"][name] = many(make(2), counts[name], arguments.cost_ms / 1000, seed=arguments.seed)
        keep(report, arguments.out)
        report["efficiency"][name] = efficiency(make, arguments.jobs, arguments.job_ms / 1000)
        keep(report, arguments.out)
    show(report)


def keep(report: dict[str, Any], path: Path) -> None:
    """Write the results measured so far, since the rest may take long."""
    path.write_text(json.dumps(report, indent=2) + "\n")


def efficiency(make: Callable[[int], Executor], jobs: int, seconds: float) -> dict[str, float]:
    """Return the seconds of one worker and of two for the same jobs, after the workers have started."""
    found: dict[str, float] = {"jobs": jobs, "cpu_s_a_job": seconds}
    for workers in (1, 2):
        found[f"seconds_{workers}"] = round(_timed(make(workers), compute, iter([seconds] * jobs)), 2)
        found[f"load_{workers}"] = round(os.getloadavg()[0], 1)
    return found | {"efficiency": round(found["seconds_1"] / (2 * found["seconds_2"]), 3)}


def many(executor: Executor, cases: int, cost: float, *, seed: int) -> dict[str, Any]:
    """Return overhead per case and memory, with two workers and stubs of half to one and a half of the cost."""
    drawn = random.Random(seed)
    waited = 0.0

    def jobs() -> Iterator[float]:
        nonlocal waited
        for _ in range(cases):
            one = cost * drawn.uniform(0.5, 1.5)
            waited += one
            yield one

    memory: list[float] = []
    every = max(1, cases // LOOKS)

    def look(done: int) -> None:
        if done % every == 0:
            memory.append(_held_mb())

    seconds = _timed(executor, wait, jobs(), each=look)
    return {
        "cases": cases,
        "mean_cost_ms": cost * 1000,
        "seconds": round(seconds, 1),
        "overhead_ms_a_case": round(1000 * (2 * seconds - waited) / cases, 3),
        "cases_an_hour": round(3600 * cases / seconds),
        "memory_mb": memory,
        "growth_mb": round(memory[-1] - memory[0], 1),
    }


def ledger(cases: int) -> dict[str, Any]:
    """Write the lines of a simulated batch, one after another."""
    with tempfile.TemporaryDirectory() as folder:
        before, began = _held_mb(), time.perf_counter()
        book = Ledger(Path(folder))
        for number in range(cases):
            book.add(LedgerEntry(case=f"case-{number:010d}", state="done", seconds=7.5, input=f"{number:032x}"))
        seconds = time.perf_counter() - began
        book.close()
        size = (Path(folder) / "ledger.jsonl").stat().st_size
    return {
        "lines": cases,
        "ms_a_line": round(1000 * seconds / cases, 3),
        "file_mb": round(size / 1e6, 1),
        "memory_mb": round(_held_mb() - before, 1),
    }


def _timed(
    executor: Executor,
    work: Callable[[float], float],
    jobs: Iterator[float],
    *,
    each: Callable[[int], None] | None = None,
) -> float:
    """Return the seconds of all jobs, starting when the first few jobs without cost are done."""

    def warmed() -> Iterator[float]:
        yield from [0.0] * WARM
        yield from jobs

    began = 0.0
    for done, _ in enumerate(executor.run(work, warmed()), start=1):
        if done == WARM:
            began = time.perf_counter()
        elif done > WARM and each is not None:
            each(done - WARM)
    return time.perf_counter() - began


def _held_mb() -> float:
    """Return the memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1000, 1)
    return 0.0


def show(report: dict[str, Any]) -> None:
    machine = report["machine"]
    load = f"load {machine['load_average'][0]:.1f}"
    print(f"{machine['processor']}, {machine['cores']} cores, {load}, seed {report['seed']}\n")
    print(f"{'efficiency':12}{'jobs':>8}{'1 worker, s':>14}{'2 workers, s':>14}{'efficiency':>12}")
    for name, one in report["efficiency"].items():
        print(f"{name:12}{one['jobs']:8}{one['seconds_1']:14.1f}{one['seconds_2']:14.1f}{one['efficiency']:12.2f}")
    print(f"\n{'many':12}{'cases':>8}{'s':>9}{'overhead, ms/case':>21}{'memory, MB':>16}{'growth, MB':>12}")
    for name, one in report["many"].items():
        held = f"{min(one['memory_mb']):.0f} to {max(one['memory_mb']):.0f}"
        print(
            f"{name:12}{one['cases']:8}{one['seconds']:9.1f}{one['overhead_ms_a_case']:21.2f}{held:>16}{one['growth_mb']:12.1f}"
        )
    book = report["ledger"]
    print(
        f"\nledger: {book['lines']} lines, {book['ms_a_line']} ms each, file {book['file_mb']} MB, "
        f"memory {book['memory_mb']} MB"
    )


if __name__ == "__main__":
    main()
