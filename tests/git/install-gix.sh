#!/usr/bin/env bash
# Gets gitoxide, as a module of Python that is built on it, for the tests: without a compiler, and without
# installing it. Prints nothing when it is there.
set -euo pipefail

version=0.4.1
. "$(dirname "$0")/../common/cache.sh"

to="$cache/gix-$version"
[ ! -e "$to/gitoxide" ] || exit 0
echo "setup: unpacking gitoxide $version into $to" >&2
umask 022
mkdir -p "$cache"
work="$(mktemp -d "$cache/gix.XXXXXX")"
trap 'rm -rf "$work"' EXIT
/usr/bin/python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --root-user-action=ignore \
    --only-binary=:all: --target "$work/gix" "gitoxide==$version" >&2
chmod -R go+rX "$work"
mv "$work/gix" "$to"
