"""Which host serves a request: retries, checks, zones, panic, drain, stickiness, limits.
One sidecar for all, in zone a, to which b is nearer than c."""
import collections
import concurrent.futures
import json

import pytest

import parts
import smart

SLOW = {"interval": "1h"}  # checked once in a test
FAST = {"interval": "100ms", "rise": 1, "fall": 1}
DEAD = {"host": "127.0.0.1", "port": 1}


@pytest.fixture(scope="module")
def side(tmp_path_factory):
    side = smart.Sidecar(tmp_path_factory.mktemp("hosts"))
    side.hosts = hosts = {name: side.host(name) for name in (
        "good", "bad", "worse", "check-1", "check-2", "ejected", "slow", "a1", "b1", "c1",
        "none", "panic", "reserve", "sticky-1", "sticky-2", "sticky-3", "limited", "late")}
    hosts["bad"].status = hosts["worse"].status = 503
    hosts["late"].delay = 0.5
    good, bad, worse = (hosts[name].record() for name in ("good", "bad", "worse"))
    zoned = [hosts[name + "1"].record(zone=name) for name in "abc"]
    sticky = [hosts[f"sticky-{i}"].record() for i in (1, 2, 3)]
    agent = side.script(b"down\n")
    side.services = {
        "retried": {"hosts": [bad, good]},
        "twice": {"idempotent": True, "hosts": [bad, good]},
        "only-500": {"retry_on": [500], "hosts": [bad, good]},
        "refusing": {"check": {"type": "none"}, "hosts": [DEAD, good]},
        "bounded": {"retries": 2, "hosts": [worse]},
        "check": {"check": {"path": "/health", "host": "Check.example", "status": "200,404",
                            "method": "HEAD", **FAST},
                  "hosts": [hosts["check-1"].record(), hosts["check-2"].record()]},
        "unchecked": {"check": {"type": "none"}, "hosts": [DEAD]},
        "agent": {"agent": {"port": agent.port, "interval": "100ms"},
                  "hosts": [hosts["none"].record()]},
        "ejected": {"check": SLOW, "eject_after": 3, "retries": 0,
                    "hosts": [hosts["ejected"].record(), good]},
        "slow": {"slow_start": "1h", "check": {"path": "/", **FAST},
                 "hosts": [hosts["slow"].record(weight=100), good]},
        "prefer": {"check": {"path": "/", **FAST}, "hosts": zoned},
        "weigh": {"zones": "weigh", "hosts": zoned},
        "strict": {"zones": "strict", "hosts": zoned},
        "any": {"zones": "any", "hosts": zoned},
        "fail": {"check": {"path": "/health", **FAST}, "hosts": [hosts["panic"].record()]},
        "panic": {"check": {"path": "/health", **FAST}, "on_all_down": "panic",
                  "hosts": [hosts["panic"].record()]},
        "pair": {"check": {"path": "/", **FAST},
                 "hosts": [hosts["none"].record(), hosts["reserve"].record(backup=True)]},
        "cookie": {"sticky": {"cookie": "SRV"}, "hosts": sticky},
        "hashed": {"sticky": {"header": "X-User"}, "hosts": sticky},
        "rate": {"limit": {"rate": 3, "period": "1h"}, "hosts": [good]},
        "at-once": {"limit": {"requests": 2}, "hosts": [hosts["late"].record()]},
        "queue": {"maxconn": 1, "limit": {"queue": 1}, "hosts": [hosts["late"].record()]},
        "wait": {"maxconn": 1, "timeouts": {"queue": "50ms"},
                 "hosts": [hosts["late"].record()]},
    }
    hosts["panic"].by_path["/health"] = 500
    side.services = json.loads(json.dumps(side.services))  # none shared
    side.serve(node={"name": "node-1", "zone": "a", "near_zones": ["b"]})
    yield side
    side.close()


# --- retries


def test_what_is_safe_is_tried_on_another_host(side):
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE") * 2:
        assert side.get("retried", method=method).status == 200, method


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_is_not_safe_is_not(side, method):
    answers = [side.get("retried", method=method, body="x").status for _ in range(4)]
    assert sorted(answers) == [200, 200, 503, 503]
    for _ in range(4):
        assert side.get("twice", method=method, body="x").body == "good"


