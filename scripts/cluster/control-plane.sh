# A cluster of one node within the name spaces of scripts/check-cluster.sh: functions that start its parts.
# shellcheck shell=bash

readonly NODE=10.250.0.1 PODS=10.244.0.0/24 GATEWAY_OF_PODS=10.244.0.1
export KUBECONFIG=$WORK/kubeconfig

kube() { "$BIN/kubectl" "$@"; }

# within SECONDS COMMAND..: waits until the command succeeds.
within() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || fail "not within its time: $*"
        sleep 0.3
    done
}

network() {
    ip link set lo up
    ip address add "$NODE/32" dev lo
    echo 1 >/proc/sys/net/ipv4/ip_forward
    # Names of pods are answered by the host's end of their bridge, which is there before the first of them.
    ip link add cni0 type bridge
    ip address add "$GATEWAY_OF_PODS/24" dev cni0
    ip link set cni0 up
    # Nothing is out there; some parts want a way out all the same.
    ip route add default dev cni0
    mkdir "$WORK/cni"
    cat >"$WORK/cni/10-bridge.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$WORK/addresses", "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
}

runtime() {
    cat >"$WORK/containerd.toml" <<TOML
version = 2
root = "$WORK/containerd"
state = "$WORK/containerd-state"
[grpc]
  address = "$WORK/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/sluice/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$CNI"
    conf_dir = "$WORK/cni"
TOML
    containerd -c "$WORK/containerd.toml" >"$WORK/containerd.log" 2>&1 &
    within 20 ctr -a "$WORK/containerd.sock" version
}

api_server() {
    local token store=http://127.0.0.1:2379 peer=http://127.0.0.1:2380
    token=$(openssl rand -hex 16)
    echo "$token,admin,admin,system:masters" >"$WORK/tokens.csv"
    openssl genrsa -out "$WORK/key.pem" 2048 2>/dev/null
    cat >"$KUBECONFIG" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: $token}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
YAML
    "$BIN/server" --data-dir "$WORK/etcd" --unsafe-no-fsync --log-level warn --listen-client-urls "$store" \
        --advertise-client-urls "$store" --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" \
        --initial-cluster "default=$peer" >"$WORK/etcd.log" 2>&1 &
    "$BIN/kube-apiserver" --etcd-servers "$store" --cert-dir "$WORK/certs" --bind-address 127.0.0.1 --advertise-address "$NODE" \
        --service-cluster-ip-range 10.96.0.0/16 --token-auth-file "$WORK/tokens.csv" --authorization-mode RBAC \
        --service-account-issuer https://kubernetes.default --service-account-key-file "$WORK/key.pem" \
        --service-account-signing-key-file "$WORK/key.pem" --kubelet-preferred-address-types InternalIP \
        >"$WORK/kube-apiserver.log" 2>&1 &
    within 120 kube get --raw /readyz
}

controllers() {
    "$BIN/kube-controller-manager" --kubeconfig "$KUBECONFIG" --service-account-private-key-file "$WORK/key.pem" \
        --leader-elect=false --bind-address 127.0.0.1 >"$WORK/kube-controller-manager.log" 2>&1 &
    "$BIN/kube-scheduler" --kubeconfig "$KUBECONFIG" --leader-elect=false --bind-address 127.0.0.1 \
        >"$WORK/kube-scheduler.log" 2>&1 &
    "$BIN/kube-proxy" --kubeconfig "$KUBECONFIG" --cluster-cidr "$PODS" --proxy-mode iptables --hostname-override node \
        --conntrack-max-per-core 0 >"$WORK/kube-proxy.log" 2>&1 &
    printf '.:53 {\n  bind %s\n  kubernetes cluster.local {\n    kubeconfig %s c\n  }\n}\n' \
        "$GATEWAY_OF_PODS" "$KUBECONFIG" >"$WORK/Corefile"
    "$COREDNS" -conf "$WORK/Corefile" >"$WORK/coredns.log" 2>&1 &
}

kubelet() {
    echo "nameserver $GATEWAY_OF_PODS" >"$WORK/resolv.conf"
    cat >"$WORK/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://$WORK/containerd.sock
cgroupDriver: cgroupfs
enforceNodeAllocatable: []
failSwapOn: false
failCgroupV1: false
clusterDNS: [$GATEWAY_OF_PODS]
clusterDomain: cluster.local
resolvConf: $WORK/resolv.conf
address: $NODE
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
evictionHard: {nodefs.available: 1%, imagefs.available: 1%, memory.available: 100Mi}
YAML
    "$BIN/kubelet" --config "$WORK/kubelet.yaml" --kubeconfig "$KUBECONFIG" --root-dir "$WORK/kubelet" \
        --cert-dir "$WORK/kubelet-certs" --hostname-override node --node-ip "$NODE" >"$WORK/kubelet.log" 2>&1 &
    within 60 kube wait --for condition=Ready node/node --timeout 1s
}
