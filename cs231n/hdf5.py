"""HDF5 files: read with sentences for those that are none, and written whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import h5py

from cs231n.downloads import check_is_data
from cs231n.paths import whole_file


@contextlib.contextmanager
def open_hdf5(path: str | os.PathLike, remedy: str = "get a whole copy") -> Iterator[h5py.File]:
    """Open an HDF5 file for reading in a `with` statement; damage found in the block gets a sentence as well.

    Parameters
    ----------
    path : path
        The file.
    remedy : str
        What to do about damage, for the message.

    Yields
    ------
    h5py.File

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is empty, a web page, no HDF5 file, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; check its name and folder.")
    check_is_data(path)
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path} is not an HDF5 file; check its name, or {remedy}.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    # h5py has no exception of its own: what it cannot read ends in one of these.
    except (OSError, RuntimeError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise ValueError(f"{path} is damaged or cut short; {remedy}.") from error


@contextlib.contextmanager
def new_hdf5(path: str | os.PathLike) -> Iterator[h5py.File]:
    """Make an HDF5 file in memory in a `with` statement, and write it once the block ends without an error.

    Parameters
    ----------
    path : path
        Where the file belongs. An existing file is replaced.

    Yields
    ------
    h5py.File
        Open for writing, empty.

    Raises
    ------
    OSError
        If the file cannot be written; then nothing of it is left. See `cs231n.paths.whole_file`.
    """
    with whole_file(path) as temporary:
        # In memory, because the HDF5 library crashes when it closes a file that a full disk has cut short.
        content = io.BytesIO()
        # The format of 1.10 is the first with checksums on all that says where and what the data is.
        with h5py.File(content, "w", libver=("v110", "v110")) as file:
            yield file
        temporary.write_bytes(content.getbuffer())
