# The images of the cluster, where no registry is asked: Sluice, the chart's Redis, and what holds a pod's name spaces.
# shellcheck shell=bash

# import_image NAME CONFIG: of what is below $WORK/root, which is taken away.
import_image() {
    python3 scripts/cluster/image.py "$WORK/image.tar" "$1" "$WORK/root" "$2"
    ctr -a "$WORK/containerd.sock" -n k8s.io images import "$WORK/image.tar" >/dev/null
    rm -rf "$WORK/root" "$WORK/image.tar"
}

import_images() {
    mkdir -p "$WORK/root"
    printf 'int pause(void);\nint main(void) { for (;;) pause(); }\n' >"$WORK/pause.c"
    gcc -static -Os -o "$WORK/root/pause" "$WORK/pause.c"
    import_image docker.io/sluice/pause:1 '{"Entrypoint": ["/pause"]}'

    mkdir -p "$WORK/root/etc/ssl/certs" "$WORK/root/tmp" "$WORK/root/usr/local/bin"
    for deb in "$WORK"/debs/*.deb; do dpkg-deb -x "$deb" "$WORK/root"; done
    rm -rf "$WORK/root/usr/share"
    chmod 1777 "$WORK/root/tmp"
    cp /etc/ssl/certs/ca-certificates.crt "$WORK/root/etc/ssl/certs/"
    cp target/release/sluice "$WORK/root/usr/local/bin/"
    import_image registry.example/sluice:0.1.0 \
        '{"Entrypoint": ["/usr/local/bin/sluice"], "Cmd": ["gateway"], "User": "65532:65532", "Env": ["PATH=/usr/local/bin"]}'

    mkdir -p "$WORK/root/usr/local/bin"
    cp "$(command -v redis-server)" "$WORK/root/usr/local/bin/redis-server"
    for library in $(ldd "$(command -v redis-server)" | grep -o '/[^ ]*'); do
        mkdir -p "$WORK/root$(dirname "$library")"
        cp -L "$library" "$WORK/root$library"
    done
    import_image docker.io/library/redis:7.2-alpine '{"Env": ["PATH=/usr/local/bin"]}'
}
