import json

import pytest

from pancascade.data.store.manifest import MANIFEST, Manifest, is_store, read_manifest, write_manifest
from pancascade.data.store.options import PrepareOptions
from pancascade.errors import DataError

STORE = Manifest(state="finished", options=PrepareOptions(), sources=("Task07_Pancreas",))


def test_a_manifest_comes_back(tmp_path):
    write_manifest(tmp_path, STORE)
    assert read_manifest(tmp_path) == STORE
    assert is_store(tmp_path)


def test_other_folders_are_no_stores(tmp_path):
    assert not is_store(tmp_path)
    with pytest.raises(DataError, match=r"no such file\. Give a folder that `pancascade data prepare` made"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_text('{"format": 1}')
    assert not is_store(tmp_path)
    with pytest.raises(DataError, match="not the manifest of a store"):
        read_manifest(tmp_path)


def test_a_store_of_another_format_is_refused(tmp_path):
    write_manifest(tmp_path, STORE.model_copy(update={"format": 99}))
    with pytest.raises(DataError, match=r"a store of format 99, and this version reads 1"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("damage", [lambda text: text[:80], lambda text: text.replace("finished", "made")])
def test_a_damaged_manifest_is_one_sentence(tmp_path, damage):
    write_manifest(tmp_path, STORE)
    (tmp_path / MANIFEST).write_text(damage((tmp_path / MANIFEST).read_text()))
    with pytest.raises(DataError, match=r"manifest\.json: damaged"):
        read_manifest(tmp_path)


def test_a_manifest_tells_all_files(tmp_path):
    file = {"path": "arrays/a_hu.b2nd", "digest": "0", "size": 1}
    content = STORE.model_dump(mode="json") | {"cases": {"a": {"source": [], "files": [file]}}, "index": [file]}
    (tmp_path / MANIFEST).write_text(json.dumps(content))
    assert [found.path for found in read_manifest(tmp_path).files] == ["arrays/a_hu.b2nd"] * 2
