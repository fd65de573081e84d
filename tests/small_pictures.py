"""Few and small pictures of a result, for tests that only want them written: they take longer than all the rest."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from matplotlib.figure import Figure

from pancascade.report import figures
from pancascade.report.scan import key_images, overview


@contextmanager
def pictures_made_small(*, drawn: bool = False) -> Iterator[None]:
    """One slice in the overview instead of eight, and a fifth of the pixels along each side, of figures as well.

    Args:
        drawn: Draw them; else they stay blank.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overview, "DPI", overview.DPI // 5)
        patch.setattr(overview, "choose_slices", partial(overview.choose_slices, count=1))
        patch.setattr(key_images, "LONGEST_SIDE", key_images.LONGEST_SIDE // 5)
        patch.setitem(figures.embed.__kwdefaults__, "dpi", 24)
        if not drawn:
            patch.setattr(Figure, "draw", lambda *_: None)
        yield


@pytest.fixture(autouse=True)
def small_pictures() -> Iterator[None]:
    with pictures_made_small():
        yield
