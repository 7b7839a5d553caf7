#!/bin/sh
# Run the tests that need the real libraries, each file in a process of its own, for the libraries disturb each other:
# test_frameworks.sh LIBRARIES_BIN MINDSPORE_BIN [PYTEST_ARGUMENT …]
set -u
libraries=$1 mindspore=$2
shift 2
failed=""
for file in tests/frameworks/test_*.py; do
    case $file in
        */test_mindspore_*) bin=$mindspore ;;
        *) bin=$libraries ;;
    esac
    echo "== $file"
    "$bin/python" -m pytest -c tests/frameworks/pytest.ini -q "$file" "$@" || failed="$failed $file"
done
if [ -n "$failed" ]; then
    echo "failed:$failed" >&2
    exit 1
fi
