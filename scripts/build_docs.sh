#!/bin/sh
# Build the documentation as a site, with every warning an error, without a network: build_docs.sh BIN [SITE]
# Docstrings are read from a copy laid out as it is installed, for validate/ lies outside of the package here.
set -eu
bin=$1 site=${2:-site}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R effconvert "$copy/effconvert"
cp -R mappings reference validate "$copy/effconvert/"
PATH=$PWD/$bin:$PATH EFFCONVERT_INSTALLED=$copy NO_MKDOCS_2_WARNING=1 \
    "$bin/python" -m mkdocs build --strict --site-dir "$site"
