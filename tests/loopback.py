"""A web server and package index on loopback that behaves badly on request, for tests about downloads."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cs231n.downloads import PinnedPackage

MOVED_PAGE = (
    b'<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n<html><head>\n'
    b"<title>301 Moved Permanently</title>\n</head><body>\n<h1>Moved Permanently</h1>\n</body></html>\n"
)

Answer = Callable[[BaseHTTPRequestHandler, threading.Event], None]
"""What the server does with a request; the event is set once the server closes."""


def data(body: bytes, content_type: str = "application/octet-stream") -> Answer:
    """Answer with `body`, whole."""
    return lambda request, closing: _send(request, 200, body, content_type)


def html(body: bytes = MOVED_PAGE) -> Answer:
    """Answer with a web page under the data's name, as a server that has moved its files may do."""
    return data(body, "text/html")


def status(code: int) -> Answer:
    """Answer with an error's number and a page about it."""
    return lambda request, closing: _send(request, code, b"<html>error</html>", "text/html")


def redirect(target: str) -> Answer:
    """Send the client on to another path of this server."""

    def answer(request: BaseHTTPRequestHandler, closing: threading.Event) -> None:
        request.send_response(301)
        request.send_header("Location", target)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def truncated(body: bytes) -> Answer:
    """Promise the whole of `body`, send its first half and hang up."""

    def answer(request: BaseHTTPRequestHandler, closing: threading.Event) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: len(body) // 2])

    return answer


def hang(start: bytes = b"") -> Answer:
    """Send the head and `start` of a longer body, then nothing more until the server closes."""

    def answer(request: BaseHTTPRequestHandler, closing: threading.Event) -> None:
        if start:
            request.send_response(200)
            request.send_header("Content-Length", str(2 * len(start)))
            request.end_headers()
            request.wfile.write(start)
            request.wfile.flush()
        closing.wait()

    return answer


def endless() -> Answer:
    """Send zeros, without a length, for as long as the client takes them."""

    def answer(request: BaseHTTPRequestHandler, closing: threading.Event) -> None:
        request.send_response(200)
        request.end_headers()
        while not closing.is_set():
            request.wfile.write(bytes(1 << 16))

    return answer


@contextlib.contextmanager
def serve(answers: dict[str, Answer]) -> Iterator[str]:
    """Run a server whose paths answer as `answers` says (404 elsewhere); give its address, `http://127.0.0.1:PORT`.

    `answers` may be changed while the server runs.
    """
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # A client that has had enough hangs up; that is its right.
            with contextlib.suppress(ConnectionError):
                answers.get(self.path, status(404))(self, closing)
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def zip_of(files: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip of the given names and contents."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", compression) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return archive.getvalue()


VALUES = bytes(range(256)) * 40
WHEEL_NAME = "tiny_data-1.0-py3-none-any.whl"
WHEEL = zip_of(
    {
        "tiny_data/values.bin": VALUES,
        "tiny_data/more/values.bin": b"more",
        "tiny_data/__init__.py": b"raise SystemExit('imported')",
        "tiny_data-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n",
        "tiny_data-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "tiny_data-1.0.dist-info/RECORD": b"",
    }
)
PACKAGE = PinnedPackage("tiny-data", "1.0", "MIT", hashlib.sha256(WHEEL).hexdigest())
"""The package that `package_index` offers; it carries two files named `values.bin`."""


@contextlib.contextmanager
def package_index(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Answer]]:
    """Run an index that offers `PACKAGE`, and have pip ask only it; give its answers, to be changed."""
    page = f'<!DOCTYPE html><html><body><a href="/{WHEEL_NAME}">{WHEEL_NAME}</a></body></html>'.encode()
    answers = {"/simple/tiny-data/": html(page), f"/{WHEEL_NAME}": data(WHEEL)}
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    settings = {"CONFIG_FILE": os.devnull, "RETRIES": "0", "DEFAULT_TIMEOUT": "1", "NO_CACHE_DIR": "1"}
    with serve(answers) as address:
        for name, value in (settings | {"INDEX_URL": f"{address}/simple"}).items():
            monkeypatch.setenv(f"PIP_{name}", value)
        yield answers


def _send(request: BaseHTTPRequestHandler, code: int, body: bytes, content_type: str) -> None:
    request.send_response(code)
    request.send_header("Content-Type", content_type)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
