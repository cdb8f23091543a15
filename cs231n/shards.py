"""Maps of many images on disk: shards, the manifest that says what they are, and a reader.

An output is a folder with `manifest.json` and files like `maps-00003-of-00050.h5`, each whole or absent.
Shard k holds what became of the entries k·S to (k+1)·S of the source, S being the shard size. Nothing here
needs TensorFlow.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import h5py
import numpy as np

from cs231n.hdf5 import check_hdf5, new_hdf5, open_hdf5
from cs231n.paths import reason_of, whole_file

MANIFEST = "manifest.json"
DTYPES = ("float16", "float32")
LABELS = ("given", "predicted")

_FORMAT = "cs231n maps 1"
_LOCK = ".lock"
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
_REMEDY = "run the same command with --resume to compute it again"
_SMALL_DATASETS = ("ids", "labels", "predictions", "scores", "scales", "skipped_ids", "skipped_reasons")
_WHAT = {
    "ids": "the fingerprint of the source's entries and labels",
    "weights": "the weights' fingerprint",
    "kit": "the kit's version",
    "tensorflow": "TensorFlow's version",
    "num_entries": "the number of the source's entries",
}


@dataclass(frozen=True)
class Manifest:
    """What an output holds; runs may go on with each other's only if all of it is equal.

    Attributes
    ----------
    method : str
        `saliency`, or a name in `attribution.METHODS`.
    parameters : dict
        The method's, and how its result became one value per pixel.
    labels : {"given", "predicted"}
        Which class was explained: the source's label, or the network's first choice.
    dtype : {"float16", "float32"}
        Of the maps as stored.
    preprocessing : str
    size : int
        Height and width of the images and maps, in pixels.
    batch_size, shard_size : int
    num_entries : int
        How many images the source has, damaged ones included.
    ids : str
        SHA-256 of the source's entries and labels.
    weights : str
        The weights' fingerprint.
    kit, tensorflow : str
        Versions.
    source : dict
        What the source says of itself; it does not say where it is.
    """

    method: str
    parameters: dict[str, Any]
    labels: str
    dtype: str
    preprocessing: str
    size: int
    batch_size: int
    shard_size: int
    num_entries: int
    ids: str
    weights: str
    kit: str
    tensorflow: str
    source: dict[str, Any]

    @property
    def num_shards(self) -> int:
        """How many shards there are when all is done."""
        return -(-self.num_entries // self.shard_size)

    @property
    def digest(self) -> str:
        """SHA-256 of all that must be equal for two shards to belong together."""
        return hashlib.sha256(json.dumps(vars(self), sort_keys=True).encode()).hexdigest()

    def entries(self, shard: int) -> range:
        """Return the numbers of the source's entries that belong to a shard."""
        first = shard * self.shard_size
        return range(first, min(first + self.shard_size, self.num_entries))

    def path(self, folder: str | os.PathLike, shard: int) -> Path:
        """Return where a shard belongs."""
        return Path(folder) / f"maps-{shard:05d}-of-{self.num_shards:05d}.h5"


class Part(NamedTuple):
    """What became of a batch: maps packed for a shard, and the images that could not be read."""

    ids: Sequence[str]
    labels: np.ndarray
    predictions: np.ndarray
    scores: np.ndarray
    scales: np.ndarray
    chunks: Sequence[bytes]
    skipped: Sequence[tuple[str, str]]


def digest_of_entries(ids: Sequence[str], labels: np.ndarray) -> str:
    """Return the SHA-256 by which a source is known again, in hexadecimal."""
    digest = hashlib.sha256("\0".join(ids).encode("utf-8", "surrogateescape"))
    digest.update(np.asarray(labels, "<i4").tobytes())
    return digest.hexdigest()


def pack_maps(maps: np.ndarray, dtype: str) -> tuple[np.ndarray, list[bytes]]:
    """Return maps as they are stored: a scale and a compressed chunk for each.

    As float16 a map is divided by a power of two that brings its largest value to between 2^14 and 2^15.
    That division is exact, so the only error is float16's rounding: 2^-11 of each value, and for values below
    2^-28 of the map's largest, less than 2^-39 of that.

    Parameters
    ----------
    maps : ndarray of float32, shape (N, H, W)
    dtype : {"float16", "float32"}

    Returns
    -------
    scales : ndarray of float32, shape (N,)
        What to multiply the stored values with; 1 for float32.
    chunks : list of bytes
        As HDF5's filters shuffle and deflate would make them, for less work; see `_pack`.
    """
    if dtype == "float16":
        largest = np.abs(maps).max(axis=(1, 2), initial=0)
        scales = np.ldexp(np.float32(1), np.maximum(np.frexp(largest)[1] - 15, -126))
        maps = maps / scales[:, None, None]
    else:
        scales = np.ones(len(maps), np.float32)
    stored = maps.astype(f"<f{np.dtype(dtype).itemsize}")
    return scales, [_pack(one) for one in stored]


