"""Bulk attribution: the right maps, and the same to the last bit whatever happened on the way.

Runs are processes forked from one that has imported TensorFlow: they start at once, and can be killed.
"""

import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cs231n import bulk
from cs231n.attribution import grad_cam, saliency_map
from cs231n.bulk import Computation, Job, attribute
from cs231n.hdf5 import new_hdf5
from cs231n.image_sources import open_images
from cs231n.image_utils import preprocess_image
from cs231n.net_visualization import compute_saliency_maps
from cs231n.shards import MANIFEST, open_maps, verify
from cs231n.weights import write_hdf5
from tests import oracle

SIZE = 47
NUM_ENTRIES, SHARD_SIZE = 22, 3
CLASSES = ("n01440764", "n02108422")
KIT = Path(__file__).resolve().parent.parent / "cs231n"


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Return a job of 22 noise images of two classes, one of them damaged, with random weights."""
    folder = tmp_path_factory.mktemp("bulk")
    rng = np.random.default_rng(0)
    for i in range(NUM_ENTRIES):
        path = folder / "images" / CLASSES[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (60, 70, 3), dtype=np.uint8)).save(path)
    path.write_bytes(b"")
    weights = {name: array.astype(np.float32) for name, array in oracle.random_weights(seed=1).items()}
    write_hdf5(weights, folder / "weights.h5")
    return Job(
        source=str(folder / "images"),
        out=str(folder / "whole"),
        labels="predicted",
        size=SIZE,
        weights=str(folder / "weights.h5"),
        batch_size=2,
        shard_size=SHARD_SIZE,
    )


@pytest.fixture(scope="module")
def whole(job):
    """Return the output of a run that nothing disturbed."""
    assert run(_attribute, job) == (0, "")
    return Path(job.out)


# --- Runs in processes of their own ---

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["cs231n.bulk", "tests.test_bulk"])


def run(target, *arguments):
    """Call a function in a process of its own; return the exit code and what it sent, if anything."""
    ours, theirs = _forks.Pipe(duplex=False)
    process = _forks.Process(target=target, args=(theirs, *arguments))
    process.start()
    theirs.close()
    try:
        sent = ours.recv()
    except EOFError:
        sent = None
    process.join()
    return process.exitcode, sent


def _attribute(connection, job, **options):
    """Attribute, and send the sentence of what went wrong."""
    try:
        attribute(job, **options)
    except (ValueError, OSError) as error:
        connection.send(str(error))
    else:
        connection.send("")


def _attribute_until(connection, job, moment):
    """Attribute, resuming, be killed at some moment; else send how many there were, before work and in all.

    The moments are the calls in the kit's modules of files and shards, in the main thread, from where the run
    looks at what is there.
    """
    passed = before = 0

    def count(frame, event, argument):
        nonlocal passed, before
        path = Path(frame.f_code.co_filename)
        if path.parent == KIT and path.stem in ("bulk", "shards", "hdf5", "paths", "session"):
            passed += 1
            before = before or passed * (frame.f_code.co_name == "write_shard")
            if passed == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    def counted(function):
        def call(*arguments):
            sys.setprofile(count)
            try:
                return function(*arguments)
            finally:
                sys.setprofile(None)

        return call

    # This process is a copy: nothing else sees these changes.
    bulk.begin, Computation.write = counted(bulk.begin), counted(Computation.write)
    attribute(job, resume=True)
    connection.send((before, passed))


def _attribute_with_small_files(connection, job, limit):
    """Attribute where no file may have more than so many bytes, as on a disk that is nearly full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    _attribute(connection, job)


