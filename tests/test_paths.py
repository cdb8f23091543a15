"""Files are written whole or not at all, and only where a file belongs."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cs231n.hdf5 import new_hdf5, open_hdf5
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


# --- HDF5 files -----------------------------------------------------------------------------------------

# A process of its own, because the limit cannot be raised again, and because a crash would end the tests.
WRITE_HDF5 = """
import resource, sys
import numpy as np
from cs231n.hdf5 import new_hdf5
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
try:
    with new_hdf5("new.h5") as file:
        file["numbers"] = np.ones(25_000)
        file.create_dataset("packed", data=np.random.default_rng(0).random(25_000), compression="gzip")
except OSError as error:
    sys.exit(str(error))
"""


def write_limited(folder, size):
    """Run `WRITE_HDF5` in a folder where no file may grow beyond `size` bytes."""
    return subprocess.run(
        [sys.executable, "-c", WRITE_HDF5, str(size)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("size", [0, 100, 10_000, 150_000, 380_000])
def test_a_full_disk_leaves_no_half_hdf5(size, tmp_path):
    """Wherever in its 390 kB the disk is full, the process ends with a sentence and leaves the old file."""
    (tmp_path / "new.h5").write_bytes(b"old")
    done = write_limited(tmp_path, size)
    assert done.stderr == "Cannot write new.h5: the disk is full; free some space and run it again.\n"
    assert done.returncode == 1
    assert os.listdir(tmp_path) == ["new.h5"]
    assert (tmp_path / "new.h5").read_bytes() == b"old"


def test_a_disk_with_room_takes_the_file(tmp_path):
    """The same process with enough room writes what it was given."""
    done = write_limited(tmp_path, 1_000_000)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir(tmp_path) == ["new.h5"]
    with open_hdf5(tmp_path / "new.h5") as file:
        np.testing.assert_array_equal(file["numbers"], np.ones(25_000))
        np.testing.assert_array_equal(file["packed"], np.random.default_rng(0).random(25_000))


def test_an_error_leaves_no_half_hdf5(tmp_path):
    """What is raised in the block comes out, and no file is made."""
    with pytest.raises(ZeroDivisionError), new_hdf5(tmp_path / "new.h5") as file:
        file["number"] = 1 / 0
    assert os.listdir(tmp_path) == []


def test_a_flipped_byte_is_noticed(tmp_path):
    """A file whose data has checksums gives the numbers written or a sentence, wherever a byte is wrong."""
    path = tmp_path / "new.h5"
    numbers = np.arange(40, dtype=np.int16).reshape(4, 10)
    with new_hdf5(path) as file:
        file.create_dataset("numbers", data=numbers, chunks=(1, 10), fletcher32=True)
        file.attrs["title"] = "forty numbers"
    content = path.read_bytes()
    complaints = []
    for place in range(0, len(content), 7):  # every byte takes too long; 7 steps through all alignments
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        try:
            with open_hdf5(path) as file:
                np.testing.assert_array_equal(file["numbers"], numbers)
        except ValueError as error:
            complaints.append(str(error))
    assert len(complaints) > numbers.nbytes / 7
    assert all(complaint.startswith(f"{path} is ") for complaint in complaints)


def test_damage_has_the_remedy_of_its_kind(tmp_path):
    """Whoever opens a file says what to do about damage."""
    with new_hdf5(tmp_path / "new.h5"):
        pass
    damaged = pytest.raises(ValueError, match=r"new\.h5 is damaged or cut short; ask a friend\.$")
    with damaged, open_hdf5(tmp_path / "new.h5", "ask a friend") as file:
        file["nothing"]
