from threading import Event

from pancascade.cli import early_report
from pancascade.cli.early_report import REPORT, with_report_imported


def test_the_report_is_imported_once_and_not_before_the_networks_report_progress(monkeypatch):
    imported, done, seen = [], Event(), []

    def note(name):
        imported.append(name)
        done.set()

    monkeypatch.setattr(early_report, "import_module", note)
    show = with_report_imported(lambda *call: seen.append(call))
    assert not imported
    show("locate", 8, 16)
    show("locate", 16, 16)
    assert done.wait(240)
    assert imported == [REPORT]
    assert seen == [("locate", 8, 16), ("locate", 16, 16)]


def test_without_a_report_progress_stays_as_it_is():
    def progress(*_):
        pass

    assert with_report_imported(progress, when=False) is progress
