"""Pack what a student hands in, with a list of its hashes."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from cs231n import __version__
from cs231n.paths import whole_file

MANIFEST = "manifest.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_submission(paths: Sequence[Path], archive: Path) -> None:
    """Write a zip archive of files, with `manifest.json`: each one's size and SHA-256, and the kit's version.

    The same files make the same archive, to the last byte.

    Raises
    ------
    ValueError
        If two files have the same name: there are no folders in the archive.
    OSError
        If a file can't be read, or the archive can't be written.
    """
    contents = {path.name: path.read_bytes() for path in paths}
    if len(contents) < len(paths):
        raise ValueError("Two of the files have the same name; rename one.")
    files = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in sorted(contents.items())
    }
    manifest = json.dumps({"kit": __version__, "files": files}, indent=2).encode()
    with whole_file(archive) as temporary, zipfile.ZipFile(temporary, "w") as file:
        for name, data in [*sorted(contents.items()), (MANIFEST, manifest)]:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            file.writestr(entry, data)
