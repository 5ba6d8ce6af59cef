#!/usr/bin/env bash
# A real Kubernetes of one node for tests, in mount, network and process namespaces of its own: several fit on one
# machine, nothing of the machine is changed, and what runs in it ends with its first process. See README.md.
#
#   cluster.sh up                 builds what is missing, starts everything, waits until the node is ready and names
#                                 resolve, and prints the path of a kubeconfig that works on this machine. Where
#                                 something has ended, a second "up" starts it again.
#   cluster.sh down               ends it and removes what it wrote
#   cluster.sh exec CMD…          runs CMD in the cluster's network, with its names; files and processes are this
#                                 machine's. KUBECONFIG is set, and kubectl and helm are found.
#   cluster.sh enter CMD…         runs CMD in all namespaces of the cluster (ps, ctr, mount, iptables)
#   cluster.sh kubectl ARG…       kubectl on the cluster
#   cluster.sh load IMAGE.tar…    gives images to the node
#   cluster.sh kill PROGRAM…      kills programs (kubelet, kube-apiserver, …); "up" starts them again
#   cluster.sh proxy P=ADDR:PORT… on the port P of the loopback (0: a free one) reaches ADDR:PORT of the cluster until
#                                 "down"; prints each as P=ADDR:PORT
#   cluster.sh kubeconfig         prints the path of the kubeconfig
#
# Variables, all optional:
#   OLAKE_TEST_CLUSTER            the cluster's name (default dev)
#   OLAKE_TEST_CLUSTER_DATA       its data (default /var/tmp/olake-cluster-NAME)
#   OLAKE_TEST_CLUSTER_CACHE      where programs are kept (see build.sh)
#   OLAKE_TEST_CLUSTER_TTL        after so many seconds it ends by itself, should nobody end it (default 14400)
#   OLAKE_TEST_CLUSTER_FAST=1     a dead kubelet shows as a node that is not ready after 10 s instead of 50 s
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

name=${OLAKE_TEST_CLUSTER:-dev}
data=${OLAKE_TEST_CLUSTER_DATA:-/var/tmp/olake-cluster-$name}
cgroup=olake-cluster-$name
inner=$data/conf/admin.kubeconfig # works in the cluster's network
outer=$data/kubeconfig            # works on this machine
marker=$data/olake-cluster        # says that the folder is a cluster's, and where its programs are
made=/run/olake-cluster.made      # folders of this machine that were made by whichever cluster was the first

fail() {
    echo "cluster.sh: $*" >&2
    exit 1
}

[[ $name =~ ^[a-z0-9-]{1,20}$ ]] || fail "a cluster's name is of at most 20 small letters, digits and '-', not '$name'"
# The system allows a socket's path 107 bytes.
[[ $data == /* && ${#data} -le 70 ]] || fail "OLAKE_TEST_CLUSTER_DATA must be an absolute path of at most 70 bytes"

command=${1:-help}
[ $# -eq 0 ] || shift

# Programs are built as whoever calls; namespaces need root.
if [ "$command" = up ]; then
    "$here/install.sh"
    programs=$("$here/build.sh")
elif [ -f "$marker" ]; then
    programs=$(cat "$marker")
fi
if [ "$(id -u)" -ne 0 ] && [ "$command" != help ] && [ "$command" != kubeconfig ]; then
    command -v sudo >/dev/null || fail "namespaces need root, and there is no sudo"
    exec sudo env OLAKE_TEST_CLUSTER="$name" OLAKE_TEST_CLUSTER_DATA="$data" \
        OLAKE_TEST_CLUSTER_CACHE="${OLAKE_TEST_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/olake-cluster}" \
        OLAKE_TEST_CLUSTER_TTL="${OLAKE_TEST_CLUSTER_TTL:-}" OLAKE_TEST_CLUSTER_FAST="${OLAKE_TEST_CLUSTER_FAST:-}" \
        "$here/cluster.sh" "$command" "$@"
fi

# The time at which a process was started: with it, a process id names one process for good.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# The process id of the namespaces' first process; fails when there is none.
first_process() {
    local pid start
    read -r pid start 2>/dev/null <"$data/init.pid" || return 1
    [ "$(started_at "$pid")" = "$start" ] && ! grep -qs '^State:.Z' "/proc/$pid/status" && echo "$pid"
}

need_first_process() { first_process || fail "the cluster '$name' is not up"; }

# Folders of cgroups that this cluster has below each hierarchy: one with version 2, one a controller with version 1.
cgroups() {
    local root
    for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
        case ${root##*/} in
            cgroup) [ -f "$root/cgroup.controllers" ] || continue ;;
            cpu | cpuacct | cpuset | memory | devices | freezer | blkio | pids | hugetlb | systemd | unified) [ -d "$root" ] || continue ;;
            *) continue ;;
        esac
        echo "$root/$cgroup"
    done
}

