"""Whether the files of examples/deploy fit hatlas: every metric that they name is in the
answer of /metrics, every query is one for Prometheus, every hatlas.yaml in them is valid.

Usage: deploy.py METRICS-FILE HATLAS-COMMAND...
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

deploy = pathlib.Path("examples/deploy")
faults = []


def queries():
    for panel in json.loads((deploy / "grafana/hatlas.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield f"grafana: {panel['title']}", target["expr"]
    rules = yaml.safe_load((deploy / "prometheus/hatlas.rules.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        yield f"prometheus: {rule['alert']}", rule["expr"]


def check_queries(metrics):
    known = set(re.findall(r"^([a-z_]+)", metrics, re.M)) | {"up"}
    rules = []
    for where, query in queries():
        for name in re.findall(r"\b(?:hatlas|process)_[a-z_]+", query):
            if name not in known:
                faults.append(f"{where}: hatlas has no metric {name}")
        plain = query.replace("$__rate_interval", "5m")
        rules.append({"record": "a:b:c", "expr": plain, "labels": {"from": where}})
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}, file)
        file.flush()
        promtool("check", "rules", file.name)


def promtool(*argv):
    done = subprocess.run(["promtool", *argv], text=True, capture_output=True, check=False)
    if done.returncode:
        faults.append(done.stdout + done.stderr)


def settings():
    yield "systemd", (deploy / "systemd/hatlas.yaml").read_text()
    parts = list(yaml.safe_load_all((deploy / "kubernetes/sidecar.yaml").read_text()))
    config, app = parts
    assert [part["kind"] for part in parts] == ["ConfigMap", "Deployment"]
    pod = app["spec"]["template"]["spec"]
    for container in pod["initContainers"] + pod["containers"]:
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in {volume["name"] for volume in pod["volumes"]}:
                faults.append(f"kubernetes: no volume {mount['name']}")
    yield "kubernetes", config["data"]["hatlas.yaml"]


def check_settings(command):
    source = pathlib.Path("examples/cluster.yaml").read_text()
    for where, text in settings():
        script = 'd=$(mktemp -d) && cat >$d/c && printf %s "$1" >$d/s && shift && ' \
                 '"$@" check --config $d/c --source file:$d/s'
        done = subprocess.run([*command[:-1], "sh", "-c", script, "sh", source, command[-1]],
                              input=text, text=True, capture_output=True, check=False)
        if done.returncode:
            faults.append(f"{where}: {done.stdout}{done.stderr}")


check_queries(pathlib.Path(sys.argv[1]).read_text())
promtool("check", "rules", str(deploy / "prometheus/hatlas.rules.yml"))
promtool("test", "rules", str(deploy / "prometheus/hatlas.rules.test.yml"))
check_settings(sys.argv[2:])
sys.exit("\n".join(faults) or 0)
