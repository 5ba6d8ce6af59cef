#!/usr/bin/env bash
# The first process of a cluster's namespaces: makes them fit for a node, says so in DATA/init.pid, and then only reaps.
# When it ends, the kernel ends everything else in them.
#
#   init.sh DATA SECONDS      after SECONDS it ends by itself
set -euo pipefail
data=$1 seconds=$2
dns=10.96.0.10

# /proc is still the machine's: there stand our process id as the machine counts, and when we were started.
read -r pid _ </proc/self/stat
start=$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f20)

mkdir -p "$data"/{run,conf,cgroup}
mount --rbind /sys/fs/cgroup "$data/cgroup"
mount -t proc proc /proc
mount -t sysfs sysfs /sys # a new one shows this namespace's network devices
mount --rbind "$data/cgroup" /sys/fs/cgroup
umount -l "$data/cgroup"
rmdir "$data/cgroup"
# Locks of iptables, network namespaces of pods, pipes of the container runtime.
mount -t tmpfs -o mode=755,size=64m tmpfs /run
mkdir -p /run/netns /run/lock
for folder in /var/lib/kubelet /var/lib/cni /var/log/containers /var/log/pods; do
    mkdir -p "$data/host$folder"
    mount --bind "$data/host$folder" "$folder"
done

printf '%s\n' "nameserver $dns" "search default.svc.cluster.local svc.cluster.local cluster.local" "options ndots:5 timeout:1 attempts:5" \
    >"$data/conf/resolv.inside"
mount --bind "$data/conf/resolv.inside" /etc/resolv.conf

# Settings of the whole machine's kernel that the kubelet wants to change: it finds them changed, in files of ours, and
# leaves the kernel's alone.
number=0
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    number=$((number + 1))
    [ -e "/proc/sys/${setting%=*}" ] || continue
    echo "${setting#*=}" >"/run/setting.$number"
    mount --bind "/run/setting.$number" "/proc/sys/${setting%=*}"
done

mount --make-rshared / # among this namespace's own mounts: unshare has cut the ties to the machine's
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables

echo "$pid $start" >"$data/init.pid.new"
mv "$data/init.pid.new" "$data/init.pid"
trap 'exit 0' TERM
sleep "$seconds" &
wait $! || true # meanwhile, the shell reaps whatever is handed to the first process
