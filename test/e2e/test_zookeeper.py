"""ZooKeeper goes away, comes back, forgets the session, holds nonsense: hatlas serves on."""
import concurrent.futures
import glob
import re
import signal
import subprocess

import pytest
from kazoo.security import OPEN_ACL_UNSAFE, make_digest_acl

import parts


def test_killed_and_back(hatlas, own_zookeeper, backend):
    one, two = backend("one"), backend("two")
    client = own_zookeeper.client()
    parts.Atlas(client, "/atlas").put_host("teams", one.port)
    hatlas.configure(sources=[{"zookeeper": own_zookeeper.address, "root": "/atlas",
                               "session_timeout": "4s"}]).run()
    hatlas.wait_answer("teams", "one")
    client.stop()
    own_zookeeper.kill()
    hatlas.wait_log("level=warning")
    assert hatlas.get("teams").body == "one"
    client = own_zookeeper.start().client()
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


def test_host_that_takes_the_place_of_another_at_once(hatlas, zookeeper, atlas, source,
                                                      wire, backend):
    """On a slow connection the loss of the one is known long before the record of the
    other: nobody may take the time between for a service without hosts."""
    one, two = backend("one"), backend("two")
    relay = wire(zookeeper.port)
    old = atlas.put_host("teams", one.port)
    hatlas.configure(sources=source(zookeeper=relay.address),
                     guard={"empty_service": "keep", "max_loss": "100%"}).run()
    hatlas.wait_answer("teams", "one")
    relay.delay = 0.2
    swap = atlas.client.transaction()
    swap.create(f"{old}-2", b'{"host":"127.0.0.1","port":%d}' % two.port)
    swap.delete(old)
    swap.commit()
    hatlas.wait_who("teams", {"two"})
    assert "vanished at once" not in hatlas.log_text()


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


def test_connection_that_breaks_as_soon_as_it_is_made(hatlas, zookeeper, atlas, source,
                                                      wire, backend):
    """Three times in a row: the session is given up, everything is read in a new one."""
    one, two = backend("one"), backend("two")
    relay = wire(zookeeper.port)
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source(zookeeper=relay.address)).run()
    hatlas.wait_answer("teams", "one")
    first = relay.session

    def broken():
        """Breaks what hatlas has connected; whether it has given the session up."""
        count = hatlas.count("connected to ZooKeeper")
        relay.interrupt()
        parts.wait_for(lambda: hatlas.count("connected to ZooKeeper") > count, "connect")
        return "in a new session" in hatlas.log_text()
    parts.wait_for(broken, "a new session")
    assert relay.session != first
    atlas.put_host("teams", two.port)
    hatlas.wait_who("teams", {"one", "two"})


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


def test_service_deleted_and_created_again(hatlas, atlas, source, backend):
    """Whether hatlas sees it gone in between or not."""
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    for seen in (False, True, False):
        atlas.remove_service("teams")
        if seen:
            hatlas.wait_answer("teams", 404)
        atlas.put_host("teams", two.port)
        hatlas.wait_who("teams", {"two"})
        atlas.put_host("teams", one.port)
        hatlas.wait_who("teams", {"one", "two"})


def test_no_watch_is_left_behind(hatlas, own_zookeeper, backend):
    """Hosts under ever new names: the server keeps one watch for each znode that is."""
    client = own_zookeeper.client()
    atlas = parts.Atlas(client, "/atlas")
    atlas.put_host("teams", backend("one").port, host_id="stays")
    hatlas.configure(sources=[{"zookeeper": own_zookeeper.address,
                               "root": "/atlas"}]).run()
    hatlas.wait_answer("teams", "one")
    for number in range(300):
        atlas.put_host("teams", 9000, host_id=f"host-{number}", enabled=False)
        atlas.put_service(f"service-{number % 7}")
        atlas.remove_host("teams", f"host-{number}")
        atlas.remove_service(f"service-{number % 7}")

    def watched():
        """Paths with watches on data or existence; those on children are not listed."""
        return set(re.findall(r"^/atlas/testing(/\S+)", own_zookeeper.ask("wchp"), re.M))
    parts.wait_for(lambda: watched() == {"/config", "/services/teams",
                                         "/services/teams/hosts/stays"}, "no more watches")
    client.stop()


