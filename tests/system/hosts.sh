#!/bin/bash
# Three hosts, 10.0.34.15 to 17, each a container with an init system as pid 1 and the package: `service etcd start` on
# each, one apply, an upgrade and a stop of one host: hosts.sh ROOT FIRST.deb SECOND.deb. ROOT is a tree with sysvinit or
# with systemd (docs/testing.md); it is not changed. Run by hand, as root. Everything it starts ends with it.
set -u
root=$(realpath "$1") first=$(realpath "$2") second=$(realpath "$3")
work=$(mktemp -d /var/tmp/em-hosts.XXXXXX)
switch=em$$
declare -A nspawn leader

on() { at=$1; shift; (cd / || exit; nsenter -t "${leader[$at]}" -m -u -i -n -p -C --wd=/ -- env PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"); }
finish() {
    for at in 15 16 17; do
        [ -z "${leader[$at]:-}" ] || kill -9 "${leader[$at]}" 2>/dev/null
        [ -z "${nspawn[$at]:-}" ] || wait "${nspawn[$at]}" 2>/dev/null
        umount "$work/$at/root" 2>/dev/null; ip netns del "$switch-$at" 2>/dev/null
    done
    ip netns del $switch; umount "$work" && rmdir "$work"
}
failed() {
    echo "FAILED: $*"; cat "$work/said"
    for at in 15 16 17; do echo "== $at"; tail -n 8 "$work/$at/root/var/log/etcd-manager.log" 2>/dev/null || on $at journalctl --no-pager -n 12; done
    exit 1
}
# seen WHAT COMMAND...: a bounded look
seen() {
    what=$1; shift
    for _ in $(seq 200); do "$@" >/dev/null 2>&1 && { echo "ok: $what"; return; }; sleep 0.2; done
    failed "$what"
}
node() { on "$1" pidof etcd-node; }
agent() { on "$1" head -n 1 /run/etcd-manager.pid; }
up() {
    case "$(on "$1" runlevel 2>/dev/null) $(on "$1" systemctl is-system-running 2>/dev/null)" in
        'N 2 '* | *' running' | *' degraded') ;;
        *) return 1 ;;
    esac
}
boot() {
    at=$1 dir=$work/$1
    mkdir -p "$dir/up" "$dir/work" "$dir/root"
    mount -t overlay overlay -o "lowerdir=$root,upperdir=$dir/up,workdir=$dir/work" "$dir/root"
    printf '127.0.0.1 localhost\n' >"$dir/root/etc/hosts"
    [ ! -e "$dir/root/etc/inittab" ] || sed -i '/getty/s/^/#/' "$dir/root/etc/inittab"
    mkdir "$dir/root/pkg"; cp "$first" "$dir/root/pkg/first.deb"; cp "$second" "$dir/root/pkg/second.deb"
    ip netns add "$switch-$at"
    ip link add "e$at" netns "$switch-$at" type veth peer name "v$at" netns $switch
    ip -n $switch link set "v$at" master br0 up
    ip -n "$switch-$at" link set lo up; ip -n "$switch-$at" addr add "10.0.34.$at/24" dev "e$at"; ip -n "$switch-$at" link set "e$at" up
    systemd-nspawn --quiet -D "$dir/root" -M "$switch-$at" --register=no --keep-unit \
        --network-namespace-path="/run/netns/$switch-$at" --boot --console=pipe </dev/null >"$dir/console" 2>&1 &
    nspawn[$at]=$!
    for _ in $(seq 200); do
        sleep 0.2
        leader[$at]=$(cat "/proc/${nspawn[$at]}/task/${nspawn[$at]}/children" 2>/dev/null); leader[$at]=${leader[$at]%% *}
        [ -z "${leader[$at]}" ] || ! up "$at" || return
    done
    failed "host $at does not boot"
}

mount -t tmpfs -o size=3g tmpfs "$work"; : >"$work/said"
trap finish EXIT
ip netns add $switch; ip -n $switch link add br0 type bridge; ip -n $switch link set br0 up
for at in 15 16 17; do boot $at; done
echo "ok: three hosts, $(on 15 ps -o comm= -p 1) is pid 1"

for at in 15 16 17; do
    on $at dpkg -i /pkg/first.deb >"$work/said" 2>&1 || failed "install on $at"
    etc=$work/$at/root/etc
    sed -i "s/^DAEMON_ARGS/#&/; s/^#\(DAEMON_ARGS=.*agent.toml\)/\1/" "$etc/default/etcd"
    on $at service etcd start >"$work/said" 2>&1
    [ $at != 15 ] || { on 15 test -e /run/etcd-manager.pid && failed "it started without a host"; }
    sed -i "s/^# host = .*/host = \"10.0.34.$at\"/; s/^# insecure/insecure/" "$etc/etcd-manager/agent.toml"
    on $at service etcd restart >"$work/said" 2>&1 || failed "service etcd start on $at"
    on $at service etcd start >"$work/said" 2>&1 || failed "service etcd start on $at"
    seen "host $at: its agent is up" on $at test -e /run/etcd-manager.pid
done
{
    printf '[cluster]\nname = "hosts"\ndir = "/var/lib/etcd-manager/hosts"\n[defaults]\nuser = "etcd"\n'
    for at in 15 16 17; do printf '[[node]]\nname = "n%s"\nhost = "10.0.34.%s"\n' $at $at; done
} >"$work/16/root/etc/etcd-manager/cluster.toml"
apply() { on 16 etcd-manager apply /etc/etcd-manager/cluster.toml >"$work/said" 2>&1; }
apply || failed "apply"
for at in 15 16 17; do [ -n "$(node $at)" ] || failed "no node on $at"; done; echo "ok: one apply, a node on each host"

before=$(node 15) old=$(agent 15)
on 15 dpkg -i /pkg/second.deb >"$work/said" 2>&1 || failed "upgrade of 15"
{ [ "$(node 15)" = "$before" ] && [ "$(agent 15)" != "$old" ]; } || failed "the upgrade of 15 touched its node"
echo "ok: upgrade on one host: new agent, same node"
apply || failed "apply after the upgrade"
[ "$(node 15)" != "$before" ] || failed "the next apply left the old program running"
echo "ok: the next apply restarts the node with the new program"

others="$(node 16) $(node 17)"
on 15 service etcd stop >"$work/said" 2>&1 || failed "service etcd stop"
[ -z "$(node 15)" ] || failed "stop left the node"
[ "$(node 16) $(node 17)" = "$others" ] || failed "stop on one host touched others"
echo "ok: service etcd stop on one host stops its node only"
on 15 service etcd start >"$work/said" 2>&1 || failed "start after stop"
seen "service etcd start brings it back" node 15
apply || failed "the cluster is not whole again"
on 16 etcd-manager status /etc/etcd-manager/cluster.toml
echo "walked: hosts"