def test_requests_with_a_body_are_tried_again(side):
    for body in ("x", "x" * 8000):
        assert {side.get("retried", method="PUT", body=body).body for _ in range(4)} == {
            "good"}
    big = [side.get("retried", method="PUT", body="x" * 100000).status for _ in range(4)]
    assert sorted(big) == [200, 200, 503, 503]  # more than a buffer holds


def test_answers_that_are_tried_again_can_be_chosen(side):
    assert sorted(side.get("only-500").status for _ in range(4)) == [200, 200, 503, 503]


def test_host_that_refuses_is_passed_over_by_all(side):
    for method in ("GET", "POST", "PUT", "PATCH"):
        for _ in range(2):
            assert side.get("refusing", method=method, body="x").body == "good"


def test_tries_are_bounded(side):
    assert side.get("bounded", "/bounded").status == 503
    assert side.hosts["worse"].asked("/bounded") == 3


# --- checks


def test_http_check(side):
    """HEAD with Host; 404 is good, 500 is not."""
    one, two = side.hosts["check-1"], side.hosts["check-2"]
    parts.wait_for(lambda: one.asked("/health"), "a check")
    method, _, headers = next(seen for seen in one.requests if seen[1] == "/health")
    assert method == "HEAD" and headers["host"] == "Check.example"
    one.by_path["/health"], two.by_path["/health"] = 404, 500
    side.wait_who("check", {"check-1"})
    assert one.asked("/health") and set(
        line["status"] for line in side.state("check").values()) == {"UP", "DOWN"}
    two.by_path["/health"] = 200
    side.wait_who("check", {"check-1", "check-2"})


def test_no_check(side):
    assert [line["status"] for line in side.state("unchecked").values()] == ["no check"]


def test_agent_takes_its_host_out(side):
    parts.wait_for(lambda: side.get("agent").status == 503, "the agent's word to be heard")


def test_host_that_fails_requests_is_ejected(side):
    ejected = side.hosts["ejected"]
    ejected.status = 500
    for _ in range(8):
        side.get("ejected")
    side.wait_state("ejected", f"127.0.0.1:{ejected.port}", "DOWN")
    assert side.who("ejected") == {"good"}


def test_slow_start(side):
    """Back again, a host has a small part of its weight at first."""
    slow = side.hosts["slow"]
    server = f"127.0.0.1:{slow.port}"
    slow.status = 503
    side.wait_state("slow", server, "DOWN")
    slow.status = 200
    side.wait_state("slow", server, "UP")
    assert int(side.state("slow")[server]["weight"]) < 50


# --- zones, reserves, panic


def test_zones(side):
    assert side.who("prefer") == {"a1"}
    assert side.who("strict") == {"a1"}
    assert side.who("any", 12) == {"a1", "b1", "c1"}
    seen = collections.Counter(side.get("weigh").body for _ in range(36))
    assert seen["a1"] > 3 * (seen["b1"] + seen["c1"]) and set(seen) == {"a1", "b1", "c1"}


def test_nearest_zone_serves_when_ours_is_down(side):
    """Most of it; when that is down too, the next."""
    a1, b1 = side.hosts["a1"], side.hosts["b1"]
    a1.by_path["/"] = 503
    side.wait_state("prefer", f"127.0.0.1:{a1.port}", "DOWN")
    seen = collections.Counter(side.get("prefer", "/x").body for _ in range(37))
    assert seen["b1"] > 4 * seen["c1"] and not seen["a1"]
    b1.by_path["/"] = 503
    side.wait_state("prefer", f"127.0.0.1:{b1.port}", "DOWN")
    assert {side.get("prefer", "/x").body for _ in range(4)} == {"c1"}
    a1.by_path.clear()
    b1.by_path.clear()
    side.wait_state("prefer", f"127.0.0.1:{a1.port}", "UP")
    assert {side.get("prefer", "/x").body for _ in range(8)} == {"a1"}


def test_panic_tries_hosts_that_are_down(side):
    side.wait_state("fail", f"127.0.0.1:{side.hosts['panic'].port}", "DOWN")
    side.wait_state("panic", f"127.0.0.1:{side.hosts['panic'].port}", "DOWN")
    assert side.get("fail").status == 503
    assert side.get("panic").body == "panic"


def test_active_and_passive(side):
    active = side.hosts["none"]
    assert side.who("pair") == {"none"}
    active.by_path["/"] = 503
    side.wait_state("pair", f"127.0.0.1:{active.port}", "DOWN")
    assert side.get("pair").body == "reserve"
    active.by_path.clear()
    side.wait_who("pair", {"none"})


