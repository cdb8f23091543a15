"""Files of labelled images: `.npz` like the course's, and HDF5 with `X` and `y`."""

from __future__ import annotations

import io
import math
from pathlib import Path

import h5py
import numpy as np

from cs231n.downloads import check_is_data, read_archive
from cs231n.image_utils import MAX_MEGAPIXELS
from cs231n.unpickling import STAND_INS, read_pickle
from cs231n.validation import NUM_CLASSES, check_labels

MAX_CHUNK_BYTES = 128 * 2**20
"""Largest chunk of HDF5 that is read: a chunk is in memory whole, however few of its images are wanted."""

_MAX_IMAGES = 10_000_000


def read_npz(path: Path, remedy: str = "get a whole copy") -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Return the images, the labels and the map from label to name of a file like the course's.

    Parameters
    ----------
    path : path
    remedy : str
        What to do about damage, for the message.

    Returns
    -------
    X : ndarray of uint8, shape (N, H, W, 3)
    y : ndarray of int64, shape (N,)
    label_map : dict of int to str
        As it is in the file; the course's lacks 134.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged or holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; check its name and folder.")
    check_is_data(path)
    members = read_archive(path.read_bytes(), "*.npy", str(path))
    try:
        X, y, label_map = (members[f"{name}.npy"] for name in ("X", "y", "label_map"))
    except KeyError as error:
        raise ValueError(
            f"{path} lacks {error}; expected X, y and label_map, as the course's file has them."
        ) from error
    try:
        X, y, names = _read_npy(X), _read_npy(y), _read_label_map(label_map)
    except Exception as error:  # NumPy's reader raises errors of many kinds, by what the damage is
        raise ValueError(f"{path} is damaged or not like the course's file; {remedy}.") from error
    _check_raw(X, path)
    return X, _check_labels(y, len(X), path), names


def labelled_images(file: h5py.File, path: Path) -> tuple[h5py.Dataset, np.ndarray]:
    """Return the images of an open HDF5 file, still on disk, and their labels.

    Parameters
    ----------
    file : h5py.File
    path : path
        Its name, for messages.

    Returns
    -------
    X : dataset of uint8, shape (N, H, W, 3)
    y : ndarray of int64, shape (N,)

    Raises
    ------
    ValueError
        If the file lacks them, they are something else, or they lead out of the file.
    """
    X, y = (_dataset(file, name, path) for name in ("X", "y"))
    _check_raw(X, path)
    if y.dtype.kind not in "iu" or y.shape != (len(X),):  # before a false length is read into memory
        raise ValueError(
            f"y in {path} is {y.dtype} {y.shape}; expected a whole number per image, ({len(X)},)."
        )
    return X, _check_labels(y[()], len(X), path)


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """Return a dataset that lies in the file itself, in chunks that can be read."""
    link = file.get(name, getlink=True)
    dataset = file[name] if isinstance(link, h5py.HardLink) else None
    if link is not None and dataset is None:
        raise ValueError(f"{name} in {path} is a link to elsewhere; expected the data itself.")
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{path} holds no datasets X and y; expected labelled images.")
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{name} in {path} is kept in other files; expected the data itself.")
    chunk_bytes = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
    if chunk_bytes > MAX_CHUNK_BYTES:
        raise ValueError(
            f"{name} in {path} is stored in chunks of {chunk_bytes / 2**20:,.0f} MB, and "
            f"{MAX_CHUNK_BYTES >> 20} is the limit; store it in chunks of a few images."
        )
    return dataset


def _check_raw(X: np.ndarray | h5py.Dataset, path: Path) -> None:
    """Raise ValueError if `X` is no array of raw images."""
    if X.dtype != np.uint8 or len(X.shape) != 4 or X.shape[-1] != 3 or 0 in X.shape[1:3]:
        raise ValueError(
            f"X in {path} is {X.dtype} {X.shape}; expected raw images, uint8 (N, height, width, 3)."
        )
    if len(X) > _MAX_IMAGES or X.shape[1] * X.shape[2] > MAX_MEGAPIXELS * 1_000_000:
        raise ValueError(
            f"X in {path} is said to be {X.shape}; expected at most {_MAX_IMAGES:,} images of "
            f"{MAX_MEGAPIXELS} megapixels."
        )


def _check_labels(y: np.ndarray, n: int, path: Path) -> np.ndarray:
    """Return the labels of `n` images as int64, after checking them."""
    return check_labels(y, n, f"y in {path}").astype(np.int64)


def _read_npy(content: bytes) -> np.ndarray:
    """Return the array in an `.npy` file; one of objects, which would be a pickle, raises ValueError."""
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


def _read_label_map(content: bytes) -> dict[int, str]:
    """Return the map from label to name that an `.npy` file holds as a pickled array of one dict."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read_header = (
        np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    )
    read_header(file)
    match read_pickle(file.read(), STAND_INS.keys(), "label_map"):
        case [dict() as names] if all(
            isinstance(name, str) and label in range(NUM_CLASSES) for label, name in names.items()
        ):
            return names
    raise ValueError("label_map is not a map from label to name")