def test_root_is_made_after_hatlas_started(hatlas, zookeeper, client, backend):
    hatlas.configure(sources=[{"zookeeper": zookeeper.address, "root": "/not/yet"}]).run()
    hatlas.wait_log("/not/yet/testing/services")
    hatlas.wait_answer("teams", 404)
    atlas = parts.Atlas(client, "/not/yet")
    atlas.put_host("teams", backend("one").port)
    hatlas.wait_answer("teams", "one")


def test_root_deleted_and_made_again(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    atlas.client.delete(atlas.root, recursive=True)
    hatlas.wait_log("does not exist")
    atlas.put_host("buckets", backend("two").port)
    hatlas.wait_answer("buckets", "two")


def test_chroot(hatlas, zookeeper, client, backend):
    """In the connect string; it need not exist yet either."""
    hatlas.configure(sources=[{"zookeeper": zookeeper.address + "/part/of",
                               "root": "/atlas"}]).run()
    hatlas.wait_log("/part/of/atlas/testing/services")
    atlas = parts.Atlas(client, "/part/of/atlas")
    atlas.put_host("teams", backend("one").port, host_id="a")
    hatlas.wait_answer("teams", "one")
    atlas.put_host("teams", backend("two").port, host_id="a")
    hatlas.wait_answer("teams", "two")
    bad = atlas.put(atlas.path("services", "teams", "hosts", "b"), b"{")
    hatlas.wait_log(bad)


def test_more_watches_than_one_packet_takes(hatlas, own_zookeeper):
    """After a reconnect the client sets all watches in one packet, of which the server
    takes 1 MiB: those of 12,000 hosts with long names stand in several sessions."""
    client = own_zookeeper.client()
    atlas = parts.Atlas(client, "/atlas")
    atlas.put_service("teams")
    hosts = atlas.path("services", "teams", "hosts")
    client.create(hosts)
    names = [f"{number:0{99 - len(hosts)}}" for number in range(12000)]
    for future in [client.create_async(
            f"{hosts}/{name}", b'{"host": "h", "port": %d}' % (number + 1))
            for number, name in enumerate(names)]:
        future.get()
    hatlas.configure(
        sources=[{"zookeeper": own_zookeeper.address, "root": "/atlas"}],
        outputs=[{"template": "services.map", "path": str(hatlas.out / "services.map")}],
        haproxy={"control": "command", "command": ["true"]}).run()

    def wait_state(count, services):
        def found():
            hatlas.send(signal.SIGUSR1)
            states = [line for line in hatlas.log() if line.get("msg") == "state"]
            return states and (states[-1].get("hosts"), states[-1].get("services")) == (
                str(count), str(services))
        parts.wait_for(found, f"{count} hosts of {services} services")
    hatlas.wait_log("first catalog")
    wait_state(12000, 1)
    sessions = hatlas.count("connected to ZooKeeper")
    assert sessions > 1
    client.stop()
    own_zookeeper.kill()
    client = own_zookeeper.start().client()
    atlas = parts.Atlas(client, "/atlas")
    atlas.put_host("teams", 12001, host_id="later")
    client.set(f"{hosts}/{names[-1]}", b"{")
    client.delete(f"{hosts}/{names[0]}")
    atlas.put_service("buckets")
    wait_state(12000, 2)
    hatlas.wait_log(names[-1])
    assert hatlas.count("connected to ZooKeeper") == 2 * sessions
    assert "in a new session" not in hatlas.log_text()
    client.stop()


# --- who may read


@pytest.fixture
def closed(zookeeper, backend):
    """A registry whose services only hatlas:secret may read. Gives what sets the ACLs that
    hold besides the owner's."""
    owner = zookeeper.client()
    owner.add_auth("digest", "owner:owner")
    root = "/closed/testing/services"
    owner.create(f"{root}/teams/hosts/a", makepath=True,
                 value=b'{"host": "127.0.0.1", "port": %d}' % backend("one").port)

    def set_acls(*more):
        for path in ("/teams/hosts/a", "/teams/hosts", "/teams", ""):
            owner.set_acls(root + path,
                           [make_digest_acl("owner", "owner", all=True), *more])
    set_acls(make_digest_acl("hatlas", "secret", read=True))
    yield set_acls
    owner.delete("/closed", recursive=True)
    owner.stop()


@pytest.fixture
def with_auth(zookeeper, tmp_path):
    """The source of that registry, with a file of its own for the secret."""
    def make(secret, scheme="digest", **more):
        path = tmp_path / "auth"
        if secret is not None:
            path.write_text(secret)
        return [{"zookeeper": zookeeper.address, "root": "/closed",
                 "auth": {"scheme": scheme, "file": str(path)}, **more}]
    return make


@pytest.mark.parametrize("secret", ["hatlas:secret", "hatlas:secret\n",
                                    "hatlas:secret\r\nsecond line\n"],
                         ids=["bare", "line", "lines"])
def test_digest_authentication(hatlas, closed, with_auth, secret):
    """The file's first line is the secret, which is nowhere to be seen."""
    hatlas.configure(sources=with_auth(secret)).run()
    hatlas.wait_answer("teams", "one")
    assert "secret" not in hatlas.log_text()


def end_session(zookeeper, relay):
    session = relay.session
    relay.cut()
    parts.close_session(zookeeper, session, relay.password)
    relay.mend()
    parts.wait_for(lambda: relay.session != session, "a new session")


def test_authentication_outlives_the_session(hatlas, closed, with_auth, zookeeper, wire):
    relay = wire(zookeeper.port)
    hatlas.configure(sources=with_auth("hatlas:secret", zookeeper=relay.address)).run()
    hatlas.wait_answer("teams", "one")
    end_session(zookeeper, relay)
    parts.wait_for(lambda: hatlas.count("read the registry") == 2, "a second full read")
    assert "NOAUTH" not in hatlas.log_text()
    assert hatlas.get("teams").body == "one"


@pytest.mark.parametrize("secret", ["hatlas:wrong", "hatlas"])
def test_wrong_secret_is_named(hatlas, closed, with_auth, secret):
    """ZooKeeper takes any digest; what it may not read is named, and tried again: an ACL
    that is mended needs no restart."""
    hatlas.configure(sources=with_auth(secret)).run()
    line = parts.parse_logfmt(hatlas.wait_log("NOAUTH"))
    assert "/closed/testing/services" in line.values()
    assert hatlas.count("first catalog") == 0
    closed(*OPEN_ACL_UNSAFE)
    hatlas.wait_answer("teams", "one")
    hatlas.wait_log("problem gone")


def test_no_auth_where_one_is_needed(hatlas, closed, zookeeper):
    hatlas.configure(sources=[{"zookeeper": zookeeper.address, "root": "/closed"}]).run()
    hatlas.wait_log("this source needs auth")


def test_acl_closed_under_a_running_hatlas(hatlas, closed, with_auth, zookeeper, wire):
    """What was read before is served on."""
    relay = wire(zookeeper.port)
    hatlas.configure(sources=with_auth("hatlas:secret", zookeeper=relay.address)).run()
    hatlas.wait_answer("teams", "one")
    closed()
    end_session(zookeeper, relay)
    hatlas.wait_log("what was read before is kept")
    assert hatlas.get("teams").body == "one"


def test_unknown_scheme_is_named(hatlas, closed, with_auth, zookeeper, wire):
    """The server refuses it and hangs up, every time; the log says so once."""
    relay = wire(zookeeper.port)
    hatlas.configure(sources=with_auth("hatlas:secret", scheme="nosuch",
                                       zookeeper=relay.address)).run()
    hatlas.wait_log("refused the credentials")
    parts.wait_for(lambda: relay.connections > 4, "more attempts")
    warnings = [line for line in hatlas.log() if line["level"] == "warning"]
    assert sum("refused the credentials" in line["error"] for line in warnings) == 1
    assert hatlas.stop() == 0


def test_secret_that_is_not_there_yet(hatlas, closed, with_auth, tmp_path):
    hatlas.configure(sources=with_auth(None)).run()
    hatlas.wait_log(str(tmp_path / "auth"))
    (tmp_path / "auth").write_text("hatlas:secret\n")
    hatlas.wait_answer("teams", "one")


# --- behind TLS


class TlsZooKeeper(parts.ZooKeeper):
    """A server that speaks TLS on a second port, with a certificate of its own."""
    JAVA = [*parts.ZooKeeper.JAVA]
    JAVA[JAVA.index("-cp") + 1] += "".join(
        f":{path}" for path in glob.glob("/usr/share/java/netty-*.jar"))

    def __init__(self, folder):
        super().__init__(folder)
        self.secure_port = parts.free_port()
        self.certificate = self.folder / "ca.pem"
        key, both = self.folder / "key.pem", self.folder / "server.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
                        "2", "-subj", "/CN=zk1", "-addext", "subjectAltName=DNS:zk1",
                        "-keyout", key, "-out", self.certificate], check=True,
                       capture_output=True)
        both.write_text(key.read_text() + self.certificate.read_text())
        with open(self.folder / "zoo.cfg", "a", encoding="ascii") as config:
            config.write(
                "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n"
                f"secureClientPort={self.secure_port}\n"
                "secureClientPortAddress=127.0.0.1\n"
                "ssl.clientAuth=none\n"
                f"ssl.keyStore.location={both}\nssl.keyStore.type=PEM\n"
                f"ssl.trustStore.location={self.certificate}\nssl.trustStore.type=PEM\n")


