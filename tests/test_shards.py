"""Maps on disk: what is written is what is read, and no shard is taken for something that it is not."""

import dataclasses
import errno
import fcntl
import json
import multiprocessing
import os
import re
import signal
import time
import zlib

import h5py
import numpy as np
import pytest

from cs231n.shards import MANIFEST, Manifest, Part, begin, locked, open_maps, pack_maps, verify, write_shard

SIZE = 31
IDS = [f"{i} ä.jpg" for i in range(9)] + ["not UTF-8 \udcff.jpg"]
SKIPPED = {
    2: "is empty",
    3: "is no image",
    4: "is no image",
    5: "is cut short",
}  # of three shards, all of one


@pytest.fixture
def manifest():
    """Return what an output of ten entries, three to a shard, says of itself."""
    return Manifest(
        method="saliency",
        parameters={"reduction": "max_abs"},
        labels="given",
        dtype="float32",
        preprocessing="standard",
        size=SIZE,
        batch_size=2,
        shard_size=3,
        num_entries=len(IDS),
        ids="1" * 64,
        weights="2" * 64,
        kit="0.1.0",
        tensorflow="2.21.0",
        source={"kind": "folder", "path": "/photographs"},
    )


def random_maps(n):
    """Return maps of noise."""
    return np.random.default_rng(0).normal(size=(n, SIZE, SIZE)).astype(np.float32)


def part_of(entries, maps, dtype):
    """Return the part of these entries, whose labels are their numbers, less those in SKIPPED."""
    good = [i for i in entries if i not in SKIPPED]
    return Part(
        [IDS[i] for i in good],
        np.array(good, np.int32),
        np.array(good, np.int32) + 1,
        np.array(good, np.float32) / 8,
        *pack_maps(maps[good], dtype),
        [(IDS[i], SKIPPED[i]) for i in entries if i in SKIPPED],
    )


def write_output(folder, manifest, which=range(4)):
    """Write an output's manifest and shards, and return its maps without those of skipped entries."""
    maps = random_maps(manifest.num_entries)
    if not (folder / MANIFEST).exists():
        begin(folder, manifest, resume=False)
    for shard in which:
        entries = manifest.entries(shard)
        parts = [part_of(entries[:2], maps, manifest.dtype), part_of(entries[2:], maps, manifest.dtype)]
        write_shard(folder, manifest, shard, parts)
    return maps[[i for i in range(len(maps)) if i not in SKIPPED]]


# --- What is written is what is read ---


def test_maps_as_float32_are_kept_to_the_last_bit(tmp_path, manifest):
    """Reading gives the very maps, ids, labels, predictions, scores and skipped entries that were written."""
    expected = write_output(tmp_path, manifest)
    maps = open_maps(tmp_path)
    good = [i for i in range(10) if i not in SKIPPED]
    np.testing.assert_array_equal(maps[:], expected)
    assert maps.ids == [IDS[i] for i in good]
    np.testing.assert_array_equal(maps.labels, good)
    np.testing.assert_array_equal(maps.predictions, np.array(good) + 1)
    np.testing.assert_array_equal(maps.scores, np.array(good) / 8)
    assert maps.skipped == [(IDS[i], reason) for i, reason in SKIPPED.items()]


def test_maps_as_float16_lose_only_the_rounding():
    """However small the gradients: each value is within 2^-11 of itself, or 2^-39 of its map's largest."""
    rng = np.random.default_rng(0)
    magnitudes = 10.0 ** rng.uniform(-8, 0, size=(7, SIZE, SIZE))
    largest = np.array([1e-36, 1e-12, 1e-5, 1, 1e4, 1e30, 0])[:, None, None]
    maps = (magnitudes * largest).astype(np.float32)
    scales, chunks = pack_maps(maps, "float16")
    read = [
        unpack(chunk, np.float16).astype(np.float64) * scale
        for chunk, scale in zip(chunks, scales, strict=True)
    ]
    bound = np.maximum(2.0**-11 * maps, 2.0**-39 * maps.max(axis=(1, 2), keepdims=True))
    assert (np.abs(np.array(read) - maps) <= bound).all()


def unpack(chunk, dtype):
    """Return a map from its chunk by the definition of HDF5's filters: deflate over bytes sorted by place."""
    planes = np.frombuffer(zlib.decompress(chunk), np.uint8).reshape(np.dtype(dtype).itemsize, -1)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(SIZE, SIZE)


