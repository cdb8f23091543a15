"""Where the kit's files are, and how they are written: whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a full disk, a used-up quota, and a file beyond the largest size allowed."""


def datasets_dir() -> Path:
    """Return the folder of weights and images.

    `CS231N_DATASETS` overrides it. Without that it is `datasets/` of the checkout that this
    package is imported from, and for an installed copy `.cs231n/datasets` in the user's home.
    The folder need not exist yet.

    Raises
    ------
    ValueError
        If `CS231N_DATASETS` begins with the home folder of a user that there is not.
    """
    override = os.environ.get("CS231N_DATASETS")
    if override:
        try:
            return Path(os.path.realpath(Path(override).expanduser()))
        except RuntimeError as error:
            raise ValueError(
                f"CS231N_DATASETS is {override!r}, where {Path(override).parts[0]} is nobody's home folder; "
                "write the folder out in full."
            ) from error
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
        Where the finished file belongs. An existing file is replaced; of a symbolic link, its target.

    Yields
    ------
    Path
        The temporary path, an empty file. It has the suffix of `path`, since many writers go by that.

    Raises
    ------
    OSError
        If the file can't be written: a folder or a device in its place, no permission, no space left.
    """
    target = Path(os.path.realpath(path))
    try:
        _check_is_replaceable(target)
        temporary = target.with_name(f".{target.stem}-{secrets.token_hex(4)}{Path(path).suffix}")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # else a power cut could leave the name on an empty file
        os.replace(temporary, target)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise _cannot_write(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _check_is_replaceable(path: Path) -> None:
    """Raise OSError if something other than an ordinary file has that name."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "a folder has that name")
    if not stat.S_ISREG(mode):
        raise FileExistsError(errno.EEXIST, "a device, pipe or socket has that name")


def reason_of(error: OSError) -> str:
    """Return why a file could not be had, in words for the middle of a sentence: "permission denied"."""
    return (error.strerror or str(error)).lower()


def _cannot_write(path: str | os.PathLike, error: OSError) -> OSError:
    """Return `error` anew with one sentence that names the file, the reason and the way out."""
    if error.errno in NO_SPACE:
        return OSError(f"Cannot write {path}: the disk is full; free some space and run it again.")
    return type(error)(f"Cannot write {path}: {reason_of(error)}; choose a place you may write to.")
