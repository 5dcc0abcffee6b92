"""ZooKeeper goes away, comes back, forgets the session, holds nonsense: hatlas serves on."""
import concurrent.futures
import signal

import pytest

import parts


def test_killed_and_back(hatlas, own_zookeeper, backend):
    one, two = backend("one"), backend("two")
    client = own_zookeeper.client()
    parts.Atlas(client, "/atlas").put_host("teams", one.port)
    hatlas.configure(sources=[{"zookeeper": own_zookeeper.address, "root": "/atlas",
                               "session_timeout": "4s"}]).run()
    hatlas.wait_answer("teams", "one")
    own_zookeeper.kill()
    hatlas.wait_log("level=warning")
    assert hatlas.get("teams").body == "one"
    own_zookeeper.start()
    atlas = parts.Atlas(client, "/atlas")
    atlas.put_host("teams", two.port)
    hatlas.wait_who("teams", {"one", "two"})
    client.stop()


def test_changed_while_zookeeper_was_out_of_reach(hatlas, zookeeper, atlas, source, wire,
                                                  backend):
    one, two, three = backend("one"), backend("two"), backend("three")
    relay = wire(zookeeper.port)
    atlas.put_host("teams", one.port)
    atlas.put_host("gone", one.port)
    hatlas.configure(sources=source(zookeeper=relay.address,
                                    session_timeout="30s")).run()
    hatlas.wait_answer("teams", "one")
    relay.cut()
    atlas.put_host("teams", two.port)
    atlas.remove_host("teams", one.port)
    atlas.remove_service("gone")
    atlas.put_host("new", three.port)
    assert hatlas.get("teams").body == "one"
    relay.mend()
    hatlas.wait_who("teams", {"two"})
    hatlas.wait_answer("new", "three")
    hatlas.wait_answer("gone", 404)


def test_session_expired_while_cut_off(hatlas, zookeeper, atlas, source, wire, backend):
    """The server ends the session because it heard nothing for its time-out."""
    one, two = backend("one"), backend("two")
    relay = wire(zookeeper.port)
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source(zookeeper=relay.address,
                                    session_timeout="2s")).run()
    hatlas.wait_answer("teams", "one")
    session = relay.session & (2**64 - 1)
    assert session in zookeeper.sessions()
    relay.cut()
    parts.wait_for(lambda: session not in zookeeper.sessions(), "expiry")
    assert hatlas.get("teams").body == "one"
    relay.mend()
    atlas.put_host("teams", two.port)
    hatlas.wait_who("teams", {"one", "two"})
    assert relay.session & (2**64 - 1) != session


def test_session_closed_by_a_second_client(hatlas, zookeeper, atlas, source, wire, backend):
    """Somebody with the session's id and password closes it, again and again."""
    one, two = backend("one"), backend("two")
    relay = wire(zookeeper.port)
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source(zookeeper=relay.address)).run()
    hatlas.wait_answer("teams", "one")
    reloads = hatlas.reloads()
    for _ in range(3):
        session = relay.session
        relay.cut()  # or hatlas would take the session back before it is closed
        parts.close_session(zookeeper, session, relay.password)
        relay.mend()
        parts.wait_for(lambda: relay.session != session, "a new session")
    assert hatlas.get("teams").body == "one"
    atlas.put_service("later")
    hatlas.wait_answer("later", 503)
    assert hatlas.reloads() == reloads + 1, "only what changed may cost a reload"
    atlas.put_host("teams", two.port)
    hatlas.wait_who("teams", {"one", "two"})


def test_nothing_is_reloaded_for_a_lost_connection(hatlas, zookeeper, atlas, source, wire,
                                                   backend):
    relay = wire(zookeeper.port)
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source(zookeeper=relay.address)).run()
    hatlas.wait_answer("teams", "one")
    reloads = hatlas.reloads()
    for _ in range(3):
        before = relay.connections
        relay.interrupt()
        parts.wait_for(lambda: relay.connections > before, "a new connection")
    atlas.put_service("later")
    hatlas.wait_answer("later", 503)
    assert hatlas.reloads() == reloads + 1


def test_zookeeper_comes_after_hatlas(hatlas, own_zookeeper, backend):
    client = own_zookeeper.client()
    parts.Atlas(client, "/atlas").put_host("teams", backend("one").port)
    own_zookeeper.kill()
    hatlas.configure(sources=[{"zookeeper": own_zookeeper.address,
                               "root": "/atlas"}]).run()
    hatlas.wait_log(own_zookeeper.address)
    own_zookeeper.start()
    hatlas.wait_answer("teams", "one")
    client.stop()


def test_start_without_zookeeper_serves_the_last_config(hatlas, own_zookeeper, backend):
    client = own_zookeeper.client()
    parts.Atlas(client, "/atlas").put_host("teams", backend("one").port)
    hatlas.configure(sources=[{"zookeeper": own_zookeeper.address,
                               "root": "/atlas"}]).run()
    hatlas.wait_answer("teams", "one")
    assert hatlas.stop() == 0
    assert hatlas.get("teams").status == 0
    own_zookeeper.kill()
    hatlas.run()
    hatlas.wait_answer("teams", "one")
    client.stop()