def _pack(stored: np.ndarray) -> bytes:
    """Return an array's bytes, sorted by their place in the number, as a zlib stream.

    Of a gradient's bytes only the highest, with sign and exponent, can be compressed, and repeats are as rare
    there as in noise. So that one gets Huffman's code and the others are copied, in half of deflate's time.
    """
    planes = np.ascontiguousarray(stored.reshape(-1, 1).view(np.uint8).T)
    copy = zlib.compressobj(0, zlib.DEFLATED, -zlib.MAX_WBITS)
    huffman = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, strategy=zlib.Z_HUFFMAN_ONLY)
    blocks = [copy.compress(planes[:-1]), copy.flush(zlib.Z_SYNC_FLUSH)]
    blocks += [huffman.compress(planes[-1]), huffman.flush()]
    header, checksum = b"\x78\x01", zlib.adler32(planes).to_bytes(4, "big")
    return b"".join([header, *blocks, checksum])


def write_shard(folder: str | os.PathLike, manifest: Manifest, shard: int, parts: Iterable[Part]) -> None:
    """Write a shard, whole or not at all.

    Parameters
    ----------
    folder : path
    manifest : Manifest
    shard : int
        Its number.
    parts : iterable of Part
        In the order of the source's entries.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    ids, labels, predictions, scores, scales, chunks, skipped = zip(*parts, strict=True)
    chunks = list(itertools.chain(*chunks))
    skipped = list(itertools.chain(*skipped))
    content = {
        "ids": _as_fixed_strings(itertools.chain(*ids)),
        "labels": np.concatenate(labels).astype("<i4"),
        "predictions": np.concatenate(predictions).astype("<i4"),
        "scores": np.concatenate(scores).astype("<f4"),
        "scales": np.concatenate(scales).astype("<f4"),
        "skipped_ids": _as_fixed_strings(name for name, _ in skipped),
        "skipped_reasons": _as_fixed_strings(reason for _, reason in skipped),
    }
    with new_hdf5(manifest.path(folder, shard), checksum=True) as file:
        for name, array in content.items():
            file[name] = array
        maps = file.create_dataset(
            "maps",
            (len(chunks), manifest.size, manifest.size),
            manifest.dtype,
            maxshape=(None, manifest.size, manifest.size),
            chunks=(1, manifest.size, manifest.size),
            shuffle=True,
            compression="gzip",
            compression_opts=1,
        )
        for index, chunk in enumerate(chunks):
            maps.id.write_direct_chunk((index, 0, 0), chunk)
        for key, value in vars(manifest).items():
            file.attrs[key] = json.dumps(value, sort_keys=True) if isinstance(value, dict) else value
        file.attrs["shard"] = shard
        file.attrs["manifest"] = manifest.digest


def check_shard(folder: str | os.PathLike, manifest: Manifest, shard: int) -> None:
    """Raise an exception with a sentence if a shard is not there, damaged, or another output's.

    The file is read whole and compared with its checksum; nothing is decompressed.

    Raises
    ------
    FileNotFoundError, ValueError
    """
    path = manifest.path(folder, shard)
    check_hdf5(path, _REMEDY)  # first, for of a damaged file the HDF5 library may never come back
    with open_hdf5(path, _REMEDY) as file:
        if file.attrs["manifest"] != manifest.digest or file.attrs["shard"] != shard:
            raise ValueError(f"{path} belongs to another output; {_REMEDY}.")


def _as_fixed_strings(texts: Iterable[str]) -> np.ndarray:
    """Return texts as UTF-8 of equal length; names of files keep the bytes that are no UTF-8."""
    encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
    length = max(map(len, encoded), default=1) or 1
    return np.array(encoded, h5py.string_dtype("utf-8", length))


def _as_texts(array: np.ndarray) -> list[str]:
    return [text.decode("utf-8", "surrogateescape") for text in array]


# --- The folder -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(folder: str | os.PathLike) -> Iterator[None]:
    """Keep an output to this run in a `with` statement; the folder is made if need be.

    The lock goes with the process, however that ends. Where the file system has no locks a warning says so;
    two runs would then compute the same shards twice and damage nothing, for each is written whole.

    Raises
    ------
    OSError
        If another run has the folder, or nothing can be written there.
    """
    folder = Path(folder)
    # Its substitute for `flock`, a file that is there, would outlive a killed run.
    lock = filelock.FileLock(folder / _LOCK, timeout=0, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise OSError(
            f"Another run is writing to {folder}; wait for it to end, or give another folder."
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise OSError(
                f"Cannot write to {folder}: {reason_of(error)}; give a folder you may write to."
            ) from error
        warnings.warn(
            f"The file system of {folder} has no locks; see to it that no other run writes there.",
            stacklevel=3,
        )
    try:
        yield
    finally:
        lock.release()


def begin(
    folder: str | os.PathLike,
    manifest: Manifest,
    resume: bool,
    advance: Callable[[int], object] = lambda entries: None,
) -> list[int]:
    """Return the numbers of the shards that are to be computed, after writing the manifest if there is none.

    Parameters
    ----------
    folder : path
        Locked, see `locked`.
    manifest : Manifest
        What is to be in the folder.
    resume : bool
        Whether to go on with what is there. Then all shards are read and compared with their checksums, and
        damaged ones are to be computed again; drafts that a killed run left are removed.
    advance : function, optional
        Called after each shard that was looked at with the number of its entries.

    Raises
    ------
    ValueError
        If the folder holds something else, or an unfinished output and `resume` is false.
    OSError
        If the manifest cannot be written.
    """
    folder = Path(folder)
    everything = list(range(manifest.num_shards))
    if not (folder / MANIFEST).exists():
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if others:
            raise ValueError(
                f"{folder} holds {others[0]} but no {MANIFEST}, so it is no output; give a new folder."
            )
        content = {"format": _FORMAT, **vars(manifest)}
        with whole_file(folder / MANIFEST) as path:
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        return everything
    differs = difference(read_manifest(folder), manifest)
    if differs is not None:
        what, there, now = differs
        raise ValueError(
            f"{folder} holds other maps: {what} is {there} there and {now} now; give a new folder, or the "
            "same images, weights and options as then."
        )
    if resume:
        for draft in folder.glob(".maps-*.h5"):
            draft.unlink(missing_ok=True)
        problems = _problems(folder, manifest, advance)
        return [shard for shard in everything if problems[shard] is not None]
    missing = [shard for shard in everything if not manifest.path(folder, shard).exists()]
    if missing:
        raise ValueError(
            f"{folder} has {len(everything) - len(missing)} of {len(everything)} shards already; add "
            "--resume to go on with it, or give a new folder."
        )
    return []


def read_manifest(folder: str | os.PathLike) -> Manifest:
    """Return an output's manifest.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, or it is damaged or of another format.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}; give a folder that `python -m cs231n attribute` wrote.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT:
            raise ValueError
        return Manifest(**content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} is damaged, or of another version of the kit; compute the maps into a new folder."
        ) from error


