"""A web server on loopback that behaves badly on request: the oracle of every test about downloads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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


def _send(request: BaseHTTPRequestHandler, code: int, body: bytes, content_type: str) -> None:
    request.send_response(code)
    request.send_header("Content-Type", content_type)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