# --- stickiness, drain


def cookie_of(side):
    answer = side.get("cookie")
    return answer.body, {"Cookie": answer.headers["set-cookie"].split(";")[0]}


def test_cookie_leads_to_the_same_host(side):
    hosts = {}
    for _ in range(6):
        body, cookie = cookie_of(side)
        hosts[body] = cookie
        assert {side.get("cookie", headers=cookie).body for _ in range(4)} == {body}
    assert set(hosts) == {"sticky-1", "sticky-2", "sticky-3"}


def test_drained_host_keeps_its_sessions(side):
    body, cookie = cookie_of(side)
    records = side.services["cookie"]["hosts"]
    record = next(record for record in records if record["port"] == side.hosts[body].port)
    record["drain"] = True
    side.write()
    parts.wait_for(lambda: body not in side.who("cookie", 6), "no new session there")
    assert side.get("cookie", headers=cookie).body == body
    record["enabled"] = False
    side.write()
    parts.wait_for(lambda: side.get("cookie", headers=cookie).body != body, "no session")
    del record["drain"], record["enabled"]
    side.write()
    parts.wait_for(lambda: body in side.who("cookie", 6), "it serves again")


def by_user(side):
    kept = smart.connection(side)
    seen = {user: smart.ask(kept, "/", {"X-Service": "hashed", "X-User": f"user-{user}"}).body
            for user in range(60)}
    kept.close()
    return seen


def test_header_leads_to_the_same_host(side):
    """Whatever happens to another host, at run time and by a reload."""
    before = by_user(side)
    assert set(before.values()) == {"sticky-1", "sticky-2", "sticky-3"}
    assert by_user(side) == before
    reloads = side.reloads()
    gone = side.services["hashed"]["hosts"].pop(0)
    side.write()
    parts.wait_for(lambda: "sticky-1" not in by_user(side).values(), "a host to go")
    moved = {user for user, host in by_user(side).items() if host != before[user]}
    assert moved == {user for user, host in before.items() if host == "sticky-1"}
    side.services["hashed"]["hosts"].append(gone)
    side.write()
    parts.wait_for(lambda: by_user(side) == before, "all as before")
    assert side.reloads() == reloads
    side.services["hashed"]["retries"] = 1  # needs a reload
    side.write()
    parts.wait_for(lambda: side.reloads() > reloads, "a reload")
    assert by_user(side) == before


# --- limits


def test_rate_by_caller(side):
    """Others go on."""
    first = [side.get("rate", headers={"Runscope-Caller": "one"}) for _ in range(5)]
    assert [answer.status for answer in first] == [200, 200, 200, 429, 429]
    assert first[4].json() == {"error": "too many requests", "service": "rate",
                               "caller": "one"}
    assert first[4].headers["retry-after"] == "1"
    assert side.get("rate", headers={"Runscope-Caller": "two"}).status == 200
    assert side.get("rate").status == 200


def many(side, service, count):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: side.get(service), range(count)))


def test_requests_at_once(side):
    answers = many(side, "at-once", 6)
    assert sorted(answer.status for answer in answers) == [200, 200, 503, 503, 503, 503]
    assert {answer.json()["error"] for answer in answers if answer.status == 503} == {
        "too many requests at once"}


def test_requests_that_wait(side):
    answers = many(side, "queue", 6)
    assert {answer.status for answer in answers} == {200, 503}
    assert {answer.json()["error"] for answer in answers if answer.status == 503} == {
        "too many requests wait"}


def test_wait_is_bounded(side):
    answers = many(side, "wait", 4)
    assert {answer.status for answer in answers} == {200, 503}


def test_nothing_was_reloaded_for_hosts_that_changed(side):
    """Each was one line, and the line says which way."""
    side.services["strict"]["hosts"].append(DEAD | {"zone": "a"})
    side.services["weigh"]["hosts"][0]["weight"] = 2
    side.services["panic"]["hosts"].append(side.hosts["good"].record())
    reloads = side.reloads()
    side.write()
    parts.wait_for(lambda: len(side.state("panic:panic")) == 2, "hosts to come")
    parts.wait_for(lambda: len(side.state("strict")) == 2, "hosts to come")
    assert side.reloads() == reloads
