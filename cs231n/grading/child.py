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
from cs231n.observation import Observation, describe_error, observe


def main() -> None:
    """Run the functions of a job."""
    folder, pipe, memory, processes, *functions = sys.argv[1:]
    cells, calls = read_job(Path(folder))
    _limit(int(memory), int(processes))
    with os.fdopen(int(pipe), "wb") as stream:
        _prepare()
        notebook = _Notebook(cells)
        for name in functions:
            send(stream, {"function": name, "case": None})
            notebook.define(name)
            for number, call in enumerate(calls[name]):
                send(stream, {"function": name, "case": number}, notebook.observe(name, call))
        stream.flush()
        # Not the usual end of a process: what the learner registered for it would run.
        os._exit(0)


def _limit(memory: int, processes: int) -> None:
    """Give up rights for good: root's, if it is root's process, and all but some memory and processes."""
    if "CS231N_SANDBOX_USER" in os.environ:
        user = int(os.environ["CS231N_SANDBOX_USER"])
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
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


def _prepare() -> None:
    """Let TensorFlow be version 1, and SqueezeNet find its weights."""
    from cs231n.quiet_tensorflow import tf

    tf.disable_v2_behavior()
    tf.logging.set_verbosity(tf.logging.ERROR)
    _load_installed_weights()


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


class _Notebook:
    """A notebook of which only that is run what the functions need, each before its calls.

    So what fails or hangs above one function costs only that function.
    """

    def __init__(self, cells: list[str]) -> None:
        self._statements, self._problems = notebook_cells.parse_cells(cells)
        self._done: set[notebook_cells.Statement] = set()
        self._namespace: dict[str, Any] = {
            "__name__": "__main__",
            "display": lambda *values, **options: None,
        }

    def define(self, name: str) -> None:
        """Run what a function needs and has not been run yet."""
        needed = notebook_cells.select(self._statements, {name, "model", "sess"})
        self._problems += notebook_cells.run(
            [statement for statement in needed if statement not in self._done], self._namespace
        )
        self._done.update(needed)
        _provide_model(self._namespace)

    def observe(self, name: str, call: dict[str, Any]) -> Observation:
        """Return what a function did with a call's arguments; if it is not there, why."""
        function, model = self._namespace.get(name), self._namespace["model"]
        if not callable(function):
            sentences = [f"The notebook defines no {name}.", *self._problems]
            return Observation(kind="missing", error=" ".join(sentences))
        try:
            seen = observe(function, call["arguments"], call["keywords"], model, call["seed"], call["way"])
        except BaseException as error:  # there is nobody here who would press Ctrl-C
            return Observation(error=describe_error(error))
        if seen.error.startswith(("NameError", "UnboundLocalError")) and self._problems:
            # Whoever tells of the error adds the last full stop.
            return Observation(error=" ".join([f"{seen.error}.", *self._problems]).removesuffix("."))
        return seen


if __name__ == "__main__":
    main()
