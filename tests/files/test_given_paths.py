from pathlib import Path

import pancascade
from pancascade.files.given_paths import real_path


def test_a_path_is_given_without_links_and_a_link_to_itself_stays_one(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "loop").symlink_to("loop")
    assert real_path(tmp_path / "link" / "scan.nii.gz") == tmp_path.resolve() / "folder" / "scan.nii.gz"
    assert real_path(str(tmp_path / "loop")).name == "loop"


def test_no_module_follows_links_with_path_resolve_which_fails_for_a_link_to_itself():
    sources = sorted(Path(pancascade.__file__).parent.rglob("*.py"))
    assert len(sources) > 500
    assert [path.name for path in sources if ".resolve()" in path.read_text(encoding="utf-8")] == []
