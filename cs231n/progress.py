"""One progress bar for all long work."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextvars import ContextVar

from tqdm.auto import tqdm

_hidden: ContextVar[bool] = ContextVar("hidden", default=False)


def progress_bar(total: int, unit: str, description: str | None = None, done: int = 0) -> tqdm:
    """Return a bar that shows itself only if the work takes more than two seconds.

    It writes to the terminal or the notebook; where neither is, in a pipe or a log file, it stays silent.
    What was `done` earlier counts for the bar's length, not for the rate.
    """
    in_notebook = "ipykernel" in sys.modules
    disable = True if _hidden.get() else False if in_notebook else None
    return tqdm(total=total, unit=unit, desc=description, delay=2, leave=False, initial=done, disable=disable)


@contextlib.contextmanager
def hidden_progress() -> Iterator[None]:
    """Show no bar for what this thread does in the `with` statement: another one counts it already."""
    token = _hidden.set(True)
    try:
        yield
    finally:
        _hidden.reset(token)
