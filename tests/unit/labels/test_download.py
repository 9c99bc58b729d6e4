from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
import threading
import time
from base64 import b64decode
from collections import namedtuple

import numpy as np
import pytest

from cropflow.config.addresses import public
from cropflow.errors import CropflowError
from cropflow.labels.download import download
from cropflow.labels.transfer import Patience

PATIENCE = Patience(attempts=3, first_wait_s=0.001, longest_wait_s=0.01, timeout_s=0.5)
CONTENT = np.random.default_rng(0).bytes(300_000)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def fetch(server, tmp_path):
    """Download ``/file.bin`` with little patience."""
    server.files["/file.bin"] = CONTENT

    def run(url=None, name="file.bin", **options):
        return download(
            url or f"{server.url}/file.bin",
            tmp_path / "download" / name,
            work=tmp_path / "work",
            patience=options.pop("patience", PATIENCE),
            **options,
        )

    return run


def leftovers(folder):
    return sorted(path.suffix for path in (folder / "work").iterdir() if path.suffix != ".lock")


def test_a_file_arrives_whole_and_leaves_nothing_behind(fetch, tmp_path):
    (file,) = fetch(sha256=sha256(CONTENT))
    assert file.read_bytes() == CONTENT
    assert leftovers(tmp_path) == []
    assert [path.name for path in file.parent.iterdir()] == ["file.bin"]


def test_a_transfer_that_breaks_off_goes_on_where_it_ended(fetch, server):
    server.plans["/file.bin"] = ["break:100000", "break:50000"]
    (file,) = fetch()
    assert file.read_bytes() == CONTENT
    assert server.ranges_asked() == [None, "bytes=100000-", "bytes=150000-"]


def test_a_transfer_that_stalls_is_given_up_and_goes_on(fetch, server):
    server.plans["/file.bin"] = ["stall:70000"]
    (file,) = fetch(patience=Patience(attempts=3, first_wait_s=0.001, longest_wait_s=0.01, timeout_s=1.5))
    assert file.read_bytes() == CONTENT
    assert server.ranges_asked() == [None, "bytes=70000-"]


def test_a_later_process_goes_on_where_an_earlier_one_ended(fetch, server, tmp_path):
    server.plans["/file.bin"] = ["break:120000", "break:0", "break:0", "break:0"]
    with pytest.raises(CropflowError, match=r"RemoteProtocolError.*3 times in a row.*120000 bytes so far are kept"):
        fetch()
    assert leftovers(tmp_path) == [".json", ".part"]
    server.requests.clear()
    (file,) = fetch()
    assert file.read_bytes() == CONTENT
    assert server.ranges_asked() == ["bytes=120000-"]


def test_progress_renews_the_patience(fetch, server):
    server.plans["/file.bin"] = ["break:30000"] * 9
    (file,) = fetch()
    assert file.read_bytes() == CONTENT
    assert len(server.requests) == 10


def test_a_server_that_ignores_ranges_sends_all_again(fetch, server):
    server.plans["/file.bin"] = ["break:100000", "ignore range"]
    (file,) = fetch()
    assert file.read_bytes() == CONTENT


def test_a_server_that_sends_another_range_is_not_believed(fetch, server):
    server.plans["/file.bin"] = ["break:100000", "wrong range"]
    (file,) = fetch()
    assert file.read_bytes() == CONTENT
    assert server.ranges_asked()[-1] is None


@pytest.mark.parametrize("etags", [True, False])
@pytest.mark.parametrize("change", [b"longer", b""])
def test_a_file_that_changes_on_the_server_is_never_mixed(fetch, server, etags, change):
    server.etags = etags
    server.plans["/file.bin"] = ["break:100000", "break:0", "break:0", "break:0"]
    with pytest.raises(CropflowError):
        fetch()
    server.files["/file.bin"] = new = CONTENT[::-1] + change if etags else CONTENT[::-1] + b"longer"
    (file,) = fetch()
    assert file.read_bytes() == new