@pytest.fixture
def tls_zookeeper(tmp_path):
    server = TlsZooKeeper(tmp_path / "zookeeper").start()
    yield server
    server.kill()


@pytest.fixture
def tunnel(tmp_path):
    """Starts the tunnel of examples/zookeeper-tls.cfg to a server; gives its port."""
    started = []

    def make(server, certificate):
        text = (parts.SOURCE / "examples/zookeeper-tls.cfg").read_text()
        port = parts.free_port()
        text = text.replace("127.0.0.1:2181", f"127.0.0.1:{port}")
        text = re.sub(r"zk[12]:2281", f"127.0.0.1:{server.secure_port}", text)
        text = text.replace("/etc/hatlas/ca.pem", str(certificate))
        config = tmp_path / f"tunnel-{len(started)}.cfg"
        config.write_text(text.replace("verifyhost zk2", "verifyhost zk1"))
        started.append(subprocess.Popen(["haproxy", "-db", "-f", str(config)],
                                        stderr=subprocess.DEVNULL))
        return port
    yield make
    for process in started:
        process.kill()
        process.wait()


def test_tls_through_the_tunnel_of_the_example(hatlas, tls_zookeeper, tunnel, backend):
    client = tls_zookeeper.client()
    parts.Atlas(client, "/atlas").put_host("teams", backend("one").port)
    port = tunnel(tls_zookeeper, tls_zookeeper.certificate)
    hatlas.configure(sources=[{"zookeeper": f"127.0.0.1:{port}", "root": "/atlas"}]).run()
    hatlas.wait_answer("teams", "one")
    parts.Atlas(client, "/atlas").put_host("buckets", backend("two").port)
    hatlas.wait_answer("buckets", "two")
    client.stop()