def test_a_shard_is_read_by_any_hdf5_reader(tmp_path, manifest):
    """No code of the kit is needed: stored maps times scales are the maps, attributes say what they are."""
    manifest = dataclasses.replace(manifest, dtype="float16")
    expected = write_output(tmp_path, manifest)
    with h5py.File(tmp_path / "maps-00003-of-00004.h5") as file:
        read = file["maps"][()] * file["scales"][()][:, None, None]
        np.testing.assert_allclose(read, expected[-1:], rtol=2**-11)
        assert [name.decode(errors="surrogateescape") for name in file["ids"]] == IDS[9:]
        assert file.attrs["method"] == "saliency"
        assert file.attrs["weights"] == "2" * 64
        assert json.loads(file.attrs["source"]) == {"kind": "folder", "path": "/photographs"}


@pytest.mark.parametrize(
    "key", [0, -1, slice(1, 5), slice(None, None, -2), [4, 0, 4], np.arange(6) % 2 == 1, slice(3, 3)], ids=str
)
def test_maps_are_indexed_like_an_array(tmp_path, manifest, key):
    """Numbers, slices, lists and masks give what they give for the array of all maps."""
    expected = write_output(tmp_path, manifest)
    read = open_maps(tmp_path)[key]
    np.testing.assert_array_equal(read, expected[key])
    assert read.dtype == np.float32


def test_maps_are_a_sequence(tmp_path, manifest):
    """A loop meets all maps in order, `len` is their number, and beyond it there are none."""
    expected = write_output(tmp_path, manifest)
    maps = open_maps(tmp_path)
    assert len(maps) == len(expected) == 6
    np.testing.assert_array_equal(list(maps), expected)
    with pytest.raises(IndexError):
        maps[6]


def test_equal_shards_are_equal_files(tmp_path, manifest):
    """No time, no address and no chance goes into a shard: written twice it is the same bytes."""
    write_output(tmp_path, manifest)
    first = {path: path.read_bytes() for path in tmp_path.glob("*.h5")}
    # HDF5 counts seconds, so the second time has to come after the next of them begins.
    started = int(time.time())
    while int(time.time()) == started:
        write_output(tmp_path, manifest)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.h5")} == first


# --- Damage ---


def test_no_flipped_byte_goes_unseen(tmp_path, manifest):
    """Wherever a byte of a shard is changed, be it in a map, a name or between them, `verify` finds it."""
    write_output(tmp_path, manifest)
    path = manifest.path(tmp_path, 3)
    sound = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [0, 511, 512, len(sound) - 1, *rng.choice(len(sound), 200)]:
        damaged = bytearray(sound)
        damaged[position] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        assert len(verify(tmp_path)) == 1, f"byte {position}"


def test_verify_names_what_is_missing_or_damaged(tmp_path, manifest):
    """One sentence for each: a missing shard, one cut short, one of another output; none for sound ones."""
    write_output(tmp_path, manifest)
    assert verify(tmp_path) == []
    paths = [manifest.path(tmp_path, shard) for shard in range(4)]
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-100])
    write_shard(
        tmp_path,
        dataclasses.replace(manifest, method="occlusion"),
        2,
        [part_of([6], random_maps(9), "float32")],
    )
    missing, cut, other = verify(tmp_path)
    assert missing.startswith(f"{paths[0]} is missing")
    assert cut.startswith(f"{paths[1]} is damaged or cut short")
    assert other.startswith(f"{paths[2]} belongs to another output")


def test_verify_names_what_the_disk_does_not_give(tmp_path, manifest):
    """A shard that cannot be read is a problem like others, and no reason to look at no further ones."""
    write_output(tmp_path, manifest)
    unreadable, missing = manifest.path(tmp_path, 0), manifest.path(tmp_path, 3)
    unreadable.unlink()
    unreadable.symlink_to("/proc/self/mem")  # its first bytes can't be read, like those of a bad sector
    missing.unlink()
    first, second = verify(tmp_path)
    assert first.startswith(
        f"{unreadable} can't be read: input/output error; run the same command with --resume"
    )
    assert second.startswith(f"{missing} is missing")


