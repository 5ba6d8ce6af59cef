#!/usr/bin/env python3
"""Makes an image from a target of a Dockerfile, without Docker and without a registry.

    image.py --dockerfile FILE --target TARGET --built DIR --context DIR --name NAME:TAG OUT.tar

The Dockerfile stays the one description of what an image holds: its stages FROM scratch are carried out here, and its
stage "build" is not; DIR is what that stage leaves in /out. Of Dockerfiles, only what ours use is understood (FROM, COPY,
WORKDIR, USER, ENV, ENTRYPOINT, CMD); anything else is refused, so that nothing is left out in silence.

OUT.tar is an archive as of `docker save`: `ctr images import`, `docker load` and `podman load` take it. The same input
gives the same bytes: no times, no owners, and modes that do not depend on the umask of whoever made the files.
"""

import argparse
import hashlib
import io
import json
import os
import posixpath
import shlex
import stat
import sys
import tarfile

SEARCHED = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Image:
    """What a stage has come to: files by their path without the leading slash, and how a container of it starts."""

    def __init__(self, base=None):
        self.files = dict(base.files) if base else {}
        self.env = list(base.env) if base else [SEARCHED]
        self.user = base.user if base else ""
        self.workdir = base.workdir if base else "/"
        self.entrypoint = base.entrypoint if base else None
        self.cmd = base.cmd if base else None

    def absolute(self, path):
        """A path inside the image, without the leading slash."""
        return posixpath.normpath(posixpath.join(self.workdir, path)).lstrip("/")

    def folder(self, path):
        """Makes a folder and those above it, unless they are there."""
        parts = path.split("/") if path else []
        for end in range(1, len(parts) + 1):
            self.files.setdefault("/".join(parts[:end]), None)

    def copy(self, source, target):
        """Copies a file to a path, or what is in a folder into one. A source of None is a folder of our own."""
        if os.path.isdir(source) and not os.path.islink(source):
            self.folder(target)
            if target and os.stat(source).st_mode & stat.S_ISVTX:
                self.files[target] = source
            for name in os.listdir(source):
                self.copy(os.path.join(source, name), posixpath.join(target, name))
        else:
            self.folder(posixpath.dirname(target))
            self.files[target] = source

    def layer(self):
        """The files as a tar."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path, source in sorted(self.files.items()):
                entry = tarfile.TarInfo(path)
                if source is None:
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(entry)
                elif os.path.islink(source):
                    entry.type, entry.mode, entry.linkname = tarfile.SYMTYPE, 0o777, os.readlink(source)
                    tar.addfile(entry)
                elif os.path.isdir(source):
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
                    tar.addfile(entry)
                else:
                    status = os.stat(source)
                    entry.size, entry.mode = status.st_size, 0o755 if status.st_mode & 0o111 else 0o644
                    with open(source, "rb") as content:
                        tar.addfile(entry, content)
        return buffer.getvalue()

    def archive(self, name):
        """The whole image as an archive."""
        layer = self.layer()
        layer_hash = hashlib.sha256(layer).hexdigest()
        started = {"Env": self.env, "User": self.user, "WorkingDir": self.workdir}
        started |= {"Entrypoint": self.entrypoint, "Cmd": self.cmd}
        config = {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": started,
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + layer_hash]},
            "history": [{"created": "1970-01-01T00:00:00Z"}],
        }
        config = json.dumps(config, sort_keys=True).encode()
        config_name = hashlib.sha256(config).hexdigest() + ".json"
        manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [layer_hash + ".tar"]}]
        parts = {layer_hash + ".tar": layer, config_name: config, "manifest.json": json.dumps(manifest).encode()}
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path, content in parts.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()


def instructions(dockerfile):
    """The instructions of a Dockerfile as (line number, word, rest); lines that end in a backslash are put together."""
    whole, begin = "", 0
    for number, line in enumerate(dockerfile, 1):
        line = line.strip()
        if line.startswith("#") or not line:
            continue
        begin = begin if whole else number
        if line.endswith("\\"):
            whole += line[:-1] + " "
            continue
        word, _, rest = (whole + line).partition(" ")
        yield begin, word.upper(), rest.strip()
        whole = ""


def words(rest):
    """The words of an ENTRYPOINT or a CMD. Only the JSON form: the other one needs a shell, and our images have none."""
    found = json.loads(rest)
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise ValueError("expected a list of strings")
    return found


def copy(image, rest, arguments):
    """Carries out a COPY."""
    *sources, target = rest.split()
    root = arguments.context
    if sources[0].startswith("--"):
        if sources.pop(0) != "--from=build":
            raise ValueError("of COPY's flags only --from=build is understood")
        root = arguments.built
        if not all(source.startswith("/out/") for source in sources):
            raise ValueError("only what is in /out can be copied from the stage build")
        sources = [source.removeprefix("/out/") for source in sources]
    path = image.absolute(target)
    for source in sources:
        found = os.path.join(root, source)
        if not os.path.lexists(found):
            raise ValueError(f"there is no {found}")
        into = (target.endswith("/") or len(sources) > 1) and not os.path.isdir(found)
        image.copy(found, posixpath.join(path, os.path.basename(source)) if into else path)


def carry_out(image, word, rest, arguments):
    """Carries out one instruction of a stage."""
    match word:
        case "COPY":
            copy(image, rest, arguments)
        case "WORKDIR":
            image.workdir = "/" + image.absolute(rest)
            image.folder(image.workdir.lstrip("/"))
        case "USER":
            image.user = rest
        case "ENV":
            image.env += shlex.split(rest)
        case "ENTRYPOINT":
            image.entrypoint = words(rest)
        case "CMD":
            image.cmd = words(rest)
        case _:
            raise ValueError(f"{word} is not understood here")


def stages(path):
    """The stages of a Dockerfile by their name: each what it is FROM, and its instructions."""
    found = {}
    with open(path, encoding="utf-8") as dockerfile:
        for number, word, rest in instructions(dockerfile):
            if word == "FROM":
                base, _, name = rest.split()
                found[name] = (base, [])
            else:
                found[name][1].append((number, word, rest))
    return found


def carried_out(target, found, arguments):
    """The image that a stage comes to, on that of the stage it is FROM."""
    if target == "scratch":
        return Image()
    if target not in found:
        sys.exit(f"{arguments.dockerfile} has no target {target}")
    base, lines = found[target]
    image = carried_out(base, found, arguments)
    for number, word, rest in lines:
        try:
            carry_out(image, word, rest, arguments)
        except ValueError as error:
            sys.exit(f"{arguments.dockerfile}:{number}: {error}")
    return image


def main():
    parser = argparse.ArgumentParser()
    for option in ("dockerfile", "target", "built", "context", "name"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("out")
    arguments = parser.parse_args()
    archive = carried_out(arguments.target, stages(arguments.dockerfile), arguments).archive(arguments.name)
    with open(arguments.out + ".new", "wb") as out:
        out.write(archive)
    os.replace(arguments.out + ".new", arguments.out)
    print(f"{arguments.out}: {arguments.name}, {len(archive) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
