"""One progress bar for all long work."""

from __future__ import annotations

import sys

from tqdm.auto import tqdm


def progress_bar(total: int, unit: str, description: str | None = None) -> tqdm:
    """Return a bar that shows itself only if the work takes more than two seconds.

    It writes to the terminal or the notebook; where neither is, in a pipe or a log file, it stays silent.
    """
    in_notebook = "ipykernel" in sys.modules
    return tqdm(
        total=total, unit=unit, desc=description, delay=2, leave=False, disable=False if in_notebook else None
    )
