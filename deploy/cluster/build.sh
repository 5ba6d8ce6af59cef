#!/usr/bin/env bash
# Builds the programs that the cluster runs, and those that people and tests look into it with.
#
#   deploy/cluster/build.sh      builds what is missing, and prints the folder with the programs
#
# The folder is named by the hash of everything that decides what is built (the Go modules with their go.sum, the flags),
# below OLAKE_TEST_CLUSTER_CACHE (default ~/.cache/olake-cluster): nothing in it ever gets stale, and it can be kept or
# copied between machines. Programs appear in it one by one and whole, so a build that was interrupted goes on where it
# was. Another program: a line in "programs", and its import in the module's tools.go.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${OLAKE_TEST_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/olake-cluster}

# program, folder of its module, package
programs="
etcd                    module go.etcd.io/etcd/server/v3
kube-apiserver          module k8s.io/kubernetes/cmd/kube-apiserver
kube-controller-manager module k8s.io/kubernetes/cmd/kube-controller-manager
kube-scheduler          module k8s.io/kubernetes/cmd/kube-scheduler
kubelet                 module k8s.io/kubernetes/cmd/kubelet
kube-proxy              module k8s.io/kubernetes/cmd/kube-proxy
kubectl                 module k8s.io/kubernetes/cmd/kubectl
coredns                 dns    olake.test/cluster/dns
helm                    helm   helm.sh/helm/v3/cmd/helm
"
# Where Go's own archive is unpacked; not every PATH has it.
export PATH=$PATH:/usr/local/go/bin
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false -modcacherw -mod=readonly"
# Kubernetes' own release build stamps its version into these packages; without it the server calls itself v0.0.0.
kubernetes=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\)$/\1/p' "$here/module/go.mod")
minor=${kubernetes#v1.}
ldflags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    ldflags+=" -X $package.gitVersion=$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
    ldflags+=" -X $package.gitTreeState=clean -X $package.gitCommit=0000000000000000000000000000000000000000"
    ldflags+=" -X $package.buildDate=2026-01-01T00:00:00Z"
done

say() { echo "$*" >&2; }

hash=$({
    echo "$programs" "$GOFLAGS" "$ldflags"
    cd "$here" && sha256sum module/* dns/* helm/*
} | sha256sum | cut -c 1-16)
dir=$cache/$hash
mkdir -p "$dir"

# Whatever is missing is built by one of several callers at once; the others wait for it.
exec 9>"$dir/.lock"
if ! flock --nonblock 9; then
    say "Another build fills $dir; waiting for it"
    flock 9
fi

total=$(grep -c . <<<"$programs")
number=0
while read -r program module package; do
    [ -n "$program" ] || continue
    number=$((number + 1))
    [ -x "$dir/$program" ] && continue
    command -v go >/dev/null || { say "Go is missing (1.26 or later): it builds $program"; exit 1; }
    say "Building $program ($number of $total)"
    began=$SECONDS
    (cd "$here/$module" && exec go build -ldflags "$ldflags" -o "$dir/.$program" "$package") 9>&- &
    go=$!
    trap 'kill "$go" 2>/dev/null || true' EXIT
    while kill -0 "$go" 2>/dev/null; do
        sleep 1
        [ $(((SECONDS - began) % 30)) -ne 0 ] || say "  $program: $((SECONDS - began)) s"
    done
    wait "$go" || { say "$program cannot be built"; exit 1; }
    trap - EXIT
    mv "$dir/.$program" "$dir/$program"
    say "  $program is there after $((SECONDS - began)) s"
done <<<"$programs"

echo "$dir"
