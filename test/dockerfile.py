"""Runs the steps of a Dockerfile without an engine, and leaves the last stage mounted.

Each stage is this machine's own root, seen through an overlay: nothing of it is changed.
Needs root and a mount namespace of its own. Usage: dockerfile.py DOCKERFILE FOLDER
"""
import json
import os
import pathlib
import shlex
import subprocess
import sys


def run(*argv):
    subprocess.run(argv, check=True)


def logical_lines(path):
    text = path.read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


class Stage:
    def __init__(self, folder):
        self.root = folder / "root"
        self.workdir = "/"
        for name in ("root", "upper", "work"):
            (folder / name).mkdir(parents=True)
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir=/,upperdir={folder}/upper,workdir={folder}/work", str(self.root))
        run("mount", "-t", "proc", "proc", str(self.root / "proc"))
        run("mount", "--rbind", "/dev", str(self.root / "dev"))
        for name in ("tmp", "run"):
            run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(self.root / name))
        resolv = self.root / "etc/resolv.conf"
        if pathlib.Path("/etc/resolv.conf").exists() and not resolv.exists():
            resolv.write_bytes(pathlib.Path("/etc/resolv.conf").read_bytes())

    def path(self, name):
        return self.root / os.path.join(self.workdir, name).lstrip("/")

    def run(self, command):
        run("chroot", str(self.root), "sh", "-euc", f"cd {self.workdir}; {command}")

    def copy(self, source, target, ignore):
        place = self.path(target)
        place.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            tar = ["tar", "-C", str(source), *(f"--exclude=./{name}" for name in ignore)]
            with subprocess.Popen([*tar, "-cf-", "."], stdout=subprocess.PIPE) as pipe:
                subprocess.run(["tar", "-C", str(place), "-xf-", "--no-same-owner"],
                               stdin=pipe.stdout, check=True)
            if pipe.returncode:
                sys.exit(f"{source}: cannot be copied")
        else:
            run("cp", str(source), str(place))


def copy_step(words, stage, named, context, ignore):
    option = words.pop(0) if words[0].startswith("--from=") else None
    source, target = words
    if not option:
        stage.copy(context / source, target, ignore)
        return
    root = named[option.removeprefix("--from=")].root
    found = sorted(root.glob(source.lstrip("/")))
    if not found:
        sys.exit(f"COPY {option} {source}: no such file")
    for file in found:
        stage.copy(file, target, [])


def main(dockerfile, folder):
    context = pathlib.Path.cwd()
    ignore = pathlib.Path(f"{dockerfile}.dockerignore").read_text().split()
    stage, named, image = None, {}, {}
    for line in logical_lines(dockerfile):
        step, rest = line.split(maxsplit=1)
        print(f"--- {line}", flush=True)
        if step == "FROM":
            stage = Stage(folder / str(len(named)))
            named[rest.split(" AS ")[-1]] = stage
        elif step == "WORKDIR":
            stage.workdir = rest
            stage.path(".").mkdir(parents=True, exist_ok=True)
        elif step == "COPY":
            copy_step(shlex.split(rest), stage, named, context, ignore)
        elif step == "RUN":
            stage.run(rest)
        elif step in ("USER", "EXPOSE"):
            image[step] = rest
        elif step in ("ENTRYPOINT", "CMD"):
            image[step] = json.loads(rest)
        else:
            sys.exit(f"{step}: this test does not know how to run it")
    (folder / "image").write_text(
        f"user={image['USER']}\n"
        f"command='{shlex.join(image['ENTRYPOINT'] + image['CMD'])}'\n")
    (folder / "last").symlink_to(stage.root)


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
