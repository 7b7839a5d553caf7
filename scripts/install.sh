#!/bin/sh
# Install this project, editable, with further requirements into a virtual environment: install.sh VENV PYTHON PROJECT [REQUIREMENT …]
set -eu
venv=$1 python=$2 project=$3
shift 3
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "effconvert needs Python 3.11 or later, and '$python' is $("$python" --version 2>&1); set PYTHON=…" >&2
    exit 1
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" scripts/install_torch.py
"$venv/bin/python" -m pip install --quiet --constraint constraints.txt --editable "$project" "$@"
