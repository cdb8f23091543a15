"""Where the kit's files are, and how they are written: whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def datasets_dir() -> Path:
    """Return the folder of weights and images.

    `CS231N_DATASETS` overrides it. Without that it is `datasets/` of the checkout that this
    package is imported from, and for an installed copy `.cs231n/datasets` in the user's home.
    The folder need not exist yet.
    """
    override = os.environ.get("CS231N_DATASETS")
    if override:
        return Path(override).expanduser().resolve()
    if (_ROOT / "get_squeezenet.sh").is_file():
        return _ROOT / "datasets"
    return Path.home() / ".cs231n" / "datasets"


def checkpoint_prefix() -> Path:
    """Return the path prefix of the installed weights' checkpoint (no file has just this name)."""
    return datasets_dir() / "squeezenet.ckpt"


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path to write to, and move it to `path` once the block ends without an error.

    The file appears under its name whole or not at all: the temporary one lies in the same folder,
    so that the final rename is atomic, and it is removed when the block raises. Missing parent
    folders are made.

    Parameters
    ----------
    path : path
        Where the finished file belongs. An existing file is replaced.

    Yields
    ------
    Path
        The temporary path, an empty file. It has the suffix of `path`, since many writers go by that.

    Raises
    ------
    OSError
        If the file can't be written: a folder in its place, no permission, no space left.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a folder has that name")
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # else a power cut could leave the name on an empty file
        os.replace(temporary, path)
    except OSError as error:
        if _is_full(error):
            raise _cannot_write(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _is_full(error: OSError) -> bool:
    """Tell whether `error` says that the disk or the quota is full (h5py gives the number in words only)."""
    return error.errno in _NO_SPACE or any(f"errno = {number}" in str(error) for number in _NO_SPACE)


def _cannot_write(path: Path, error: OSError) -> OSError:
    """Return `error` anew with one sentence that names the file, the reason and the way out."""
    reason = "the disk is full" if _is_full(error) else (error.strerror or str(error)).lower()
    way_out = "free some space and run it again" if _is_full(error) else "choose a place you may write to"
    return type(error)(f"Cannot write {path}: {reason}; {way_out}.")
