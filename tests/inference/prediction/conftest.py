import sys
from pathlib import Path

# The phantom is drawn once, beside the tests of inference.
sys.path.insert(0, str(Path(__file__).parents[2] / "inference"))

from types import SimpleNamespace

import pytest
from abdomen_phantom import GRID, HounsfieldCascade, abdomen, described, save_pictures, turned

from pancascade.data.readers import read_data_set, slice_folder
from pancascade.files.digests import patient_mark
from pancascade.imaging.io import write_volume
from pancascade.imaging.preprocessing import Window
from pancascade.labels import Label

PICTURES = Window(lower_hu=-155, upper_hu=355)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A file that stands for a checkpoint; give the cascade that it is, and whom it learned from."""

    def make(cascade=None, *, name="w", trained_on=(), **canvas):
        path = tmp_path / "weights" / f"{name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
        shown = cascade or HounsfieldCascade()
        description = SimpleNamespace(canvas=GRID) if shown.dimensions == 3 else described(**canvas)
        marks = [{"data_set": "any", "split": None, "patients": [patient_mark(one) for one in trained_on]}]
        known[path.name] = shown, SimpleNamespace(canvas=description.canvas, training={"trained_on": marks})
        return path

    known = {}
    monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    monkeypatch.setattr("pancascade.inference.runners.torch_runners.load_checkpoint", lambda path: known[path.name])
    return make


@pytest.fixture
def pictures(tmp_path):
    """Slices of the phantom as pictures, the back at the top, two of each of three patients; (folder, cases)."""
    folder = tmp_path / "pictures"
    save_pictures(folder, range(7, 13), window=PICTURES, patient=lambda number: f"p{number // 2}")
    values = {1: Label.PANCREAS, 2: Label.TUMOUR}
    return folder, slice_folder(folder, window=PICTURES, flip_rows=True, mask_values=values)


@pytest.fixture
def scans(tmp_path):
    """Two whole phantoms, one stored with other axes, as a volume list; (table, cases)."""
    scan, truth = abdomen()
    rows = ["image,label,patient"]
    for name, codes in (("a", "LPS"), ("b", "SRA")):
        write_volume(turned(scan, codes), tmp_path / "data" / f"{name}.nii.gz")
        write_volume(turned(scan.with_voxels(truth), codes), tmp_path / "data" / f"{name}_label.nii.gz")
        rows.append(f"{name}.nii.gz,{name}_label.nii.gz,{name}")
    table = tmp_path / "data" / "list.csv"
    table.write_text("\n".join(rows) + "\n")
    return table, read_data_set(table)