def test_tls_with_a_certificate_of_somebody_else(hatlas, tls_zookeeper, tunnel, tmp_path):
    other = TlsZooKeeper(tmp_path / "other")
    port = tunnel(tls_zookeeper, other.certificate)
    hatlas.configure(sources=[{"zookeeper": f"127.0.0.1:{port}", "root": "/atlas"}]).run()
    hatlas.wait_log("can't use ZooKeeper")
    assert hatlas.count("connected to ZooKeeper") == 0


@pytest.mark.parametrize("command", ["render", "check", "ls"])
def test_tls_key_is_an_error_that_names_the_tunnel(hatlas, zookeeper, command):
    hatlas.configure(sources=[{"zookeeper": zookeeper.address, "root": "/atlas",
                               "tls": {"ca": "/etc/hatlas/ca.pem"}}])
    done = hatlas.command(command)
    assert done.returncode == 2
    assert "no TLS" in done.stderr and "examples/zookeeper-tls.cfg" in done.stderr


def test_state_on_signal(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    hatlas.send(signal.SIGUSR1)
    line = parts.parse_logfmt(hatlas.wait_log("msg=state"))
    assert (line["services"], line["hosts"]) == ("1", "1")


def test_state_is_told_as_often_as_it_is_asked_for(hatlas, atlas, source, backend):
    """The limit of lines that repeat is not for answers."""
    atlas.put_host("teams", backend("one").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    for asked in range(1, 31):
        hatlas.send(signal.SIGUSR1)
        parts.wait_for(lambda count=asked: hatlas.count("state") == count,
                       f"answer {asked}")
