"""What the demo's server lets in and out: its own pages, small requests, nothing from elsewhere."""

from __future__ import annotations

import json
import re
from typing import Any

from cs231n.demo.photographs import MAX_MEGABYTES

MAX_BODY = int(MAX_MEGABYTES * 1e6 * 4 / 3) + 100_000
"""Bytes of a request at most: a photograph, which is larger by a third on its way, and what is said of it."""

# The page, its scripts, and the queue. Gradio serves much more: files, uploads, a proxy, logs.
_PATHS = re.compile(
    r"/|/config/?|/theme\.css|/favicon\.ico|/manifest\.json|/robots\.txt|/(assets|static|svelte)/[\w./-]+"
    r"|/gradio_api/(queue/(join|data)|heartbeat/\w+|cancel|reset/?|info/?|app_id/?|startup-events|theme\.css)"
)

_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio compiles its templates in the page
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "media-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class TooLarge(Exception):
    """A request whose body goes on after `MAX_BODY` bytes."""


class Guard:
    """ASGI middleware around Gradio's application."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        """Pass a request on, or answer it with 404 or 413."""
        if scope["type"] != "http":
            await (self.app(scope, receive, send) if scope["type"] == "lifespan" else _refuse_socket(send))
            return
        if not _PATHS.fullmatch(scope["path"]) or ".." in scope["path"]:
            await _answer(send, 404, "There is nothing here; the demo is at the address without a path.")
            return

        received, answered = 0, False

        async def limited_receive() -> dict:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY:
                raise TooLarge
            return message

        async def guarded_send(message: dict) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        length = dict(scope["headers"]).get(b"content-length", b"0")
        try:
            if not length.isdigit() or int(length) > MAX_BODY:
                raise TooLarge
            await self.app(scope, limited_receive, guarded_send)
        except TooLarge:
            if not answered:
                await _answer(send, 413, f"The file is larger than {MAX_MEGABYTES} MB; choose a smaller one.")


async def _answer(send: Any, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refuse_socket(send: Any) -> None:
    await send({"type": "websocket.close", "code": 1008})
