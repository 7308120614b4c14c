"""How a program of each language is made ready to run: a command, or why it cannot be had here."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

WORK = Path(os.environ.get("CLIENTS_DIR", "target/clients")).resolve()
SLOWEST_S = 900


class Missing(Exception):
    """A toolchain or a registry is not there: the program is skipped, and this is said."""


class Broken(Exception):
    """The program of the page does not build."""


def _tool(*names):
    for name in names:
        if path := shutil.which(name):
            return path
    raise Missing(f"no {' or '.join(names)} here")


def _fetch(command, folder, what):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SLOWEST_S)
    if done.returncode:
        raise Missing(f"{what} cannot be had: {(done.stderr or done.stdout).strip()[-300:]}")


def _build(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SLOWEST_S)
    if done.returncode:
        raise Broken(f"{' '.join(map(str, command))}\n{(done.stderr or done.stdout).strip()[-3000:]}")


def _bash(snippet, folder):
    _tool("curl")
    (folder / "program.sh").write_text(snippet.code)
    return [_tool("bash"), folder / "program.sh"]


def _python(snippet, folder):
    python = folder / "venv/bin/python"
    if not python.exists():
        _fetch([sys.executable, "-m", "venv", "venv"], folder, "a Python environment")
        _fetch([python, "-m", "pip", "install", "-q", *snippet.packages], folder, "PyPI")
    (folder / "program.py").write_text(snippet.code)
    return [python, folder / "program.py"]


def _node(snippet, folder):
    node, npm = _tool("node"), _tool("npm")
    (folder / "package.json").write_text('{"type": "module", "private": true}')
    if not (folder / "node_modules").exists():
        _fetch([npm, "install", "--silent", *snippet.packages], folder, "npm")
    (folder / "program.js").write_text(snippet.code)
    return [node, folder / "program.js"]


def _go(snippet, folder):
    go = _tool("go")
    (folder / "main.go").write_text(snippet.code)
    if not (folder / "go.mod").exists():
        _build([go, "mod", "init", "example"], folder)
        _fetch([go, "get", *snippet.packages], folder, "the Go module proxy")
    _build([go, "build", "-o", "program", "."], folder)
    return [folder / "program"]


def _rust(snippet, folder):
    cargo = _tool("cargo")
    features = {"tokio": ["rt", "macros"], "redis": ["script"], "eventsource-client": ["hyper"]}
    lines = ["[package]", 'name = "program"', 'version = "0.1.0"', 'edition = "2024"', "[workspace]", "[dependencies]"]
    for package in snippet.packages:
        name, version = package.split("=")
        lines.append(f'{name} = {{ version = "{version}", features = {features.get(name, [])} }}'.replace("'", '"'))
    (folder / "src").mkdir(exist_ok=True)
    (folder / "Cargo.toml").write_text("\n".join(lines) + "\n")
    (folder / "src/main.rs").write_text(snippet.code)
    _fetch([cargo, "fetch", "-q"], folder, "crates.io")
    _build([cargo, "build", "-q", "--target-dir", "target"], folder)
    return [folder / "target/debug/program"]


def _java(snippet, folder):
    javac, java, maven = _tool("javac"), _tool("java"), _tool("mvn")
    wanted = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(*p.split(":"))
        for p in snippet.packages
    )
    (folder / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>example</groupId>'
        f"<artifactId>example</artifactId><version>1</version><dependencies>{wanted}</dependencies></project>"
    )
    path = folder / "classpath"
    if not path.exists():
        command = [maven, "-q", "-B", "dependency:build-classpath", f"-Dmdep.outputFile={path}"]
        _fetch(command, folder, "Maven Central")
    name = re.search(r"public class (\w+)", snippet.code)[1]
    (folder / f"{name}.java").write_text(snippet.code)
    _build([javac, "-cp", path.read_text(), "-d", ".", f"{name}.java"], folder)
    return [java, "-cp", f".:{path.read_text()}", name]


MAKERS = {"bash": _bash, "curl": _bash, "redis-cli": _bash, "python": _python, "node": _node, "go": _go, "rust": _rust, "java": _java}


def _folder(snippet, purpose):
    folder = WORK / f"{purpose}-{snippet.language}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def lay(snippet, purpose, file):
    """Puts a file where a program runs."""
    shutil.copy(file, _folder(snippet, purpose))


def ready(snippet, purpose):
    """The command that runs a program, and the folder to run it in."""
    folder = _folder(snippet, purpose)
    return MAKERS[snippet.language](snippet, folder), folder
