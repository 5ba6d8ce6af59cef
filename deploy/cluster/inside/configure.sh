#!/usr/bin/env bash
# Writes the configuration of the cluster's programs to DATA/conf and DATA/cni.
#
#   configure.sh DATA ADDRESS BRIDGE CGROUP LEASE      ADDRESS is the node's; LEASE, in seconds, is that of the node
set -euo pipefail
data=$1 address=$2 bridge=$3 cgroup=$4 lease=$5
conf=$data/conf
pods=10.244.0.0/24
dns=10.96.0.10

# Pods are on the node's bridge, and reach it and each other; there is no way out of the namespace.
cat >"$data/cni/10-bridge.conflist" <<END
{"cniVersion": "1.0.0", "name": "olake", "plugins": [
  {"type": "bridge", "bridge": "$bridge", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$data/cni-ipam", "routes": [{"dst": "0.0.0.0/0"}],
            "ranges": [[{"subnet": "$pods", "rangeStart": "10.244.0.10", "gateway": "$address"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END

# restrict_oom_score_adj and oom_score: root in a container may not make a process less likely to be killed than itself,
# and every pod would fail.
cat >"$conf/containerd.toml" <<END
version = 2
root = "$data/containerd"
state = "$data/run/containerd"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "$data/run/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$data/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  stream_server_address = "127.0.0.1"
  stream_server_port = "10258"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$data/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
END

# What pods are given as resolv.conf when they ask for the node's.
echo "nameserver 127.0.0.1" >"$conf/resolv.conf"

# Limits that would show in measurements (requests a second, events, image pulls one by one) are lifted.
cat >"$conf/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
port: 10250
healthzBindAddress: 127.0.0.1
healthzPort: 10251
readOnlyPort: 0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $data/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $data/pki/kubelet.crt
tlsPrivateKeyFile: $data/pki/kubelet.key
containerRuntimeEndpoint: unix://$data/run/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: $cgroup
clusterDomain: cluster.local
clusterDNS: [$dns]
failSwapOn: false
failCgroupV1: false
resolvConf: $conf/resolv.conf
volumePluginDir: $data/volume-plugins
podLogsDir: $data/pod-logs
syncFrequency: 10s
kubeAPIQPS: 300
kubeAPIBurst: 600
eventRecordQPS: 0
serializeImagePulls: false
maxPods: 240
nodeStatusUpdateFrequency: 10s
nodeLeaseDurationSeconds: $lease
evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi, imagefs.available: 1Gi}
imageGCHighThresholdPercent: 100
END

cat >"$conf/proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: 127.0.0.1
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
mode: iptables
clusterCIDR: $pods
clientConnection: {kubeconfig: $conf/proxy.kubeconfig}
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
END

# Names of the cluster resolve; every other one does not exist, at once.
cat >"$conf/Corefile" <<END
cluster.local:53 in-addr.arpa:53 {
  bind $address
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $conf/admin.kubeconfig
    ttl 5
  }
}
.:53 {
  bind $address
  errors
  template ANY ANY {
    rcode NXDOMAIN
  }
}
END
cat >"$conf/dns.yaml" <<END
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: $dns, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-node, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
endpoints: [{addresses: [$address], conditions: {ready: true}}]
END

# Who asked the API for what, and when: which calls a program really makes, and how long a pod's way is. No contents.
cat >"$conf/audit.yaml" <<END
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, userGroups: ["system:nodes", "system:serviceaccounts:kube-system"]}
- level: Metadata
  verbs: [create, delete, deletecollection, get, list, patch, update, watch]
  resources: [{group: "", resources: [pods, pods/log, pods/eviction, secrets, events]}]
END
