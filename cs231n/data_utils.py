"""Labelled images and the names of their classes."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cs231n import tiny_imagenet
from cs231n.downloads import SOURCES, PinnedPackage, check_source, download_package, download_url
from cs231n.hdf5 import new_hdf5, open_hdf5
from cs231n.image_sources import Batch, ImageSource, open_images
from cs231n.image_utils import read_rgb, square_image
from cs231n.imagenet import class_names, find_class
from cs231n.labelled_images import labelled_images, read_npz
from cs231n.paths import datasets_dir, whole_file
from cs231n.progress import progress_bar
from cs231n.validation import check_positive_integer

__all__ = [
    "Batch",
    "ImageSource",
    "class_names",
    "download_imagenet_val",
    "find_class",
    "load_imagenet_val",
    "load_tiny_imagenet",
    "open_images",
]

_PACKAGE = PinnedPackage(
    name="foolbox",
    version="3.3.4",
    licence="MIT",
    sha256="11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
)
_PHOTOGRAPH = re.compile(r"imagenet_\d+_(?P<label>\d+)\.jpg")
_NUM_PHOTOGRAPHS = 20
_TINY_SIZE = 64


@dataclass(frozen=True)
class _WebFile:
    """A file of the course, and how to tell it from what its server may send instead."""

    name: str
    url: str
    size: int
    sha256: str


_COURSE_FILE = _WebFile(
    name="imagenet_val_25.npz",
    url="http://cs231n.stanford.edu/imagenet_val_25.npz",
    size=3_940_548,
    sha256="35141609d22457c791e8fbe10c2d3b09ed0d6a04b669173e9fbebb0b4915cd3c",
)


def load_imagenet_val(
    num: int | None = None, path: str | os.PathLike | None = None
) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Load labelled images: the course's 25 of ImageNet's validation set if installed, else the sample.

    Parameters
    ----------
    num : int, optional
        How many, from the first on. Default: all.
    path : path, optional
        A file to load instead: an `.npz` like the course's, or HDF5 with `X` and `y` like the sample.

    Returns
    -------
    X : ndarray of uint8, shape (num, 224, 224, 3)
        Raw RGB images.
    y : ndarray of int64, shape (num,)
        Labels in [0, 1000).
    class_names : dict of int to str
        The names of all 1000 classes. (The course's own map lacks 134, because two classes are called
        "crane"; it is completed.)

    Raises
    ------
    FileNotFoundError
        If there is no such file; the sentence says which command to run.
    ValueError
        If the file is damaged or holds something else, or has fewer than `num` images.
    """
    if num is not None:
        check_positive_integer(num, "num")
    path = _installed_images() if path is None else Path(path)
    load = _first_of_npz if path.suffix.lower() == ".npz" else _first_of_hdf5
    return load(path, num)


def download_imagenet_val(
    source: str | None = None,
    url: str | None = None,
    force: bool = False,
    report: Callable[[str], None] = print,
) -> Path:
    """Install the labelled images that `load_imagenet_val` loads, unless they are there.

    Parameters
    ----------
    source : {"pypi", "course"}, optional
        `pypi`: twenty photographs of ImageNet classes out of a pinned package, as HDF5. `course`: the
        course's 25 images. Not given: any that are installed will do, else `pypi`.
    url : str, optional
        Another address of the course's file; only with the source `course`.
    force : bool
        Download even if the images are there.
    report : callable
        Takes a sentence about what is being done.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ConnectionError, OSError
        If the download fails or the file cannot be written. What was installed stays.
    ValueError
        If what came is not what was expected, or `source` or `url` make no sense.
    """
    check_source(source, url)
    for path in _image_files() if source is None else [_image_file(source)]:
        if not force and _is_sound(path, report):
            return path
    path = _image_file(source or "pypi")
    if source == "course":
        report(f"Downloading images from {url or _COURSE_FILE.url} ...")
        content = download_url(url or _COURSE_FILE.url, size=_COURSE_FILE.size, sha256=_COURSE_FILE.sha256)
        with whole_file(path) as temporary:
            temporary.write_bytes(content)
    else:
        report(f"Downloading images out of the package {_PACKAGE} ({_PACKAGE.licence}) ...")
        _write_sample(download_package(_PACKAGE, "imagenet_*.jpg"), path)
    report(f"Installed images: {path}.")
    return path