def verify(folder: str | os.PathLike, advance: Callable[[int], object] = lambda entries: None) -> list[str]:
    """Return a sentence for each shard of an output that is missing or damaged; an empty list if all is well.

    Parameters
    ----------
    folder : path
    advance : function, optional
        Called after each shard with the number of its entries.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no manifest, or it is damaged.
    """
    problems = _problems(folder, read_manifest(folder), advance)
    return [problem for problem in problems if problem is not None]


def _problems(
    folder: str | os.PathLike, manifest: Manifest, advance: Callable[[int], object]
) -> list[str | None]:
    """Return for each shard what is wrong with it in a sentence, or None."""
    problems = []
    for shard in range(manifest.num_shards):
        problems.append(_problem(folder, manifest, shard))
        advance(len(manifest.entries(shard)))
    return problems


def _problem(folder: str | os.PathLike, manifest: Manifest, shard: int) -> str | None:
    try:
        check_shard(folder, manifest, shard)
    except FileNotFoundError:
        return f"{manifest.path(folder, shard)} is missing; run the same command with --resume."
    except ValueError as error:
        return str(error)
    except OSError as error:  # of a damaged disk, say
        return f"{manifest.path(folder, shard)} can't be read: {reason_of(error)}; {_REMEDY}."
    return None


