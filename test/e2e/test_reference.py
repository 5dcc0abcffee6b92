"""Man pages and completions say what --help says, and work."""
import re
import shutil
import subprocess

import pytest

import parts

SOURCES = parts.SOURCE / "cmd/hatlas"


def run(*arguments):
    return subprocess.run([parts.BINARY, *arguments], text=True, capture_output=True,
                          check=True).stdout


def commands():
    listed = run("--help").split("Commands:\n")[1].split("\n\n")[0]
    return re.findall(r"^  (\S+)", listed, re.M)


def flags(command):
    return re.findall(r"^  (?:-., |    )--([a-z-]+)", run(command, "--help"), re.M)


def page(name, kind):
    """The page as an install has it, as plain text."""
    table = run("reference", kind)
    roff = (SOURCES / f"{name}.in").read_text().replace("@TABLE@\n", table)
    done = subprocess.run(["groff", "-k", "-man", "-Tutf8", "-ww", "-P-cbou"], input=roff,
                          text=True, capture_output=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_the_commands_are_those_that_exist():
    assert {"run", "ls", "announce", "import", "reference"} <= set(commands())


def test_man_page_names_every_command_and_flag():
    text = page("hatlas.1", "man-commands")
    common = text.split("COMMON FLAGS")[1]
    for command in commands():
        section = re.split(r"\n   hatlas ", text.split(f"\n   hatlas {command}\n")[1])[0]
        for flag in flags(command):
            assert f"--{flag}" in section or f"--{flag}" in common, (command, flag)
        example = run(command, "--help").split("Examples:\n")[1].split("\n")[0].strip()
        assert example in text


def test_man_page_names_every_key_of_the_reference():
    text = page("hatlas.yaml.5", "man-settings")
    readme = (parts.SOURCE / "lib/settings/README.md").read_text()
    keys = re.findall(r"^\| `([a-z_.]+)` \|", readme, re.M)
    assert len(keys) > 50
    for key in keys:
        assert re.search(rf"^ +{re.escape(key)} \(", text, re.M), key


# --- bash


@pytest.fixture
def bash(hatlas, cluster, tmp_path):
    """What bash offers for a line of words, the last of them unfinished."""
    path = cluster("services: {teams: {}, things: {}, buckets: {}}\n")
    hatlas.configure(sources=[{"file": str(path)}])
    script = tmp_path / "completion"
    script.write_text(run("reference", "bash"))

    def complete(line):
        words = line.split(" ")
        done = subprocess.run(
            ["bash", "-c", 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
             '_hatlas; printf "%s\\n" "${COMPREPLY[@]}"', "bash", script, parts.BINARY,
             *words[1:]], text=True, capture_output=True, check=True, cwd=hatlas.folder,
            env=hatlas.variables({"HATLAS_CONFIG": str(hatlas.file)}))
        assert done.stderr == ""
        return done.stdout.split()
    return complete


CASES = [
    ("hatlas an", ["announce"]),
    ("hatlas d", ["detach", "diff", "disable", "drain"]),
    ("hatlas drain t", ["teams", "things"]),
    ("hatlas ls b", ["buckets"]),
    ("hatlas render --out", ["--output-dir"]),
    ("hatlas drain teams --w", ["--wait"]),
    ("hatlas drain --realm ", []),
    ("hatlas run --config hat", ["hatlas.yaml"]),
    ("hatlas export -o hat", ["hatlas.yaml"]),
    ("hatlas import hat", ["hatlas.yaml"]),
    ("hatlas create new check", ["check="]),
    ("hatlas attach teams h:1 we", ["weight="]),
    ("hatlas render --check hat", ["hatlas.yaml"]),
    ("hatlas announce --check hat", []),
]


@pytest.mark.parametrize("line, words", CASES, ids=[case[0] for case in CASES])
def test_bash_completes(bash, line, words):
    assert sorted(bash(line)) == words


def test_bash_offers_every_command_and_flag(bash):
    assert set(commands()) <= set(bash("hatlas "))
    for command in commands():
        assert sorted(bash(f"hatlas {command} --")) == sorted(
            f"--{flag}" for flag in flags(command))


def test_zsh_names_every_command_and_flag(tmp_path):
    script = tmp_path / "_hatlas"
    script.write_text(run("reference", "zsh"))
    subprocess.run([shutil.which("zsh"), "-n", script], check=True)
    text = script.read_text()
    for command in commands():
        section = text.split(f"\n    {command})\n")[1].split(";;")[0]
        for flag in flags(command):
            assert re.search(rf"'\*?--{flag}=?\[", section), (command, flag)
