"""Rotating the storage key by hand, its settings, its history."""
import re

import pytest

MAX_DEFAULT = 3865470566
SPELLINGS = ["sys/rotate", "sys/rotate/keyring"]
CONFIGS = ["sys/rotate/config", "sys/rotate/keyring/config"]
RIGHTS = 'path "{path}" {{ capabilities = [{capabilities}] }}'


@pytest.fixture(scope="module")
def shared(dev_server):
    return dev_server.api


@pytest.mark.parametrize("path", SPELLINGS)
@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", [None, {}, {"unknown": 1}])
def test_rotate(shared, path, method, body):
    before = shared.term()
    answer = shared.request(method, path, body).expect(204)
    assert answer.raw == b""
    assert shared.term() == before + 1


@pytest.mark.parametrize("method", ["GET", "DELETE", "LIST"])
@pytest.mark.parametrize("path", SPELLINGS)
def test_rotate_has_no_other_method(shared, method, path):
    before = shared.term()
    shared.request(method, path).expect(405)
    assert shared.term() == before


@pytest.mark.parametrize("path", SPELLINGS)
@pytest.mark.parametrize("capabilities,status", [
    ('"update"', 403), ('"sudo"', 403), ('"read", "list", "delete", "create", "sudo"', 403), ('"update", "sudo"', 204),
    ('"update", "sudo", "deny"', 403)])
def test_rotate_needs_update_and_sudo(shared, path, capabilities, status):
    token = shared.token_for("rotating", RIGHTS.format(path=path, capabilities=capabilities))
    before = shared.term()
    shared.post(path, token=token).expect(status)
    assert shared.term() == before + (status == 204)


@pytest.mark.parametrize("token", [None, "nonsense", "s.AAAAAAAAAAAAAAAAAAAAAAAA"])
@pytest.mark.parametrize("path", [*SPELLINGS, *CONFIGS])
def test_rotate_needs_a_token(shared, path, token):
    assert "permission denied" in shared.post(path, token=token).expect(403).errors


def test_values_before_and_after_stay_readable(shared):
    for step in range(5):
        shared.post(f"secret/turn/{step}", {"step": step}).expect(204)
        shared.rotate()
    for step in range(5):
        assert shared.get(f"secret/turn/{step}").expect(200).data == {"step": step}


def test_key_status(shared):
    body = shared.get("sys/key-status").expect(200).body
    assert set(body["data"]) == {"term", "install_time", "encryptions"}
    assert all(body[name] == value for name, value in body["data"].items())


def test_each_write_counts(shared):
    before = shared.get("sys/key-status").expect(200).data
    for n in range(10):
        shared.post("secret/counted", {"n": n}).expect(204)
    shared.get("secret/counted").expect(200)
    after = shared.get("sys/key-status").expect(200).data
    assert after["term"] == before["term"]
    assert after["encryptions"] == before["encryptions"] + 10


# Settings

@pytest.fixture
def settings(shared):
    """The calls on sys/rotate/config, which is as new before and after."""
    new = {"max_operations": MAX_DEFAULT, "interval": "", "enabled": True}
    shared.post(CONFIGS[0], new).expect(204)
    yield shared
    shared.post(CONFIGS[0], new).expect(204)


def read(api, path=CONFIGS[0]):
    data = api.get(path).expect(200).data
    return {name: data[name] for name in ("max_operations", "interval", "enabled")}


@pytest.mark.parametrize("path", CONFIGS)
@pytest.mark.parametrize("sent,shown", [
    ({"max_operations": 1000000}, {"max_operations": 1000000}),
    ({"max_operations": MAX_DEFAULT}, {"max_operations": MAX_DEFAULT}),
    ({"max_operations": "2000000"}, {"max_operations": 2000000}),
    ({"interval": "24h"}, {"interval": "24h"}),
    ({"interval": "2562047h"}, {"interval": "2562047h"}),
    ({"interval": "36h30m"}, {"interval": "36h30m"}),
    ({"interval": 86400}, {"interval": "24h"}),
    ({"interval": "7d"}, {"interval": "168h"}),
    ({"interval": "0s"}, {"interval": ""}),
    ({"enabled": False}, {"enabled": False}),
    ({"enabled": "false"}, {"enabled": False}),
    ({}, {}),
])
def test_settings_read_back(settings, path, sent, shown):
    before = read(settings)
    settings.post(path, sent).expect(204)
    assert read(settings, path) == {**before, **shown}


@pytest.mark.parametrize("bad", [
    {"max_operations": 999999}, {"max_operations": MAX_DEFAULT + 1}, {"max_operations": 0}, {"max_operations": -1},
    {"max_operations": "many"}, {"max_operations": 1e30}, {"max_operations": 1000000.5}, {"max_operations": "18446744073710551616"},
    {"max_operations": [1000000]}, {"max_operations": {}}, {"interval": "23h59m59.999999999s"}, {"interval": "-24h"},
    {"interval": "soon"}, {"interval": "2562048h"}, {"interval": 86399}, {"interval": "24"}, {"interval": ["24h"]}, {"enabled": "perhaps"},
    {"enabled": {}}, {"sweep": "perhaps"}, {"sweep_rate": -1}, {"retire": 7},
])
def test_one_bad_setting_changes_nothing(settings, bad):
    before = read(settings)
    good = {"max_operations": 5000000, "interval": "48h", "enabled": False}
    settings.post(CONFIGS[0], {**good, **bad}).expect(400)
    assert read(settings) == before


