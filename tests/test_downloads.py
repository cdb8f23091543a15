"""A download is whole and as expected, or ends in one sentence that says what happened."""

import errno
import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from cs231n import downloads
from cs231n.downloads import PinnedPackage, download_package, download_url, looks_like_html, read_archive
from tests import loopback
from tests.loopback import zip_of

pytestmark = pytest.mark.slow  # many small laws, not under a minute together with all others

ROOT = Path(__file__).resolve().parent.parent
BODY = bytes(range(256)) * 40


# --- Files from the web ---------------------------------------------------------------------------------


def test_redirects_are_followed():
    """A file that has moved is fetched from where it is now."""
    answers = {
        "/old": loopback.redirect("/newer"),
        "/newer": loopback.redirect("/new"),
        "/new": loopback.data(BODY),
    }
    with loopback.serve(answers) as address:
        assert download_url(f"{address}/old", size=len(BODY), sha256=hashlib.sha256(BODY).hexdigest()) == BODY


@pytest.mark.parametrize(
    ("answer", "exception", "sentence"),
    [
        (loopback.status(404), ConnectionError, r"404 Not Found.*check the address"),
        (loopback.status(403), ConnectionError, r"403 Forbidden.*check the address"),
        (loopback.status(500), ConnectionError, r"500 Internal Server Error.*try again later"),
        (loopback.status(503), ConnectionError, r"503 Service Unavailable.*try again later"),
        (loopback.redirect("/file"), ConnectionError, "redirects in a circle"),
        (loopback.redirect("ftp://127.0.0.1/file"), ConnectionError, "cannot be reached"),
        (loopback.truncated(BODY), ConnectionError, "broke off before its end"),
        (loopback.hang(), ConnectionError, r"sent nothing for 0\.2 s"),
        (loopback.hang(BODY), ConnectionError, r"sent nothing for 0\.2 s"),
        (loopback.html(), ValueError, r"a web page \(\d+ bytes of HTML\) in place of the file"),
        (loopback.data(b""), ValueError, "sent an empty file"),
        (loopback.data(BODY + b"."), ValueError, "sent 10,241 bytes, where 10,240 were expected"),
        (loopback.data(BODY[::-1]), ValueError, "another file than expected"),
        (loopback.endless(), ValueError, r"sends more than 20,000 bytes"),
    ],
    ids=[
        "404",
        "403",
        "500",
        "503",
        "redirect loop",
        "redirect elsewhere",
        "truncated",
        "hang at once",
        "hang midway",
        "HTML",
        "empty",
        "wrong size",
        "wrong hash",
        "endless",
    ],
)
def test_each_failure_has_its_sentence(answer, exception, sentence):
    """However the server fails, the sentence names the address, the failure and the way out."""
    expected = {"size": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest()}
    with loopback.serve({"/file": answer}) as address, pytest.raises(exception, match=sentence) as caught:
        download_url(f"{address}/file", max_bytes=20_000, timeout=0.2, **expected)
    assert str(caught.value).startswith(f"{address}/file ")
    assert str(caught.value).count("\n") == 0


def test_no_server_is_no_connection():
    """Where nothing listens, the sentence asks about the network."""
    with loopback.serve({}) as address:
        pass
    with pytest.raises(ConnectionError, match="cannot be reached; check the address and the network"):
        download_url(f"{address}/file", timeout=1)


@pytest.mark.parametrize("url", ["squeezenet.zip", "file:///etc/passwd", "ftp://host/file", ""])
def test_only_web_addresses_are_fetched(url):
    """Files of this machine and other protocols are refused before anything is opened."""
    with pytest.raises(ValueError, match=r"expected one that starts with http:// or https://"):
        download_url(url)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (loopback.MOVED_PAGE, True),
        (b"\xef\xbb\xbf\n  <html lang='en'>", True),
        (b"<!-- moved --><HTML>", True),
        (b"\x89HDF\r\n\x1a\n", False),
        (b"PK\x03\x04<html>", False),
        (b"<7f>", False),
        (b"", False),
    ],
)
def test_web_pages_are_told_from_data(content, expected):
    """A web page is known by its first tag, whatever stands before it; data may hold the same bytes later."""
    assert looks_like_html(content) is expected


# --- Archives -------------------------------------------------------------------------------------------


def test_base_names_are_matched_wherever_they_lie():
    """Folders do not matter, Windows' separators are separators, a Mac's shadow files are not the files."""
    files = {"b/data.bin": b"2", "a\\data.bin": b"1", "__MACOSX/._data.bin": b"-", "data.bin.txt": b"-"}
    assert read_archive(zip_of(files), "data.bin", "The zip") == {
        "a\\data.bin": b"1",
        "b/data.bin": b"2",
    }