def test_a_file_that_shrank_on_the_server_is_fetched_anew(fetch, server):
    server.etags = False
    server.plans["/file.bin"] = ["break:100000", "break:0", "break:0", "break:0"]
    with pytest.raises(CropflowError):
        fetch()
    server.files["/file.bin"] = CONTENT[:5000]
    assert fetch()[0].read_bytes() == CONTENT[:5000]


def test_a_server_that_lies_about_the_length_is_refused_after_some_attempts(fetch, server):
    server.ranges = False
    server.plans["/file.bin"] = ["lie:10"] * 20
    with pytest.raises(CropflowError, match="3 times in a row"):
        fetch()
    assert len(server.requests) <= 4


def test_a_file_without_a_length_ends_with_the_connection(fetch, server):
    server.plans["/file.bin"] = ["no length"]
    assert fetch()[0].read_bytes() == CONTENT


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(fetch, server, status):
    server.plans["/file.bin"] = [f"status:{status}", f"status:{status}:0"]
    assert fetch()[0].read_bytes() == CONTENT


def test_a_server_may_ask_to_wait(fetch, server, caplog):
    server.plans["/file.bin"] = ["status:429:2"]
    fetch(patience=Patience(attempts=2, first_wait_s=0.001, longest_wait_s=0.05))
    assert "attempt 2 in 0.1 s" in caplog.text or "attempt 2 in 0.0 s" in caplog.text


def test_a_server_that_stays_down_is_given_up(fetch, server):
    server.plans["/file.bin"] = ["status:503"] * 9
    with pytest.raises(CropflowError, match="answered 503"):
        fetch()
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "hint"), [(404, "does not exist"), (401, "netrc"), (403, "netrc"), (400, "address")]
)
def test_a_refusal_is_final(fetch, server, status, hint):
    server.plans["/file.bin"] = [f"status:{status}"] * 9
    with pytest.raises(CropflowError, match=rf"(?s){hint}|{status}.*{hint}"):
        fetch()
    assert len(server.requests) == 1


def test_nobody_listening_is_one_line(fetch, flaky_http):
    with flaky_http.FlakyServer() as gone:
        url = f"{gone.url}/file.bin"
    with pytest.raises(CropflowError, match="ConnectError"):
        fetch(url)


def test_an_address_of_another_kind_is_one_line(fetch):
    with pytest.raises(CropflowError, match="cannot be fetched"):
        fetch("ftp://127.0.0.1/file.bin")


def test_a_wrong_checksum_deletes_the_download_and_names_both(fetch, tmp_path):
    with pytest.raises(CropflowError, match=rf"has sha256 {sha256(CONTENT)} .*expected {'0' * 64}"):
        fetch(sha256="0" * 64)
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "download" / "file.bin").exists()


def test_a_login_page_is_no_archive(fetch, server):
    server.files["/parcels.zip"] = b"PK and so on"
    server.plans["/parcels.zip"] = ["page"]
    with pytest.raises(CropflowError, match=r"begins with b'<!DOCTYPE html.*expected b'PK'"):
        fetch(f"{server.url}/parcels.zip", "parcels.zip")


def test_an_empty_file_is_refused(fetch, server):
    server.files["/file.bin"] = b""
    with pytest.raises(CropflowError, match="is empty"):
        fetch()


def test_a_file_that_is_there_with_its_checksum_is_not_fetched_again(fetch, server):
    fetch(sha256=sha256(CONTENT))
    server.requests.clear()
    fetch(sha256=sha256(CONTENT))
    assert server.requests == []


