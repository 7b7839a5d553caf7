#!/bin/sh
# Check types, also of the tests, and the directions of imports on an installed copy, since neither tool sees
# packages that setuptools maps to other folders. check_installed.sh BIN
set -eu
bin=$1
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for folder in mappings reference validate; do
    [ -d "$folder" ] || exit 1
done
cp -R effconvert "$copy/effconvert"
cp -R mappings reference validate "$copy/effconvert/"
cp -R tests "$copy/tests"
mv "$copy/tests/helpers" "$copy/helpers"
here=$(pwd)
cd "$copy"
"$here/$bin/mypy" --config-file "$here/pyproject.toml" --cache-dir "$here/.mypy_cache" -p effconvert -p helpers -p tests
"$here/$bin/lint-imports" "$here/pyproject.toml" --no-cache
