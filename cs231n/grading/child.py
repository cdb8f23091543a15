"""The child process: runs a learner's functions and sends back what they did. It knows no answers.

    python -m cs231n.grading.child JOB PIPE MEMORY PROCESSES FUNCTION...

JOB is the folder of the job, PIPE the descriptor to write to, MEMORY the address space in bytes, PROCESSES
how many processes and threads the user may have.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import Any

from cs231n.grading import cells as notebook_cells
from cs231n.grading.transport import read_job, send
from cs231n.observation import Observation, observe

_NOBODY = 65534


def main() -> None:
    """Run the functions of a job."""
    folder, pipe, memory, processes, *functions = sys.argv[1:]
    cells, calls = read_job(Path(folder))
    _limit(int(memory), int(processes))
    with os.fdopen(int(pipe), "wb") as stream:
        namespace, problems = _define(cells, functions)
        for name in functions:
            send(stream, {"started": name})
            for number, call in enumerate(calls[name]):
                seen = _observe(name, call, namespace, problems)
                send(stream, {"function": name, "case": number}, seen)
        stream.flush()
        # Not the usual end of a process: what the learner registered for it would run.
        os._exit(0)


def _limit(memory: int, processes: int) -> None:
    """Give up rights for good: root's, if it is root's process, and all but some memory and processes."""
    if os.getuid() == 0 and os.environ.get("CS231N_IN_SANDBOX"):
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    limits = [
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_FSIZE, 64 * 2**20),
        (resource.RLIMIT_CORE, 0),
    ]
    for kind, value in limits:
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _define(cells: list[str], functions: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the notebook's namespace with what the functions need in it, and what went wrong on the way."""
    from cs231n.quiet_tensorflow import tf

    tf.disable_v2_behavior()
    tf.logging.set_verbosity(tf.logging.ERROR)
    _load_installed_weights()
    namespace: dict[str, Any] = {"__name__": "__main__", "display": lambda *values, **options: None}
    statements, problems = notebook_cells.parse_cells(cells)
    needed = notebook_cells.select(statements, {*functions, "model", "sess"})
    problems += notebook_cells.run(needed, namespace)
    _provide_model(namespace)
    return namespace, problems


def _load_installed_weights() -> None:
    """Let SqueezeNet load the installed weights, wherever a notebook says that they are."""
    from cs231n.classifiers import squeezenet
    from cs231n.paths import checkpoint_prefix

    original = squeezenet.SqueezeNet.__init__

    def initialise(self: Any, save_path: Any = None, sess: Any = None) -> None:
        original(self, checkpoint_prefix(), sess)

    squeezenet.SqueezeNet.__init__ = initialise


def _provide_model(namespace: dict[str, Any]) -> None:
    """Keep the notebook's `model` and `sess` if they go together, else put new ones in their place."""
    from cs231n.classifiers.squeezenet import SqueezeNet
    from cs231n.quiet_tensorflow import tf

    model, sess = namespace.get("model"), namespace.get("sess")
    if isinstance(model, SqueezeNet) and getattr(sess, "graph", None) is model.graph:
        return
    if not (isinstance(model, SqueezeNet) and model.sess is not None):
        tf.reset_default_graph()
        model = SqueezeNet(sess=tf.Session())
    namespace["model"], namespace["sess"] = model, model.sess


def _observe(name: str, call: dict[str, Any], namespace: dict[str, Any], problems: list[str]) -> Observation:
    """Return what a function did with a call's arguments; if it is not there, why."""
    function = namespace.get(name)
    if not callable(function):
        return Observation(kind="missing", error=" ".join([f"The notebook defines no {name}.", *problems]))
    model = namespace["model"]
    seen = observe(function, call["arguments"], call["keywords"], model, call["seed"], call["way"])
    if seen.error.startswith(("NameError", "UnboundLocalError")) and problems:
        return Observation(error=" ".join([f"{seen.error}.", *problems]))
    return seen


if __name__ == "__main__":
    main()
