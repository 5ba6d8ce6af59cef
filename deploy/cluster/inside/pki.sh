#!/usr/bin/env bash
# Makes the cluster's keys and certificates in DATA/pki, and a kubeconfig in DATA/conf for each who uses the API.
#
#   pki.sh DATA ADDRESS NODE      ADDRESS is the node's
set -euo pipefail
data=$1 address=$2 node=$3
cd "$data/pki"
exec 2>"$data/log/pki.log"

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

# certificate NAME SUBJECT [NAMES]
certificate() {
    key "$1"
    {
        echo "basicConstraints=CA:FALSE"
        echo "keyUsage=digitalSignature,keyEncipherment"
        echo "extendedKeyUsage=serverAuth,clientAuth"
        [ -z "${3:-}" ] || echo "subjectAltName=$3"
    } >"$1.ext"
    openssl req -new -key "$1.key" -subj "$2" |
        openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile "$1.ext" -out "$1.crt"
}

# kubeconfig NAME
kubeconfig() {
    cat >"$data/conf/$1.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: olake, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: olake, context: {cluster: olake, user: $1}}]
current-context: olake
END
    chmod 0600 "$data/conf/$1.kubeconfig"
}

key ca
openssl req -x509 -new -key ca.key -subj /CN=kube-ca -days 3650 -out ca.crt
key sa
openssl ec -in sa.key -pubout -out sa.pub

service=kubernetes.default
names="DNS:localhost,DNS:kubernetes,DNS:$service,DNS:$service.svc,DNS:$service.svc.cluster.local"
certificate apiserver /CN=kube-apiserver "$names,IP:127.0.0.1,IP:10.96.0.1,IP:$address"
certificate apiserver-kubelet-client /O=system:masters/CN=apiserver-kubelet-client
certificate admin /O=system:masters/CN=admin
certificate controller-manager /CN=system:kube-controller-manager
certificate scheduler /CN=system:kube-scheduler
certificate kubelet "/O=system:nodes/CN=system:node:$node" "DNS:$node,IP:127.0.0.1,IP:$address"
certificate proxy /CN=system:kube-proxy
for user in admin controller-manager scheduler kubelet proxy; do kubeconfig "$user"; done
touch complete
