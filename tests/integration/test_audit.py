"""The file audit device declared in the configuration."""
import json
import os
import re
import signal
import time

import pytest

HASH = re.compile(r"^hmac-sha256:[0-9a-f]{64}$")


def device(file, more=""):
    return f'audit "file" "main" {{\n  options {{ file_path = "{file}" {more} }}\n}}'


@pytest.fixture
def audited(new_server, folder):
    server = new_server(config=device(folder / "audit"))
    server.audit_file = folder / "audit"
    return server.ready()


def lines(server):
    return [json.loads(line) for line in server.audit_file.read_text().splitlines()]


def of(server, path):
    """The (request, response) entries of calls to this path, in order."""
    entries = [line for line in lines(server) if line.get("request", {}).get("path") == path]
    return [e for e in entries if e["type"] == "request"], [e for e in entries if e["type"] == "response"]


def test_a_line_a_request_and_a_line_an_answer(audited):
    audited.api.post("secret/a", {"v": "1"}).expect(204)
    audited.api.get("secret/a").expect(200)
    requests, responses = of(audited, "secret/a")
    assert [e["request"]["operation"] for e in requests] in (["update", "read"], ["create", "read"])
    assert [e["request"]["id"] for e in requests] == [e["request"]["id"] for e in responses]
    assert all(re.match(r"^\d{4}-\d\d-\d\dT", e["time"]) for e in requests + responses)


def test_file_is_ours_alone(audited):
    assert audited.audit_file.stat().st_mode & 0o777 == 0o600


def test_secrets_are_hashed(audited):
    api = audited.api
    api.post("secret/a", {"password": "attack-at-dawn", "list": ["inner-word"], "n": 7}).expect(204)
    api.get("secret/a").expect(200)
    token = api.new_token("default")
    api.get("auth/token/lookup-self", token=token).expect(200)
    text = audited.audit_file.read_text()
    for secret in ("attack-at-dawn", "inner-word", token, audited.root_token, *audited.keys):
        assert secret not in text
    request = of(audited, "secret/a")[0][0]["request"]
    assert HASH.match(request["data"]["password"])
    assert HASH.match(request["client_token"])
    assert request["data"]["n"] == 7
    answer = of(audited, "secret/a")[1][1]["response"]
    assert answer["data"]["password"] == request["data"]["password"], "one device, one salt"


def test_the_hash_can_be_asked_for(audited):
    audited.api.post("secret/a", {"v": "attack-at-dawn"}).expect(204)
    told = audited.api.post("sys/audit-hash/main", {"input": "attack-at-dawn"}).expect(200).data["hash"]
    assert told == of(audited, "secret/a")[0][0]["request"]["data"]["v"]


def test_refused_requests_are_audited(audited):
    audited.api.get("secret/a", token="nonsense").expect(403)
    requests, responses = of(audited, "secret/a")
    assert len(requests) == len(responses) == 1
    assert "permission denied" in responses[0]["error"]
    assert "nonsense" not in audited.audit_file.read_text()


def test_rotations_and_sealing_are_audited(audited):
    audited.api.rotate()
    assert len(of(audited, "sys/rotate")[0]) == 1
    audited.seal()
    assert len(of(audited, "sys/seal")[0]) == 1


def test_shares_do_not_show(new_server, folder):
    server = new_server(config=device(folder / "audit")).start()
    server.audit_file = folder / "audit"
    answer = server.init(shares=3, threshold=2)
    server.unseal()
    text = server.audit_file.read_text()
    for secret in (*answer["keys"], *answer["keys_base64"], answer["root_token"]):
        assert secret not in text


def test_log_raw(new_server, folder):
    server = new_server(config=device(folder / "audit", 'log_raw = "true"')).ready()
    server.audit_file = folder / "audit"
    server.api.post("secret/a", {"v": "in-the-open"}).expect(204)
    assert of(server, "secret/a")[0][0]["request"]["data"]["v"] == "in-the-open"


def test_reopened_on_sighup(audited, folder):
    old = folder / "audit.1"
    audited.audit_file.rename(old)
    audited.api.get("secret/before").expect(404)
    audited.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 60
    while not audited.audit_file.exists():
        assert time.monotonic() < deadline, "no new file"
        time.sleep(0.02)
    audited.api.get("secret/after").expect(404)
    assert "secret/before" in old.read_text() and "secret/after" not in old.read_text()
    assert "secret/after" in audited.audit_file.read_text() and "secret/before" not in audited.audit_file.read_text()


def test_no_working_device_no_answer(new_server):
    """A device that cannot write fails every request, and nothing is done."""
    server = new_server(config=device("stdout"))
    with open("/dev/full", "wb") as full:
        server.launch(stdout=full)
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = server.api.put("sys/init", {"secret_shares": 1, "secret_threshold": 1}, token=None)
            break
        except OSError:
            assert time.monotonic() < deadline and server.process.poll() is None, server.log()
            time.sleep(0.02)
    answer.expect(500)
    server.stop()
    server.start()
    assert server.api.get("sys/init", token=None).expect(200).body == {"initialized": False}


def test_one_working_device_is_enough(new_server, folder):
    config = device("stdout").replace('"main"', '"broken"') + "\n" + device(folder / "audit")
    server = new_server(config=config)
    with open("/dev/full", "wb") as full:
        server.ready(stdout=full)
    server.api.post("secret/a", {"v": 1}).expect(204)
    assert "secret/a" in (folder / "audit").read_text()


def test_a_device_that_breaks_later(new_server):
    """From then on requests fail, and what they asked for is not done."""
    server = new_server(config=device("stdout"))
    reader, writer = os.pipe()  # holds 64 KiB, more than is written here
    server.ready(stdout=writer)
    os.close(writer)
    server.api.post("secret/a", {"v": "before"}).expect(204)
    os.close(reader)
    server.api.post("secret/a", {"v": "after"}).expect(500)
    server.api.get("secret/a").expect(500)
    server.stop()
    server.start()  # its standard output is a file now
    server.unseal()
    assert server.api.get("secret/a").expect(200).data == {"v": "before"}


@pytest.mark.parametrize("bad", [
    'audit "file" "main" { }', 'audit "file" { file_path = "/nowhere/x" }', 'audit "nosuch" "main" { options { file_path = "/nowhere/x" } }'])
def test_configuration_refused(new_server, bad):
    server = new_server(config=bad)
    server.launch()
    server.wait_end(1)
    assert "keyturn.hcl:" in server.log()


def test_two_devices_of_one_name_are_refused(new_server, folder):
    server = new_server(config=device(folder / "a") + "\n" + device(folder / "b"))
    server.launch()
    server.wait_end(1)
