"""The status page in a real browser: live, by keyboard, and harmless whatever the registry
holds. Needs Chromium, which test/packages.txt lists for CI."""
import json

import pytest

import browser
import parts

pytestmark = pytest.mark.skipif(not browser.PROGRAM, reason="no Chromium here")

EVIL = "<script>hacked=1</script><img src=x onerror=hacked=1>\"'&{{7*7}}"


@pytest.fixture
def page(tmp_path):
    made = browser.Browser(tmp_path)
    made.size(1280, 1400)
    yield made
    made.close()


def hosts_of(ports, **more):
    return [{"host": "127.0.0.1", "port": port, "id": f"host-{i}", "zone": f"zone-{i % 2}",
             **more} for i, port in enumerate(ports)]


def show(page, hatlas):
    page.go(f"http://127.0.0.1:{hatlas.status_port}/")
    page.wait("document.documentElement.dataset.ready === 'yes'")


def text(page, element):
    return page.js(f"document.getElementById('{element}').innerText")


def test_page_is_live_and_works_by_keyboard(hatlas, page, backend, cluster):
    host = backend("good")
    registry = {f"service-{i:02}": {"check": {"interval": "300ms"},
                                    "hosts": hosts_of([host.port])} for i in range(40)}
    registry["teams"] = {"check": {"interval": "300ms", "rise": 1},
                         "hosts": hosts_of([host.port, parts.free_port()])}
    path = cluster(json.dumps({"services": registry}))
    hatlas.configure(sources=[{"file": str(path)}]).run()
    show(page, hatlas)
    page.wait("document.getElementById('verdict').className === 'ok'")
    page.wait("document.getElementById('summary').innerText.includes('41 services')")
    page.wait("document.querySelector('#rows tr').innerText.includes('1 of 1 up')")

    page.key("/", "/")  # to the filter, which finds by host
    assert page.js("document.activeElement.id") == "filter"
    for letter in "host-1":
        page.key(letter, letter)
    page.wait("document.querySelectorAll('#rows tr').length === 1")
    assert text(page, "shown") == "1 of 41 services"
    page.wait("document.getElementById('rows').innerText.includes('1 of 2 up')")

    page.js("document.querySelector('#rows button').focus()")
    page.key("Enter", "\r")
    page.wait("document.querySelector('#rows button').ariaExpanded === 'true'")
    assert "L4CON" in text(page, "rows") and "zone-1" in text(page, "rows")

    registry["teams"]["hosts"][0]["enabled"] = False
    path.write_text(json.dumps({"services": registry}))
    page.wait("document.getElementById('rows').innerText.includes('disabled')")
    assert page.js("document.activeElement === document.querySelector('#rows button')"), \
        "an update takes the focus away"
    page.wait("document.getElementById('changes').innerText.includes('disabled (was enabled)')")
    page.js("document.querySelector('#changes li button').click()")
    page.wait("[...document.querySelectorAll('#changes pre .add')].pop().innerText"
              ".includes('disabled')")

    hatlas.stop()
    page.wait("!document.getElementById('lost').hidden")
    assert "What is shown is from" in text(page, "lost")
    hatlas.run()
    page.wait("document.getElementById('lost').hidden")
    complaints = [line for line in page.complaints if "ERR_" not in line]
    assert complaints == []


def test_nothing_from_the_registry_is_taken_for_more_than_text(hatlas, page, atlas, source,
                                                               backend):
    host = backend("good")
    atlas.put_service("teams", labels={"note": EVIL}, balance=EVIL)
    atlas.put_host("teams", host.port, host_id=EVIL.replace("/", "|"), zone=EVIL[:60],
                   labels={"note": EVIL})
    atlas.put(atlas.path("services", "teams", "hosts", "x<b>y"), EVIL.encode())
    atlas.put(atlas.path("services", "teams", "hosts", "control"),
              {"host": "127.0.0.1", "port": 1, "zone": "a\u0007\u202eb\n\u0000"})
    atlas.put_service(EVIL.replace("/", "|"))
    atlas.put_service("a" * 5000)
    hatlas.configure(sources=source()).run()
    show(page, hatlas)
    page.wait("document.querySelector('#rows button')")
    page.js("document.querySelector('#rows button').click()")
    page.wait("document.getElementById('rows').innerText.includes('<script>')")
    assert "x<b>y" in text(page, "problems")
    assert page.js("typeof hacked") == "undefined"
    assert page.js("document.querySelectorAll('main script, main img, main b').length") == 0
    assert page.complaints == []
