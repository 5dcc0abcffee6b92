"""HAProxy accepts, without a warning, every pair of what services and hatlas.yaml can say,
in each mode of routing and with 0, 1, 40 and 1,000 services."""
import itertools
import json
import random
import re
import shutil
import subprocess

import pytest

import haproxy_config
import parts

CA = "/etc/ssl/certs/ca-certificates.crt"
HERE, THERE, FAR = ({"host": "127.0.0.1", "port": 81 + i, "zone": zone}
                    for i, zone in enumerate("abc"))
FAST = {"interval": "500ms", "rise": 1, "fall": 5}

# What a service can say: for each name some values. {} and None say nothing.
FIELDS = {
    "mode": [{}, {"mode": "http"}, {"mode": "tcp", "port": "own"}, {"mode": "tcp"},
             {"mode": "tcp", "port": 443}, {"mode": "tcp", "port": 4242}],
    "hosts": [{"hosts": hosts} for hosts in (
        [], [HERE], [HERE, {"host": "::1", "port": 82, "backup": True}],
        [{**HERE, "weight": 3, "maxconn": 10, "enabled": False}, THERE],
        [{"host": "localhost", "port": 81, "drain": True}, FAR],
        [{**HERE, "id": "it's # $HOME", "weight": 256}, {**THERE, "weight": 0}, FAR])],
    "balance": [{}] + [{"balance": name} for name in (
        "roundrobin", "static-rr", "leastconn", "first", "source", "uri", "random")],
    "check": [{}] + [{"check": check} for check in (
        {"path": "/health"}, {"type": "http", **FAST}, {"type": "tcp", "port": 99, **FAST},
        {"path": "/a#b$HOME", "host": "a.example", "status": "200-299,404",
         "method": "HEAD", **FAST},
        {"path": "/", "status": "200"}, {"type": "none"}, {"type": "none", "path": "/x"},
        {"type": "redis"}, {"type": "pgsql", "user": "me"}, {"type": "mysql"},
        {"type": "smtp", "port": 26})],
    "agent": [{}, {"agent": {"port": 9000}}, {"agent": {"port": 9, "interval": "1s"}}],
    "eject_after": [{}, {"eject_after": 5}],
    "slow_start": [{}, {"slow_start": "30s"}],
    "timeouts": [{}, {"timeouts": {"connect": "1s", "server": "5s", "queue": "1s"}},
                 {"timeouts": {"client": "5s", "tunnel": "1m"}}],
    "maxconn": [{}, {"maxconn": 7}],
    "limit": [{}, {"limit": {"rate": 10}}, {"limit": {"requests": 4, "queue": 3}},
              {"limit": {"rate": 1, "period": "10s", "requests": 1, "queue": 1}}],
    "retries": [{}, {"retries": 0}, {"retries": 9}],
    "retry_on": [{}, {"retry_on": ["conn-failure"]}, {"retry_on": ["500", "junk-response"]}],
    "idempotent": [{}, {"idempotent": True}],
    "zones": [{}, {"zones": "weigh"}, {"zones": "strict"}, {"zones": "any"}],
    "on_all_down": [{}, {"on_all_down": "panic"}],
    "sticky": [{}, {"sticky": {"cookie": "SRV"}}, {"sticky": {"header": "X-User"}}],
    "tls": [{}, {"tls": {"enabled": True}}, {"tls": {"verify": "none"}},
            {"tls": {"name": "x.example", "ca": "other"}}, {"tls": {"ca": "nobody"}},
            {"tls": {"enabled": False, "name": "x.example"}}],
    "protocol": [{}, {"protocol": "h2"}],
    "proxy_protocol": [{}, {"proxy_protocol": "v1"}, {"proxy_protocol": "v2"}],
    "cache": [{}, {"cache": {"max_age": "1500ms"}}, {"cache": {"max_age": "1h"}}],
    "aliases": [{}, {"aliases": ["own", "Own.Alias"]}],
}

# What hatlas.yaml can say, by section. "DIR" becomes the folder of the test.
SETTINGS = {
    "mode": [{"routing": {"mode": mode}} for mode in ("acl", "map", "auto")],
    "zone": [{}, {"node": {"zone": "a"}}, {"node": {"zone": "a", "near_zones": ["b", "c"]}}],
    "socket": [{}, {"routing": {"socket": "DIR/services.sock"}}],
    "suffix": [{}, {"routing": {"suffix": "Service.local"}}],
    "path": [{}, {"routing": {"path": True}}],
    "host": [{}, {"routing": {"host": False}}],
    "request_id": [{}, {"routing": {"request_id": ""}}],
    "resolve": [{}, {"haproxy": {"resolve": "dns"}}, {"haproxy": {"resolve": "later"}},
                {"haproxy": {"resolve": "later", "nameserver": "127.0.0.1:53"}}],
    "log": [{}, {"haproxy": {"log": "127.0.0.1:514"}}, {"haproxy": {"log": "stdout"}},
            {"haproxy": {"log": "DIR/log.sock", "log_format": "haproxy"}}],
    "errors": [{}, {"haproxy": {"error_files": {"404": "DIR/error"}}},
               {"haproxy": {"error_files": {"503": "DIR/error", "429": "DIR/error"}}}],
    "process": [{}, {"haproxy": {"threads": 2, "maxconn": 1000, "cache_size": 3}}],
    "ca": [{}, {"haproxy": {"ca": CA, "ca_files": {"other": CA}}}],
    "stats": [{}, {"haproxy": {"stats": None}}],
}


