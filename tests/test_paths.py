"""Files are written whole or not at all, and only where a file belongs."""

import os
import socket
from pathlib import Path

import pytest

from cs231n.paths import checkpoint_prefix, datasets_dir, whole_file


def write(path, text="new"):
    """Write a text by `whole_file`."""
    with whole_file(path) as temporary:
        temporary.write_text(text)


# --- The folder of weights and images -------------------------------------------------------------------


def test_the_environment_says_where_the_files_are(tmp_path, monkeypatch):
    """`CS231N_DATASETS` counts from the current folder, and a tilde is the user's home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for value, folder in {"own": "own", "own/../other": "other", "~/data": "home/data"}.items():
        monkeypatch.setenv("CS231N_DATASETS", value)
        assert datasets_dir() == tmp_path.resolve() / folder
        assert checkpoint_prefix() == tmp_path.resolve() / folder / "squeezenet.ckpt"


def test_the_home_of_nobody_is_named(monkeypatch):
    """A tilde with the name of no user gets a sentence with the variable, its value and what to do."""
    monkeypatch.setenv("CS231N_DATASETS", "~no such user/data")
    with pytest.raises(ValueError, match=r"^CS231N_DATASETS is '~no such user/data', .*; write the folder"):
        datasets_dir()


# --- Whole files ----------------------------------------------------------------------------------------


def test_a_file_appears_whole_under_its_name(tmp_path):
    """While it is written the old file is there, afterwards the new one, and nothing beside it."""
    path = tmp_path / "new folder" / "file.txt"
    write(path, "old")
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".txt"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["file.txt"]


def test_an_error_leaves_the_old_file(tmp_path):
    """Whatever is raised in the block comes out, and the folder is as before."""
    write(tmp_path / "file.txt", "old")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "file.txt") as temporary:
        temporary.write_text(str(1 / 0))
    assert (tmp_path / "file.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_symbolic_link_stays_one(tmp_path):
    """Of a link the target is written, whether it is there yet or not, with the suffix of the link's name."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.txt").symlink_to("elsewhere/target")
    for text in ("first", "second"):
        write(tmp_path / "link.txt", text)
        assert (tmp_path / "link.txt").is_symlink()
        assert (tmp_path / "elsewhere" / "target").read_text() == text
    with whole_file(tmp_path / "link.txt") as temporary:
        assert temporary.suffix == ".txt"
    assert os.listdir(tmp_path / "elsewhere") == ["target"]


def make_socket(path):
    """Make a socket of that name."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "a folder has that name"),
        (os.mkfifo, "a device, pipe or socket has that name"),
        (make_socket, "a device, pipe or socket has that name"),
        (lambda path: path.symlink_to(os.devnull), "a device, pipe or socket has that name"),
        (lambda path: path.symlink_to(path), "too many levels of symbolic links"),
    ],
    ids=["folder", "pipe", "socket", "link to a device", "link to itself"],
)
def test_only_files_are_replaced(make, reason, tmp_path):
    """What is there under the name and is no file stays; one sentence names it."""
    path = tmp_path / "file.txt"
    make(path)
    before = path.lstat()
    with pytest.raises(OSError, match=rf"^Cannot write {path}: {reason}; choose a place") as caught:
        write(path)
    assert "\n" not in str(caught.value)
    assert (path.lstat().st_mode, path.lstat().st_ino) == (before.st_mode, before.st_ino)
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_file_in_place_of_a_folder_is_named(tmp_path):
    """Below a file no file can be written, and the sentence says so."""
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(NotADirectoryError, match=r"^Cannot write .*: not a directory; choose a place"):
        write(tmp_path / "file" / "file.txt")
