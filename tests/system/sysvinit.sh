#!/bin/bash
# Boots sysvinit as pid 1 of a container, installs, upgrades and removes a package there, and walks `service etcd`:
# sysvinit.sh ROOT FIRST SECOND, both .deb or both .rpm, SECOND of a higher version. ROOT is a Debian tree with sysvinit
# (docs/testing.md says how to make one); it is not changed. Run by hand, as root. Everything it starts ends with it.
set -u
root=$(realpath "$1") first=$(realpath "$2") second=$(realpath "$3")
kind=${first##*.}
work=$(mktemp -d /var/tmp/em-sysvinit.XXXXXX)
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
        case "$(inside runlevel 2>/dev/null)" in 'N 2') inside ip link set lo up; return ;; esac
    done
    failed "it does not boot"
}
inside() { (cd / || exit; nsenter -t "$leader" -m -u -i -n -p -C --wd=/ -- env PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"); }
finish() {
    # Its init: all else in its pid namespace ends with it.
    [ -z "$leader" ] || kill -9 "$leader" 2>/dev/null
    [ -z "${nspawn:-}" ] || wait "$nspawn" 2>/dev/null
    umount "$work/root" && umount "$work" && rmdir "$work"
}
failed() {
    echo "FAILED: $*"
    cat "$work/said"; tail -n 20 "$work/root/var/log/etcd-manager.log"; tail -n 20 "$work/console"
    exit 1
}
# seen WHAT COMMAND...: a bounded look
seen() {
    what=$1; shift
    for _ in $(seq 200); do "$@" >/dev/null 2>&1 && { echo "ok: $what"; return; }; sleep 0.2; done
    failed "$what"
}
# expect CODE VERB
expect() {
    inside service etcd "$2" >"$work/said" 2>&1; code=$?
    [ $code -eq "$1" ] || failed "service etcd $2 gave $code, not $1"
}
install() {
    case $kind in
        deb) inside dpkg -i "/pkg/${1##*/}" ;;
        # Debian's root knows no package `shadow-utils`: files, scripts and upgrades are what is walked.
        rpm) inside rpm -U --nodeps "/pkg/${1##*/}" ;;
    esac >"$work/said" 2>&1 || failed "install $1"
}
remove() {
    case $kind in deb) inside dpkg -r etcd-manager ;; rpm) inside rpm -e etcd-manager ;; esac >"$work/said" 2>&1 ||
        failed "remove"
}
nodes() { inside pidof etcd-node | tr ' ' '\n' | sort; }
three() { [ "$(nodes | grep -c .)" -eq 3 ]; }
none() { [ -z "$(nodes)" ]; }
same() { [ "$(nodes)" = "$before" ]; }
agent() { head -n 1 "$work/root/run/etcd-manager.pid" 2>/dev/null || inside head -n 1 /run/etcd-manager.pid; }
# mode FILE MODE OWNER
mode() { [ "$(inside stat -c '%a %U:%G' "$1")" = "$2 $3" ] || failed "$1: $(inside stat -c '%a %U:%G' "$1"), not $2 $3"; }

mount -t tmpfs -o size=1g tmpfs "$work"
mkdir "$work/up" "$work/work" "$work/root"; : >"$work/said"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/up,workdir=$work/work" "$work/root"
trap finish EXIT
printf '127.0.0.1 localhost\n' >"$work/root/etc/hosts"
sed -i '/getty/s/^/#/' "$work/root/etc/inittab"
mkdir "$work/root/pkg"; cp "$first" "$second" "$work/root/pkg/"
script=/etc/init.d/etcd options=/etc/default/etcd
if [ "$kind" = rpm ]; then
    # As on Red Hat, the other way round.
    mkdir "$work/root/etc/rc.d"; ln -s ../init.d "$work/root/etc/rc.d/init.d"
    options=/etc/sysconfig/etcd
fi
boot; echo "ok: booted, $(inside ps -o comm= -p 1) is pid 1"

install "$first"
[ ! -e "$work/root/run/etcd-manager.pid" ] || failed "started without a spec"
[ "$kind" = rpm ] || ls "$work/root/etc/rc2.d/"S??etcd "$work/root/etc/rc0.d/"K??etcd >/dev/null || failed "no links"
mode /usr/bin/etcd-manager 755 root:root; mode /usr/bin/etcd-node 755 root:root; mode $script 755 root:root
mode $options 644 root:root; mode /etc/logrotate.d/etcd-manager 644 root:root
mode /etc/etcd-manager 750 root:root; mode /etc/etcd-manager/agent.toml 644 root:root; mode /var/lib/etcd-manager 755 root:root
[ "$(inside getent passwd etcd | cut -d: -f6)" = /var/lib/etcd-manager ] || failed "no user"
for page in 1/etcd-manager.1 1/etcd-manager-apply.1 8/etcd-node.8; do
    ls "$work/root/usr/share/man/man$page"* >/dev/null || failed "no man page $page"