class Pairs:
    """Rows of one value for each factor, so that each pair of two factors' values comes:
    every row is the best of some that chance makes, always the same ones."""

    def __init__(self, factors, tries):
        self.factors, self.tries, self.chance = factors, tries, random.Random(1)
        self.left = dict.fromkeys(
            pair for a, b in itertools.combinations(factors, 2)
            for pair in itertools.product(self.values(a), self.values(b)))

    def values(self, name):
        return [(name, i) for i in range(len(self.factors[name]))]

    def pairs(self, row):
        return [pair for pair in itertools.combinations(row, 2) if pair in self.left]

    def next(self):
        """One row: for each factor the number of its value."""
        start = dict(next(iter(self.left), ()))  # one that is still to come
        rows = [[(name, start.get(name, self.chance.randrange(len(values))))
                 for name, values in self.factors.items()]
                for _ in range(self.tries if self.left else 1)]
        best = max(rows, key=lambda row: len(self.pairs(row))) if self.left else rows[0]
        for pair in self.pairs(best):
            del self.left[pair]
        return dict(best)


def own(value, number):
    """The service's own port and aliases in place of "own"."""
    text = json.dumps(value)
    return json.loads(text.replace('"port": "own"', f'"port": {20000 + number}')
                      .replace('"own"', f'"alias-{number}"')
                      .replace('Own.Alias', f'Alias.{number}'))


def service(row, number):
    fields = {}
    for name, i in row.items():
        fields |= own(FIELDS[name][i], number)
    return fields


def settings(row, folder):
    sections = {}
    for name, i in row.items():
        for section, fields in SETTINGS[name][i].items():
            sections.setdefault(section, {}).update(fields)
    return json.loads(json.dumps(sections).replace("DIR", str(folder)))


def accepts(hatlas, services, sections):
    """Renders as an operator would; what HAProxy has to say about it."""
    path = hatlas.folder / "cluster.yaml"
    path.write_text("# a cluster\n" + json.dumps({"services": services}))
    hatlas.configure(sources=[{"file": str(path)}], **sections)
    shutil.rmtree(hatlas.out, ignore_errors=True)
    done = hatlas.command("render", "--write")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    done = subprocess.run(["haproxy", "-c", "-f", str(hatlas.config)], text=True,
                          capture_output=True, timeout=parts.DEADLINE, check=False)
    said = done.stdout + done.stderr
    return done.returncode == 0 and said in ("", "Configuration file is valid\n"), said


def unknown_keywords(text):
    """What the config uses that is not in the table of templates/README.md."""
    table = (parts.SOURCE / "templates/README.md").read_text()
    table = table[table.index("### Versions of HAProxy"):table.index("## Your own templates")]
    known, found = set(re.findall(r"`([^`]+)`", table)), set()
    two = {"http-request", "http-response", "http-check", "option", "timeout", "stats"}
    for _, _, lines in haproxy_config.parse(text):
        for words in lines:
            found.add(re.sub(r"\(.*", "", " ".join(words[:1 + (words[0] in two)])))
            if words[0] in ("server", "default-server"):
                found |= server_keywords(words[3 if words[0] == "server" else 1:])
    return found - known


def server_keywords(words):
    """Those of a server's words that are no values."""
    alone = {"agent-check", "backup", "check", "check-send-proxy", "disabled", "no-check",
             "send-proxy", "send-proxy-v2", "ssl"}
    found = set()
    while words:
        found.add(words[0])
        words = words[1 if words[0] in alone else 2:]
    return found


def test_every_pair_of_fields_and_settings(hatlas):
    error = hatlas.folder / "error"
    error.write_bytes(b"HTTP/1.0 404 Not found\r\n\r\nnothing")
    fields, sections = Pairs(FIELDS, 10), Pairs(SETTINGS, 30)
    counts = {mode: [0, 1, 1000] for mode in range(3)}  # then 40 each time
    across = set()
    while sections.left or fields.left or any(counts.values()):
        row = sections.next()
        count = counts[row["mode"]].pop() if counts[row["mode"]] else 40
        rows = [fields.next() for _ in range(count)]
        across |= {(row["mode"], item) for each in rows for item in each.items()}
        services = {f"Service_{i}": service(each, i) for i, each in enumerate(rows)}
        good, said = accepts(hatlas, services, settings(row, hatlas.folder))
        assert good, f"{settings(row, hatlas.folder)}: {said}"
        assert unknown_keywords(hatlas.config.read_text()) == set()
    assert across == {(mode, value) for mode in range(3) for name in FIELDS
                      for value in fields.values(name)}


@pytest.mark.parametrize("count", [1, 40])
def test_config_alone(hatlas, count):
    """By ACLs, and without the map among the outputs, the config needs no other file."""
    fields = Pairs(FIELDS, 1)
    services = {f"Service_{i}": service(fields.next(), i) for i in range(count)}
    good, said = accepts(hatlas, services, {
        "routing": {"mode": "acl"},
        "outputs": [{"template": "haproxy.cfg", "path": str(hatlas.config)}]})
    assert good, said
    assert [path.name for path in hatlas.out.iterdir()] == ["haproxy.cfg"]
