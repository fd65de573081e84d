"""TLS in both directions, with certificates made for the test."""

import shutil
import socket
import ssl
import subprocess

import pytest
from stand_ins import Pacs, associated, store, study

from pancascade.errors import PacsError
from pancascade.services.pacs.node_settings import TlsFiles
from pancascade.services.pacs.tls import client_context, server_context

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
NEW_KEY = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2", "-nodes")


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A certificate for 127.0.0.1 that is its own authority."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "node.pem", folder / "node.key"
    name = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    command = ["openssl", *NEW_KEY, "-keyout", key, "-out", certificate, *name]
    subprocess.run(command, check=True, capture_output=True)
    return TlsFiles(certificate=certificate, key=key, authority=certificate)


def test_studies_and_results_travel_by_tls(start, tls):
    with Pacs(tls=server_context(tls)) as pacs:
        node = start(pacs.port, tls=tls)
        store(node.port, study(), tls=(client_context(tls), "127.0.0.1"))
        assert len(pacs.take(3)) == 3


def test_who_shows_no_certificate_is_not_heard(start, pacs, tls):
    node = start(pacs.port, tls=tls)
    stranger = ssl.create_default_context(cafile=tls.authority)
    for way in (None, (stranger, "127.0.0.1")):
        assert not associated(node.port, tls=way).is_established


def test_who_connects_and_says_nothing_keeps_nobody_out(start, pacs, tls, monkeypatch):
    monkeypatch.setattr("pancascade.services.pacs.tls._HANDSHAKE_S", 0.1)
    node = start(pacs.port, tls=tls)
    with socket.create_connection(("127.0.0.1", node.port), timeout=120) as silent:
        assert silent.recv(1) == b""  # it was given up
        monkeypatch.setattr("pancascade.services.pacs.tls._HANDSHAKE_S", 120)
        patient = ssl.create_default_context(cafile=tls.authority)
        patient.load_cert_chain(tls.certificate, tls.key)
        association = associated(node.port, tls=(patient, "127.0.0.1"))
    assert association.is_established
    association.release()


def test_a_pacs_without_tls_gets_nothing(start, pacs, tls, log):
    node = start(pacs.port, tls=tls)
    store(node.port, study(), tls=(client_context(tls), "127.0.0.1"))
    log.wait_for("not sent to PACS@127.0.0.1")
    assert not pacs.has_more


@pytest.mark.parametrize("part", ["certificate", "key", "authority"])
def test_a_file_that_is_missing_or_none_is_one_sentence(tmp_path, tls, part):
    wrong = tmp_path / f"{part}.pem"
    files = tls.model_copy(update={part: wrong})
    with pytest.raises(PacsError, match="there is no such file"):
        server_context(files)
    wrong.write_text("no PEM")
    with pytest.raises(PacsError, match=rf"{part}\.pem.*not usable for TLS") as refused:
        client_context(files)
    assert len(str(refused.value)) <= 200


def test_a_locked_key_is_refused_and_nobody_asked_for_its_password(tmp_path, tls):
    command = ["openssl", "ec", "-in", tls.key, "-out", tmp_path / "locked.key", "-aes256", "-passout", "pass:secret"]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(PacsError, match="the key is locked by a password"):
        server_context(tls.model_copy(update={"key": tmp_path / "locked.key"}))