def test_names_in_an_archive_are_no_paths(tmp_path, monkeypatch):
    """A name that climbs out of the folder is a name like any other: nothing is written."""
    monkeypatch.chdir(tmp_path)
    climbing = "../../climbed.bin"
    assert read_archive(zip_of({climbing: b"1"}), "*.bin", "The zip") == {climbing: b"1"}
    assert os.listdir(tmp_path) == []


def test_a_bomb_is_not_unpacked(monkeypatch):
    """Small archives that unpack to more than the limit are refused, also when each file is below it."""
    monkeypatch.setattr(downloads, "MAX_BYTES", 10_000)
    for files in ({"1.bin": bytes(10_001)}, {"1.bin": bytes(6_000), "2.bin": bytes(6_000)}):
        with pytest.raises(ValueError, match="unpacks to more than 10,000 bytes"):
            read_archive(zip_of(files, zipfile.ZIP_DEFLATED), "*.bin", "The zip")


def encrypted_zip():
    """Return a zip whose only file is marked as encrypted."""
    archive = bytearray(zip_of({"1.bin": b"secret"}))
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    archive[6] |= 1
    return bytes(archive)


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"no archive",
        zip_of({"1.bin": BODY})[:-40],
        zip_of({"1.bin": BODY}).replace(BODY[:50], bytes(50)),
        encrypted_zip(),
        b"\x1f\x8b" + BODY,
    ],
    ids=["empty", "text", "cut short", "a wrong byte", "encrypted", "no gzip"],
)
def test_damaged_archives_get_one_sentence(archive):
    """Whatever the libraries raise for damage comes out as the same sentence."""
    with pytest.raises(
        ValueError, match=r"^The zip is no archive that can be read \(.*\); download it again\.$"
    ):
        read_archive(archive, "*.bin", "The zip")


def test_an_archive_without_the_file_says_so():
    """An archive in order that is not the right one is named as that."""
    with pytest.raises(ValueError, match=r"The zip holds no file named \*\.bin"):
        read_archive(zip_of({"readme.txt": b""}), "*.bin", "The zip")


# --- Packages through pip -------------------------------------------------------------------------------

WHEEL, FILE, TINY = loopback.WHEEL, loopback.WHEEL_NAME, loopback.PACKAGE


@pytest.fixture
def index(monkeypatch):
    """Run a package index on loopback, which pip now asks; give its answers, to be changed."""
    with loopback.package_index(monkeypatch) as answers:
        yield answers


def test_files_come_out_of_a_package_that_stays_uninstalled(index, tmp_path, monkeypatch):
    """The files wanted arrive; the package is not installed, and nothing is left in the current folder.

    A student's own random.py in the current folder does not get in pip's way.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "random.py").write_text("raise SystemExit('a student wrote this')")
    files = download_package(TINY, "*.bin")
    assert files == {"tiny_data/more/values.bin": b"more", "tiny_data/values.bin": loopback.VALUES}
    assert importlib.util.find_spec("tiny_data") is None
    assert os.listdir(tmp_path) == ["random.py"]


def test_a_moved_package_is_followed(index):
    """An index that redirects, as mirrors do, is followed."""
    index["/moved"], index[f"/{FILE}"] = index[f"/{FILE}"], loopback.redirect("/moved")
    assert download_package(TINY, "values.bin")["tiny_data/values.bin"] == loopback.VALUES


@pytest.mark.parametrize(
    ("path", "answer", "exception", "sentence"),
    [
        (
            f"/{FILE}",
            loopback.data(zip_of({"values.bin": b"forged"})),
            ValueError,
            "has another SHA-256",
        ),
        (f"/{FILE}", loopback.html(), ValueError, "has another SHA-256"),
        (f"/{FILE}", loopback.data(WHEEL[:5000]), ValueError, "has another SHA-256"),
        (f"/{FILE}", loopback.status(404), ConnectionError, r"could not download tiny-data 1\.0 \(.*404"),
        (f"/{FILE}", loopback.status(500), ConnectionError, r"could not download tiny-data 1\.0 \(.*500"),
        (f"/{FILE}", loopback.hang(WHEEL[:9]), ConnectionError, r"tiny-data 1\.0 broke off before its end"),
        ("/simple/tiny-data/", loopback.status(404), ConnectionError, "reaches no index that offers"),
        ("/simple/tiny-data/", loopback.status(500), ConnectionError, "reaches no index that offers"),
        ("/simple/tiny-data/", loopback.hang(), ConnectionError, "reaches no index that offers"),
    ],
    ids=["forged", "HTML", "truncated", "404", "500", "hang", "index 404", "index 500", "index hangs"],
)
def test_each_failure_of_pip_has_its_sentence(index, path, answer, exception, sentence):
    """However the package index fails, pip's pages of output become one sentence."""
    index[path] = answer
    with pytest.raises(exception, match=sentence) as caught:
        download_package(TINY, "values.bin")
    assert "\n" not in str(caught.value)


