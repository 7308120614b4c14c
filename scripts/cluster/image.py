"""image.py OUT NAME ROOT CONFIG: an archive that `ctr images import` reads, of one layer with all that is below ROOT."""

import hashlib
import io
import json
import sys
import tarfile


def add(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def main(out, name, root, config):
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        archive.add(root, arcname=".")
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    image = {
        "architecture": "amd64",
        "os": "linux",
        "config": json.loads(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    image = json.dumps(image).encode()
    image_name = hashlib.sha256(image).hexdigest() + ".json"
    layers = [f"{digest}/layer.tar"]
    with tarfile.open(out, "w") as archive:
        add(archive, image_name, image)
        add(archive, layers[0], layer.getvalue())
        add(archive, "manifest.json", json.dumps([{"Config": image_name, "RepoTags": [name], "Layers": layers}]).encode())


main(*sys.argv[1:])