def difference(one: Manifest, other: Manifest) -> tuple[str, object, object] | None:
    """Return what differs first between two outputs, in words, and what it is in each; None if they agree."""
    for key, value in vars(one).items():
        if value != getattr(other, key):
            return _WHAT.get(key, key.replace("_", " ")), value, getattr(other, key)
    return None


# --- The reader -----------------------------------------------------------------------------------------


class Maps(Sequence):
    """The maps of a finished output, read when they are asked for.

    ``maps[3]`` is the map of the fourth image, float32 of shape (H, W); ``maps[10:20]``, ``maps[[1, 5]]`` and
    ``maps[maps.labels == 207]`` are several, shape (N, H, W). A `for` loop reads one map after the other.

    Parameters
    ----------
    folder : path
        What `python -m cs231n attribute` wrote.

    Attributes
    ----------
    manifest : Manifest
        What the maps are.
    ids : list of str
        The images' names in the source.
    labels, predictions : ndarray of int32, shape (N,)
        The source's label, -1 if it has none, and the network's first choice.
    scores : ndarray of float32, shape (N,)
        The unnormalised score that was explained: the label's or the first choice's, by `manifest.labels`.
    skipped : list of (str, str)
        The images that could not be read, and why.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder is no output, is not finished, or a shard is damaged.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.manifest = read_manifest(folder)
        self._paths = [self.manifest.path(folder, shard) for shard in range(self.manifest.num_shards)]
        missing = sum(not path.exists() for path in self._paths)
        if missing:
            raise ValueError(
                f"{folder} is not finished: {missing} of {len(self._paths)} shards are missing; run the same "
                "command with --resume."
            )
        columns = [_read_small(path) for path in self._paths]
        self.skipped = [entry for column in columns for entry in _skipped(column)]
        self._starts = np.cumsum([0, *(len(column["labels"]) for column in columns)])
        self.labels, self.predictions, self.scores = (
            np.concatenate([column[name] for column in columns])
            for name in ("labels", "predictions", "scores")
        )
        self.ids = [text for column in columns for text in _as_texts(column["ids"])]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, key: Any) -> np.ndarray:
        indices = np.arange(len(self))[key]
        maps = np.empty((*np.shape(indices), self.manifest.size, self.manifest.size), np.float32)
        rows, flat = maps.reshape(-1, *maps.shape[-2:]), np.ravel(indices)
        shards = np.searchsorted(self._starts, flat, side="right") - 1
        for shard in np.unique(shards):
            with self._open(shard) as (stored, scales):
                for row in np.flatnonzero(shards == shard):
                    index = flat[row] - self._starts[shard]
                    rows[row] = stored[index] * scales[index]
        return maps

    def __iter__(self) -> Iterator[np.ndarray]:
        for shard in range(len(self._paths)):
            with self._open(shard) as (stored, scales):
                for index, scale in enumerate(scales):
                    yield stored[index] * scale

    @contextlib.contextmanager
    def _open(self, shard: int) -> Iterator[tuple[Any, np.ndarray]]:
        """Give a shard's maps as float32, to be read one by one, and their scales."""
        with open_hdf5(self._paths[shard], _REMEDY) as file:
            yield file["maps"].astype(np.float32), file["scales"][()]


def open_maps(folder: str | os.PathLike) -> Maps:
    """Return the maps of a finished output, to be read when they are asked for; see `Maps`."""
    return Maps(folder)


def skipped_entries(
    folder: str | os.PathLike, manifest: Manifest, shards: Iterable[int]
) -> list[tuple[str, str]]:
    """Return the ids of the entries that finished shards lack, and one sentence each that says why.

    Raises
    ------
    FileNotFoundError, ValueError
        If a shard is missing or damaged.
    """
    columns = (_read_small(manifest.path(folder, shard)) for shard in shards)
    return [entry for column in columns for entry in _skipped(column)]


def _skipped(column: dict[str, np.ndarray]) -> list[tuple[str, str]]:
    ids, reasons = (_as_texts(column[name]) for name in ("skipped_ids", "skipped_reasons"))
    return list(zip(ids, reasons, strict=True))


def _read_small(path: Path) -> dict[str, np.ndarray]:
    with open_hdf5(path, _REMEDY) as file:
        return {name: file[name][()] for name in _SMALL_DATASETS}