DOWNLOAD_LIMITED = """
import resource, sys
from cs231n.downloads import download_package
from tests import loopback
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    download_package(loopback.PACKAGE, "values.bin")
except OSError as error:
    sys.exit(str(error))
"""


def test_pip_on_a_full_disk_is_no_broken_network(index):
    """Where the 11 kB of the package do not fit on the disk, the sentence does not blame the network."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", DOWNLOAD_LIMITED], env=environment, capture_output=True, text=True
    )
    assert done.stderr == (
        "pip cannot store tiny-data 1.0: the disk is full; free some space, or set TMPDIR to a folder on "
        "another disk.\n"
    )
    assert done.returncode == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_known_by_its_number(number):
    """A full disk, a used-up quota and a file too large are told from the network in any language."""
    complaint = f"ERROR: Could not install packages due to an OSError: {OSError(number, 'plein')}\n"
    assert "the disk is full" in str(downloads._pip_failure(TINY, complaint))


def test_a_release_that_is_gone_is_named(index):
    """A version that the index no longer has is not taken for a broken network."""
    gone = PinnedPackage("tiny-data", "2.0", "MIT", TINY.sha256)
    with pytest.raises(ConnectionError, match=r"No matching distribution found for tiny-data==2\.0"):
        download_package(gone, "values.bin")


def test_python_without_pip_is_told_how_to_get_it(monkeypatch):
    """An environment made without pip gets the command that installs it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"pip, .* is not installed .*`python -m ensurepip`"):
        download_package(TINY, "values.bin")


def test_files_come_out_of_an_sdist_as_well():
    """A tar.gz, as sdists are, is read like a zip."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as file:
        for name in ("top/values.bin", "top/other.txt"):
            info = tarfile.TarInfo(name)
            info.size = len(BODY)
            file.addfile(info, io.BytesIO(BODY))
    assert read_archive(archive.getvalue(), "values.bin", "The sdist") == {"top/values.bin": BODY}


# --- The scripts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script", [pytest.param("get_squeezenet.sh", marks=pytest.mark.slow), "datasets/get_imagenet_val.sh"]
)
def test_scripts_work_from_any_folder(script, tmp_path):
    """Called from elsewhere, a script passes its options on, and a failure ends in a sentence and code 2."""
    environment = os.environ | {"CS231N_DATASETS": str(tmp_path / "datasets")}
    with loopback.serve({}) as address:
        done = subprocess.run(
            [ROOT / script, "--source", "course", "--url", f"{address}/gone"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 2
    assert f"{address}/gone is refused (the server answers 404 Not Found)" in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("value", ["datasets", "~/datasets"])
def test_scripts_know_the_caller_s_folder_and_home(value, tmp_path):
    """`CS231N_DATASETS` counts from the folder that a script is called from; a tilde is the user's home."""
    (tmp_path / "datasets").mkdir()
    with h5py.File(tmp_path / "datasets" / "imagenet_val_sample.h5", "w") as file:
        file["X"], file["y"] = np.zeros((3, 224, 224, 3), np.uint8), np.zeros(3, np.int64)
    done = subprocess.run(
        [ROOT / "datasets/get_imagenet_val.sh"],
        cwd=tmp_path,
        env=os.environ | {"CS231N_DATASETS": value, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"Installed already: 3 images, at {tmp_path.resolve()}/datasets/" in done.stdout


@pytest.mark.parametrize(
    ("script", "remedy"),
    [("get_squeezenet.sh", "make weights"), ("datasets/get_imagenet_val.sh", "make images")],
)
def test_scripts_of_a_fresh_clone_say_what_to_run_first(script, remedy, tmp_path):
    """Where neither .venv nor python3 has the kit, one sentence says how to install it."""
    clone = tmp_path / "clone"
    shutil.copytree(ROOT / "cs231n", clone / "cs231n", ignore=shutil.ignore_patterns("__pycache__"))
    (clone / "datasets").mkdir()
    shutil.copy(ROOT / script, clone / script)
    venv.create(tmp_path / "bare")
    done = subprocess.run(
        [clone / script],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path / 'bare' / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"Error: the kit is not installed for python3; in its folder run `{remedy}`, or "
        "`python3 -m pip install -e .` and this again.\n"
    )
