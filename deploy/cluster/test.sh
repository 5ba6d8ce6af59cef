#!/usr/bin/env bash
# Proves what the README of this folder says: a cluster comes up, pods do what they do elsewhere, and nothing is left.
#
#   deploy/cluster/test.sh      on a cluster of its own; a minute when the programs are built
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export OLAKE_TEST_CLUSTER=selftest
data=/var/tmp/olake-cluster-selftest
export OLAKE_TEST_CLUSTER_DATA=$data

cluster() { "$here/cluster.sh" "$@"; }
kubectl() { cluster kubectl "$@"; }

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
# expect WHAT FOUND PATTERN: FOUND must match the pattern.
expect() {
    # shellcheck disable=SC2053 # a pattern
    [[ $2 == $3 ]] || fail "$1: expected $3, found: $2"
}
# proves SENTENCE: says which one holds, and how long its proof took.
proves() {
    printf 'ok  %-75s %3d s\n' "$*" $((SECONDS - since))
    since=$SECONDS
}
# ends NAMESPACE POD PHASE: waits until the pod has ended so.
ends() {
    kubectl --namespace "$1" wait "pod/$2" --for "jsonpath={.status.phase}=$3" --timeout=60s >/dev/null ||
        fail "pod $2: $(kubectl --namespace "$1" get pod "$2" --output jsonpath='{.status}' && says "$1" "$2")"
}
# pod NAMESPACE NAME IMAGE ARGUMENT…: a pod that keeps to the standard "restricted", as the service account "asker" if there
# is one, with the variables of "environment".
pod() {
    local namespace=$1 name=$2 image=$3 account=default
    shift 3
    if kubectl --namespace "$namespace" get serviceaccount asker >/dev/null 2>&1; then account=asker; fi
    kubectl apply --filename - >/dev/null <<END
apiVersion: v1
kind: Pod
metadata: {name: $name, namespace: $namespace}
spec:
  restartPolicy: Never
  serviceAccountName: $account
  securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: main
    image: $image
    imagePullPolicy: Never
    env: [${environment:-}]
    args: $(python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@")
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
END
}
says() { kubectl --namespace "$1" logs "$2"; }

# What a cluster could leave behind or change on this machine.
machine() {
    sort /proc/mounts
    ls /sys/class/net
    for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops net/ipv4/ip_forward \
        net/ipv4/conf/all/route_localnet; do
        echo "$setting $(cat "/proc/sys/$setting")"
    done
    iptables-save 2>/dev/null | grep KUBE- || true
    find /sys/fs/cgroup -maxdepth 2 -name "olake-cluster-$OLAKE_TEST_CLUSTER"
    ls -d "$data" /var/lib/kubelet /var/lib/cni /var/log/containers /var/log/pods 2>/dev/null || true
    pgrep --full --list-full "$data" || true
}

trap 'cluster down' EXIT
cluster down
before=$(machine)
since=$SECONDS

kubeconfig=$(cluster up)
proves "a cluster comes up"

expect "nodes" "$("$(cat "$data/olake-cluster")/kubectl" --kubeconfig "$kubeconfig" get nodes --output name)" node/node
proves "its API is reached from the machine by the kubeconfig that 'up' prints"

pod default plain localhost/busybox:1 sh -c 'echo out; echo err >&2; exit 0'
ends default plain Succeeded
expect "log" "$(says default plain)" $'out\nerr'
pod default ending localhost/busybox:1 sh -c 'exit 3'
ends default ending Failed
expect "exit code" "$(kubectl get pod ending --output jsonpath='{.status.containerStatuses[0].state.terminated.exitCode}')" 3
proves "pods end with 0 and with 3, and their output is their log"

kubectl create namespace strict >/dev/null
kubectl label namespace strict pod-security.kubernetes.io/enforce=restricted >/dev/null
pod strict keeping localhost/busybox:1 sh -c 'id -u; grep -c . /etc/resolv.conf'
ends strict keeping Succeeded
expect "user" "$(says strict keeping | head -n 1)" 65532
refused=$(kubectl --namespace strict run breaking --image localhost/busybox:1 2>&1 || true)
expect "a pod that breaks the standard" "$refused" '*violates PodSecurity "restricted*'
proves "a namespace enforces 'restricted', and pods that keep to it run there"

built=$(mktemp -d)
cp "$(cat "$data/olake-cluster")/kubectl" "$built/kubectl"
python3 "$here/../docker/image.py" --dockerfile "$here/images.dockerfile" --target kubectl --built "$built" \
    --context "$here" --name localhost/kubectl:1 "$built/kubectl.tar" >/dev/null
cluster load "$built/kubectl.tar"
rm -rf "$built"
kubectl create namespace asking >/dev/null
kubectl --namespace asking create serviceaccount asker >/dev/null
kubectl --namespace asking create role asker --verb get,list --resource pods >/dev/null
kubectl --namespace asking create rolebinding asker --role asker --serviceaccount asking:asker >/dev/null
pod asking allowed localhost/kubectl:1 get pods --output name
pod asking forbidden localhost/kubectl:1 get pods --namespace default
environment='{name: KUBERNETES_SERVICE_HOST, value: kubernetes.default.svc}' \
    pod asking by-name localhost/kubectl:1 get pods --output name
ends asking allowed Succeeded
expect "what a Role allows" "$(says asking allowed)" '*pod/allowed*'
ends asking forbidden Failed
expect "what no Role allows" "$(says asking forbidden)" '*Forbidden*system:serviceaccount:asking:asker*'
ends asking by-name Succeeded
expect "the API by its name" "$(says asking by-name)" '*pod/by-name*'
proves "an image is loaded, and pods ask the API by address and by name, within their Role"

urls=$("$here/services.sh" up asking strict)
eval "$urls"
pod strict using localhost/busybox:1 sh -c '
    printf "PING\r\nQUIT\r\n" | nc redis 6379 | head -n 1
    # A request for TLS, which PostgreSQL without it answers by one letter.
    printf "\000\000\000\010\004\322\026\057" | nc -w 2 postgres.asking.svc.cluster.local 5432 | head -c 1'
ends strict using Succeeded
expect "Redis and PostgreSQL" "$(says strict using | tr -d '\r')" $'+PONG\nN'
expect "psql" "$(cluster exec psql "$OLAKE_TEST_POSTGRES_URL" --no-align --tuples-only --command 'select 6 * 7')" 42
expect "psql by the Service's name" \
    "$(cluster exec psql postgres://olake@postgres.strict:5432/postgres --no-align --tuples-only --command 'select 6 * 7')" 42
"$here/services.sh" down
expect "Services after 'down'" "$(kubectl --namespace strict get services --output name)" ""
proves "PostgreSQL and Redis answer pods and tests as Services"

cluster kill kubelet kube-apiserver
cluster up >/dev/null
pod default again localhost/busybox:1 true
ends default again Succeeded
proves "programs that were killed are started again by another 'up'"

"$here/services.sh" up asking >/dev/null # and left running
database=$(cat "$data/services/postgres.data")
[ -d "$database" ] || fail "there is no folder $database"
cluster down
[ ! -e "$database" ] || fail "PostgreSQL's folder $database is left"
after=$(machine)
[ "$before" = "$after" ] || fail "'down' leaves something: $(diff <(echo "$before") <(echo "$after"))"
proves "'down' leaves nothing: no process, mount, bridge, rule, setting, cgroup or file"

cluster up >/dev/null
took=$((SECONDS - since))
[ $took -lt 60 ] || fail "a second 'up' took $took s"
proves "a second 'up' takes less than a minute"
