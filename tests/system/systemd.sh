#!/bin/bash
# Boots systemd as pid 1 of a container, installs the .deb there and walks the units: systemd.sh ROOT DEB [UPGRADE_DEB].
# ROOT is a Debian tree with systemd, dbus, adduser and procps (docs/testing.md says how to make one); it is not changed.
# Run by hand, as root. Everything it starts ends with it.
set -u
root=$(realpath "$1") deb=$(realpath "$2") upgrade=$(realpath "${3:-$2}")
work=$(mktemp -d /var/tmp/em-systemd.XXXXXX)
name=em$$
leader=''

boot() {
    systemd-nspawn --quiet -D "$work/root" -M $name --register=no --keep-unit --private-network --boot \
        --console=pipe </dev/null >>"$work/console" 2>&1 &
    nspawn=$!
    for _ in $(seq 150); do
        sleep 0.2
        leader=$(cat "/proc/$nspawn/task/$nspawn/children" 2>/dev/null); leader=${leader%% *}
        [ -n "$leader" ] || continue
        case "$(inside systemctl is-system-running 2>/dev/null)" in running | degraded) return ;; esac
    done
    failed "it does not boot"
}
inside() { (cd / && nsenter -t "$leader" -m -u -i -n -p -C --wd=/ -- "$@"); }
finish() {
    [ -z "$leader" ] || kill -s RTMIN+4 "$leader" 2>/dev/null
    [ -z "${nspawn:-}" ] || wait "$nspawn" 2>/dev/null
    umount "$work/root" && umount "$work" && rmdir "$work"
}
failed() {
    echo "FAILED: $*"
    inside systemctl --no-pager status etcd-manager etcd; inside journalctl --no-pager -n 40
    exit 1
}
# seen WHAT COMMAND...: a bounded look
seen() {
    what=$1; shift
    for _ in $(seq 200); do "$@" >/dev/null 2>&1 && { echo "ok: $what"; return; }; sleep 0.2; done
    failed "$what"
}
show() { inside systemctl show -p "$1" --value etcd-manager.service; }
nodes() { inside pidof etcd-node | tr ' ' '\n' | sort; }
count() { nodes | grep -c .; }
three() { [ "$(count)" -eq 3 ]; }
none() { [ "$(count)" -eq 0 ]; }
same() { [ "$(nodes)" = "$before" ]; }
changed() { pid=$(show MainPID); [ "$pid" != "$agent" ] && [ "$pid" != 0 ] && [ "$(show ActiveState)" = active ]; }
named() { show StatusText | grep -q 'n1 runs (pid .*n2 runs (pid .*n3 runs (pid '; }
said() { inside journalctl --no-pager -u etcd-manager | grep -q "$1"; }

mount -t tmpfs -o size=1g tmpfs "$work"
mkdir "$work/up" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/up,workdir=$work/work" "$work/root"
trap finish EXIT
printf '127.0.0.1 localhost\n' >"$work/root/etc/hosts"
cp "$deb" "$work/root/first.deb"; cp "$upgrade" "$work/root/second.deb"
boot; echo "ok: booted"

inside dpkg -i /first.deb || failed "dpkg -i"
[ "$(show ActiveState)" = inactive ] || failed "started without a spec"
inside systemctl is-enabled -q etcd-manager etcd || failed "not enabled"
inside systemd-analyze verify --man=no /lib/systemd/system/etcd-manager.service /lib/systemd/system/etcd.service || failed "systemd-analyze verify"
{
    printf '[cluster]\nname = "sd"\ndir = "/var/lib/etcd-manager/sd"\n[defaults]\nuser = "etcd"\n'
    for at in 1 2 3; do
        printf '[[node]]\nname = "n%s"\nhost = "127.0.0.1"\nclient-port = %s\npeer-port = %s\n' $at $((2379 + at * 10)) $((2380 + at * 10))
    done
} >"$work/root/etc/etcd-manager/cluster.toml"
inside systemctl start etcd || failed "start"
[ "$(show ActiveState)" = active ] || failed "the agent is not up after start"
inside etcd-manager apply /etc/etcd-manager/cluster.toml | tail -n 2
three || failed "no three nodes"
[ "$(inside ps -o user= -p "$(nodes | head -n 1)")" = etcd ] || failed "not run as etcd"
seen "Status= names the nodes" named
before=$(nodes)

agent=$(show MainPID); inside systemctl restart etcd-manager || failed "restart"
{ changed && same; } || failed "restart touched nodes"; echo "ok: systemctl restart etcd-manager: new agent, same nodes"
agent=$(show MainPID); inside kill -9 "$agent"
seen "kill -9: another agent" changed; same || failed "kill -9 touched nodes"
inside systemctl stop etcd-manager; same || failed "stop of the agent touched nodes"
inside systemctl start etcd-manager; same || failed "start of the agent touched nodes"; echo "ok: stop and start of the agent: same nodes"
agent=$(show MainPID); inside kill -STOP "$agent"
seen "a hung agent is replaced by the watchdog" changed; same || failed "the watchdog took nodes along"
said Watchdog || failed "no word of the watchdog"
agent=$(show MainPID); inside dpkg -i /second.deb || failed "upgrade"
{ changed && same; } || failed "the upgrade touched nodes"; echo "ok: upgrade: new agent, same nodes"
inside etcd-manager status /etc/etcd-manager/cluster.toml

inside systemctl stop etcd || failed "stop etcd"
none || failed "nodes left after stop"; [ "$(show ActiveState)" = inactive ] || failed "agent left after stop"
echo "ok: systemctl stop etcd: no nodes, no agent"
inside systemctl start etcd; seen "systemctl start etcd brings them back" three
before=$(nodes); inside systemctl restart etcd; seen "systemctl restart etcd: nodes again" three
same && failed "restart etcd left nodes"

inside systemctl reboot; wait "$nspawn"; echo "ok: went down for reboot ($?)"
boot; seen "nodes are up after a reboot by themselves" three

inside dpkg -r etcd-manager || failed "remove"
none || failed "nodes left after a removal"
for file in etc/default/etcd etc/init.d/etcd etc/etcd-manager/cluster.toml var/lib/etcd-manager/sd; do
    [ -e "$work/root/$file" ] || failed "$file went with a removal"
done
echo "ok: dpkg -r: nodes stopped, configuration and data kept"
inside dpkg -P etcd-manager || failed "purge"
[ ! -e "$work/root/etc/default/etcd" ] || failed "a conffile is left after a purge"
[ -e "$work/root/var/lib/etcd-manager/sd" ] || failed "a purge deleted data"
echo "ok: dpkg -P: conffiles gone, data kept"
echo "walked"
