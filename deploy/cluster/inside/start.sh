#!/usr/bin/env bash
# Starts the cluster's programs inside its namespaces, in the order in which they need each other, and waits until the node
# is ready, Services are reached and names resolve. Whatever runs already is left alone.
#
#   start.sh DATA PROGRAMS CGROUP      FAST=1 in the environment: a dead kubelet is noticed soon
#
# Another program: its configuration in configure.sh, and here a "start" and what is waited for.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
data=$1 programs=$2 cgroup=$3

node=node
bridge=olake0
address=10.244.0.1
services=10.96.0.0/16
grace=() lease=40
if [ "${FAST:-}" = 1 ]; then
    grace=(--node-monitor-grace-period=8s --node-monitor-period=1s) lease=8
fi

say() { printf '%5.1f s  %s\n' "$(echo "$EPOCHREALTIME $began" | awk '{print $1 - $2}')" "$*"; }
began=$EPOCHREALTIME

# Whether the program NAME runs; a zombie does not.
running() {
    local pid
    pid=$(cat "$data/pid/$1" 2>/dev/null) && [ -d "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status"
}

# start NAME CMD…
start() {
    local program=$1
    shift
    ! running "$program" || return 0
    setsid "$@" >>"$data/log/$program.log" 2>&1 </dev/null &
    echo $! >"$data/pid/$program"
}

# wait_for SECONDS NAME CMD…: waits until CMD succeeds; fails when the program NAME has ended.
wait_for() {
    local end=$((SECONDS + $1)) program=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! running "$program" || [ $SECONDS -ge $end ]; then
            running "$program" && echo "$program: waited too long for: $*" || echo "$program has ended"
            tail -n 20 "$data/log/$program.log"
            exit 1
        fi
        sleep 0.1
    done
}

kubectl() { "$programs/kubectl" --kubeconfig "$data/conf/admin.kubeconfig" "$@"; }
# That of a kubelet which has just been started, not what the last one has left in the API.
kubelet_answers() { : <>/dev/tcp/127.0.0.1/10251; }
node_is_ready() {
    kubectl get node "$node" --output jsonpath='{.status.conditions[?(@.type=="Ready")].status}' | grep -q True
}
dns_is_there() { kubectl apply --server-side --force-conflicts --filename "$data/conf/dns.yaml"; }

mkdir -p "$data"/{pki,log,pid,etcd,conf,cni,run/containerd}
[ -f "$data/pki/complete" ] || "$here/pki.sh" "$data" "$address" "$node"
"$here/configure.sh" "$data" "$address" "$bridge" "$cgroup" "$lease"
if ! ip link show "$bridge" >/dev/null 2>&1; then
    ip link add "$bridge" type bridge
    ip address add "$address/24" dev "$bridge"
    # Without an address of its own, the bridge takes that of its newest port, and connections hang when it changes.
    ip link set dev "$bridge" address 0a:58:0a:f4:00:01
    ip link set "$bridge" up
    # Nothing leads out of the namespace; without a route, a packet for a Service would not get as far as its rule.
    ip route add "$services" dev "$bridge"
fi

start etcd "$programs/etcd" --name olake --data-dir "$data/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster olake=http://127.0.0.1:2380
start containerd containerd --config "$data/conf/containerd.toml"
start kube-apiserver "$programs/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
    --bind-address=0.0.0.0 --secure-port=6443 --advertise-address="$address" \
    --service-cluster-ip-range="$services" --service-node-port-range=32000-32767 \
    --tls-cert-file="$data/pki/apiserver.crt" --tls-private-key-file="$data/pki/apiserver.key" \
    --client-ca-file="$data/pki/ca.crt" --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$data/pki/sa.pub" --service-account-signing-key-file="$data/pki/sa.key" \
    --kubelet-client-certificate="$data/pki/apiserver-kubelet-client.crt" \
    --kubelet-client-key="$data/pki/apiserver-kubelet-client.key" \
    --kubelet-certificate-authority="$data/pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
    --audit-policy-file="$data/conf/audit.yaml" --audit-log-path="$data/log/audit.log" --profiling=false --v=1
wait_for 120 kube-apiserver kubectl get --raw=/readyz
say "kube-apiserver is ready"

start kube-controller-manager "$programs/kube-controller-manager" --bind-address=127.0.0.1 --secure-port=10257 \
    --kubeconfig="$data/conf/controller-manager.kubeconfig" \
    --authentication-kubeconfig="$data/conf/controller-manager.kubeconfig" \
    --authorization-kubeconfig="$data/conf/controller-manager.kubeconfig" --use-service-account-credentials=true \
    --service-account-private-key-file="$data/pki/sa.key" --root-ca-file="$data/pki/ca.crt" \
    --cluster-signing-cert-file="$data/pki/ca.crt" --cluster-signing-key-file="$data/pki/ca.key" \
    --pvclaimbinder-sync-period=2s --kube-api-qps=300 --kube-api-burst=600 --leader-elect=false --v=1 "${grace[@]}"
start kube-scheduler "$programs/kube-scheduler" --bind-address=127.0.0.1 --secure-port=10259 \
    --kubeconfig="$data/conf/scheduler.kubeconfig" --authentication-kubeconfig="$data/conf/scheduler.kubeconfig" \
    --authorization-kubeconfig="$data/conf/scheduler.kubeconfig" --kube-api-qps=1000 --kube-api-burst=2000 \
    --leader-elect=false --v=1
start kube-proxy "$programs/kube-proxy" --config="$data/conf/proxy.yaml" --hostname-override="$node" --v=1

wait_for 30 containerd ctr --address "$data/run/containerd.sock" version
for image in pause busybox; do
    ctr --address "$data/run/containerd.sock" --namespace k8s.io images import "$data/images/$image.tar" >/dev/null
done
say "containerd is ready"
start kubelet "$programs/kubelet" --config="$data/conf/kubelet.yaml" --kubeconfig="$data/conf/kubelet.kubeconfig" \
    --hostname-override="$node" --node-ip="$address" --root-dir="$data/kubelet" --cert-dir="$data/kubelet/pki" --v=2

wait_for 60 kube-controller-manager kubectl --namespace default get serviceaccount default
wait_for 30 kube-apiserver dns_is_there
start coredns "$programs/coredns" -conf "$data/conf/Corefile"
wait_for 60 kubelet kubelet_answers
wait_for 120 kubelet node_is_ready
say "the node is ready"
# By /etc/resolv.conf of the namespace: the question goes to the Service, so Services are reached as well.
wait_for 60 coredns getent hosts kubernetes.default.svc.cluster.local
say "names resolve"
