"""What crosses between grader and child: cases one way, observations the other, as JSON and plain arrays.

The child may send anything, so what comes from it is read with limits and never unpickled.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cs231n.observation import Observation

MAX_MESSAGE = 64 * 2**20
"""Bytes of one message: four images of 224x224, their gradients and room to spare."""
_MAX_HEADER = 64 * 2**10
_MAX_TEXT = 1000
_KINDS = "fiub"


def write_job(folder: Path, cells: Iterable[str], cases: Mapping[str, Iterable[Any]]) -> None:
    """Write a child's job: the notebook's cells, and for each function the arguments to call it with.

    Parameters
    ----------
    folder : path
    cells : iterable of str
    cases : mapping of a function's name to cases, as `cs231n.checks.task.Case`
    """
    arrays: list[np.ndarray] = []
    calls = {
        function: [
            {
                "arguments": _pack(case.arguments, arrays),
                "keywords": dict(case.keywords),
                "seed": case.seed,
                "way": case.way,
            }
            for case in its_cases
        ]
        for function, its_cases in cases.items()
    }
    np.savez(folder / "arguments.npz", *arrays)
    (folder / "job.json").write_text(json.dumps({"cells": list(cells), "calls": calls}), encoding="utf-8")


def read_job(folder: Path) -> tuple[list[str], dict[str, list[dict[str, Any]]]]:
    """Return the cells, and for each function its calls: "arguments", "keywords", "seed" and "way"."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    with np.load(folder / "arguments.npz", allow_pickle=False) as arrays:
        for calls in job["calls"].values():
            for call in calls:
                call["arguments"] = _unpack(call["arguments"], arrays)
    return job["cells"], job["calls"]


def _pack(value: Any, arrays: list[np.ndarray]) -> Any:
    """Return an argument as JSON has it; arrays are put in a list, and their place stands for them."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, list | tuple):
        return [_pack(one, arrays) for one in value]
    return value


def _unpack(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return what was packed; tuples have become lists."""
    if isinstance(value, dict):
        return arrays[f"arr_{value['array']}"]
    if isinstance(value, list):
        return [_unpack(one, arrays) for one in value]
    return value


def send(stream: BinaryIO, message: Mapping[str, Any], observation: Observation | None = None) -> None:
    """Write a message, with an observation if there is one."""
    header, arrays = dict(message), []
    if observation is not None:
        header["observation"] = {
            "kind": observation.kind,
            "error": observation.error,
            "is_stub": observation.is_stub,
            "changed": observation.changed,
            "repeatable": observation.repeatable,
            "operations": observation.operations,
            "runs": observation.runs,
            "num_fed": observation.num_fed,
            "unsized_error": observation.unsized_error,
            "has_result": observation.result is not None,
        }
        arrays = [*([] if observation.result is None else [observation.result]), *observation.fed]
    parts = [_as_npy(array) for array in arrays]
    header["sizes"] = [len(part) for part in parts]
    text = json.dumps(header).encode()
    stream.write(len(text).to_bytes(4, "big") + text + b"".join(parts))
    stream.flush()


class Receiver:
    """Takes a child's bytes as they come, and gives its messages once they are whole."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterable[tuple[dict[str, Any], Observation | None]]:
        """Yield the messages that are whole with these bytes.

        Raises
        ------
        ValueError
            If they are none, or too large.
        """
        self._bytes += data
        while (message := self._take()) is not None:
            yield message

    def _take(self) -> tuple[dict[str, Any], Observation | None] | None:
        if len(self._bytes) < 4:
            return None
        length = int.from_bytes(self._bytes[:4], "big")
        if length > _MAX_HEADER:
            raise ValueError("The header is too long.")
        if len(self._bytes) < 4 + length:
            return None
        try:
            header = dict(json.loads(self._bytes[4 : 4 + length]))
            sizes = [_whole(size) for size in header["sizes"]]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError("The header can't be read.") from error
        end = 4 + length + sum(sizes)
        if end > MAX_MESSAGE:
            raise ValueError("The result is too large.")
        if len(self._bytes) < end:
            return None
        parts, start = [], 4 + length
        for size in sizes:
            parts.append(_from_npy(bytes(self._bytes[start : start + size])))
            start += size
        del self._bytes[:end]
        return header, _observation(header.get("observation"), parts)


def _observation(fields: Any, arrays: list[np.ndarray]) -> Observation | None:
    """Return the observation that a header describes; whatever has another type than it should is refused."""
    if not isinstance(fields, dict):
        return None
    result = arrays.pop(0) if fields.get("has_result") and arrays else None
    return Observation(
        result=result,
        kind=_text(fields.get("kind")),
        error=_text(fields.get("error")),
        is_stub=fields.get("is_stub") is True,
        changed=fields.get("changed") is True,
        repeatable=fields.get("repeatable") is True,
        operations=_whole(fields.get("operations")),
        runs=_whole(fields.get("runs")),
        fed=tuple(arrays),
        num_fed=_whole(fields.get("num_fed")),
        unsized_error=_text(fields.get("unsized_error")),
    )


def _text(value: Any) -> str:
    """Return a text in one line, without what would move a terminal's cursor."""
    if not isinstance(value, str):
        raise ValueError("A text is missing.")
    return "".join(character if character.isprintable() else " " for character in value[:_MAX_TEXT])


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**40:
        raise ValueError("A number is missing or out of range.")
    return value


def _as_npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _from_npy(data: bytes) -> np.ndarray:
    """Return the array in a `.npy` file's bytes; its header must claim no more than is there."""
    file = io.BytesIO(data)
    try:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # the parser of a header that makes no sense may raise whatever it likes
        raise ValueError("The array's header can't be read.") from error
    if dtype.kind not in _KINDS or math.prod(shape) * dtype.itemsize != len(data) - file.tell():
        raise ValueError("The array is not what its header says.")
    file.seek(0)
    return np.load(file, allow_pickle=False)
