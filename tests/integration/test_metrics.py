"""sys/metrics, as JSON and as Prometheus text."""
import re

import pytest

LINE = re.compile(r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z0-9_]+="[^"]*"(,[a-zA-Z0-9_]+="[^"]*")*\})? -?[0-9.e+-]+$')


def prometheus(api):
    """{name with labels: value}, each line checked."""
    answer = api.get("sys/metrics?format=prometheus").expect(200)
    assert answer.headers["Content-Type"].startswith("text/plain")
    found = {}
    for line in answer.raw.decode().splitlines():
        if line.startswith("#"):
            assert re.match(r"^# (HELP|TYPE) \w+ .+", line), line
        elif line:
            assert LINE.match(line), line
            name, value = line.rsplit(" ", 1)
            assert name not in found, f"{name} twice"
            found[name] = float(value)
    return found


def test_prometheus_text(dev_server):
    found = prometheus(dev_server.api)
    assert [name for name in found if "barrier" in name]
    assert all(name.startswith(("keyturn_", "process_")) for name in found)


def test_types_are_declared_once(dev_server):
    text = dev_server.api.get("sys/metrics?format=prometheus").expect(200).raw.decode()
    declared = re.findall(r"^# TYPE (\w+) ", text, re.M)
    assert declared and len(declared) == len(set(declared))


def test_json(dev_server):
    body = dev_server.api.get("sys/metrics").expect(200).body
    assert "barrier" in str(body)


def test_counters_move(dev_server):
    api = dev_server.api
    before = prometheus(api)
    for n in range(5):
        api.post(f"secret/metrics/{n}", {"n": n}).expect(204)
    api.rotate()
    after = prometheus(api)
    rising = {name for name in after if after[name] > before.get(name, 0)}
    assert [name for name in rising if "barrier" in name], rising
    assert not [name for name in before if name.endswith("_total") and after[name] < before[name]]


def test_needs_read(dev_server):
    api = dev_server.api
    api.get("sys/metrics", token=None).expect(403)
    api.get("sys/metrics", token=api.new_token("default")).expect(403)
    token = api.token_for("watcher", 'path "sys/metrics" { capabilities = ["read"] }')
    api.get("sys/metrics?format=prometheus", token=token).expect(200)


@pytest.mark.parametrize("format", ["xml", "prometheus2"])
def test_other_formats_are_refused(dev_server, format):
    dev_server.api.get(f"sys/metrics?format={format}").expect(400)


def test_no_secret_shows(dev_server):
    dev_server.api.post("secret/metrics/plan", {"what": "attack-at-dawn"}).expect(204)
    for path in ("sys/metrics", "sys/metrics?format=prometheus"):
        text = dev_server.api.get(path).expect(200).raw
        assert b"attack-at-dawn" not in text and b"plan" not in text
