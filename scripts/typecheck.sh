#!/bin/sh
# Check types on an installed copy: mypy does not see packages that setuptools maps to other folders. typecheck.sh BIN
set -eu
bin=$1
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for folder in mappings reference validate; do
    [ -d "$folder" ] || exit 1
done
cp -R effconvert "$copy/effconvert"
cp -R mappings reference validate "$copy/effconvert/"
here=$(pwd)
cd "$copy"
"$here/$bin/mypy" --config-file "$here/pyproject.toml" --cache-dir "$here/.mypy_cache" -p effconvert