make_cgroups() {
    local folder file
    for folder in $(cgroups); do mkdir -p "$folder"; done
    if [ -d "/sys/fs/cgroup/cpuset/$cgroup" ]; then
        # Version 1: a new cpuset has neither processors nor memory.
        for file in cpuset.cpus cpuset.mems; do
            cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$cgroup/$file"
        done
    fi
    if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
        # Version 2: a controller has to be handed down from folder to folder.
        local controllers controller
        read -r -a controllers </sys/fs/cgroup/cgroup.controllers
        for controller in "${controllers[@]}"; do
            echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
            echo "+$controller" >"/sys/fs/cgroup/$cgroup/cgroup.subtree_control"
        done
    fi
}

remove_cgroups() {
    local folder left
    for _ in $(seq 200); do # the last processes leave a little after the first
        left=no
        for folder in $(cgroups); do
            [ ! -d "$folder" ] || find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || left=yes
        done
        [ $left = yes ] || return 0
        sleep 0.05
    done
    fail "processes are left in the cgroups $cgroup"
}

make_namespaces() {
    clean # what one that ended by itself has left
    mkdir -p "$data/log"
    echo "$programs" >"$marker"
    make_cgroups
    # Mount points which the programs cannot be told to have elsewhere; folders of the cluster's own are mounted there.
    for folder in /var/lib/kubelet /var/lib/cni /var/log/containers /var/log/pods; do
        [ -d "$folder" ] || { mkdir -p "$folder" && echo "$folder" >>"$made"; }
    done
    setsid unshare --mount --net --pid --fork --kill-child --propagation private \
        "$here/inside/init.sh" "$data" "${OLAKE_TEST_CLUSTER_TTL:-14400}" >"$data/log/init.log" 2>&1 </dev/null 8<&- &
    for _ in $(seq 200); do
        [ ! -f "$data/init.pid" ] || return 0
        sleep 0.05
    done
    fail "the namespaces cannot be made: $(tail -n 5 "$data/log/init.log")"
}

