"""Build sdist and wheel, look into them, install the wheel in a fresh environment, and use it there.

python .ci/check_package.py PYTHON     # `make package`
"""

import argparse
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
NEEDED = (
    "pancascade/py.typed",
    "pancascade/weights/pancreas.safetensors",
    "pancascade/weights/tumour.safetensors",
    "pancascade/weights/pancreas.graphs.json",
    "pancascade/weights/pancreas.first.onnx",
    "pancascade/weights/tumour.second.onnx",
    "pancascade/weights/qiu2024-small.json",
    "pancascade/weights/qiu2024-small.md",
    "pancascade/recipes/qiu2024.yaml",
    "pancascade/reproduction/published/qiu2024.yaml",
    "pancascade/report/templates",
)
MOST_MB = 40.0


def build(python: str, folder: Path) -> tuple[Path, Path]:
    """Wheel and sdist."""
    run(python, "-m", "build", "--outdir", str(folder), str(ROOT))
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def look_into(wheel: Path, sdist: Path) -> list[str]:
    """What is wrong with their contents."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    faults = [f"the wheel lacks {need}" for need in NEEDED if not any(name.startswith(need) for name in names)]
    if not any(name.endswith("licenses/LICENSE") for name in names):
        faults.append("the wheel lacks its licence")
    strange = [name for name in names if PurePosixPath(name).parts[0] not in ("pancascade", dist_info(names))]
    faults += [f"the wheel holds {name}" for name in strange[:3]]
    with tarfile.open(sdist) as archive:
        inside = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.getnames()}
    faults += [f"the sdist lacks {need}" for need in ("pyproject.toml", "LICENSE", "README.md") if need not in inside]
    faults += [f"the sdist holds {name}" for name in sorted(inside) if name.split("/")[0] in ("runs", "data", ".venv")][
        :3
    ]
    size = wheel.stat().st_size / 1e6
    if size > MOST_MB:
        faults.append(f"the wheel has {size:.0f} MB, more than {MOST_MB:g}")
    sys.stdout.write(f"wheel {size:.1f} MB, {len(names)} files; sdist {sdist.stat().st_size / 1e6:.1f} MB\n")
    return faults


def dist_info(names: list[str]) -> str:
    """Name of the wheel's folder of metadata."""
    return next(PurePosixPath(name).parts[0] for name in names if ".dist-info/" in name)


def try_out(wheel: Path, folder: Path) -> None:
    """Install in a fresh environment, without torch, and segment the demo scan there, away from the checkout."""
    venv.create(folder / "env", with_pip=True)
    python, command = (str(folder / "env" / "bin" / name) for name in ("python", "pancascade"))
    run(python, "-m", "pip", "install", "--quiet", str(wheel))
    run(command, "models", cwd=folder)
    run(command, "segment", str(ROOT / "examples" / "pancreatic_ct.nii.gz"), "--out", "result", cwd=folder)
    missing = [name for name in ("segmentation.nii.gz", "report.html") if not (folder / "result" / name).is_file()]
    if missing:
        raise SystemExit(f"the installed wheel left no {missing[0]}")


def run(*command: str, cwd: Path | None = None) -> None:
    """A command that must end well."""
    subprocess.run(command, check=True, cwd=cwd)


def main() -> None:
    """Build, look, install, use."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel, sdist = build(arguments.python, folder)
        faults = look_into(wheel, sdist)
        if faults:
            raise SystemExit("; ".join(faults))
        try_out(wheel, folder)
    sys.stdout.write("the wheel installs, and segments the demo scan\n")


if __name__ == "__main__":
    main()
