"""HDF5 files opened for reading, with sentences for those that are none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import h5py

from cs231n.downloads import check_is_data


@contextlib.contextmanager
def open_hdf5(path: str | os.PathLike) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading in a `with` statement; damage found in the block gets a sentence as well.

    Parameters
    ----------
    path : path
        The file.

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
        raise ValueError(f"{path} is not an HDF5 file; check its name, or get a whole copy.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    # h5py has no exception of its own: what it cannot read ends in one of these.
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path} is damaged or cut short; get a whole copy.") from error
