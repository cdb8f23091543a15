"""Streams of images, from files and folders of any size, in batches that are decoded ahead."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cs231n.image_utils import read_prepared
from cs231n.imagenet import class_names
from cs231n.validation import check_not_negative_integer, check_positive_integer

_THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, eq=False)
class Batch:
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
    """Labelled images in a fixed order, the same on every machine. Made by `open_images`.

    Attributes
    ----------
    ids : sequence of str
        One per entry, damaged ones included, sorted by code point: the path in the folder, with "/". For a
        file of arrays the row's number, in the order of the rows.
    labels : ndarray of int32, shape (N,)
        -1 where the label is not known.
    class_names : list of str
        The 1000 of ImageNet, or the folder's own; `labels` counts in them.
    size : int
        Height and width of the images, in pixels.
    description : dict
        What was read and how, for JSON; equal for equal content, wherever it lies.
    strict : bool
        Whether a damaged entry ends the iteration with an error, instead of being skipped.
    """

    ids: Sequence[str]
    labels: np.ndarray
    class_names: list[str]
    size: int
    description: dict[str, Any]
    strict: bool
    _open_reader: Callable[[], contextlib.AbstractContextManager[Callable[[int], np.ndarray]]]

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
        OSError
            If the source itself can no longer be read: removed, or a network's folder that went away.
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
                for entry in itertools.islice(waiting, 3 * batch_size - len(ahead)):
                    ahead.append(pool.submit(_outcome, read, entry))
                batch = range(first, min(first + batch_size, entries.stop))
                yield self._batch(batch, [ahead.popleft().result() for _ in batch])

    def _batch(self, entries: range, outcomes: list[np.ndarray | str]) -> Batch:
        """Return a batch of what was read, or why not."""
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
    """Open images of any number to be read in batches."""
    root = Path(path)
    size = check_positive_integer(size, "size")
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}; check its name.")
    ids = sorted(entry.name for entry in root.iterdir() if entry.is_file() and entry.name[0] != ".")
    return ImageSource(
        ids=ids,
        labels=np.full(len(ids), -1, np.int32),
        class_names=class_names(),
        size=size,
        description={"kind": "folder of images", "preprocessing": preprocessing, "labels": "none"},
        strict=strict,
        _open_reader=functools.partial(
            contextlib.nullcontext, functools.partial(_read_file, root, ids, size, preprocessing)
        ),
    )


def _read_file(root: Path, ids: Sequence[str], size: int, preprocessing: str, entry: int) -> np.ndarray:
    """Return an image of a folder as the network takes it, raw."""
    return read_prepared(root / ids[entry], size, preprocessing, name=ids[entry])


def _outcome(read: Callable[[int], np.ndarray], entry: int) -> np.ndarray | str:
    """Return an entry's image, or the sentence that says why there is none."""
    try:
        return read(entry)
    except (OSError, ValueError) as error:
        return str(error)


@contextlib.contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Give a pool of threads that ends at once with the block: what is not begun is dropped."""
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="decode")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
