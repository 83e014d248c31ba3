# Sourced: sets `cache`, the directory in which what the tests need, and nobody installs, is kept.
# The same rule as tests/common/agent.rs.

if [ -n "${CLAUDEBOX_TEST_AGENTS:-}" ]; then
    cache="$(dirname "$CLAUDEBOX_TEST_AGENTS")"
elif [ "$(id -u)" = 0 ]; then
    cache=/var/cache/claudebox-test
else
    cache="${XDG_CACHE_HOME:-$HOME/.cache}/claudebox-test"
fi
