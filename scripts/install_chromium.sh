#!/bin/sh
# Make sure that Chromium and its driver are installed, for the tests of a report's page: install_chromium.sh
# If one is missing, root installs Debian's packages; other users get a message on what to install.
set -eu
missing=""
command -v chromium >/dev/null || missing="chromium"
command -v chromedriver >/dev/null || missing="$missing chromium-driver"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "The tests of a report's page need chromium and chromedriver, and one of them is not on the path." >&2
    echo "Install both; on Debian: sudo apt-get install chromium chromium-driver" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Another run may have locked the package lists; apt-get does not wait for that lock.
for _ in 1 2 3 4 5 6; do
    # shellcheck disable=SC2086  # a list of packages
    { apt update && apt install --yes --no-install-recommends $missing; } >"$log" 2>&1 && exit 0
    sleep 10
done
cat "$log" >&2
echo "apt-get could not install: $missing" >&2
exit 1