# proxy_up NAME P=ADDR:PORT…: starts a proxy, and prints where it listens.
proxy_up() {
    local file=$data/proxies/$1 pid=$2
    shift 2
    mkdir -p "$data/proxies"
    setsid python3 "$here/proxy.py" "$pid" "$file.ports" "$@" >"$data/log/proxy-${file##*/}.log" 2>&1 </dev/null 8<&- &
    echo "$! $(started_at $!)" >"$file.pid"
    for _ in $(seq 200); do
        [ ! -f "$file.ports" ] || { cat "$file.ports" && return 0; }
        sleep 0.05
    done
    fail "the proxy does not start: $(tail -n 1 "$data/log/proxy-${file##*/}.log")"
}

# One "up" or "down" of a cluster at a time.
lock() {
    exec 8<"$data"
    flock 8
}

up() {
    mkdir -p "$data"
    lock
    [ -f "$marker" ] || [ -z "$(ls -A "$data")" ] || fail "$data is no cluster's folder, and not empty"
    first_process >/dev/null || make_namespaces
    local pid port
    pid=$(need_first_process)
    [ -f "$data/images/busybox.tar" ] || "$here/images.sh" "$data/images"
    nsenter --target "$pid" --mount --net --pid -- env "FAST=${OLAKE_TEST_CLUSTER_FAST:-}" \
        "$here/inside/start.sh" "$data" "$programs" "/$cgroup" >&2 8<&-
    if [ ! -f "$outer" ]; then
        port=$(proxy_up api "$pid" 0=127.0.0.1:6443)
        sed "s|https://127.0.0.1:6443|https://127.0.0.1:${port%%=*}|" "$inner" >"$outer"
    fi
    echo "$outer"
}

down() {
    [ -f "$marker" ] || return 0
    lock
    clean
    rm -rf "$data"
}

# Ends what runs, and removes all that it has left.
clean() {
    local file pid start
    for file in "$data"/proxies/*.pid; do
        read -r pid start 2>/dev/null <"$file" || continue
        [ "$(started_at "$pid")" != "$start" ] || kill "$pid"
    done
    if pid=$(first_process); then
        # With it, the kernel kills every process in its namespaces, and takes away their mounts and network devices.
        kill -KILL "$pid"
        for _ in $(seq 400); do
            first_process >/dev/null || break
            sleep 0.05
        done
    fi
    remove_cgroups
    # The servers of services.sh are gone; their process ids meant something in the namespaces only.
    rm -f "$data"/services/*.pid
    [ ! -d "$data/services" ] || "$here/../test/services.sh" down "$data/services"
    # Another cluster may have its folders mounted there: then they stay until the last one is down.
    if [ -f "$made" ] && ! compgen -G "/sys/fs/cgroup/olake-cluster-*" >/dev/null &&
        ! compgen -G "/sys/fs/cgroup/*/olake-cluster-*" >/dev/null; then
        xargs rmdir --ignore-fail-on-non-empty <"$made" || true # one may be gone already
        rm "$made"
    fi
    find "$data" -mindepth 1 -delete
}

run_inside() {
    local pid
    pid=$(need_first_process)
    # The variables tell tests that call this script which cluster they are in.
    # shellcheck disable=SC2016 # the inner shell expands them
    exec nsenter --target "$pid" --net -- env "PATH=$programs:$PATH" "KUBECONFIG=$inner" "OLAKE_TEST_CLUSTER=$name" \
        "OLAKE_TEST_CLUSTER_DATA=$data" unshare --mount --propagation private \
        sh -c 'mount --bind "$0" /etc/resolv.conf && exec "$@"' "$data/conf/resolv.inside" "$@"
}

case $command in
    up) up ;;
    down) down ;;
    exec) run_inside "$@" ;;
    kubectl) run_inside kubectl "$@" ;;
    enter)
        pid=$(need_first_process)
        exec nsenter --target "$pid" --mount --net --pid -- env "PATH=$programs:$PATH" "KUBECONFIG=$inner" \
            "CONTAINERD_ADDRESS=$data/run/containerd.sock" CONTAINERD_NAMESPACE=k8s.io "$@"
        ;;
    load)
        pid=$(need_first_process)
        for image in "$@"; do
            nsenter --target "$pid" --mount --net --pid -- ctr --address "$data/run/containerd.sock" --namespace k8s.io \
                images import - <"$image" >/dev/null || fail "$image cannot be loaded"
        done
        ;;
    kill)
        pid=$(need_first_process)
        for program in "$@"; do
            [ -f "$data/pid/$program" ] || fail "there is no program $program: $(cd "$data/pid" && echo *)"
            nsenter --target "$pid" --mount --pid -- kill -KILL "$(cat "$data/pid/$program")"
        done
        ;;
    proxy)
        pid=$(need_first_process)
        proxy_up "$$" "$pid" "$@"
        ;;
    kubeconfig)
        need_first_process >/dev/null # one that has ended by itself leaves the file
        echo "$outer"
        ;;
    *)
        sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"
        [ "$command" = help ] || exit 2
        ;;
esac
