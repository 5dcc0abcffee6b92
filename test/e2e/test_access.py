"""Who hatlas says it is, and whom it lets at what it creates."""
import pathlib

import pytest
from kazoo.exceptions import NoAuthError
from kazoo.security import make_digest_acl

import parts

SECRET = "hatlas:sesame-street"


@pytest.fixture
def closed(atlas, client):
    """A registry that is only for whom the secret is."""
    acl = [make_digest_acl("hatlas", "sesame-street", all=True)]
    owner = parts.Atlas(client, atlas.root)
    for path in (atlas.root, atlas.path(), atlas.path("services")):
        owner.client.set_acls(path.rstrip("/"), acl)
    return owner


@pytest.fixture
def friend(zookeeper):
    """A client that shows the same identity."""
    client = zookeeper.client(auth_data=[("digest", SECRET)])
    yield client
    client.stop()
    client.close()


def seen_by_children(hatlas):
    pids = parts.processes_of(hatlas.folder)
    assert pids
    return [pathlib.Path(f"/proc/{pid}/environ").read_bytes() for pid in pids]


def test_secret_from_the_environment(hatlas, closed, friend, source, backend):
    """Neither the log nor the command line nor HAProxy gets to see it."""
    parts.Atlas(friend, closed.root).put_host("teams", backend("one").port)
    hatlas.configure(sources=source(auth={"env": "HATLAS_SECRET"}))
    hatlas.run(prefix=["env", f"HATLAS_SECRET={SECRET}"])
    hatlas.wait_answer("teams", "one")
    assert "sesame" not in hatlas.log_text()
    line = pathlib.Path(f"/proc/{hatlas.process.pid}/cmdline").read_bytes()
    assert b"sesame" not in line and b"run" in line
    assert not any(b"sesame" in text for text in seen_by_children(hatlas))
    hatlas.send(parts.signal.SIGUSR1)
    hatlas.wait_log("msg=state")
    assert "sesame" not in hatlas.log_text()


def test_variable_that_is_not_set(hatlas, source):
    hatlas.configure(sources=source(auth={"env": "HATLAS_SECRET_2"}))
    done = hatlas.command("render")
    assert done.returncode == 2
    assert "HATLAS_SECRET_2 is not set" in done.stderr


def rules(client, path):
    return {(acl.id.scheme, acl.id.id.split(":")[0], acl.perms)
            for acl in client.get_acls(path)[0]}


def test_what_commands_create(hatlas, atlas, client, friend, source):
    """Its creator may do all, others only look."""
    hatlas.configure(sources=source(auth={"env": "HATLAS_SECRET"},
                                    acl=["auth::cdrwa", "world:anyone:r"]))
    for words in (["create", "teams"], ["attach", "teams", "10.0.0.1:80"],
                  ["config", "set", "teams", "A=1"]):
        done = hatlas.command(*words, HATLAS_SECRET=SECRET)
        assert done.returncode == 0, done.stderr
        assert "sesame" not in done.stdout + done.stderr
    host = atlas.path("services", "teams", "hosts", "10.0.0.1:80")
    for path in (host, atlas.path("services", "teams", "hosts"),
                 atlas.path("services", "teams"), atlas.path("config", "teams")):
        assert rules(friend, path) == {("digest", "hatlas", 31), ("world", "anyone", 1)}
    with pytest.raises(NoAuthError):
        client.set(host, b"{}")
    done = hatlas.command("drain", "teams", "10.0.0.1:80", HATLAS_SECRET="other:one")
    assert done.returncode == 2 and "HATLAS_SECRET" in done.stderr
    assert "other:one" not in done.stderr
    assert hatlas.command("ls", "-l", HATLAS_SECRET="other:one").returncode == 0


def test_what_is_announced(hatlas, atlas, friend, source):
    hatlas.configure(sources=source(auth={"env": "HATLAS_SECRET"}, acl=["auth::cdrwa"]))
    process = parts.subprocess.Popen(
        [hatlas.binary, "announce", "--config", str(hatlas.file), "--service", "teams",
         "--host", "127.0.0.1", "--port", "80"],
        env=hatlas.variables({"HATLAS_SECRET": SECRET}))
    try:
        host = atlas.path("services", "teams", "hosts", "127.0.0.1:80")
        parts.wait_for(lambda: friend.exists(host), "the announced host")
        assert rules(friend, host) == {("digest", "hatlas", 31)}
        assert rules(friend, atlas.path("services", "teams")) == {("digest", "hatlas", 31)}
    finally:
        process.terminate()
        process.wait(parts.DEADLINE)


def test_open_to_all_without_a_rule(hatlas, atlas, client, source):
    hatlas.configure(sources=source())
    assert hatlas.command("create", "teams").returncode == 0
    assert rules(client, atlas.path("services", "teams")) == {("world", "anyone", 31)}


def test_a_rule_that_zookeeper_refuses(hatlas, source):
    hatlas.configure(sources=source(acl=["nosuch:x:r"]))
    done = hatlas.command("create", "teams")
    assert done.returncode == 2 and "acl" in done.stderr.lower()


def test_an_identity_that_zookeeper_refuses(hatlas, source):
    """It is named by where it stands, not by what it is."""
    hatlas.configure(sources=source(auth={"scheme": "nosuch", "env": "HATLAS_SECRET"}))
    done = hatlas.command("create", "teams", HATLAS_SECRET=SECRET)
    assert done.returncode == 2
    assert "authentication failed" in done.stderr or "credentials" in done.stderr
    assert "sesame" not in done.stderr
