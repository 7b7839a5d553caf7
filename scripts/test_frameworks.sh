#!/bin/sh
# Run the tests that need the real libraries, each file in its own process, since the libraries disturb each other, two
# files at a time: test_frameworks.sh LIBRARIES_BIN MINDSPORE_BIN [PYTEST_ARGUMENT …]
set -eu
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
printf '%s\n' tests/frameworks/test_*.py | sort -r | xargs -P "${TEST_JOBS:-2}" -I FILE sh scripts/test_one_file.sh FILE "$@"
