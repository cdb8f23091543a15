"""The command line, run as a process: what it prints, what it writes, how it ends."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from cs231n.attribution import METHODS, grad_cam
from cs231n.cli import MethodName
from cs231n.net_visualization import compute_saliency_maps
from cs231n.paths import checkpoint_prefix, datasets_dir
from cs231n.sample_pictures import PICTURES

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments, cwd, **environment):
    """Run `python -m cs231n` in a folder and return the finished process."""
    defaults = {"PYTHONPATH": str(ROOT), "CS231N_DATASETS": str(datasets_dir())}
    return subprocess.run(
        [sys.executable, "-m", "cs231n", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | defaults | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def assert_refused(process, sentence, folder, before=()):
    """Hold a process to the rule for bad input: exit code 2, one sentence, no traceback, nothing written."""
    assert process.returncode == 2, process.stderr
    assert sentence in process.stderr
    assert process.stderr.count("\n") == 1, process.stderr
    assert sorted(path.name for path in folder.iterdir()) == sorted(before)


def test_help_lists_the_commands_and_imports_nothing_heavy(tmp_path):
    """`--help` names every command; neither TensorFlow nor NumPy nor Matplotlib is imported for it."""
    code = (
        "import sys; sys.argv = ['cs231n', '--help']\n"
        "from cs231n.cli import app\n"
        "try: app()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'tensorflow', 'numpy', 'matplotlib', 'h5py', 'PIL', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    commands = ("saliency", "attribute", "fool", "visualize", "style", "demo", "download", "weights")
    assert all(command in done.stdout for command in commands)


@pytest.mark.slow
def test_saliency_of_the_sample(tmp_path, model, photographs):
    """Without files it explains the sample's labels: a table, a picture, and on request the maps."""
    done = run("saliency", "--num", "2", "--out", "two.png", "--save-maps", "two.h5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "bull mastiff" in done.stdout
    assert "Wrote two.png" in done.stdout
    assert Image.open(tmp_path / "two.png").size[0] > 400
    X, y = photographs
    with h5py.File(tmp_path / "two.h5") as file:
        np.testing.assert_array_equal(file["labels"], y[:2])
        expected = compute_saliency_maps(X[:2], y[:2], model)
        np.testing.assert_allclose(file["maps"], expected, rtol=0, atol=1e-5 * expected.max())


@pytest.mark.slow
def test_saliency_by_several_methods(tmp_path, model, photographs):
    """Several methods make one picture, a column for each, and the file has the maps of each by its name."""
    methods = ("--method", "gradient", "--method", "grad_cam")
    done = run("saliency", "--num", "2", *methods, "--save-maps", "two.h5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    width, height = Image.open(tmp_path / "saliency.png").size
    assert width > 1.4 * height, "three columns, two rows"
    with h5py.File(tmp_path / "two.h5") as file:
        assert set(file["maps"]) == {"gradient", "grad_cam"}
        expected = grad_cam(photographs[0][:2], file["labels"][()], model)
        np.testing.assert_allclose(file["maps/grad_cam"], expected, rtol=0, atol=1e-5 * expected.max())


def test_unknown_method_is_refused_with_the_list(tmp_path):
    """A method that does not exist: exit code 2, nothing written, and the names of those that do."""
    done = run("saliency", "--method", "lime", cwd=tmp_path, COLUMNS="400")
    assert done.returncode == 2
    assert "'lime' is not one of 'gradient'" in done.stderr
    assert "'occlusion'" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_saliency_of_ones_own_files(tmp_path, sample):
    """Files of any size are taken; --label takes a part of a name, else the first choice is explained."""
    Image.fromarray(sample[0][0]).resize((300, 260)).save(tmp_path / "my dog.png")
    own = run("saliency", "my dog.png", "--out", "own.png", cwd=tmp_path)
    assert own.returncode == 0, own.stderr
    assert "my dog.png" in own.stdout
    asked = run("saliency", "my dog.png", "--label", "strawberry", "--out", "asked.png", cwd=tmp_path)
    assert asked.returncode == 0, asked.stderr
    assert "strawberry" in asked.stdout
    assert (tmp_path / "own.png").read_bytes() != (tmp_path / "asked.png").read_bytes()


@pytest.fixture
def photograph(sample, tmp_path):
    """Write one of the sample's photographs and return its name."""
    Image.fromarray(sample[0][0]).save(tmp_path / "dog.png")
    return "dog.png"


@pytest.mark.slow
def test_fool_shows_how_a_dog_becomes_a_snail(tmp_path, photograph):
    """The table ends in the target; the picture has four panels; the animation a frame for each step."""
    done = run("fool", photograph, "--target", "snail", "--gif", "steps.gif", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows = [line for line in done.stdout.splitlines() if "%" in line]
    assert "bull mastiff" in rows[0]
    assert "snail" in rows[-1]
    assert f"Fooled after {len(rows) - 1} steps" in done.stdout
    assert Image.open(tmp_path / "fooling.png").size[0] > 4 * 224
    assert Image.open(tmp_path / "steps.gif").n_frames == len(rows)


@pytest.mark.slow
def test_fool_says_that_the_steps_did_not_suffice(tmp_path, photograph):
    """With one step it is not fooled, and says so; the picture shows what there is."""
    done = run("fool", photograph, "--target", "snail", "--max-iterations", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Not fooled after 1 steps" in done.stdout
    assert (tmp_path / "fooling.png").is_file()


@pytest.mark.slow
def test_visualize_draws_a_class_step_by_step(tmp_path):
    """It prints the last score; the picture shows the steps, and so does the animation."""
    done = run("visualize", "78", "--num-iterations", 4, "--out", "tick.png", "--gif", "c.gif", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "tick: iteration 4, score " in done.stdout
    assert Image.open(tmp_path / "tick.png").size[0] > 4 * 224
    assert Image.open(tmp_path / "c.gif").n_frames == 4


@pytest.mark.slow  # each starts a process
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fool", "missing.jpg", "--target", "snail"], "missing.jpg"),
        (["fool", "dog.png", "--target", "1000"], "labels go from 0 to 999"),
        (["fool", "dog.png", "--target", "snail", "--learning-rate", "-1"], "learning-rate is -1.0"),
        (["fool", "dog.png", "--target", "snail", "--gif", "steps.mp4"], "does not end in .gif"),
        (["visualize", "crane"], "crane"),
        (["visualize", "tick", "--l2-reg", "nan"], "l2-reg is nan; expected a number of at least 0"),
        (["visualize", "tick", "--out", "class.xyz"], "a figure can be saved as"),
    ],
)
def test_bad_ascent_ends_with_a_sentence(tmp_path, photograph, arguments, sentence):
    """The two ascents name what is wrong before TensorFlow starts."""
    assert_refused(run(*arguments, cwd=tmp_path), sentence, tmp_path, [photograph])


@pytest.mark.slow
def test_weights_tells_which_ones_are_installed(tmp_path):
    """`weights` names the default weights by their fingerprint and counts the images they get right."""
    done = run("weights", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "DeepScale 1.1" in done.stdout
    assert str(checkpoint_prefix()) in done.stdout
    assert "of 20 images at top 1" in done.stdout


@pytest.mark.slow
def test_weights_go_to_hdf5_and_back(tmp_path):
    """Weights exported as HDF5 and installed from there are the same weights."""
    exported = run("weights", "--export", "w.h5", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    images = (datasets_dir() / "imagenet_val_sample.h5").read_bytes()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "imagenet_val_sample.h5").write_bytes(images)
    done = run("weights", "w.h5", "--install", cwd=tmp_path, CS231N_DATASETS=str(tmp_path / "other"))
    assert done.returncode == 0, done.stderr
    again = run("weights", cwd=tmp_path, CS231N_DATASETS=str(tmp_path / "other"))
    assert "DeepScale 1.1" in again.stdout


@pytest.mark.slow  # each starts a process
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.jpg"], "missing.jpg"),
        (["--label", "crane"], "crane"),
        (["--label", "1000"], "labels go from 0 to 999"),
        (["--label", "strawbery"], "strawberry"),
        (["--out", "picture.xyz"], "a figure can be saved as"),
        (["--num", "21"], "20"),
        (["--weights", "nowhere.ckpt"], "nowhere.ckpt.index"),
    ],
)
def test_bad_input_ends_with_a_sentence(tmp_path, arguments, sentence):
    """Each bad argument is named in one sentence; exit code 2, no traceback, no file."""
    assert_refused(run("saliency", *arguments, cwd=tmp_path), sentence, tmp_path)


def test_a_file_that_is_no_image_is_named(tmp_path):
    """A text under an image's name is refused, and nothing is written."""
    (tmp_path / "notes.jpg").write_text("not an image")
    assert_refused(run("saliency", "notes.jpg", cwd=tmp_path), "notes.jpg", tmp_path, ["notes.jpg"])


@pytest.mark.slow
def test_missing_weights_and_images_say_which_command_to_run(tmp_path):
    """In an empty datasets folder each command names the one that fills it."""
    for command, remedy in [("saliency", "download-images"), ("weights", "python -m cs231n download")]:
        done = run(command, cwd=tmp_path, CS231N_DATASETS=str(tmp_path))
        assert_refused(done, remedy, tmp_path)


@pytest.mark.slow
def test_a_full_disk_leaves_no_half_file(tmp_path):
    """Where files may not grow beyond 20 kB, the picture is refused with a sentence and no file is left."""
    resource = pytest.importorskip("resource", reason="limits of a process are a POSIX thing")
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from cs231n.cli import main; sys.argv = ['x', 'saliency', '--num', '1']; main()"
    )
    assert resource.RLIMIT_FSIZE is not None
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CS231N_DATASETS": str(datasets_dir())}
    done = subprocess.run(
        [sys.executable, "-c", limited], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert_refused(done, "the disk is full", tmp_path)


@pytest.mark.slow
def test_an_unwritable_place_is_named(tmp_path):
    """A folder under the picture's name can't be overwritten; the sentence says so."""
    (tmp_path / "saliency.png").mkdir()
    done = run("saliency", "--num", "1", cwd=tmp_path)
    assert_refused(done, "a folder has that name", tmp_path, ["saliency.png"])


@pytest.mark.slow
def test_style_of_files_and_of_the_kits_pictures(tmp_path):
    """A file and a drawing of the kit become a picture of the size asked for, and the steps an animation."""
    content = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(content).save(tmp_path / "my photo.png")
    done = run(
        "style", "my photo.png", "waves", "--size", 33, "--out", "a.png", "--gif", "a.gif", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "after 200 steps" in done.stdout
    assert "Wrote a.png" in done.stdout
    with Image.open(tmp_path / "a.png") as picture, Image.open(tmp_path / "a.gif") as animation:
        assert picture.size == animation.size == (44, 33)
        assert animation.n_frames == 41  # every fifth of 200 steps, and the start


@pytest.mark.slow  # each starts a process
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.jpg", "waves"], "There is no file missing.jpg"),
        (["hopper", "wave"], "There is no file wave"),
        (["hopper", "waves", "--out", "picture.pdf"], "an image can be saved as"),
        (["hopper", "waves", "--gif", "steps.png"], "animations are saved as GIF files"),
        (["hopper", "waves", "--size", "31"], "image_size is 31; expected at least 32"),
    ],
)
def test_bad_input_of_style_ends_with_a_sentence(tmp_path, arguments, sentence):
    """Each bad argument is named in one sentence; exit code 2, no traceback, no file."""
    assert_refused(run("style", *arguments, cwd=tmp_path), sentence, tmp_path)


def test_help_of_style_names_the_kits_pictures(tmp_path):
    """Whatever picture the kit has, `style --help` names it."""
    shown = run("style", "--help", cwd=tmp_path, COLUMNS="200").stdout
    assert all(name in shown for name in PICTURES)


def test_demo_without_gradio_says_what_to_install(tmp_path):
    """Where the extra is not installed, one sentence names the command that installs it."""
    code = (
        "import sys; sys.modules['gradio'] = None; sys.argv = ['cs231n', 'demo']\n"
        "from cs231n.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert_refused(done, "python -m pip install -e '.[demo]'", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send to one process")
def test_demo_serves_until_ctrl_c(tmp_path):
    """It prints its address, answers there, writes no file, and Ctrl-C ends it without a trace."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {"PYTHONPATH": str(ROOT), "CS231N_DATASETS": str(datasets_dir()), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "cs231n", "demo", "--port", str(port)]
    with subprocess.Popen(
        command, env=os.environ | places, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert f"http://127.0.0.1:{port}/" in process.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as response:
            assert b"What does the network see?" in response.read()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_all_methods_can_be_asked_for():
    """The command line has its own list of the methods' names, lest it import TensorFlow: it is complete."""
    assert [name.value for name in MethodName] == list(METHODS)
