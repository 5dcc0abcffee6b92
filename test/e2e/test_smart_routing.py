"""How a request finds its service: by header, host, suffix and path, over every kind of
connection, in both modes of routing; and what it gets when there is none."""
import socket

import pytest

import parts
import smart


@pytest.fixture(scope="module", params=["acl", "map"])
def side(request, tmp_path_factory):
    side = smart.Sidecar(tmp_path_factory.mktemp(request.param))
    teams, users = side.host("teams-1"), side.host("users-1")
    side.mode, side.teams = request.param, teams
    side.services = {
        "teams": {"aliases": ["Crews"], "hosts": [teams.record()]},
        "v2.users": {"hosts": [users.record()]},
        "empty": {"hosts": []},
        "down": {"check": {"interval": "100ms", "fall": 1},
                 "hosts": [{"host": "127.0.0.1", "port": parts.free_port()},
                           {"host": "127.0.0.1", "port": parts.free_port()}]},
    }
    side.unix = side.folder / "s.sock"
    side.serve(routing={"mode": request.param, "suffix": "Service.local",
                        "path": request.param == "map", "socket": str(side.unix)})
    yield side
    side.close()


@pytest.mark.parametrize("host", ["teams", "TEAMS:8080", "crews", "teams.service.local",
                                  "Teams.Service.Local:8000"])
def test_host_names_the_service(side, host):
    assert side.get(None, headers={"Host": host}).body == "teams-1"


@pytest.mark.parametrize("host", ["team", "teams.local", "teams.service.local.x",
                                  "xteams.service.local", ".service.local", "service.local"])
def test_other_hosts_do_not(side, host):
    answer = side.get(None, headers={"Host": host})
    assert answer.status == 404 and answer.json()["error"] == "unknown service"


def test_names_with_dots(side):
    for host in ("v2.users", "v2.users.service.local"):
        assert side.get(None, headers={"Host": host}).body == "users-1"


def test_client_that_takes_it_for_a_proxy(side):
    """The host gets the path alone, as from any client."""
    proxy = f"http://127.0.0.1:{side.port}"
    said = side.curl("http://teams/members?a=b", env={"http_proxy": proxy})
    assert said == "teams-1"
    assert side.teams.requests[-1][1] == "/members?a=b"
    assert side.teams.requests[-1][2]["host"] == "teams"
    assert side.curl("http://teams:9999/", env={"http_proxy": proxy}) == "teams-1"


def test_header_wins(side):
    for host in ("teams", "teams.service.local"):
        assert side.get("v2.users", headers={"Host": host}).body == "users-1"
        assert side.get("nobody", headers={"Host": host}, path="/teams").status == 404


def test_host_wins_over_path(side):
    assert side.get(None, "/v2.users/x", headers={"Host": "teams"}).body == "teams-1"
    assert side.teams.requests[-1][1] == "/v2.users/x"


@pytest.mark.parametrize("path, seen", [
    ("/teams/members?a=/b", "/members?a=/b"), ("/Teams/", "/"), ("/teams", "/"),
    ("/teams?x", "/?x"), ("/teams//a/teams/b", "//a/teams/b"[1:])])
def test_path_names_the_service(side, path, seen):
    answer = side.get(None, path)
    if side.mode == "acl":
        assert answer.status == 404  # not switched on there
        return
    assert answer.body == "teams-1"
    assert side.teams.requests[-1][1] == seen


def test_path_of_nobody(side):
    if side.mode == "map":
        answer = side.get(None, "/nobody/x")
        assert answer.status == 404 and answer.json()["service"] == "nobody"


def test_requests_of_one_connection(side):
    """Each finds its own service; the connection is kept, even after a 404."""
    kept = smart.connection(side)
    names = {"teams": "teams-1", "v2.users": "users-1", "nobody": None}
    for _ in range(3):
        for name, body in names.items():
            answer = smart.ask(kept, "/", {"X-Service": name})
            assert answer.body == body or answer.status == 404
    kept.close()


def test_http2(side):
    said = side.curl("--http2-prior-knowledge", "-w", " %{http_version}", "-H",
                     "X-Service: teams", f"http://127.0.0.1:{side.port}/h2?x")
    assert said == "teams-1 2"
    assert side.teams.requests[-1][1] == "/h2?x"
    said = side.curl("--http2-prior-knowledge", "--connect-to",
                     f"::127.0.0.1:{side.port}", "http://teams.service.local/")
    assert said == "teams-1"


def test_unix_socket(side):
    assert side.curl("--unix-socket", str(side.unix), "http://teams/") == "teams-1"


def test_connect_is_refused(side):
    with socket.create_connection(("127.0.0.1", side.port), 5) as connection:
        connection.sendall(b"CONNECT teams:80 HTTP/1.1\r\nHost: teams:80\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 405")


def test_unknown_service_is_named(side):
    answer = side.get('no "body"')
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"error": "unknown service", "service": 'no "body"'}


def test_service_without_a_host_up_is_named(side):
    side.wait_state("down", next(iter(side.state("down"))), "DOWN")
    for name in ("empty", "down"):
        parts.wait_for(lambda name=name: side.get(name).status == 503, f"503 of {name}")
        answer = side.get(name)
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["service"] == name and answer.json()["error"] == "no host up"


def test_answer_says_how_many_hosts_are_known(side):
    """Hosts come and go without a reload, and the answer follows."""
    def hosts(name):
        answer = side.get(name)
        return answer.json()["hosts"] if answer.status == 503 else None
    side.services["crowd"] = {"aliases": ["many"], "hosts": []}
    side.write()
    parts.wait_for(lambda: hosts("Many") == 0, "the new service")
    reloads, master = side.reloads(), side.masters()
    for count in (1, 2, 1, 0):
        side.services["crowd"]["hosts"] = [
            {"host": "127.0.0.1", "port": parts.free_port(), "enabled": False}
            for _ in range(count)]
        side.write()
        parts.wait_for(lambda count=count: hosts("crowd") == count, f"{count} hosts")
    assert side.reloads() == reloads and side.masters() == master
    assert hosts("down") == 2
    assert side.get("crowd:HOSTS").status == 404
