"""Reads pickles of plain NumPy arrays without trusting them.

A pickle is a program, and the unpickler runs it. Here it can name only what an allow-list holds, and even
NumPy's own names lead to small stand-ins instead: NumPy believes the state that a pickle gives it, and a
dtype that claims its objects are plain bytes is enough to make it follow any address in memory.
"""

from __future__ import annotations

import functools
import io
import math
import pickle
import re
from collections.abc import Collection
from typing import Any

import numpy as np

_NUMBERS_OR_TEXT = re.compile(r"[fiu][1248]|U[0-9]{1,4}")


def read_pickle(data: bytes, allowed: Collection[str], what: str) -> Any:
    """Return what a pickle of dicts, lists, tuples, text, numbers and NumPy arrays holds.

    Parameters
    ----------
    data : bytes
        The pickle. Trailing bytes are ignored.
    allowed : collection of str
        The global names that this pickle needs, a subset of `STAND_INS`, as NumPy 1 spells them:
        `numpy.core…`, where later versions write `numpy._core…`.
    what : str
        What the pickle is, for the message.

    Raises
    ------
    ValueError
        If it names anything else, is damaged, or holds arrays of other things than numbers and text.
    """
    try:
        return _without_stand_ins(_Unpickler(io.BytesIO(data), allowed).load())
    # A damaged or hostile pickle raises whatever its operations raise on the wrong operands.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"{what} cannot be read, {reason}; download it again.") from error


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, allowed: Collection[str]) -> None:
        super().__init__(file)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}".replace("numpy._core.", "numpy.core.", 1)
        if full_name not in self._allowed:
            raise pickle.UnpicklingError(f"it asks for {full_name!r}, which this data has no use for")
        # A new wrapper each time, because a pickle can set attributes of whatever it is handed.
        return functools.partial(STAND_INS[full_name])


class _Dtype:
    """What `numpy.dtype` and its state become: the code alone, and only in little-endian order."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if code not in ("O", "O8") and not _NUMBERS_OR_TEXT.fullmatch(code):
            raise ValueError(f"it holds an array of dtype {code!r}, where numbers or text were expected")
        self.code = code

    def __setstate__(self, state: tuple) -> None:
        if state[1] not in ("<", "|"):
            raise ValueError(f"its byte order is {state[1]!r}, where little-endian was expected")


class _Array:
    """What an empty array and its state become: an ndarray, or a list for an array of objects."""

    value: Any = None

    def __init__(self, kind: Any, shape: tuple, code: bytes) -> None:
        """Take and ignore what NumPy needs to make an empty array."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran_order, content = state
        if not isinstance(dtype, _Dtype):
            raise ValueError("an array in it has no dtype")
        if dtype.code.startswith("O"):
            if not isinstance(content, list) or len(content) != math.prod(shape):
                raise ValueError("an array of objects in it has the wrong length")
            self.value = content
        else:
            flat = np.frombuffer(content, f"<{dtype.code}")
            self.value = flat.reshape(shape, order="F" if fortran_order else "C")


class _Scalar:
    """What a NumPy scalar becomes: the Python number or text."""

    def __new__(cls, dtype: _Dtype, content: bytes) -> Any:
        if dtype.code.startswith("O"):
            raise ValueError("it holds a scalar of objects")
        return np.frombuffer(content, f"<{dtype.code}", count=1)[0].item()


def _latin1(text: str, encoding: str) -> bytes:
    """Return the bytes that protocol 2 wrote as text; other encodings than its own are not asked for."""
    if encoding != "latin1":
        raise ValueError(f"it encodes text as {encoding!r}, where only latin1 was expected")
    return text.encode("latin1")


STAND_INS = {
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy.core.multiarray.scalar": _Scalar,
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
    "_codecs.encode": _latin1,
}
"""Every global name that can be allowed at all, and what takes its place."""


def _without_stand_ins(value: Any) -> Any:
    """Return `value` with every stand-in for an array replaced by what it holds."""
    if isinstance(value, _Array):
        return _without_stand_ins(value.value)
    if isinstance(value, dict):
        return {key: _without_stand_ins(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_without_stand_ins(entry) for entry in value)
    return value
