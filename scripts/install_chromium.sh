#!/bin/sh
# See to it that there are a Chromium and its driver, which the page of a report is tested in: install_chromium.sh
# Debian's packages are installed where one is missing and we are root; else what to install is said.
set -eu
missing=""
command -v chromium >/dev/null || missing="chromium"
command -v chromedriver >/dev/null || missing="$missing chromium-driver"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "The page of a report is tested in Chromium, driven by chromedriver, and one of them is not on the path." >&2
    echo "Install both; on Debian: sudo apt-get install chromium chromium-driver" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The lists of packages may be locked by another run, for which apt-get itself does not wait.
for _ in 1 2 3 4 5 6; do
    # shellcheck disable=SC2086  # a list of packages
    { apt update && apt install --yes --no-install-recommends $missing; } >"$log" 2>&1 && exit 0
    sleep 10
done
cat "$log" >&2
echo "apt-get could not install: $missing" >&2
exit 1