done
for word in $(inside etcd-manager agent --help | grep -o -e '--[a-z-]*'); do
    zcat -f "$work/root/usr/share/man/man1/etcd-manager-agent.1"* | sed 's/\\-/-/g' | grep -q -e "$word" || failed "man page lacks $word"
done
inside bash -c '. /usr/share/bash-completion/completions/etcd-manager && complete -p etcd-manager' >/dev/null || failed "no completion"
inside logrotate -d /etc/logrotate.d/etcd-manager >"$work/said" 2>&1 || failed "logrotate"
grep -q error: "$work/said" && failed "logrotate"
echo "ok: files, modes, user, man pages, completions, logrotate"

expect 3 status; expect 6 start
{
    printf '[cluster]\nname = "sv"\ndir = "/var/lib/etcd-manager/sv"\n[defaults]\nuser = "etcd"\n'
    for at in 1 2 3; do
        printf '[[node]]\nname = "n%s"\nhost = "127.0.0.1"\nclient-port = %s\npeer-port = %s\n' $at $((2379 + at * 10)) $((2380 + at * 10))
    done
} >"$work/root/etc/etcd-manager/cluster.toml"
expect 7 reload; expect 0 condrestart; expect 0 try-restart; expect 0 stop; expect 2 bogus
expect 0 start; expect 0 start; expect 0 status
inside etcd-manager apply /etc/etcd-manager/cluster.toml >"$work/said" 2>&1 || failed "apply"
three || failed "no three nodes"
[ "$(inside ps -o user= -p "$(nodes | head -n 1)")" = etcd ] || failed "not run as etcd"
before=$(nodes)
for verb in restart reload force-reload condrestart try-restart; do
    old=$(agent); expect 0 $verb
    { [ "$(agent)" != "$old" ] && same; } || failed "$verb: agent $old, $(agent)"
done
echo "ok: service etcd start, status, restart, reload, force-reload, condrestart, try-restart: same nodes"
inside kill -9 "$(agent)"; seen "status is 1 after kill -9" inside sh -c 'service etcd status; [ $? -eq 1 ]'
same || failed "kill -9 touched nodes"
expect 0 start; same || failed "start touched nodes"

old=$(agent); printf '# by hand\n' >>"$work/root$options"
if [ "$kind" = deb ]; then inside dpkg --force-confold -i "/pkg/${second##*/}" >"$work/said" 2>&1 || failed "upgrade"; else install "$second"; fi
{ [ "$(agent)" != "$old" ] && same; } || failed "the upgrade: agent $old, $(agent), nodes $before, $(nodes)"
grep -q 'by hand' "$work/root$options" || failed "an edited $options was replaced"
case $kind in deb) version=$(inside dpkg-query -W -f '${Version}' etcd-manager) ;; rpm) version=$(inside rpm -q etcd-manager) ;; esac
echo "ok: upgrade to $version: new agent, same nodes, edited options kept"
if [ "$kind" = deb ]; then
    inside sh -c '/var/lib/dpkg/info/etcd-manager.postinst configure 0.1.0-1 && /var/lib/dpkg/info/etcd-manager.postinst configure 0.1.0-1' >"$work/said" 2>&1 || failed "postinst twice"
else
    inside rpm -U --nodeps --replacepkgs "/pkg/${second##*/}" >"$work/said" 2>&1 || failed "the same package again"
fi
{ same && three; } || failed "scripts run again touched nodes"; echo "ok: the scripts run again change nothing"

expect 0 stop; none || failed "nodes left after stop"; expect 3 status; expect 0 stop
expect 0 start; seen "start brings them back" three
# What an .rpm's script is started by at boot is chkconfig's work, and Debian has no chkconfig.
if [ "$kind" = deb ]; then
    inside shutdown -r now; wait "$nspawn"; echo "ok: went down for reboot ($?)"
    [ "$(tail -n 6 "$work/root/var/log/etcd-manager.log" | grep -c "stopped with its host's service")" -eq 3 ] || failed "the shutdown did not stop etcd"
    echo "ok: the shutdown stopped the nodes"
    boot; seen "nodes are up after a boot by themselves" three
fi

remove
none || failed "nodes left after a removal"
for file in etc/etcd-manager/cluster.toml var/lib/etcd-manager/sv; do
    [ -e "$work/root/$file" ] || failed "$file went with a removal"
done
inside getent passwd etcd >/dev/null || failed "the user went"
echo "ok: removal: nodes stopped, spec, data and user kept"
if [ "$kind" = deb ]; then
    inside dpkg -P etcd-manager >"$work/said" 2>&1 || failed "purge"
    for file in $options $script /etc/etcd-manager/agent.toml; do [ ! -e "$work/root$file" ] || failed "$file is left after a purge"; done
    [ -e "$work/root/etc/etcd-manager/cluster.toml" ] && [ -d "$work/root/var/lib/etcd-manager/sv" ] || failed "a purge deleted data"
    echo "ok: purge: conffiles gone, spec and data kept"
else
    [ -e "$work/root$options.rpmsave" ] || failed "an edited $options was not saved"
fi
echo "walked: sysvinit $kind"
