#!/bin/sh
# Run one file of tests/frameworks in its environment, and print all of its output at once:
# test_one_file.sh FILE LIBRARIES_BIN MINDSPORE_BIN [PYTEST_ARGUMENT …]
set -u
file=$1 libraries=$2 mindspore=$3
shift 3
case $file in
    */test_mindspore_*) bin=$mindspore ;;
    *) bin=$libraries ;;
esac
output=$("$bin/python" -m pytest -c tests/frameworks/pytest.ini -q "$file" "$@" 2>&1)
code=$?
printf '== %s\n%s\n' "$file" "$output"
exit $code
