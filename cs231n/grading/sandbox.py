"""Start a child process with as few rights as the system can take from it.

With bubblewrap (Linux) the child sees a file system of its own: Python and its packages, the parts of the kit
that a notebook needs, the weights and its job, all read-only; no network, and no processes but its own.
Without it the child is an ordinary process with limits: it can read what its user can read, the kit's own
solutions among that, and write what its user can write.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from cs231n.paths import datasets_dir

MEMORY = 6 * 2**30
"""Bytes of address space of each process, three times what a right solution of all tasks takes; and of
memory that a child and all that it started may use together."""
_MORE_PROCESSES = 400
"""Processes and threads that the child may add to what its user has: TensorFlow starts dozens."""
_TEMPORARY_SPACE = 256 * 2**20
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
)
_KIT = Path(__file__).resolve().parent.parent
# One for each child, lest it counts as one's processes what another has started. They belong to nobody: no
# distribution gives out those below 65534.
_USERS = itertools.cycle(range(65520, 65534))
# What a notebook imports and what that imports in turn. The solutions, the checks and what makes a gradient
# of a score in one call are not among it.
_VISIBLE = (
    "__init__.py",
    "classifiers",
    "data_utils.py",
    "downloads.py",
    "grading/__init__.py",
    "grading/cells.py",
    "grading/child.py",
    "grading/transport.py",
    "ground_truth.py",
    "hdf5.py",
    "image_sources.py",
    "image_utils.py",
    "imagenet.py",
    "labelled_images.py",
    "observation.py",
    "paths.py",
    "plotting.py",
    "progress.py",
    "quiet_tensorflow.py",
    "session.py",
    "tiny_imagenet.py",
    "unpickling.py",
    "validation.py",
    "weights.py",
)


def copy_kit(folder: Path) -> None:
    """Copy to a job's folder what a child needs of the kit, the weights and the images."""
    for name in _VISIBLE:
        source, copy = _KIT / name, folder / "kit" / "cs231n" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    (folder / "datasets").mkdir()
    for pattern in ("squeezenet.ckpt.*", "imagenet_val*"):
        for source in datasets_dir().glob(pattern):
            shutil.copy(source, folder / "datasets")


@functools.cache
def has_bubblewrap() -> bool:
    """Tell whether bubblewrap is installed and allowed to do its work here."""
    if sys.platform != "linux" or shutil.which("bwrap") is None:
        return False
    command = ["bwrap", *_namespaces(), "--ro-bind", "/", "/", "true"]
    return subprocess.run(command, capture_output=True, timeout=10).returncode == 0


def start(job: Path, functions: Sequence[str], isolated: bool) -> tuple[subprocess.Popen, int]:
    """Start the child on a job.

    Parameters
    ----------
    job : path
        The job's folder, with the copy of the kit in it.
    functions : sequence of str
        Names of the functions to run.
    isolated : bool
        Whether to use bubblewrap.

    Returns
    -------
    process : Popen
        The leader of a process group of its own.
    pipe : int
        The descriptor to read the child's messages from.
    """
    for path in (job, *job.rglob("*")):  # for nobody to read
        path.chmod(0o755 if path.is_dir() else 0o644)
    inside = Path("/job") if isolated else job
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(inside / "kit"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CS231N_DATASETS": str(inside / "datasets"),
        "MPLBACKEND": "Agg",
    }
    processes = _MORE_PROCESSES
    if isolated and os.getuid() == 0:
        environment["CS231N_SANDBOX_USER"] = str(next(_USERS))
    else:
        processes += _count_processes()
    receiving, sending = os.pipe()
    limits = [str(sending), str(MEMORY), str(processes)]
    command = [sys.executable, "-s", "-m", "cs231n.grading.child", str(inside), *limits, *functions]
    try:
        process = subprocess.Popen(
            [*(_bubblewrap(job) if isolated else []), *command],
            env=environment,
            cwd=job,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[sending],
            start_new_session=True,
        )
    except BaseException:
        os.close(receiving)
        raise
    finally:
        os.close(sending)
    return process, receiving


def stop(process: subprocess.Popen) -> None:
    """Kill a child and all of its process group; with bubblewrap, all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def measure_memory(process: subprocess.Popen) -> int:
    """Return how many bytes a child and all that it started use together, without what files are shared."""
    total = 0
    with contextlib.suppress(psutil.Error):
        child = psutil.Process(process.pid)
        for one in (child, *child.children(recursive=True)):
            with contextlib.suppress(psutil.Error):  # it has ended meanwhile
                memory = one.memory_info()
                total += memory.rss - getattr(memory, "shared", 0)
    return total


def _namespaces() -> list[str]:
    """Return bubblewrap's options for namespaces and rights.

    Root needs no user namespace, and keeps the right to become another user, which is the first that the
    child does: the limit on the number of processes does not hold for root.
    """
    shared = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if os.getuid() == 0:
        return [*shared, "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return [*shared, "--unshare-user"]


def _bubblewrap(job: Path) -> list[str]:
    command = ["bwrap", *_namespaces(), "--die-with-parent", "--new-session"]
    command += ["--proc", "/proc", "--dev", "/dev"]
    command += ["--size", str(_TEMPORARY_SPACE), "--perms", "1777", "--tmpfs", "/tmp"]
    answers = _KIT.parent if (_KIT.parent / "pyproject.toml").is_file() else _KIT
    empty = ["/", "/dev"]
    for path in dict.fromkeys((*_SYSTEM, sys.base_prefix, sys.prefix)):
        command += [*_make_parents(Path(path)), "--ro-bind-try", path, path]
        if answers.is_relative_to(path):
            command += ["--perms", "0755", "--tmpfs", str(answers)]
            empty.append(str(answers))
    command += ["--ro-bind", str(job), "/job", "--chdir", "/tmp"]
    # Last, for the folders above are made in them: what is written there would take the machine's memory.
    return command + [option for path in empty for option in ("--remount-ro", path)]


def _make_parents(path: Path) -> list[str]:
    """Return options for the folders above a path, else another user could not pass through them."""
    parents = reversed(path.parents[:-1])
    return [option for parent in parents for option in ("--perms", "0755", "--dir", str(parent))]


def _count_processes() -> int:
    """Return how many processes and threads the user has who will run the child."""
    if not Path("/proc/self/task").is_dir():
        return 0
    user = os.getuid()
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == user:
                count += sum(1 for _ in (folder / "task").iterdir())
        except OSError:  # it has ended meanwhile
            continue
    return count
