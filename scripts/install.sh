#!/bin/sh
# Install this project, editable, with further requirements into a virtual environment:
# install.sh VENV PYTHON .|.[EXTRA] [REQUIREMENT …]
# NO_DEPS: requirements that are installed first, without what they ask for. What was installed last from the same files
# and arguments is not installed again.
set -eu
venv=$1 python=$2 project=$3
shift 3
export PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_NO_COMPILE=1 # most modules are never imported; Python compiles those that are
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "effconvert needs Python 3.11 or later, and '$python' is $("$python" --version 2>&1); set PYTHON=…" >&2
    exit 1
}
inputs="pyproject.toml constraints.txt effconvert/version.py effconvert/preprocessing/_*.c
        scripts/install.sh scripts/install_torch.py"
# shellcheck disable=SC2086  # a list of files
stamp=$venv/installed-$({ cat $inputs && "$python" --version && pwd && echo "$project" "$@" "${NO_DEPS:-}"; } | cksum | tr ' ' '-')
[ -e "$stamp" ] && exit 0
rm -f "$venv"/installed-*
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# The project itself comes first, and by one installation at a time: it is built in this folder.
(
    ! command -v flock >/dev/null || flock 9
    "$venv/bin/python" -m pip install --quiet --no-deps --editable .
) 9<pyproject.toml
touch "$venv/project-installed"
"$venv/bin/python" scripts/install_torch.py
# shellcheck disable=SC2086  # a list of requirements
[ -z "${NO_DEPS:-}" ] || "$venv/bin/python" -m pip install --quiet --no-deps $NO_DEPS
"$venv/bin/python" -m pip install --quiet --constraint constraints.txt "effconvert${project#.}" "$@"
touch "$stamp"
