#!/bin/sh
# Run a group of tests/frameworks in its environment, and print all of its output at once, with the seconds it took:
# test_group.sh 'ENVIRONMENT NAME …' LIBRARIES_BIN MINDSPORE_BIN [PYTEST_ARGUMENT …]
set -u
group=$1 libraries=$2 mindspore=$3
shift 3
case $group in
    libraries\ *) bin=$libraries ;;
    mindspore\ *) bin=$mindspore ;;
    *) echo "$group: must begin with libraries or mindspore" >&2; exit 1 ;;
esac
for name in ${group#* }; do
    set -- "tests/frameworks/test_$name.py" "$@"
done
output=$("$bin/python" -m pytest -c tests/frameworks/pytest.ini -q --durations=5 "$@" 2>&1)
code=$?
printf '== %s\n%s\n' "$group" "$output"
exit $code
