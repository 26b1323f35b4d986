"""Tokens: lifetime, parents, uses, durability.  What the recordings show is not repeated here."""
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

MAKER = 'path "auth/token/create" { capabilities = ["update"] }'


def alive(api, token):
    return api.get("auth/token/lookup-self", token=token).expect(200, 403).status == 200


def wait_dead(api, token, limit_s=60):
    """Until it is refused; a test must never depend on how soon."""
    deadline = time.monotonic() + limit_s
    while alive(api, token):
        assert time.monotonic() < deadline, "the token lives on"
        time.sleep(0.05)


def child(api, parent, **more):
    return api.post("auth/token/create", {"policies": ["maker"], **more}, token=parent).expect(200).body["auth"]["client_token"]


@pytest.fixture
def maker(dev_server):
    """A token that may make tokens."""
    return dev_server.api.token_for("maker", MAKER)


def test_shape(dev_server):
    auth = dev_server.api.post("auth/token/create", {"policies": ["default"]}).expect(200).body["auth"]
    assert auth["client_token"].startswith("s.") and len(auth["client_token"]) >= 26
    assert auth["client_token"][2:].isalnum() and len(auth["accessor"]) == 24


def test_expires(dev_server):
    api = dev_server.api
    token = api.new_token("default", ttl="2s")
    wait_dead(api, token)
    assert "bad token" in api.post("auth/token/lookup", {"token": token}).expect(403).errors


def test_renewal_lengthens_up_to_the_maximum(dev_server):
    api = dev_server.api
    token = api.new_token("default", ttl="30m", explicit_max_ttl="1h")
    auth = api.post("auth/token/renew-self", {"increment": "100h"}, token=token).expect(200).body["auth"]
    assert 3590 <= auth["lease_duration"] <= 3600


def test_periodic(dev_server):
    api = dev_server.api
    token = api.new_token("default", period="1h")
    data = api.get("auth/token/lookup-self", token=token).expect(200).data
    assert data["period"] == 3600
    assert api.post("auth/token/renew-self", token=token).expect(200).body["auth"]["lease_duration"] == 3600


def test_a_whole_family_dies(dev_server, maker):
    api, line = dev_server.api, [maker]
    for _ in range(6):
        line.append(child(api, line[-1]))
    side = child(api, line[2])
    api.post("auth/token/revoke", {"token": line[2]}).expect(204)
    assert [alive(api, token) for token in line] == [True, True] + [False] * 5
    assert not alive(api, side)


def test_orphans_live_on(dev_server):
    api = dev_server.api
    parent = api.token_for("orphaner", 'path "auth/token/create*" { capabilities = ["update", "sudo"] }')
    body = {"policies": ["default"]}
    orphan = api.post("auth/token/create-orphan", body, token=parent).expect(200).body["auth"]["client_token"]
    no_parent = api.post("auth/token/create", {**body, "no_parent": True}, token=parent).expect(200).body["auth"]["client_token"]
    api.post("auth/token/revoke-self", token=parent).expect(204)
    assert [alive(api, token) for token in (parent, orphan, no_parent)] == [False, True, True]


def test_no_child_outlives_a_revocation(dev_server):
    """Children are made as fast as can be while the parent is revoked: none that was made may work afterwards."""
    api = dev_server.api
    for _ in range(5):
        parent = api.token_for("maker", MAKER)
        made = []

        def make(_, parent=parent, made=made):
            answer = api.post("auth/token/create", {"policies": ["maker"]}, token=parent).expect(200, 403)
            if answer.status == 200:
                made.append(answer.body["auth"]["client_token"])

        with ThreadPoolExecutor(4) as pool:
            work = [pool.submit(make, n) for n in range(40)]
            api.post("auth/token/revoke", {"token": parent}).expect(204)
            for each in work:
                each.result()
        assert not [token for token in made if alive(api, token)]


def test_uses_are_charged_exactly(dev_server):
    """Twenty threads, seven uses: seven requests pass."""
    api = dev_server.api
    token = api.new_token("default", num_uses=7)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: api.get("auth/token/lookup-self", token=token).expect(200, 403), range(20)))
    assert [answer.status for answer in answers].count(200) == 7


def test_a_refused_request_is_charged_too(dev_server):
    api = dev_server.api
    token = api.new_token("default", num_uses=2)
    for _ in range(2):
        api.get("secret/not-mine", token=token).expect(403)
    assert not alive(api, token)


def test_by_accessor(dev_server):
    api = dev_server.api
    auth = api.post("auth/token/create", {"policies": ["default"], "meta": {"who": "me"}}).expect(200).body["auth"]
    data = api.post("auth/token/lookup-accessor", {"accessor": auth["accessor"]}).expect(200).data
    assert data["meta"] == {"who": "me"} and data["id"] == ""
    api.post("auth/token/revoke-accessor", {"accessor": auth["accessor"]}).expect(204)
    assert not alive(api, auth["client_token"])


def test_bearer(dev_server):
    token = dev_server.api.new_token("default")
    answer = dev_server.api.get("auth/token/lookup-self", token=None, headers={"Authorization": f"Bearer {token}"})
    assert answer.expect(200).data["id"] == token


@pytest.mark.parametrize("namespace,status", [("", 200), ("root", 200), ("team", 404)])
def test_namespace(dev_server, namespace, status):
    dev_server.api.get("auth/token/lookup-self", headers={"X-Vault-Namespace": namespace}).expect(status)


@pytest.mark.parametrize("token", ["", "s.", "root ", "Root", "roo", "root" * 100, "s." + "A" * 24, "b.AAAA"])
def test_no_such_token(dev_server, token):
    answer = dev_server.api.get("auth/token/lookup-self", token=None, headers={"X-Vault-Token": token})
    if token.strip() == "root":
        return  # white space around a header's value is no part of it
    assert "permission denied" in answer.expect(403).errors


@pytest.mark.parametrize("body", [
    {"ttl": "soon"}, {"ttl": "-1h"}, {"explicit_max_ttl": "-1s"}, {"num_uses": -1}, {"num_uses": "many"}, {"policies": 7}, {"policies": [7]},
    {"meta": "text"}, {"meta": {"a": {}}}, {"type": "odd"}, {"renewable": "perhaps"}, {"period": "-1h"}])
def test_creation_refused(dev_server, body):
    dev_server.api.post("auth/token/create", body).expect(400)


def test_durable(server):
    """Through a kill: tokens live, revoked ones stay dead, uses stay charged, expiry goes on."""
    api = server.api
    api.policy("maker", MAKER)
    parent = api.new_token("maker")
    kid, gone, few, short = child(api, parent), api.new_token("default"), api.new_token("default", num_uses=3), api.new_token(
        "default", ttl="4s")
    api.post("auth/token/revoke", {"token": gone}).expect(204)
    assert alive(api, few)
    server.kill()
    server.start()
    server.unseal()
    api = server.api
    assert [alive(api, token) for token in (parent, kid, gone)] == [True, True, False]
    assert [alive(api, few) for _ in range(3)] == [True, True, False]
    wait_dead(api, short)
    api.post("auth/token/revoke", {"token": parent}).expect(204)
    server.restart()
    assert [alive(server.api, token) for token in (parent, kid, few, short)] == [False] * 4


def test_root_token_can_be_given_up(server):
    server.api.post("auth/token/revoke-self").expect(204)
    server.api.get("sys/mounts").expect(403)
    server.restart()
    server.api.get("sys/mounts").expect(403)
