"""HDF5 files: read with sentences for those that are none, and written whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import h5py

from cs231n.downloads import check_is_data
from cs231n.paths import whole_file

_USER_BLOCK = 512
"""Bytes before an HDF5 file's own content, in which its writer may put what it likes."""


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
def new_hdf5(path: str | os.PathLike, checksum: bool = False) -> Iterator[h5py.File]:
    """Make an HDF5 file in memory in a `with` statement, and write it once the block ends without an error.

    Parameters
    ----------
    path : path
        Where the file belongs. An existing file is replaced.
    checksum : bool
        Whether to write the content's checksum before it, for `check_hdf5`. Other readers skip it.

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
        access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
        access.set_fileobj_driver(h5py.h5fd.fileobj_driver, content)
        # The format of 1.10 is the first with checksums on all that says where and what the data is.
        access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
        creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
        creation.set_obj_track_times(False)  # equal content makes equal files
        if checksum:
            creation.set_userblock(_USER_BLOCK)
        name = repr(content).encode()
        with h5py.File(h5py.h5f.create(name, h5py.h5f.ACC_TRUNC, creation, access)) as file:
            yield file
        if checksum:
            content.seek(_USER_BLOCK)
            block = _user_block(_checksum_of_rest(content))
            content.seek(0)
            content.write(block)
        temporary.write_bytes(content.getbuffer())


def check_hdf5(path: str | os.PathLike, remedy: str = "get a whole copy") -> None:
    """Raise an exception with a sentence if a file of `new_hdf5(..., checksum=True)` is not what was written.

    Parameters
    ----------
    path : path
    remedy : str
        What to do about damage, for the message.

    Raises
    ------
    FileNotFoundError, ValueError
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; check its name and folder.")
    with open(path, "rb") as file:
        sound = file.read(_USER_BLOCK) == _user_block(_checksum_of_rest(file))
    if not sound:
        raise ValueError(f"{path} is damaged or cut short; {remedy}.")


def _checksum_of_rest(file: BinaryIO) -> int:
    checksum = 0
    while piece := file.read(1 << 20):
        checksum = google_crc32c.extend(checksum, piece)
    return checksum


def _user_block(checksum: int) -> bytes:
    text = f"CRC-32C of all after byte {_USER_BLOCK}: {checksum:08x}\n"
    return text.encode().ljust(_USER_BLOCK, b"\0")
