#!/bin/sh
# Walks sysvinit/etcd through its verbs in a throw-away copy of this machine's root: verbs.sh REPO BIN_DIR SHELL STYLE.
# Run as: unshare --mount --pid --fork --net --kill-child sh verbs.sh ...; whatever it starts ends with the namespace.
# STYLE: plain, lsb, redhat. A failed expectation ends it with status 1 and says which.
set -u
repo=$1 bin=$2 shell=$3 style=$4

if [ "${5:-}" != inside ]; then
    ip link set lo up
    mount --make-rprivate /
    mount -t tmpfs -o size=256m tmpfs /mnt && mkdir /mnt/up /mnt/work /mnt/root
    mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work /mnt/root
    mount -t proc proc /mnt/root/proc
    mount --bind /dev /mnt/root/dev
    mount -t tmpfs tmpfs /mnt/root/run && mkdir /mnt/root/run/lock
    mkdir -p /mnt/root/walk /mnt/root/etc/default /mnt/root/etc/etcd-manager
    cp "$repo/sysvinit/etcd" /mnt/root/etc/init.d/etcd
    cp "$repo/tests/it/init/verbs.sh" /mnt/root/walk/
    mkdir /mnt/root/walk/bin && mount --bind "$bin" /mnt/root/walk/bin
    exec chroot /mnt/root sh /walk/verbs.sh "$repo" "$bin" "$shell" "$style" inside
fi

failed() { echo "FAILED ($shell, $style): $*"; cat /walk/said /var/log/etcd-manager.log 2>/dev/null; exit 1; }
service() { $shell /etc/init.d/etcd "$@" >/walk/said 2>&1; }
# expect CODE VERB...
expect() {
    wanted=$1; shift
    service "$@"; code=$?
    [ $code -eq "$wanted" ] || failed "etcd $* gave $code, not $wanted"
}
agent() { head -n 1 /var/run/etcd-manager.pid; }
nodes() { pidof etcd-node; }
# soon WHAT COMMAND...: a bounded look
soon() {
    what=$1; shift
    for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
    failed "never: $what"
}
gone() { ! kill -0 "$1" 2>/dev/null; }

rm -rf /etc/rc.d /lib/lsb /etc/sysconfig/etcd /var/log/etcd-manager.log
case $style in
    lsb)
        mkdir -p /lib/lsb
        printf '%s\n' 'log_success_msg() { echo "LSB-OK $*"; }' 'log_failure_msg() { echo "LSB-FAIL $*"; }' >/lib/lsb/init-functions ;;
    redhat)
        mkdir -p /etc/rc.d/init.d /var/lock/subsys
        # shellcheck disable=SC2016
        printf '%s\n' '[[ -n $BASH_VERSION ]] || return 2' 'success() { echo -n " [  OK  ]"; return 0; }' \
            'failure() { local rc=$?; echo -n " [FAILED]"; return $rc; }' >/etc/rc.d/init.d/functions ;;
esac
printf 'DAEMON=/walk/bin/etcd-manager\nDAEMON_ARGS="--file /etc/etcd-manager/cluster.toml"\n' >/etc/default/etcd

expect 2
expect 2 bogus
expect 3 status
expect 6 start                       # no spec: not configured
printf '[cluster]\nname = "walk"\ndir = "/walk/c"\n[[node]]\nname = "n1"\nhost = "127.0.0.1"\n' >/etc/etcd-manager/cluster.toml
expect 0 stop                        # already stopped
expect 0 condrestart
[ ! -e /var/run/etcd-manager.pid ] || failed "condrestart started it"
expect 7 reload
expect 0 start
case $style in
    plain) wanted='Starting etcd: ok' ;;
    lsb) wanted='LSB-OK Starting etcd' ;;
    redhat)
        wanted='Starting etcd [  OK  ]'
        [ "$shell" = bash ] || wanted='Starting etcd: ok'   # their file is for bash only
        [ -e /var/lock/subsys/etcd ] || failed "no subsys lock" ;;
esac
grep -qF "$wanted" /walk/said || failed "not said: $wanted"
first=$(agent)
expect 0 start
[ "$(agent)" = "$first" ] || failed "a second start replaced the agent"
expect 0 status
/walk/bin/etcd-manager apply /etc/etcd-manager/cluster.toml >/walk/said 2>&1 || failed "apply"
node=$(nodes)
[ -n "$node" ] || failed "no node runs"
for verb in restart reload force-reload condrestart try-restart; do
    before=$(agent)
    expect 0 $verb
    [ "$(agent)" != "$before" ] || failed "$verb left the agent"
    gone "$before" || failed "$verb: two agents"
    [ "$(nodes)" = "$node" ] || failed "$verb touched the node"
done

# The pid of a dead agent, given to another process.
kill -9 "$(agent)"; soon "the agent is gone" gone "$(agent)"
expect 1 status
sleep 1000 & other=$!
sed -i "1s/.*/$other/" /var/run/etcd-manager.pid
expect 1 status
expect 0 start
kill -0 $other || failed "the process with the recycled pid was signalled"
[ "$(nodes)" = "$node" ] || failed "a killed agent took its node along"

# stop: the node gracefully, then the agent; the next start brings it back.
expect 0 stop
[ -z "$(nodes)" ] || failed "stop left the node"
[ ! -e /var/run/etcd-manager.pid ] || failed "stop left the pid file"
expect 3 status
expect 0 start
soon "the node is started again" nodes

# stop after a killed agent stops what it left.
kill -9 "$(agent)"; soon "the agent is gone" gone "$(agent)"
[ -n "$(nodes)" ] || failed "the node should have survived"
expect 0 stop
[ -z "$(nodes)" ] || failed "stop left a killed agent's node"
kill -0 $other || failed "an innocent process was signalled"

# An agent among those of other hosts: as it is shipped its file names no host, and nothing else is wrong with it.
printf 'DAEMON=/walk/bin/etcd-manager\nDAEMON_ARGS="--config /etc/etcd-manager/agent.toml"\n' >/etc/default/etcd
expect 6 start
cp "$repo/config/agent.toml" /etc/etcd-manager/agent.toml
expect 6 start
grep -qF '`host` is missing' /var/log/etcd-manager.log || failed "no word of the missing host"
sed -i 's|^# host = .*|host = "127.0.0.1"|; s|^# \(spec\|binaries\|insecure\|data-roots\)|\1|' /etc/etcd-manager/agent.toml
expect 0 start
expect 0 status
expect 0 stop
expect 3 status

printf 'nonsense\n' >/var/run/etcd-manager.pid
expect 1 status
printf 'DAEMON=/walk/absent\n' >/etc/default/etcd
expect 5 start
[ "$shell $style" != 'bash redhat' ] || grep -qF '[FAILED]' /walk/said || failed "no FAILED"
echo "walked: $shell $style"