def test_stops_while_zookeeper_is_away(hatlas, own_zookeeper):
    parts.Atlas(own_zookeeper.client(), "/atlas")
    hatlas.configure(sources=[{"zookeeper": own_zookeeper.address,
                               "root": "/atlas"}]).run()
    hatlas.wait_answer("teams", 404)
    own_zookeeper.kill()
    hatlas.wait_log("level=warning")
    assert hatlas.stop() == 0


@pytest.mark.parametrize("data", [b"{", b"", b"[]", b"null", b"\xff\xfe", b'{"host":"a"}',
                                  b'{"host":"127.0.0.1","port":0}',
                                  b'{"host":"127.0.0.1","port":"80 "}',
                                  b'{"host":"127.0.0.1","port":65536}',
                                  b'{"host":"127.0.0.1","port":80,"enabled":"no"}',
                                  b'{"host":"127.0.0.1","port":80,"weight":1000}',
                                  b"{" * 5000, b'{"host":"a","host":"b","port":1}'],
                         ids=lambda data: data[:40].decode("latin-1"))
def test_bad_record_costs_only_itself(hatlas, atlas, source, backend, data):
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    bad = atlas.put(atlas.path("services", "teams", "hosts", "bad"), data)
    atlas.put_host("buckets", one.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    line = parts.parse_logfmt(hatlas.wait_log(bad))
    assert line["level"] == "warning"
    atlas.put_host("teams", two.port)
    hatlas.wait_who("teams", {"one", "two"})
    assert hatlas.get("buckets").body == "one"


def test_bad_record_keeps_its_last_good_value(hatlas, atlas, source, backend):
    one, two, three = backend("one"), backend("two"), backend("three")
    path = atlas.put_host("teams", one.port, host_id="a")
    atlas.put_host("teams", two.port, host_id="b")
    hatlas.configure(sources=source()).run()
    hatlas.wait_who("teams", {"one", "two"})
    atlas.put(path, b"{not json")
    hatlas.wait_log(path)
    atlas.put_host("other", three.port)
    hatlas.wait_answer("other", "three")
    assert hatlas.who("teams") == {"one", "two"}
    atlas.put_host("teams", three.port, host_id="a")
    hatlas.wait_who("teams", {"two", "three"})
    hatlas.wait_log("problem gone")


def test_bad_service_record_keeps_its_hosts(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("one").port)
    path = atlas.put(atlas.path("services", "teams"), b"{not json")
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    hatlas.wait_log(path)


def test_bad_field_of_a_service_costs_only_itself(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("one").port)
    atlas.put_service("teams", balance="coin", retries=2, aliases=["crews"])
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    hatlas.wait_log("balance")
    assert hatlas.get("crews").body == "one"


def test_hosts_come_and_go_while_they_are_read(hatlas, atlas, zookeeper, source, backend):
    """A znode that is listed and gone before it is read is no fault, and nothing sticks."""
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")

    def churn(number):
        client = zookeeper.client()
        own = parts.Atlas(client, atlas.root)
        for round_ in range(40):
            own.put_host("teams", 9000 + number, host_id=f"x{number}", enabled=False)
            own.put_host(f"brief-{number}", 9000 + number)
            own.remove_host("teams", f"x{number}")
            own.remove_service(f"brief-{number}")
        client.stop()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(churn, range(4)))
    atlas.put_host("teams", two.port)
    atlas.put_host("last", two.port)
    hatlas.wait_who("teams", {"one", "two"})
    hatlas.wait_answer("last", "two")
    assert "x0" not in hatlas.config.read_text()
    assert "brief" not in hatlas.config.read_text()


def test_digest_authentication(hatlas, zookeeper, client, tmp_path, backend):
    """A registry that only those with the secret may read."""
    from kazoo.security import make_digest_acl
    acl = [make_digest_acl("hatlas", "secret", read=True)]
    record = b'{"host": "127.0.0.1", "port": %d}' % backend("one").port
    owner = zookeeper.client()
    owner.create("/closed/testing/services/teams/hosts/a", record, makepath=True)
    for path in ("hosts/a", "hosts", ""):
        owner.set_acls(f"/closed/testing/services/teams/{path}".rstrip("/"), acl)
    secret = tmp_path / "secret"
    secret.write_text("hatlas:secret\n")
    secret.chmod(0o600)
    hatlas.configure(sources=[{"zookeeper": zookeeper.address, "root": "/closed",
                               "auth": {"scheme": "digest", "file": str(secret)}}]).run()
    hatlas.wait_answer("teams", "one")
    owner.stop()


def test_state_on_signal(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    hatlas.send(signal.SIGUSR1)
    line = parts.parse_logfmt(hatlas.wait_log("msg=state"))
    assert (line["services"], line["hosts"]) == ("1", "1")
