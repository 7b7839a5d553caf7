#!/bin/sh
# Run the tests that need the real libraries, each group of tests/frameworks/groups.txt in a process of its own, and two
# groups at a time: test_frameworks.sh LIBRARIES_BIN MINDSPORE_BIN [PYTEST_ARGUMENT …]
set -eu
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
groups=$(grep -v '^#' tests/frameworks/groups.txt)
grouped=$(for name in $(echo "$groups" | cut -d' ' -f2-); do echo "tests/frameworks/test_$name.py"; done | LC_ALL=C sort)
[ "$grouped" = "$(printf '%s\n' tests/frameworks/test_*.py | LC_ALL=C sort)" ] || {
    echo "tests/frameworks/groups.txt must name every test_*.py beside it, and each once" >&2
    exit 1
}
echo "$groups" | tr '\n' '\0' | xargs -0 -P "${TEST_JOBS:-2}" -I GROUP sh scripts/test_group.sh GROUP "$@"
