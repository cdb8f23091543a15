"""Measure the demo: start, answers, steps per second, ten visitors at once, memory over 500 requests.

Run it with `python -m benchmarks.demo`; it takes about two minutes. The server is a process of its own, as
`python -m cs231n demo` starts it; visitors speak to it as the page does.
"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

VISITORS, REQUESTS, ROUNDS = 10, 500, 20
_MEGABYTE = 2**20


class Visitor:
    """One visitor's page: it has a session of its own and triggers events as the page does.

    Parameters
    ----------
    address : str
        Of the server, like `http://127.0.0.1:7860/`.
    """

    def __init__(self, address: str) -> None:
        self.address, self.session = address.rstrip("/"), uuid.uuid4().hex
        with urllib.request.urlopen(f"{self.address}/config", timeout=30) as response:
            config = json.load(response)
        self.dependencies = config["dependencies"]
        self.components = {component["id"]: component for component in config["components"]}

    def values(self, elem_id: str, event: str) -> list[Any]:
        """Return what the page would send as an event's inputs, before anything was changed."""
        inputs = self._dependency(elem_id, event)["inputs"]
        return [self.components[one]["props"].get("value") for one in inputs]

    def trigger(
        self, elem_id: str, event: str, data: list[Any] | None = None, event_data: Any = None
    ) -> list[Any]:
        """Return what an event's function returns in the end."""
        *_, last = self.stream(elem_id, event, data, event_data)
        return last

    def stream(
        self, elem_id: str, event: str, data: list[Any] | None = None, event_data: Any = None
    ) -> Iterator[list[Any]]:
        """Yield what an event's function returns each time; of changes to a value, only that there are some.

        Raises
        ------
        RuntimeError
            With the sentence that the page would show.
        """
        dependency = self._dependency(elem_id, event)
        body = {
            "data": self.values(elem_id, event) if data is None else data,
            "event_data": event_data,
            "fn_index": dependency["id"],
            "trigger_id": None,
            "session_hash": self.session,
        }
        request = urllib.request.Request(
            f"{self.address}/gradio_api/queue/join",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=60).close()
        messages = f"{self.address}/gradio_api/queue/data?session_hash={self.session}"
        with urllib.request.urlopen(messages, timeout=60) as response:
            for line in response:
                if not line.startswith(b"data:"):
                    continue
                message = json.loads(line[5:])
                if message["msg"] == "process_completed" and not message["success"]:
                    raise RuntimeError(message["output"].get("error") or "Error")
                if message["msg"] in ("process_generating", "process_completed"):
                    yield message["output"].get("data", [])
                if message["msg"] == "process_completed":
                    return

    def _dependency(self, elem_id: str, event: str) -> dict:
        for dependency in self.dependencies:
            for component, name in dependency["targets"]:
                if name == event and self.components[component]["props"].get("elem_id") == elem_id:
                    return dependency
        raise ValueError(f"There is no event {event} of {elem_id}.")


@contextlib.contextmanager
def server() -> Iterator[tuple[str, psutil.Process, float]]:
    """Run the demo; give its address, its process, and the seconds until the page was there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = time.perf_counter()
    command = [sys.executable, "-m", "cs231n", "demo", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            address = f"http://127.0.0.1:{port}/"
            while not _answers(address):
                if process.poll() is not None:
                    raise RuntimeError("The demo did not start.")
                time.sleep(0.05)
            yield address, psutil.Process(process.pid), time.perf_counter() - start
        finally:
            process.terminate()


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except (urllib.error.URLError, ConnectionError):
        return False
    return True


def look(visitor: Visitor, number: int, label: int) -> float:
    """Return the seconds from the choice of a photograph to its guesses and the map of a class."""
    start = time.perf_counter()
    visitor.trigger("strip", "select", [], {"sample": number})
    visitor.trigger("bars", "select", None, {"label": label})
    return time.perf_counter() - start


def steps_per_second(visitor: Visitor, button: str) -> float:
    """Return how many steps a second a run shows, from its first step to its last."""
    times = [time.perf_counter() for _ in visitor.stream(button, "click")]
    return (len(times) - 1) / (times[-1] - times[0])


def main() -> None:
    """Measure and print."""
    with server() as (address, process, seconds):
        print(f"page ready after                 {seconds:.1f} s")
        visitor = Visitor(address)
        first = look(visitor, 0, 0)
        alone = [look(visitor, i % 20, i + 1) for i in range(ROUNDS)]
        print(f"Look, first time                 {first:.2f} s")
        print(
            f"Look, then                       {statistics.median(alone):.2f} s, at most {max(alone):.2f} s"
        )
        for button in ("start-fool", "start-dream", "start-believe", "start-style"):
            steps_per_second(visitor, button)
            print(f"{button:32} {steps_per_second(visitor, button):.1f} steps a second")

        visitors = [Visitor(address) for _ in range(VISITORS)]
        with ThreadPoolExecutor(VISITORS) as pool:
            together = list(pool.map(look, visitors, range(VISITORS), range(100, 110)))
            print(f"Look, {VISITORS} at once                {max(together):.2f} s at most")
            memory = []
            for k in range(REQUESTS // VISITORS):
                # Every class is another one, so that no map is one that the server knows already.
                labels = range(k * VISITORS, (k + 1) * VISITORS)
                list(pool.map(look, visitors, range(VISITORS), labels))
                memory.append(process.memory_info().rss / _MEGABYTE)
        fifth = len(memory) // 5
        print(
            f"memory over {REQUESTS} looks            {memory[0]:.0f} MB after the first {VISITORS}, "
            f"{memory[fifth]:.0f} MB after {fifth * VISITORS}, {memory[-1]:.0f} MB at the end"
        )


if __name__ == "__main__":
    main()
