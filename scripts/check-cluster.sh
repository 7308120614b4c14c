#!/usr/bin/env bash
# The chart in a real cluster of one node: kubelet, containerd, kube-proxy, DNS. It is installed as docs/deployment.md says, tested by
# `helm test`, and restarted under streams, of which every event is counted.
#
# All of it runs in name spaces of its own (network, mounts, processes), so that nothing is left when it ends. Needs root, Go, helm,
# openssl, containerd with runc, the CNI plugins, iptables and redis-server; Kubernetes is built from its Go modules below target/, once
# (ten minutes). The image is the release binary of this checkout on Debian's C library. Network policies are not enforced here: the
# bridge plugin knows none.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
skip() {
    echo "check-cluster: SKIPPED, $*" >&2
    exit 0
}

[ "$(id -u)" -eq 0 ] || skip "name spaces need root"
for tool in go gcc openssl containerd runc iptables redis-server unshare apt-get curl; do
    command -v "$tool" >/dev/null || skip "for want of $tool"
done
CNI=
for folder in /opt/cni/bin /usr/lib/cni; do [ ! -x "$folder/bridge" ] || CNI=$folder; done
[ -n "$CNI" ] || skip "for want of the CNI plugins"
# shellcheck source=scripts/chart/tools.sh
. scripts/chart/tools.sh
# shellcheck source=scripts/chart/kubernetes.sh
. scripts/chart/kubernetes.sh
[ -n "$helm" ] || skip "for want of helm"
kubernetes_parts kube-apiserver server kube-controller-manager kube-scheduler kubelet kube-proxy kubectl
COREDNS=$(go_tool coredns github.com/coredns/coredns@v1.12.4)
[ -n "$COREDNS" ] || skip "for want of CoreDNS"
"${CARGO:-cargo}" build --locked --release -p sluice

WORK=$(mktemp -d "${TMPDIR:-/tmp}/sluice-cluster.XXXXXX")
leave() {
    # The kubelet's control groups outlive its name spaces.
    find /sys/fs/cgroup -depth -type d -path '*kubepods*' -exec rmdir {} + 2>/dev/null || true
    rm -rf "$WORK"
}
trap leave EXIT
mkdir "$WORK/debs"
(cd "$WORK/debs" && apt-get download -qq libc6 libgcc-s1 >/dev/null 2>&1) || skip "apt-get cannot download libc6 and libgcc-s1"
export WORK CNI COREDNS HELM=$helm BIN=$kubernetes/bin
unshare --net --mount --pid --fork --kill-child --mount-proc scripts/cluster/node.sh
