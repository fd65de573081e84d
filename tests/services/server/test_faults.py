"""A full disk is told as one, whatever could not be written."""

import errno
import io

import pytest

from pancascade.errors import DataError, OutputError
from pancascade.services.server import result_routes
from pancascade.services.server.faults import RequestError, answerable


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(errno.ENOSPC, "No space left"), 507),
        (OSError(errno.EROFS, "Read-only"), 507),
        (FileNotFoundError(errno.ENOENT, "No such file"), None),
        (OutputError("out: cannot be written."), 400),
        (DataError("a mask"), 400),
        (RequestError(409, "not yet"), 409),
        (ValueError("a fault"), None),
    ],
)
def test_a_full_disk_is_told_as_one_and_only_our_faults_are_faults(error, status):
    assert (None if answerable(error) is None else answerable(error).status) == status
    wrapped = OutputError("out: cannot be written. Choose another folder.")
    wrapped.__cause__ = error
    assert answerable(wrapped).status == (507 if status == 507 else 400)


def test_an_archive_of_a_result_that_does_not_fit_on_the_disk_is_507(server, monkeypatch):
    class Full(io.BytesIO):
        def write(self, content):
            raise OSError(errno.ENOSPC, "No space left")

        def close(self):
            if not self.closed:
                super().close()
                raise OSError(errno.ENOSPC, "No space left")  # a buffer that does not fit is written once more

    job = server.ended(server.submit())["id"]
    monkeypatch.setattr(result_routes, "TemporaryFile", lambda **_: Full())
    answer = server.client.get(f"/jobs/{job}/result.zip")
    assert (answer.status_code, "disk is full" in server.detail(answer)) == (507, True)
