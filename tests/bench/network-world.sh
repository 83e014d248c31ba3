# A machine of its own with another one behind a link, for the benchmark of the network: runs in
# namespaces of its own, in which the link and the hosts file are nobody else's, and with which all of it ends.
#   network-world.sh PROGRAM HOSTS NAME ADDRESS PORT READY
set -e
program=$1 hosts=$2 name=$3 address=$4 port=$5 ready=$6
ip link set lo up
# Ports that thousands of connections have used are free again after a second, as on the loopback.
echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse
echo '1024 65535' >/proc/sys/net/ipv4/ip_local_port_range
printf '127.0.0.1 localhost\n%s %s\n' "$address" "$name" >"$hosts"
mount --bind "$hosts" /etc/hosts
"$program" serve 127.0.0.1 "$port" &
unshare --net "$program" serve 0.0.0.0 "$port" &
other=$!
# Until it has one.
while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do
    sleep 0.01
done
ip link add bench0 type veth peer name bench1 netns "$other"
ip address add "${address%.*}.1/24" dev bench0
ip link set bench0 up
nsenter --target "$other" --net ip address add "$address/24" dev bench1
nsenter --target "$other" --net ip link set bench1 up
: >"$ready"
wait
