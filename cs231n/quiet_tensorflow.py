"""TensorFlow, imported without its start-up notices: the kit takes it from here.

The notices come from C++ before TensorFlow's own logging is set up, go straight to the process's standard
error, and no setting turns them off. Any other line printed meanwhile is passed on.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_NOTICE = re.compile(
    rb"WARNING: All log messages before absl::|[IWE]0000 \d|To enable the following instructions"
)


@contextlib.contextmanager
def _without_notices() -> Iterator[None]:
    """Hold back what the process writes to standard error, then pass on all but the notices."""
    try:
        terminal = os.dup(2)
    except OSError:  # the process has no standard error
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            os.write(2, b"".join(line for line in held if not _NOTICE.match(line)))


with _without_notices():
    import tensorflow.compat.v1 as tf

__all__ = ["tf"]