def files(folder):
    """Return the content of each visible file of a folder by its name."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.name != ".lock"}


def with_out(job, out, **changes):
    """Return the job with another output folder, and other changes."""
    return Job(**{**vars(job), "out": str(out), **changes})


# --- The right maps ---


@pytest.mark.slow
def test_maps_are_those_of_the_first_choices(job, whole):
    """Maps, first choices and scores equal the float64 oracle's on the source's images, in its order."""
    maps = open_maps(whole)
    [batch] = open_images(job.source, size=SIZE).batches(NUM_ENTRIES)
    X = preprocess_image(batch.images)
    weights = oracle.random_weights(seed=1)
    scores = oracle.scores(weights, X)
    assert maps.ids == batch.ids
    np.testing.assert_array_equal(maps.labels, batch.labels)
    np.testing.assert_array_equal(maps.predictions, scores.argmax(axis=1))
    np.testing.assert_allclose(maps.scores, scores.max(axis=1), rtol=1e-5)
    expected = oracle.saliency(weights, X, maps.predictions)
    # 2^-11 is float16's rounding; 1e-5 is twenty times what float32 makes of noise images.
    largest = expected.max(axis=(1, 2), keepdims=True)
    assert (np.abs(maps[:] - expected) <= 2**-11 * expected + 1e-5 * largest).all()
    [(name, reason)] = maps.skipped
    assert name == f"{CLASSES[1]}/21.png"
    assert "empty" in reason


@pytest.mark.slow
def test_photographs_by_given_labels(model, sample, tmp_path):
    """Of the sample it gives what `compute_saliency_maps` does; by another method, what that one gives."""
    X, y = sample
    X, y = X[:5], y[:5]
    with new_hdf5(tmp_path / "five.h5") as file:
        file["X"], file["y"] = X, y
    job = Job(str(tmp_path / "five.h5"), str(tmp_path / "out"), shard_size=2, dtype="float32")
    maps = attribute(job)
    expected = compute_saliency_maps(preprocess_image(X), y, model)
    np.testing.assert_allclose(maps[:], expected, rtol=0, atol=1e-5 * expected.max())
    np.testing.assert_array_equal(maps.labels, y)
    np.testing.assert_array_equal(maps.predictions, model.compute_scores(preprocess_image(X)).argmax(axis=1))
    other = attribute(with_out(job, tmp_path / "other", method="grad_cam"))
    expected = saliency_map(grad_cam(preprocess_image(X), y, model))
    np.testing.assert_allclose(other[:], expected, rtol=0, atol=1e-5 * expected.max())
    np.testing.assert_array_equal(other.predictions, maps.predictions)
    np.testing.assert_allclose(other.scores, maps.scores, rtol=1e-5)


# --- Whatever happens on the way ---


@pytest.mark.slow
def test_killed_five_times_it_is_the_same(job, whole, tmp_path):
    """Killed at five random moments and started again, the files are those of a run that nobody disturbed.

    No finished shard is lost or computed again: it stays the same file.
    """
    rng = np.random.default_rng(0)
    _, (first, last) = run(_attribute_until, with_out(job, tmp_path / "counted"), None)
    killed = with_out(job, tmp_path / "killed")
    before = {}
    for _ in range(5):
        # From shortly before the first shard to short of a fifth of the way: five runs do not get to the end.
        moment = rng.integers(first - 20, first + 0.19 * (last - first))
        code, _ = run(_attribute_until, killed, int(moment))
        assert code == -signal.SIGKILL
        shards = [(path.name, path.stat()) for path in (tmp_path / "killed").glob("maps-*.h5")]
        after = {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in shards}
        assert after.items() >= before.items()
        before = after
    assert 0 < len(before) < -(-NUM_ENTRIES // SHARD_SIZE)
    _, sentence = run(_attribute, killed)
    assert sentence.startswith(f"{killed.out} has {len(before)} of 8 shards already; add --resume")
    code, _ = run(_attribute_until, killed, None)
    assert code == 0
    assert files(killed.out) == files(whole)


@pytest.mark.slow
def test_a_full_disk_leaves_whole_files(job, whole, tmp_path):
    """One sentence; the folder has the manifest, no shard and no draft; with space it ends as it should."""
    full = with_out(job, tmp_path / "full")
    code, sentence = run(_attribute_with_small_files, full, 6000)
    assert code == 0
    assert sentence == (
        f"Cannot write {full.out}/maps-00000-of-00008.h5: the disk is full; free some space and run it again."
    )
    assert set(files(full.out)) == {MANIFEST}
    assert run(_attribute_until, full, None)[0] == 0
    assert files(full.out) == files(whole)


@pytest.mark.slow
def test_a_damaged_shard_is_found_and_computed_again(job, whole, tmp_path):
    """`--verify` names it, with exit code 1; `--resume` makes it what it was, and then all is well."""
    for name, content in files(whole).items():
        (tmp_path / name).write_bytes(content)
    damaged = tmp_path / "maps-00002-of-00008.h5"
    content = bytearray(damaged.read_bytes())
    content[-1000] ^= 1
    damaged.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "cs231n", "attribute", "--verify", tmp_path],
        cwd=KIT.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == ""
    problem, summary = done.stdout.splitlines()
    assert problem.startswith(f"{damaged} is damaged")
    assert summary == f"{tmp_path}: 7 of 8 files are whole"
    code, _ = run(_attribute_until, with_out(job, tmp_path), None)
    assert code == 0
    assert verify(tmp_path) == []
    assert files(tmp_path) == files(whole)


@pytest.mark.slow
def test_what_cannot_be_explained_is_refused(job, whole, tmp_path):
    """Another method in the same folder, images without labels, labels of other classes: a sentence each."""
    _, sentence = run(_attribute, with_out(job, whole, method="grad_cam"))
    assert "holds other maps: method is saliency there and grad_cam now" in sentence
    (tmp_path / "own" / "cats").mkdir(parents=True)
    Image.new("RGB", (50, 50)).save(tmp_path / "own" / "cats" / "1.png")
    for source, words in (
        (tmp_path / "own" / "cats", "1 of 1 images have no label"),
        (tmp_path / "own", "of 1 classes"),
    ):
        with pytest.raises(ValueError, match=rf"{words}.*; explain .* --labels predicted\.$"):
            attribute(with_out(job, tmp_path / "out", source=str(source), labels="given"))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_what_has_no_label_is_skipped(tmp_path):
    """Among validation images, a text and another picture cost nobody their maps; `strict` refuses them."""
    folder = tmp_path / "val"
    folder.mkdir()
    for name in ("ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000002.JPEG", "my cat.png"):
        Image.new("RGB", (50, 50), "red").save(folder / name)
    (folder / "notes.txt").write_text("Taken on Sunday.")
    job = Job(str(folder), str(tmp_path / "maps"), size=SIZE)
    maps = attribute(job)
    assert maps.ids == ["ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000002.JPEG"]
    assert maps.labels.tolist() == [65, 970]  # the first lines of the set's published ground truth
    skipped = dict(maps.skipped)
    assert skipped["my cat.png"] == "my cat.png has no label."
    assert "notes.txt" in skipped
    with pytest.raises(ValueError, match=r"^2 of 4 images have no label.* --labels predicted\.$"):
        attribute(with_out(job, tmp_path / "strict", strict=True))


@pytest.mark.slow
def test_strict_does_not_take_over_what_was_skipped(job, whole, tmp_path):
    """A run that is to end at a damaged image is not content with files of one that skipped it.

    Nor does it compute what is missing before it says so.
    """
    begun = shutil.copytree(whole, tmp_path / "begun")
    missing = sorted(begun.glob("maps-*.h5"))[0]
    missing.unlink()
    for out in (whole, begun):
        with pytest.raises(ValueError, match=r"^An earlier run skipped 1 of the images: .*21\.png is empty"):
            attribute(with_out(job, out, strict=True), resume=True)
    assert not missing.exists()


def test_a_job_is_checked_when_it_is_made():
    """What is misspelt is named with what there is, before anything is opened."""
    for changes, sentence in (
        ({"method": "lime"}, r"method is 'lime'; expected one of saliency, gradient_times_input"),
        ({"labels": "mine"}, r"labels is 'mine'; expected one of given, predicted\."),
        ({"dtype": "int8"}, r"dtype is 'int8'; expected one of float16, float32\."),
        ({"shard_size": 0}, r"shard_size is 0"),
    ):
        with pytest.raises(ValueError, match=f"^{sentence}"):
            Job("images", "out", **changes)


def test_maps_do_not_go_among_the_images(tmp_path):
    """A resumed run would take them for images: refused at once, also by way of a link."""
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to("images")
    for out in ("images/maps", "images", "link/deep/maps"):
        with pytest.raises(ValueError, match=r"lies in the folder of images, .*; give a folder elsewhere\.$"):
            attribute(Job(str(tmp_path / "images"), str(tmp_path / out)))
    assert os.listdir(tmp_path / "images") == []


def test_the_command_says_what_is_missing_or_too_much(tmp_path):
    """Without a source, or with one beside `--verify`: exit code 2 and one sentence, at once."""
    for words, sentence in (
        ([], "Missing SOURCE or OUT; "),
        (["images", "--verify", "maps"], "--verify maps takes neither a source nor another folder; "),
        (["--verify", "maps"], "There is no maps/manifest.json; "),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "cs231n", "attribute", *words],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(KIT.parent)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        assert done.stderr.startswith(f"Error: {sentence}")
        assert done.stderr.count("\n") == 1
