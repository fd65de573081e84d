"""Lines of progress where there is no terminal."""

from pancascade.cli.progress import ProgressLines, shown_progress
from pancascade.cli.spoken import spoken


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _said(steps, *, total=100, what="predict"):
    clock, lines = Clock(), []
    show = ProgressLines(what, total, lines.append, clock=clock)
    for now, done in steps:
        clock.now = now
        show(done, total)
    return lines


def test_a_run_of_few_seconds_says_nothing():
    assert _said([(0, 0), (4, 50), (9, 100)]) == []


def test_a_line_tells_what_is_done_and_the_time_left():
    assert _said([(0, 0), (20, 10)]) == ["predict: 10 of 100, about 3.0 minutes left"]


def test_what_an_earlier_run_did_tells_nothing_about_the_speed():
    assert _said([(0, 50), (20, 60)]) == ["predict: 60 of 100, about 80 seconds left"]


def test_lines_come_at_most_every_ten_seconds_and_every_hundredth():
    assert len(_said([(second, second) for second in range(100)])) == 9
    assert len(_said([(20 * step, step) for step in range(5001)], total=5000)) == 100


def test_the_last_line_tells_of_no_time_left():
    assert _said([(0, 0), (30, 100)]) == ["predict: 100 of 100"]


def test_a_new_step_begins_anew():
    clock, lines = Clock(), []
    show = ProgressLines("locate", 10, lines.append, clock=clock)
    show(0, 10)
    clock.now = 100
    show(1, 10, what="segment")
    assert lines == []
    clock.now = 120
    show(5, 10, what="segment")
    assert lines == ["segment: 5 of 10, about 25 seconds left"]


def test_nothing_is_shown_where_a_verb_is_to_be_quiet(monkeypatch, capsys):
    monkeypatch.setattr("pancascade.cli.progress.LEAST_S", 0)
    with spoken("predict"), shown_progress("predict", total=2) as show:
        show(0)
        show(1)
    assert capsys.readouterr().err.startswith("predict: 1 of 2, about ")
    with spoken("predict", quiet=True), shown_progress("predict", total=2) as show:
        show(0)
        show(1)
    assert capsys.readouterr() == ("", "")
