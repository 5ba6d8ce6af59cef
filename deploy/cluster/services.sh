#!/usr/bin/env bash
# PostgreSQL and Redis beside the cluster: in its network, and known to pods as the Services "postgres" (port 5432) and
# "redis" (port 6379) of the given namespaces.
#
#   deploy/cluster/services.sh up [NAMESPACE…]   starts both, makes the namespaces that are missing, and the Services;
#                                                prints OLAKE_TEST_POSTGRES_URL and OLAKE_TEST_REDIS_URL for what runs by
#                                                `cluster.sh exec`
#   deploy/cluster/services.sh down              stops both, and removes their Services
#
# A pod uses postgres://olake@postgres:5432/postgres and redis://redis:6379/0. The servers are those of deploy/test/services.sh,
# and end with the cluster at the latest. OLAKE_TEST_CLUSTER chooses the cluster, as for cluster.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
address=10.244.0.1
label=app.kubernetes.io/managed-by=olake-cluster-services

fail() {
    echo "services.sh: $*" >&2
    exit 1
}
cluster() { "$here/cluster.sh" "$@"; }
data=$(dirname "$(cluster kubeconfig)")/services
# Inside all of the cluster's namespaces: the servers' process ids are counted there.
servers() { cluster enter env OLAKE_TEST_LISTEN=$address "$here/../test/services.sh" "$1" "$data"; }

# service NAME PORT SERVER_PORT: a Service without a selector, and where it leads.
service() {
    cat <<END
apiVersion: v1
kind: Service
metadata: {name: $1, labels: {${label/=/: }}}
spec: {ports: [{name: $1, port: $2, targetPort: $3}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: $1-beside-the-cluster, labels: {kubernetes.io/service-name: $1, ${label/=/: }}}
addressType: IPv4
ports: [{name: $1, port: $3}]
endpoints: [{addresses: [$address], conditions: {ready: true}}]
---
END
}

case ${1:-} in
    up)
        shift
        "$here/../test/install.sh" >&2
        urls=$(servers up)
        manifest=$(service postgres 5432 "$(cat "$data/postgres.port")" && service redis 6379 "$(cat "$data/redis.port")")
        for namespace in "$@"; do
            cluster kubectl get namespace "$namespace" >/dev/null 2>&1 ||
                cluster kubectl create namespace "$namespace" >&2
            cluster kubectl apply --namespace "$namespace" --server-side --force-conflicts --filename - <<<"$manifest" >&2
        done
        echo "$urls"
        ;;
    down)
        cluster kubectl delete service,endpointslice --all-namespaces --selector "$label" >&2
        servers down
        ;;
    *) fail "usage: services.sh up [NAMESPACE…] | down" ;;
esac