def test_too_small_a_disk_is_found_before_anything_is_written(fetch, monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")(10**6, 10**6, 1000)
    monkeypatch.setattr("cropflow.labels.transfer.shutil.disk_usage", lambda _: usage)
    with pytest.raises(CropflowError, match=r"needs 0.00 GB more, but .* free"):
        fetch()
    assert not list((tmp_path / "work").glob("*.part"))


def test_all_parts_of_an_archive_are_fetched_and_checked_together(fetch, server, tmp_path):
    parts = [b"7z\xbc\xaf\x27\x1c one", b"two", b"three"]
    for number, part in enumerate(parts, start=1):
        server.files[f"/RPG.7z.{number:03d}"] = part
    stale = tmp_path / "download" / "RPG.7z.004"
    stale.parent.mkdir()
    for name in ("RPG.7z.001", "RPG.7z.002", "RPG.7z.003", "RPG.7z.004"):
        stale.with_name(name).write_bytes(b"old")
    files = fetch(f"{server.url}/RPG.7z.001?key=secret", "RPG.7z.001", sha256=sha256(b"".join(parts)))
    assert [file.name for file in files] == ["RPG.7z.001", "RPG.7z.002", "RPG.7z.003"]
    assert [file.read_bytes() for file in files] == parts
    assert not stale.exists()


def test_credentials_stay_out_of_logs_and_errors(fetch, server, caplog):
    caplog.set_level(logging.DEBUG)
    server.plans["/file.bin"] = ["status:503"] * 3
    url = server.url.replace("http://", "http://user:pass-word@") + "/file.bin?token=to-ken#frag-ment"
    with pytest.raises(CropflowError) as stopped:
        fetch(url)
    for secret in ("pass-word", "to-ken", "frag-ment"):
        assert secret not in caplog.text
        assert secret not in str(stopped.value)
    assert server.requests[0][1]["authorization"].startswith("Basic ")


def test_credentials_come_from_the_netrc_file_and_an_addresss_own_come_first(fetch, server, tmp_path, monkeypatch):
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password se-cret\n")
    fetch()
    fetch(server.url.replace("http://", "http://you:other@") + "/file.bin")
    asked = [b64decode(headers["authorization"].removeprefix("Basic ")) for _, headers in server.requests]
    assert asked == [b"me:se-cret", b"you:other"]


def test_without_an_entry_for_the_host_nothing_is_sent(fetch, server, tmp_path, monkeypatch):
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine elsewhere.example login me password se-cret\n")
    fetch()
    assert "authorization" not in server.requests[0][1]


def test_a_broken_netrc_file_is_named_without_its_content(fetch, tmp_path, monkeypatch):
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me\nse-cret\n")
    with pytest.raises(CropflowError, match=r"Line \d of .*netrc") as stopped:
        fetch()
    assert "se-cret" not in str(stopped.value)


def test_an_address_is_shown_without_its_secrets():
    assert public("https://u:p@host:81/a/b.zip?k=v#f") == "https://host:81/a/b.zip"


def test_a_killed_process_leaves_what_the_next_one_needs(server, tmp_path, root):
    server.files["/file.bin"] = CONTENT
    server.plans["/file.bin"] = ["stall:200000"]
    output = tmp_path / "results" / "file.bin"
    command = [sys.executable, "-m", "cropflow", "labels", "download", "--url", f"{server.url}/file.bin"]
    command += ["--output", str(output), "--work", str(tmp_path / "work")]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while not any(part.stat().st_size > 100_000 for part in tmp_path.glob("work/*.part")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    assert not output.exists()
    subprocess.run(command, cwd=root, check=True, stderr=subprocess.DEVNULL)
    assert output.read_bytes() == CONTENT
    first, second = server.ranges_asked()
    assert first is None
    assert int(second.removeprefix("bytes=").removesuffix("-")) > 100_000


def test_two_downloads_of_one_address_do_not_disturb_each_other(fetch, server):
    server.plans["/file.bin"] = ["break:100000", "break:100000"]
    results = []
    workers = [threading.Thread(target=lambda n=n: results.append(fetch(name=f"{n}.bin"))) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [file.read_bytes() == CONTENT for (file,) in results] == [True, True]
