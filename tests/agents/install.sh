#!/usr/bin/env bash
# Installs the real agents that the tests drive, pinned by package-lock.json, whose hashes npm
# checks. Prints nothing when they are there. They go where every test user can read them.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"

# The same rule as tests/common/agent.rs.
if [ -n "${CLAUDEBOX_TEST_AGENTS:-}" ]; then
    agents="$CLAUDEBOX_TEST_AGENTS"
elif [ "$(id -u)" = 0 ]; then
    agents=/var/cache/claudebox-test/agents
else
    agents="${XDG_CACHE_HOME:-$HOME/.cache}/claudebox-test/agents"
fi

lock="$(sha256sum "$here/package-lock.json" | cut -d' ' -f1)"
[ "$(cat "$agents/installed" 2>/dev/null)" = "$lock" ] && exit 0

echo "setup: installing the pinned agents from npm into $agents" >&2
umask 022
mkdir -p "$agents"
rm -f "$agents/installed"
cp "$here/package.json" "$here/package-lock.json" "$agents/"
cd "$agents"
# Scripts are off and the one that is meant is run by name: npm 11 asks before it runs any, and
# older versions run all.
npm_config_update_notifier=false npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >&2
node node_modules/@anthropic-ai/claude-code/install.cjs </dev/null >&2
HOME="$agents/home" node_modules/.bin/claude --version </dev/null >&2
echo "$lock" >installed
