"""Requests through the sidecar's HAProxy go where the registry says, and follow it."""
import concurrent.futures
import json
import socket

import pytest

import haproxy_config
import parts


def test_header_names_the_service(hatlas, atlas, source, backend):
    teams, buckets = backend("teams-1"), backend("buckets-1")
    atlas.put_host("teams", teams.port)
    atlas.put_host("buckets", buckets.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "teams-1")
    assert hatlas.get("buckets").body == "buckets-1"


@pytest.mark.parametrize("mode", ["acl", "map"])
def test_name_in_any_case(hatlas, atlas, source, backend, mode):
    atlas.put_host("Teams", backend("teams-1").port)
    hatlas.configure(sources=source(), routing={"mode": mode}).run()
    hatlas.wait_answer("teams", "teams-1")
    for name in ("Teams", "TEAMS", "tEaMs"):
        assert hatlas.get(name).body == "teams-1", name


@pytest.mark.parametrize("mode", ["acl", "map"])
def test_header_is_one_value(hatlas, atlas, source, backend, mode):
    """A list of names must not lead to the last of them."""
    atlas.put_host("teams", backend("teams-1").port)
    hatlas.configure(sources=source(), routing={"mode": mode}).run()
    hatlas.wait_answer("teams", "teams-1")
    for name in ("x,teams", "teams,x", "teamsx", "xteams", "tea", ""):
        assert hatlas.get(name).status == 404, name


def test_header_of_the_settings(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("teams-1").port)
    hatlas.configure(sources=source(), routing={"header": "Runscope-Service"}).run()
    parts.wait_for(lambda: hatlas.get(None, headers={"Runscope-Service": "teams"}).body
                   == "teams-1", "answer by the other header")
    assert hatlas.get("teams").status == 404


def test_alias(hatlas, atlas, source, backend):
    atlas.put_service("teams", aliases=["crews"])
    atlas.put_host("teams", backend("teams-1").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "teams-1")
    assert hatlas.get("crews").body == "teams-1"


def test_unknown_service_is_a_404_that_names_it(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("teams-1").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "teams-1")
    answer = hatlas.get("nobody")
    assert answer.status == 404
    assert answer.headers["content-type"].startswith("application/json")
    assert "nobody" in json.dumps(answer.json())


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\tb", "<script>", "é", "%[src]", "x" * 300])
def test_404_stays_json_for_any_name(hatlas, atlas, source, backend, name):
    atlas.put_host("teams", backend("teams-1").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "teams-1")
    answer = hatlas.get(name.encode("utf-8").decode("latin-1"))
    assert answer.status == 404
    answer.json()