def test_an_unfinished_output_is_not_read(tmp_path, manifest):
    """Else a researcher could average over half of the images without knowing."""
    write_output(tmp_path, manifest, which=[0, 2])
    with pytest.raises(ValueError, match=r"is not finished: 2 of 4 shards are missing; .*--resume\.$"):
        open_maps(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": "cs231n maps 1"}', '{"format": "other"}'])
def test_a_damaged_manifest_is_refused(tmp_path, content):
    """A manifest that is empty, of another format or incomplete gets a sentence; so does a folder without."""
    with pytest.raises(FileNotFoundError, match="give a folder that"):
        open_maps(tmp_path)
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(ValueError, match=r"manifest\.json is damaged, or of another version"):
        open_maps(tmp_path)


# --- What is to be computed ---


def test_shards_share_out_the_entries(manifest):
    """Every entry belongs to exactly one shard, in order; only the last shard may be shorter."""
    for num_entries in (1, 2, 3, 4, 9, 10):
        one = dataclasses.replace(manifest, num_entries=num_entries)
        parts = [one.entries(shard) for shard in range(one.num_shards)]
        assert [i for part in parts for i in part] == list(range(num_entries))
        assert all(len(part) == 3 for part in parts[:-1])


def test_a_run_goes_on_only_when_told_to(tmp_path, manifest):
    """Unfinished: refused without `resume`, else what is missing or damaged. Finished: nothing to do."""
    assert begin(tmp_path, manifest, resume=False) == [0, 1, 2, 3]
    write_output(tmp_path, manifest, which=[0, 2])
    (tmp_path / ".maps-00001-of-00004-1a2b3c4d.h5").write_bytes(b"a draft of the run that was killed")
    with pytest.raises(ValueError, match=r"has 2 of 4 shards already; add --resume"):
        begin(tmp_path, manifest, resume=False)
    assert begin(tmp_path, manifest, resume=True) == [1, 3]
    assert not list(tmp_path.glob(".maps-*"))
    write_output(tmp_path, manifest)
    assert begin(tmp_path, manifest, resume=False) == begin(tmp_path, manifest, resume=True) == []
    content = bytearray(manifest.path(tmp_path, 0).read_bytes())
    content[len(content) // 2] ^= 1
    manifest.path(tmp_path, 0).write_bytes(content)
    assert begin(tmp_path, manifest, resume=True) == [0]


OTHERS = {
    "method": "occlusion",
    "parameters": {"reduction": "sum"},
    "labels": "predicted",
    "dtype": "float16",
    "preprocessing": "resize",
    "size": 64,
    "batch_size": 3,
    "shard_size": 4,
    "num_entries": 11,
    "ids": "3" * 64,
    "weights": "4" * 64,
    "kit": "0.2.0",
    "tensorflow": "2.22.0",
    "source": {"kind": "file"},
}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Manifest)])
def test_one_folder_holds_one_kind_of_maps(tmp_path, manifest, field):
    """Whatever else is asked for, be it other weights or one image more, is refused with what differs."""
    begin(tmp_path, manifest, resume=False)
    other = dataclasses.replace(manifest, **{field: OTHERS[field]})
    values = f"{getattr(manifest, field)} there and {OTHERS[field]} now"
    with pytest.raises(ValueError, match=rf"holds other maps: .* is {re.escape(values)}; give a new folder"):
        begin(tmp_path, other, resume=True)


def test_a_folder_of_other_things_is_left_alone(tmp_path, manifest):
    """A folder with files and no manifest is nobody's output; nothing is written there."""
    (tmp_path / "thesis.tex").write_text("text")
    with pytest.raises(ValueError, match=r"holds thesis\.tex but no manifest\.json"):
        begin(tmp_path, manifest, resume=True)
    assert os.listdir(tmp_path) == ["thesis.tex"]


# --- One run at a time ---


def hold(folder, connection):
    """Keep a folder locked, say so, and wait."""
    with locked(folder):
        connection.send("locked")
        connection.recv()


def test_two_runs_do_not_share_a_folder(tmp_path):
    """The second is refused at once; when the first is killed, its lock is gone."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    first = multiprocessing.get_context("spawn").Process(target=hold, args=(tmp_path / "new", theirs))
    first.start()
    assert ours.recv() == "locked"
    with (
        pytest.raises(OSError, match=r"^Another run is writing to .*new; wait for it to end, or"),
        locked(tmp_path / "new"),
    ):
        pass
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    with locked(tmp_path / "new"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK], ids=errno.errorcode.get)
def test_without_locks_a_warning_says_so(tmp_path, monkeypatch, number):
    """Where the file system has no locks the run goes on, and so does the next one after it was killed."""

    def flock(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    for _ in range(2):  # the second run is there while the first has not ended, as far as anyone can tell
        with pytest.warns(UserWarning, match=r"has no locks; see to it that no other run writes there\.$"):
            locked(tmp_path).__enter__()


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    """A file in the folder's place gets a sentence."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OSError, match=r"^Cannot write to .*file: file exists; give a folder"),
        locked(tmp_path / "file"),
    ):
        pass
