"""--wait: the command returns when this host's sidecar has applied the change."""
import re

import pytest

import parts
from test_atlas import at  # noqa: F401 (at is a fixture)


def state(hatlas, service, address):
    """What HAProxy itself says of a server: (administrative state, weight)."""
    rows = [line.split() for line in
            parts.ask_unix(hatlas.socket, "show servers state").splitlines()]
    for row in rows:
        if len(row) > 18 and row[1] == service and f"{row[4]}:{row[18]}" == address:
            return int(row[6]), row[7]
    return None


def test_every_change_is_there_when_the_command_returns(at, backend):
    one, two = backend("one"), backend("two")
    hatlas = at.hatlas
    at("create", "teams")
    at("attach", "teams", f"127.0.0.1:{one.port}")
    hatlas.run()
    hatlas.wait_answer("teams", "one")
    address = f"127.0.0.1:{two.port}"
    at("attach", "teams", address, "--wait", "--timeout", "60s")
    assert state(hatlas, "teams", address)  # in drain until its check has passed
    parts.wait_for(lambda: state(hatlas, "teams", address) == (0, "1"), "its check")
    at("weight", "teams", address, "9", "--wait", "--timeout", "60s")
    assert state(hatlas, "teams", address) == (0, "9")
    at("disable", "--host", address, "--wait", "--timeout", "60s")
    assert state(hatlas, "teams", address)[0] & 1
    assert hatlas.who("teams") == {"one"}
    at("detach", "teams", address, "--wait", "--timeout", "60s")
    assert state(hatlas, "teams", address) is None
    at("create", "later", "--wait", "--timeout", "60s")
    assert re.search(r"^backend later\b", hatlas.config.read_text(), re.M)
    assert hatlas.get("later").status == 503


@pytest.mark.parametrize("kind", ["text", "json"])
def test_without_a_sidecar_it_ends_in_time(at, kind):
    error = at("create", "teams", "--wait", "--timeout", "500ms",
               *(["--json"] if kind == "json" else []), ok=False)
    assert "written, but not applied here in time" in error
    assert str(at.hatlas.config) in error
    assert "teams" in at("ls")