def test_settings_rights(settings):
    path = CONFIGS[0]
    reader = settings.token_for("settings-read", RIGHTS.format(path=path, capabilities='"read"'))
    writer = settings.token_for("settings-update", RIGHTS.format(path=path, capabilities='"update"'))
    settings.get(path, token=reader).expect(200)
    settings.post(path, {"enabled": True}, token=reader).expect(403)
    settings.post(path, {"enabled": True}, token=writer).expect(204)
    settings.get(path, token=writer).expect(403)
    settings.delete(path).expect(405)


# History

def test_terms(server):
    api = server.api
    for _ in range(4):
        api.rotate()
    data = api.get("sys/rotate/terms").expect(200).data
    assert data["active_term"] == 5
    assert [int(key) for key in data["keys"]] == [1, 2, 3, 4, 5]
    terms = {int(number): term for number, term in data["terms"].items()}
    assert [terms[n]["state"] for n in range(1, 6)] == ["decrypt_only"] * 4 + ["active"]
    assert [terms[n]["cause"] for n in range(1, 6)] == ["init"] + ["manual"] * 4
    times = [terms[n]["install_time"] for n in range(1, 6)]
    assert all(time.endswith("Z") for time in times)
    assert all(terms[n]["encryptions"] >= terms[n]["records"] >= 0 for n in terms)


def test_terms_by_list_and_in_pages(server):
    api = server.api
    for _ in range(6):
        api.rotate()
    assert api.list("sys/rotate/terms").expect(200).data["keys"] == api.get("sys/rotate/terms").data["keys"]
    page = api.get("sys/rotate/terms?after=2&limit=3").expect(200).data
    assert [int(key) for key in page["keys"]] == [3, 4, 5]
    assert sorted(map(int, page["terms"])) == [3, 4, 5]
    assert page["active_term"] == 7
    assert api.get("sys/rotate/terms?after=7").expect(200).data["terms"] == {}
    assert set(api.terms()) == set(range(1, 8))


@pytest.mark.parametrize("query", ["after=x", "limit=-1", "limit=many", "after=-1"])
def test_terms_bad_page(shared, query):
    shared.get(f"sys/rotate/terms?{query}").expect(400)


def test_terms_rights(shared):
    path = "sys/rotate/terms"
    token = shared.token_for("terms-read", RIGHTS.format(path=path, capabilities='"read"'))
    shared.get(path, token=token).expect(200)
    shared.get(path, token=None).expect(403)
    shared.get(path, token=shared.new_token("default")).expect(403)


# Sealed, restarted, killed

@pytest.mark.parametrize("method,path", [
    ("POST", "sys/rotate"), ("PUT", "sys/rotate/keyring"), ("GET", "sys/rotate/config"), ("POST", "sys/rotate/config"),
    ("GET", "sys/key-status"), ("GET", "sys/rotate/terms"), ("GET", "secret/x"), ("POST", "secret/x")])
def test_sealed(sealed, method, path):
    assert "Vault is sealed" in sealed.request(method, path).expect(503).errors


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    from server import Server
    server = Server(tmp_path_factory.mktemp("sealed"), storage="inmem").ready()
    server.seal()
    yield server.api
    server.close()


def test_durable_when_answered(server):
    server.api.post("secret/a", {"v": "old"}).expect(204)
    server.api.rotate()
    server.api.post("sys/rotate/config", {"max_operations": 2000000, "interval": "48h", "enabled": False}).expect(204)
    server.api.post("secret/b", {"v": "new"}).expect(204)
    server.kill()
    server.start()
    server.unseal()
    assert server.api.term() == 2
    assert read(server.api) == {"max_operations": 2000000, "interval": "48h", "enabled": False}
    assert server.api.get("secret/a").expect(200).data == {"v": "old"}
    assert server.api.get("secret/b").expect(200).data == {"v": "new"}


def test_clean_restart_keeps_counts(server):
    for n in range(20):
        server.api.post(f"secret/{n}", {"n": n}).expect(204)
    server.api.rotate()
    server.api.post("secret/last", {"n": 1}).expect(204)
    before = server.api.terms()
    server.restart()
    after = server.api.terms()
    assert after[1] == before[1]
    assert after[2]["records"] == before[2]["records"]
    assert before[2]["encryptions"] <= after[2]["encryptions"] < before[2]["encryptions"] + 16


def test_a_lost_slot_is_named(server):
    """Unseal refuses, names the term and changes nothing: with the slots put back it opens."""
    server.api.rotate()
    server.stop()
    slots = [server.data / f"slots.{copy}" for copy in (0, 1)]
    whole = [file.read_bytes() for file in slots]
    for file, raw in zip(slots, whole):
        file.write_bytes(raw[:1024] + bytes(512) + raw[1536:])
    server.start()
    answer = server.api.post("sys/unseal", {"key": server.keys[0]}, token=None).expect(400, 500)
    assert re.search(r"\bterms? 2\b", answer.errors)
    assert server.api.get("sys/seal-status", token=None).body["sealed"] is True
    server.stop()
    for file, raw in zip(slots, whole):
        file.write_bytes(raw)
    server.start()
    server.unseal()
    assert server.api.term() == 2


def test_a_torn_slot_is_repaired(server):
    server.api.rotate()
    server.stop()
    first, second = (server.data / f"slots.{copy}" for copy in (0, 1))
    whole = first.read_bytes()
    first.write_bytes(whole[:1100] + bytes(400) + whole[1500:])
    server.start()
    server.unseal()
    assert first.read_bytes() == second.read_bytes() == whole
