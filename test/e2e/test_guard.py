"""What a registry seems to have lost is not believed at once, and what it said last
outlives it."""
import json
import signal

import pytest

import parts


def guarded(hatlas, source, grace="1h", **more):
    guard = {"empty_service": "keep", "grace": grace, **more}
    return hatlas.configure(sources=source, guard=guard)


@pytest.mark.parametrize("lost", ["last", "most", "services"])
def test_losses_are_held_and_confirmed(hatlas, atlas, source, backend, lost):
    """Hosts that vanish together serve on, until a second full read confirms the loss."""
    hosts = [backend(str(i)) for i in range(1 if lost == "last" else 4)]
    for host in hosts:
        atlas.put_host("teams", host.port)
    for other in ("other", "third"):
        atlas.put_service(other)
    guarded(hatlas, source(), grace="2s").run()
    hatlas.wait_who("teams", {host.name for host in hosts})
    names = [f"teams/hosts/127.0.0.1:{host.port}" for host in hosts]
    if lost == "services":
        names += ["teams/hosts", "teams", "other"]
    at_once = atlas.client.transaction()
    for name in names[:3] if lost == "most" else names:
        at_once.delete(atlas.path("services", name))
    assert not any(isinstance(result, Exception) for result in at_once.commit())
    hatlas.wait_log("vanished, too many")
    hatlas.wait_log("to confirm a loss")
    if lost == "services":
        parts.wait_for(lambda: hatlas.get("teams").status == 404, "the service to go")
    elif lost == "last":
        parts.wait_for(lambda: hatlas.get("teams").status == 503, "the host to go")
    else:
        hatlas.wait_who("teams", {"3"})
    hatlas.wait_log('msg="problem gone"')


def test_held_hosts_serve(hatlas, atlas, source, backend):
    one = backend("one")
    atlas.put_host("teams", one.port)
    guarded(hatlas, source()).run()
    hatlas.wait_answer("teams", "one")
    atlas.remove_host("teams", f"127.0.0.1:{one.port}")
    hatlas.wait_log("1 of 1 hosts vanished")
    atlas.put_service("marker")  # a change that is surely later
    parts.wait_for(lambda: hatlas.get("marker").status == 503, "the marker")
    assert hatlas.get("teams").body == "one"


def test_guard_can_be_turned_off(hatlas, atlas, source, backend):
    one = backend("one")
    atlas.put_host("teams", one.port)
    guarded(hatlas, source(), empty_service="allow").run()
    hatlas.wait_answer("teams", "one")
    atlas.remove_host("teams", f"127.0.0.1:{one.port}")
    parts.wait_for(lambda: hatlas.get("teams").status == 503, "the host to go")
    assert "vanished" not in hatlas.log_text()


def test_root_deleted(hatlas, atlas, source, backend):
    """The whole registry gone empties nothing, until an operator says that it may."""
    atlas.put_host("teams", backend("one").port)
    guarded(hatlas, source(), grace="0").run()
    hatlas.wait_answer("teams", "one")
    atlas.client.delete(atlas.root, recursive=True)
    hatlas.wait_log("services vanished")
    assert hatlas.get("teams").body == "one"
    hatlas.configure(sources=source(), guard={"empty_service": "allow"})
    hatlas.send(signal.SIGHUP)
    hatlas.wait_answer("teams", 404)


def cached(hatlas):
    path = hatlas.folder / "catalog.json"
    return json.loads(path.read_text()) if path.exists() else {"services": {}}


def test_start_from_the_cache(hatlas, atlas, own_zookeeper, backend):
    """Without a registry, and without files, the last catalog is served, and is said to
    be stale until the registry answers."""
    atlas = parts.Atlas(own_zookeeper.client(), "/atlas")
    atlas.put_host("teams", backend("one").port)
    source = [{"zookeeper": own_zookeeper.address, "root": "/atlas"}]
    hatlas.configure(sources=source).run()
    hatlas.wait_answer("teams", "one")
    parts.wait_for(lambda: "teams" in cached(hatlas)["services"], "the cache")
    hatlas.stop()
    own_zookeeper.kill()
    hatlas.config.unlink()
    hatlas.run()
    hatlas.wait_log("no registry answers")
    hatlas.wait_answer("teams", "one")
    hatlas.send(signal.SIGUSR1)
    hatlas.wait_log("catalog=stale")
    own_zookeeper.start()
    line = hatlas.wait_log('msg="problem gone"')
    assert "no registry answers" in line


def test_damaged_cache_is_said_and_ignored(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("one").port)
    (hatlas.folder / "catalog.json").write_text('{"services": {"teams": ')
    hatlas.configure(sources=source()).run()
    hatlas.wait_log("problem in the cache")
    hatlas.wait_answer("teams", "one")


def test_registry_that_came_back_empty(hatlas, atlas, source, backend):
    """A restart beside a registry that lost everything starts from the cache's word."""
    atlas.put_host("teams", backend("one").port)
    guarded(hatlas, source()).run()
    hatlas.wait_answer("teams", "one")
    parts.wait_for(lambda: "teams" in cached(hatlas)["services"], "the cache")
    hatlas.stop()
    atlas.client.delete(atlas.root, recursive=True)
    hatlas.run()
    hatlas.wait_log("vanished, too many")
    hatlas.wait_answer("teams", "one")
