#!/usr/bin/env bash
# Installs one of the real agents that the tests drive, as NAME/package-lock.json pins it (npm checks
# the hashes), and says nothing where it is there already.
#
#   tests/agents/install.sh NAME DIRECTORY
#
# Scripts of packages do not run: npm 11 asks before it runs any, and older versions run all. What a
# package needs of them is the script `setup` of NAME/package.json.
set -euo pipefail
from="$(cd "$(dirname "$0")/$1" && pwd)"
to="$2"

pinned="$(cat "$from/package.json" "$from/package-lock.json" | sha256sum | cut -d' ' -f1)"
[ "$(cat "$to/installed" 2>/dev/null)" = "$pinned" ] && exit 0

# Readable for every user that the tests run as.
umask 022
rm -rf "$to"
mkdir -p "$to/home"
cp "$from/package.json" "$from/package-lock.json" "$to/"
cd "$to"
export npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false
npm ci --ignore-scripts --loglevel=error </dev/null >&2
HOME="$to/home" npm run --if-present --silent setup </dev/null >&2
echo "$pinned" >installed
