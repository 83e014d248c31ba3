#!/usr/bin/env bash
# Gets OpenSSH's server for the tests without installing it: the package would start a server on this
# machine, and at every boot. Prints nothing when there is one.
set -euo pipefail

. "$(dirname "$0")/../common/cache.sh"

[ ! -x /usr/sbin/sshd ] && [ ! -x "$cache/sshd/usr/sbin/sshd" ] || exit 0
if ! command -v apt-get >/dev/null; then
    echo "setup: missing here: /usr/sbin/sshd (openssh-server)" >&2
    exit 1
fi
echo "setup: unpacking OpenSSH's server into $cache/sshd" >&2
umask 022
mkdir -p "$cache"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# apt-get drops its rights for the download.
chmod 755 "$work"
[ "$(id -u)" != 0 ] || chown _apt "$work" 2>/dev/null || true
cd "$work"
apt-get -qq download openssh-server </dev/null >&2
dpkg-deb -x openssh-server_*.deb "$work/sshd"
rm -rf "$cache/sshd"
mv "$work/sshd" "$cache/sshd"
