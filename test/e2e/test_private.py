"""Who may read what hatlas makes, and where its secret must not appear."""
import http.client
import os
import pathlib
import re
import signal
import stat

import pytest
from kazoo.security import make_digest_acl

import parts

SECRET = "hatlas:sesame-street"

# haproxy -c as it is, but for the permissions of the folder that it looks into.
CHECK = """#!/bin/sh
case " $* " in *" -c "*)
    for last; do :; done
    stat -c '%%A' "${last%%/*}" >>%s ;;
esac
exec haproxy "$@"
"""


def table():
    """The permissions that lib/README.md promises: what → (mode, who)."""
    text = (parts.SOURCE / "lib/README.md").read_text()
    rows = re.findall(r"^\| (.+?) \| `([0-7]{4})` \|", text, re.M)
    assert rows
    return {name: int(mode, 8) for name, mode in rows}


def mode_of(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.mark.parametrize("umask", ["000", "077"])
def test_permissions(hatlas, atlas, source, backend, tmp_path, umask):
    """Everything hatlas makes while it works has the permissions of the table: no more if the
    umask is 0, and no less than what others need if it is 077."""
    seen, check = tmp_path / "seen", tmp_path / "haproxy"
    check.write_text(CHECK % seen)
    check.chmod(0o755)
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "own").write_text("% for _, s in ipairs(services) do\n{{ s.name }}\n% end\n")
    settings = hatlas.settings()
    own, new = hatlas.out / "own", hatlas.folder / "new" / "other"
    settings["outputs"] += [{"template": "own", "path": str(own), "mode": "0600"},
                            {"template": "own", "path": str(new)}]
    clients, status = hatlas.folder / "c.sock", hatlas.folder / "s.sock"
    cache = hatlas.folder / "kept" / "catalog.json"
    hatlas.configure(sources=source(), outputs=settings["outputs"], cache=str(cache),
                     templates=[str(templates)], routing={"socket": str(clients)},
                     haproxy={"binary": str(check)}, status={"listen": str(status)})
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    hatlas.run(prefix=["sh", "-c", f'umask {umask}; exec "$@"', "-"])
    hatlas.wait_answer("teams", "one")
    parts.wait_for(cache.exists, "the cache")
    beside = hatlas.config.with_name
    own.write_text("edited")
    atlas.put_service("more")
    parts.wait_for(beside("own.foreign").exists, "what was edited")
    atlas.put_host("teams", two.port)
    parts.wait_for(beside("haproxy.cfg.reload-owed").exists, "the note")
    hatlas.kill()
    owed = mode_of(beside("haproxy.cfg.reload-owed"))
    refuse(templates)
    atlas.put_service("third")
    hatlas.run(prefix=["sh", "-c", f'umask {umask}; exec "$@"', "-"])
    parts.wait_for(beside("haproxy.cfg.rejected").exists, "the refused config")
    made = {
        "an output": hatlas.config,
        "an output with `mode: \"0600\"`": own,
        "a folder that an output is in": new.parent,
        "`<output>.lock`": beside("haproxy.cfg.lock"),
        "`<config>.rejected`": beside("haproxy.cfg.rejected"),
        "`<output>.foreign`": beside("own.foreign"),
        "`cache`": cache,
        "`status.listen`, a Unix socket": status,
        "`haproxy.socket`": hatlas.socket,
        "`haproxy.master_socket`": hatlas.master_socket,
        "`routing.socket`": clients,
    }
    modes = {what: mode_of(path) for what, path in made.items()}
    modes["`<config>.reload-owed`"] = owed
    promised = table()
    assert set(seen.read_text().split()) == {"drwx------"}
    assert promised.pop("`<config>.check/`") == 0o700
    assert set(promised) == set(modes)
    exact = {"`routing.socket`", "an output", "an output with `mode: \"0600\"`"}
    for what, mode in modes.items():
        most = promised[what]
        assert mode & ~most == 0, (what, oct(mode))
        if umask != "077" or what in exact or most & 0o077 == 0:
            assert mode == most, (what, oct(mode))


def refuse(templates):
    shipped = (parts.SOURCE / "templates/haproxy.cfg").read_text()
    (templates / "haproxy.cfg").write_text(shipped + "\nglobal\n    no-such-word\n")


@pytest.fixture
def closed(client, atlas):
    """A registry that is only for whom the secret is."""
    rule = [make_digest_acl("hatlas", "sesame-street", all=True)]
    atlas.put_host("teams", 1)
    for path in (atlas.path(), atlas.path("services")):
        client.set_acls(path.rstrip("/"), rule)
    return atlas


@pytest.mark.parametrize("kind, secret", [("file", SECRET), ("env", SECRET),
                                          ("file", "hatlas:sesame-wrong")],
                         ids=["file", "env", "wrong"])
def test_the_secret_is_shown_nowhere(hatlas, closed, source, tmp_path, kind, secret):
    """Not by any command, page, file, log or process, whether it is the right one or not."""
    path = tmp_path / "zk.secret"
    path.write_text(secret + "\n")
    auth = {"file": str(path)} if kind == "file" else {"env": "HATLAS_SECRET"}
    given = {"HATLAS_SECRET": secret} if kind == "env" else {}
    hatlas.configure(sources=source(auth=auth))
    hatlas.run("--log-level", "debug", prefix=["env", *(f"{k}={v}" for k, v in given.items())])
    hatlas.wait_log("first catalog" if secret == SECRET else "NOAUTH")
    hatlas.send(signal.SIGUSR1)
    hatlas.wait_log("msg=state")
    told = [ask(hatlas, page) for page in ("/", "/status", "/metrics", "/ready", "/config")]
    commands = [["status"], ["status", "--json"], ["create", "more"]]
    if secret == SECRET:
        commands += [["check"], ["check", "--json"], ["render"], ["diff"], ["ls"], ["export"]]
    for words in commands:
        done = hatlas.command(*words, **given)
        told.append(done.stdout + done.stderr)
    if secret == SECRET:
        hatlas.send(signal.SIGHUP)
        hatlas.wait_log("settings and templates were read again")
    for pid in {hatlas.process.pid, *parts.processes_of(hatlas.folder)}:
        told.append(pathlib.Path(f"/proc/{pid}/cmdline").read_text())
        if pid != hatlas.process.pid:
            told.append(pathlib.Path(f"/proc/{pid}/environ").read_text())
    hatlas.stop()
    told += [file.read_text(errors="replace") for file in hatlas.folder.rglob("*")
             if file.is_file()]
    assert any("level=notice" in text for text in told)
    assert not [text for text in told if "sesame" in text]


def ask(hatlas, page):
    connection = http.client.HTTPConnection("127.0.0.1", hatlas.status_port, timeout=20)
    connection.request("GET", page)
    return connection.getresponse().read().decode()