def test_service_without_a_host_is_a_503_that_names_it(hatlas, atlas, source, backend):
    atlas.put_service("teams")
    atlas.put_host("buckets", backend("buckets-1").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("buckets", "buckets-1")
    answer = hatlas.get("teams")
    assert answer.status == 503
    assert answer.headers["content-type"].startswith("application/json")
    assert "teams" in json.dumps(answer.json())


def test_host_disabled_and_enabled(hatlas, atlas, source, backend):
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    atlas.put_host("teams", two.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_who("teams", {"one", "two"})
    atlas.put_host("teams", one.port, enabled=False)
    hatlas.wait_who("teams", {"two"})
    atlas.put_host("teams", one.port, enabled=True)
    hatlas.wait_who("teams", {"one", "two"})


def test_host_drained(hatlas, atlas, source, backend):
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    atlas.put_host("teams", two.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_who("teams", {"one", "two"})
    atlas.put_host("teams", two.port, drain=True)
    hatlas.wait_who("teams", {"one"})


def test_host_added_and_removed(hatlas, atlas, source, backend):
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_who("teams", {"one"})
    atlas.put_host("teams", two.port)
    hatlas.wait_who("teams", {"one", "two"})
    atlas.remove_host("teams", one.port)
    hatlas.wait_who("teams", {"two"})


def test_ephemeral_host_goes_with_its_session(hatlas, zookeeper, atlas, source, backend):
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    announcer = zookeeper.client()
    announcer.create(atlas.path("services", "teams", "hosts", "two"),
                     json.dumps({"host": "127.0.0.1", "port": two.port}).encode(),
                     ephemeral=True)
    hatlas.configure(sources=source()).run()
    hatlas.wait_who("teams", {"one", "two"})
    announcer.stop()
    announcer.close()
    hatlas.wait_who("teams", {"one"})


def test_host_moves_to_another_port(hatlas, atlas, source, backend):
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port, host_id="stable")
    hatlas.configure(sources=source()).run()
    hatlas.wait_who("teams", {"one"})
    atlas.put_host("teams", two.port, host_id="stable")
    hatlas.wait_who("teams", {"two"})


def test_backup_host_serves_when_no_other_does(hatlas, atlas, source, backend):
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    atlas.put_host("teams", two.port, backup=True)
    hatlas.configure(sources=source()).run()
    hatlas.wait_who("teams", {"one"})
    atlas.put_host("teams", one.port, enabled=False)
    hatlas.wait_who("teams", {"two"})


def test_service_added_and_removed(hatlas, atlas, source, backend):
    atlas.put_host("teams", backend("teams-1").port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "teams-1")
    assert hatlas.get("buckets").status == 404
    atlas.put_host("buckets", backend("buckets-1").port)
    hatlas.wait_answer("buckets", "buckets-1")
    atlas.remove_service("buckets")
    hatlas.wait_answer("buckets", 404)
    assert hatlas.get("teams").body == "teams-1"


def test_service_removed_and_created_again(hatlas, atlas, source, backend):
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    for host in (two, one, two):
        atlas.remove_service("teams")
        atlas.put_host("teams", host.port)
        hatlas.wait_who("teams", {host.name})


def test_first_service_of_an_empty_registry(hatlas, client, zookeeper, backend):
    """The root itself need not exist yet."""
    hatlas.configure(sources=[{"zookeeper": zookeeper.address, "root": "/not/yet"}]).run()
    hatlas.wait_answer("teams", 404)
    atlas = parts.Atlas(client, "/not/yet")
    atlas.put_host("teams", backend("teams-1").port)
    hatlas.wait_answer("teams", "teams-1")
    client.delete("/not", recursive=True)


def test_chroot(hatlas, zookeeper, client, backend):
    atlas = parts.Atlas(client, "/chroot/atlas")
    atlas.put_host("teams", backend("teams-1").port)
    hatlas.configure(sources=[{"zookeeper": zookeeper.address + "/chroot",
                               "root": "/atlas"}]).run()
    hatlas.wait_answer("teams", "teams-1")
    atlas.put_host("buckets", backend("buckets-1").port)
    hatlas.wait_answer("buckets", "buckets-1")
    client.delete("/chroot", recursive=True)


def test_auto_mode_crosses_32_services(hatlas, atlas, source, backend):
    """Up to 32 services one ACL each, beyond that a map: the same answers."""
    one = backend("one")
    for number in range(32):
        atlas.put_host(f"service-{number:02}", one.port)
    hatlas.configure(sources=source(), routing={"mode": "auto"}).run()
    hatlas.wait_answer("service-31", "one")
    assert "acl host_service-31 " in hatlas.config.read_text()
    atlas.put_host("service-32", backend("two").port)
    hatlas.wait_answer("service-32", "two")
    text = hatlas.config.read_text()
    assert "acl host_service-31 " not in text and "services.map" in text
    assert "service-32" in (hatlas.out / "services.map").read_text()
    for name in ("service-00", "SERVICE-31"):
        assert hatlas.get(name).body == "one"
    assert hatlas.get("service-33").status == 404
    atlas.remove_service("service-32")
    hatlas.wait_answer("service-32", 404)
    assert "acl host_service-31 " in hatlas.config.read_text()
    assert hatlas.get("service-31").body == "one"


def test_tcp_service_on_its_own_port(hatlas, atlas, source, backend):
    host = backend("tcp-host")
    port = parts.free_port()
    atlas.put_service("database", mode="tcp", port=port)
    atlas.put_host("database", host.port)
    hatlas.configure(sources=source()).run()

    def asked():
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return connection.makefile("rb").read()
        except OSError:
            return b""
    parts.wait_for(lambda: b"tcp-host" in asked(), "answer of the tcp service")


def test_another_host_answers_a_get_and_never_a_post(hatlas, atlas, source, backend):
    bad, good = backend("bad", status=503), backend("good")
    atlas.put_host("teams", bad.port)
    atlas.put_host("teams", good.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "good")
    for method in ("GET", "PUT", "DELETE", "GET", "PUT", "DELETE"):
        assert hatlas.get("teams", method=method).body == "good", method
    assert {hatlas.get("teams", method="POST", body="x").status for _ in range(8)
            } == {200, 503}


def test_two_sources_merge(hatlas, atlas, source, cluster, backend):
    registry, local, file_only = backend("registry"), backend("local"), backend("file")
    atlas.put_host("teams", registry.port)
    path = cluster("services:\n"
                   f"  teams: {{hosts: [{{host: 127.0.0.1, port: {local.port}}}]}}\n"
                   f"  extra: {{hosts: [{{host: 127.0.0.1, port: {file_only.port}}}]}}\n")
    hatlas.configure(sources=[*source(), {"file": str(path)}]).run()
    hatlas.wait_who("teams", {"registry", "local"})
    assert hatlas.get("extra").body == "file"


def test_file_source_follows_writes_and_replaces(hatlas, cluster, backend):
    one, two, three = backend("one"), backend("two"), backend("three")

    def services(host):
        return f"services:\n  teams:\n    hosts: [{{host: 127.0.0.1, port: {host.port}}}]\n"
    path = cluster(services(one))
    hatlas.configure(sources=[{"file": str(path)}]).run()
    hatlas.wait_answer("teams", "one")
    path.write_text(services(two))
    hatlas.wait_answer("teams", "two")
    cluster(services(three), "new.yaml").rename(path)
    hatlas.wait_answer("teams", "three")
    path.unlink()
    hatlas.wait_log(str(path))
    assert hatlas.get("teams").body == "three"
    path.write_text(services(one))
    hatlas.wait_answer("teams", "one")


def test_include_and_exclude(hatlas, atlas, source, backend):
    one = backend("one")
    for name in ("web-a", "web-b", "db-a"):
        atlas.put_host(name, one.port)
    hatlas.configure(sources=source(),
                     services={"include": ["web-*"], "exclude": ["*-b"]}).run()
    hatlas.wait_answer("web-a", "one")
    assert hatlas.get("web-b").status == 404
    assert hatlas.get("db-a").status == 404


def test_default_hosts_and_raw_lines_of_an_override(hatlas, atlas, source, backend):
    atlas.put_service("teams")
    hatlas.configure(sources=source(), services={"overrides": {"teams": {
        "haproxy": ["http-response set-header X-Raw yes"],
        "default_hosts": [{"host": "127.0.0.1", "port": backend("spare").port}]}}}).run()
    hatlas.wait_answer("teams", "spare")
    assert hatlas.get("teams").headers["x-raw"] == "yes"


def test_many_clients_see_one_of_two_states(hatlas, atlas, source, backend):
    """While a host comes and goes no request fails."""
    one, two = backend("one"), backend("two")
    atlas.put_host("teams", one.port)
    hatlas.configure(sources=source()).run()
    hatlas.wait_answer("teams", "one")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = []
        for round_ in range(6):
            if round_ % 2 == 0:
                atlas.put_host("teams", two.port)
            else:
                atlas.remove_host("teams", two.port)
            answers += pool.map(lambda _: hatlas.get("teams"), range(40))
            hatlas.wait_who("teams", {"one"} if round_ % 2 else {"one", "two"})
    assert {answer.body for answer in answers} <= {"one", "two"}, answers


def test_servers_carry_the_fields_of_their_hosts(hatlas, atlas, source):
    atlas.put_host("teams", 8001, host_id="a", weight=7, maxconn=42)
    hatlas.configure(sources=source())
    text = hatlas.command("render").stdout
    words = haproxy_config.servers(haproxy_config.parse(text), "teams")["127.0.0.1:8001"]
    assert words[0] == "127.0.0.1:8001"
    assert words[words.index("weight") + 1] == "7"
    assert words[words.index("maxconn") + 1] == "42"