def load_tiny_imagenet(
    path: str | os.PathLike, dtype: npt.DTypeLike = np.float32, subtract_mean: bool = True
) -> dict[str, object]:
    """Load Tiny ImageNet (TinyImageNet-100-A, -100-B or -200) into memory.

    Parameters
    ----------
    path : path
        The unpacked folder, with `wnids.txt`, `words.txt`, `train`, `val` and `test`.
    dtype : dtype
        Type of the images.
    subtract_mean : bool
        Subtract the mean training image from all images; needs a floating type.

    Returns
    -------
    dict
        `class_names`: list with, for each label, the list of its WordNet names. `X_train`, `X_val`,
        `X_test`: arrays of `dtype`, shape (N, 3, 64, 64), channels first as in the course, RGB from 0 to
        255 (less the mean). `y_train`, `y_val`: int64 labels, shape (N,). `y_test`: the same, or None
        where the labels are not given out. `mean_image`: shape (3, 64, 64).

    Raises
    ------
    FileNotFoundError
        If a file of the data set is missing.
    ValueError
        If a file is damaged or not as expected, or `dtype` cannot hold images less their mean.

    Notes
    -----
    Images of the test set come in the order of their file names; the course takes the order of the disk.
    """
    dtype, root = np.dtype(dtype), Path(path)
    if subtract_mean and not np.issubdtype(dtype, np.floating):
        raise ValueError(f"dtype is {dtype}, which cannot hold images less their mean; use float32.")
    splits = {
        "train": tiny_imagenet.train_files(root),
        "val": tiny_imagenet.val_files(root),
        "test": tiny_imagenet.test_files(root),
    }

    data: dict[str, Any] = {"class_names": tiny_imagenet.class_words(root)}
    for split, (_, ids) in splits.items():
        known = None if ids is None else np.array(tiny_imagenet.labels_of(root, ids), np.int64)
        data[f"y_{split}"] = known
    with progress_bar(sum(len(files) for files, _ in splits.values()), "image", "Tiny ImageNet") as bar:
        for split, (files, _) in splits.items():
            data[f"X_{split}"] = X = np.empty((len(files), 3, _TINY_SIZE, _TINY_SIZE), dtype)
            for i, file in enumerate(files):
                X[i] = _read_tiny_image(file)
                bar.update()
    # Summed in float64: float32 would lose digits over a hundred thousand images.
    mean = data["X_train"].mean(axis=0, dtype=np.float64)
    if np.issubdtype(dtype, np.floating):
        mean = mean.astype(dtype)
    if subtract_mean:
        for split in ("train", "val", "test"):
            data[f"X_{split}"] -= mean
    return data | {"mean_image": mean}


def _image_file(source: str) -> Path:
    """Return where the images of a source are installed."""
    return datasets_dir() / (_COURSE_FILE.name if source == "course" else "imagenet_val_sample.h5")


def _image_files() -> list[Path]:
    """Return where images can be installed, in the order of preference."""
    return [_image_file("course"), _image_file("pypi")]


def _installed_images() -> Path:
    """Return the file of images to load, or raise FileNotFoundError with the command that installs one."""
    for path in _image_files():
        if path.is_file():
            return path
    looked_for = " or ".join(str(path) for path in _image_files())
    raise FileNotFoundError(f"There are no images at {looked_for}; run `python -m cs231n download-images`.")


def _remedy(path: Path) -> str:
    """Return what to do about damage in a file of images."""
    for source in SOURCES:
        if path == _image_file(source):
            return f"run `python -m cs231n download-images --force --source {source}`"
    return "get a whole copy"


def _is_sound(path: Path, report: Callable[[str], None]) -> bool:
    """Tell whether images are installed at `path` and can be loaded."""
    if not path.exists():
        return False
    try:
        X, _, _ = load_imagenet_val(path=path)
    except (OSError, ValueError) as error:
        report(f"The installed images are of no use: {error}")
        return False
    report(f"Installed already: {len(X)} images, at {path}.")
    return True


def _write_sample(photographs: dict[str, bytes], path: Path) -> None:
    """Write the package's photographs, made square, as an HDF5 file that says where they come from."""
    files = {Path(name).name: content for name, content in photographs.items()}
    labels = [int(match["label"]) for match in map(_PHOTOGRAPH.fullmatch, files) if match]
    if len(labels) != len(files) or len(files) != _NUM_PHOTOGRAPHS:
        raise ValueError(
            f"{_PACKAGE} holds {len(files)} photographs of other names than expected: {list(files)}."
        )
    with new_hdf5(path) as file:
        X = np.stack([square_image(read_rgb(io.BytesIO(content))) for content in files.values()])
        file.create_dataset("X", data=X, chunks=(1, *X.shape[1:]), fletcher32=True)
        file.create_dataset("y", data=np.array(labels, np.int64), fletcher32=True)
        file["ids"] = list(files)
        file.attrs["title"] = "Photographs of ImageNet classes; they are not from ImageNet's validation set"
        file.attrs["source"] = f"foolbox/data/imagenet_NN_LABEL.jpg of the Python package {_PACKAGE}"
        file.attrs["source_sha256"] = _PACKAGE.sha256
        file.attrs["licence"] = f"{_PACKAGE.licence}, the package's"
        file.attrs["preparation"] = (
            "the largest centred square, scaled to 224x224 by bicubic interpolation; RGB"
        )


def _first_of_hdf5(path: Path, num: int | None) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Return `load_imagenet_val`'s result for an HDF5 file."""
    with open_hdf5(path, _remedy(path)) as file:
        X, y = labelled_images(file, path)
        _check_enough(y, num, path)
        return X[:num], y[:num], dict(enumerate(class_names()))


def _first_of_npz(path: Path, num: int | None) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Return `load_imagenet_val`'s result for a file like the course's."""
    X, y, label_map = read_npz(path, _remedy(path))
    _check_enough(y, num, path)
    return X[:num], y[:num], dict(enumerate(class_names())) | label_map


def _check_enough(y: np.ndarray, num: int | None, path: Path) -> None:
    """Raise ValueError if there are fewer images than asked for."""
    if num is not None and num > len(y):
        raise ValueError(f"num is {num}, but {path} holds {len(y)} images; ask for no more than that.")


def _read_tiny_image(file: Path) -> np.ndarray:
    """Return an image of Tiny ImageNet, channels first."""
    img = read_rgb(file)
    if img.shape[:2] != (_TINY_SIZE, _TINY_SIZE):
        raise ValueError(
            f"{file} has {img.shape[1]}x{img.shape[0]} pixels; expected {_TINY_SIZE}x{_TINY_SIZE}."
        )
    return img.transpose(2, 0, 1)
