"""The gate from outside: which spelling of a path reaches what, sudo, create and update, limited uses, who may make which
token, and what holds while the store is sealed and made under load."""
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

MAKER = 'path "auth/token/create" { capabilities = ["update"] }'
EVERYTHING = ["create", "read", "update", "delete", "list", "patch", "scan", "sudo"]


def rule(path, *capabilities):
    return f'path "{path}" {{ capabilities = {json.dumps(capabilities)} }}\n'


def alive(api, token):
    return api.get("auth/token/lookup-self", token=token).expect(200, 403).status == 200


def holder(api, token):
    """The same seen by another: looking does not cost a use."""
    return api.post("auth/token/lookup", {"token": token}).expect(200, 403)


def create(api, body, token=""):
    return api.post("auth/token/create", body, token=token)


def wait_until(true, limit_s=60):
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.05)


@pytest.fixture
def api(dev_server):
    return dev_server.api


# sudo

SUDO = [
    ("POST", "sys/rotate", None),
    ("PUT", "sys/rotate", None),
    ("POST", "sys/rotate/keyring", None),
    ("PUT", "sys/rotate/keyring", {}),
    ("POST", "sys/remount", {"from": "nowhere", "to": "else"}),
    ("POST", "auth/token/create-orphan", {"policies": ["default"]}),
    ("LIST", "auth/token/accessors", None),
    ("GET", "auth/token/accessors?list=true", None),
]


@pytest.mark.parametrize("spelling", ["", "/"])
@pytest.mark.parametrize("method,path,body", SUDO)
def test_sudo_beside_the_capability(api, method, path, body, spelling):
    bare, _, query = path.partition("?")
    path = bare + spelling + ("?" + query if query else "")
    capability = "list" if "accessors" in path else "update"
    others = [c for c in EVERYTHING if c not in (capability, "sudo")]
    both = [bare, bare + "/"]

    def status(*capabilities):
        token = api.token_for("sudo-matrix", "".join(rule(p, *capabilities) for p in both))
        return api.request(method, path, body, token=token).status

    assert status(capability, *others) == 403
    assert status("sudo", *others) == 403
    assert status(capability, "sudo") in (200, 204, 400)


@pytest.mark.parametrize("method,path,body", [
    ("POST", "sys/rotate/config", {}), ("POST", "sys/policies/acl/plain", {"policy": rule("x", "read")}), ("GET", "sys/key-status", None),
    ("POST", "sys/mounts/plain", {"type": "kv"}), ("DELETE", "sys/mounts/plain", None), ("POST", "auth/token/create", {"policies": []})])
def test_no_sudo_where_none_is_asked_for(api, method, path, body):
    wanted = {"GET": "read", "POST": "update", "DELETE": "delete"}[method]
    api.request(method, path, body, token=api.token_for("no-sudo", rule(path, wanted))).expect(200, 204)


# Spellings of a path

DENIED = rule("*", *EVERYTHING) + rule("sys/rotate", "deny") + rule("secret/locked", "deny") + rule("secret/locked/*", "deny")


@pytest.mark.parametrize("method,path", [
    ("POST", "sys/rotate"), ("POST", "sys/rotate/"), ("PUT", "sys/%72otate"), ("POST", "%73ys/rotate"), ("POST", "sys/rotate/?x=y"),
    ("GET", "secret/locked"), ("GET", "secret/locke%64"), ("GET", "secret/locked/"), ("LIST", "secret/locked"), ("LIST", "secret/locked/"),
    ("GET", "secret/locked?list=true"), ("GET", "secret/locked/?list=1"), ("HEAD", "secret/locked"), ("PUT", "secret/locked"), ("DELETE", "secret/locked/"),
    ("SCAN", "secret/locked"), ("SCAN", "secret/locked/")])
def test_no_spelling_steps_around_a_deny(api, method, path):
    term = api.term()
    token = api.token_for("denied", DENIED)
    api.request(method, path, {"v": 1} if method in ("POST", "PUT") else None, token=token).expect(403)
    assert api.term() == term


@pytest.mark.parametrize("path", [
    "sys//rotate", "/v1//sys/rotate", "sys/./rotate", "sys/../sys/rotate", "sys/rotate//", "sys%2frotate", "sys%2Frotate", "sys/rotate%00", "sys/rotate%0a",
    "sys/rotate%7f", "sys/rotate%", "sys/rotate%2", "sys/rotate%zz", "sys/rotate%ff", "sys/%2e%2e/sys/rotate", "sys/%2e/rotate", "a/" * 65, "a" * 501])
def test_paths_refused(api, path):
    term = api.term()
    answer = api.post(path).expect(400)
    assert answer.errors
    assert api.term() == term


@pytest.mark.parametrize("path", ["SYS/rotate", "sys/Rotate", "sys/%2572otate", "sys/rotate/x", "sys/rotate/keyring/x", "sys", "sys/", "sys/rotat", "xsys/rotate",
                                  "sys;x/rotate", "sys/rotate;x", "sys\\rotate"])
def test_what_is_near_is_not_it(api, path):
    term = api.term()
    assert api.post(path).expect(404).errors
    assert api.term() == term


def test_a_rule_for_what_lies_below_does_not_reach_the_mount_itself(api):
    """DELETE sys/mounts/team/ is the same as without the slash: a rule for sys/mounts/team/* is about team/x, not about team."""
    api.post("sys/mounts/team", {"type": "kv"}).expect(204)
    api.post("team/a", {"v": 1}).expect(204)
    token = api.token_for("below", rule("sys/mounts/team/*", *EVERYTHING))
    for path in ("sys/mounts/team/", "sys/mounts/team"):
        api.delete(path, token=token).expect(403)
    assert api.get("team/a").expect(200).data == {"v": 1}
    api.delete("sys/mounts/team").expect(204)


@pytest.mark.parametrize("method,path", [
    ("POST", "sys/health"), ("DELETE", "sys/init"), ("GET", "sys/unseal"), ("LIST", "sys/seal-status"), ("PATCH", "sys/leader"), ("SCAN", "sys/health")])
def test_no_token_opens_one_verb_only(api, method, path):
    headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else None
    assert api.request(method, path, token=None, headers=headers).expect(405).errors


@pytest.mark.parametrize("token", [None, "nonsense", "s." + "A" * 24])
@pytest.mark.parametrize("method,path", [
    ("POST", "sys/seal"), ("POST", "sys/rotate"), ("GET", "sys/mounts"), ("GET", "sys/metrics"), ("GET", "secret/a"), ("GET", "cubbyhole/a"), ("LIST", "cubbyhole/"),
    ("GET", "nowhere/a"), ("GET", "sys/nosuch"), ("GET", "sys/health/x"), ("POST", "sys/init/x"), ("POST", "auth/token/create"), ("GET", "sys"),
    ("POST", "sys/audit-hash/file"), ("POST", "sys/capabilities-self"), ("GET", "auth/token/lookup-self")])
def test_without_a_token(api, method, path, token):
    assert api.request(method, path, token=token).expect(403).errors == "permission denied"


def test_head(api):
    api.post("secret/headed", {"v": 1}).expect(204)
    answer = api.request("HEAD", "secret/headed").expect(200)
    assert answer.raw == b""
    api.request("HEAD", "secret/headed", token=None).expect(403)


@pytest.mark.parametrize("value,status", [
    ("true", 200), ("1", 200), ("T", 200), ("false", 404), ("0", 404), ("", 404), ("yes", 400), ("truex", 400), ("%00", 400), ("%zz", 400)])
def test_list_by_query(api, value, status):
    api.post("secret/folder/x", {"v": 1}).expect(204)
    api.get(f"secret/folder?list={value}").expect(status)


@pytest.mark.parametrize("scheme,status", [("Bearer ", 200), ("bearer ", 200), ("BEARER  ", 200), ("Bearer", 403), ("Basic ", 403), ("", 403), ("XBearer ", 403)])
def test_bearer(api, scheme, status):
    token = api.new_token("default")
    api.get("auth/token/lookup-self", token=None, headers={"Authorization": scheme + token}).expect(status)


@pytest.mark.parametrize("raw,status", [
    (b"{}", 204), (b"null", 204), (b'"text"', 204), (b"", 204), (b"[]", 400), (b"7", 400), (b"true", 400), (b"{", 400), (b"{}{}", 400), (b'{"a":1,"a":2}', 400),
    (b"\xff", 400), (b"[" * 100, 400), (b'{"a":' * 65 + b"1" + b"}" * 65, 400), (b"\xef\xbb\xbf{}", 400)])
def test_bodies(api, raw, status):
    answer = api.request("POST", "sys/rotate/config", raw=raw).expect(status)
    assert status == 204 or answer.errors


def test_a_deep_body_is_kept(api):
    value = 1
    for _ in range(60):
        value = {"a": value}
    api.post("secret/deep-body", value).expect(204)
    assert api.get("secret/deep-body").expect(200).data == value


# Create and update

def test_create_told_from_update(api):
    creator = api.token_for("creator", rule("secret/cu/*", "create"))
    updater = api.token_for("updater", rule("secret/cu/*", "update"))
    api.post("secret/cu/a", {"v": 1}, token=updater).expect(403)
    api.post("secret/cu/a", {"v": 1}, token=creator).expect(204)
    api.post("secret/cu/a", {"v": 2}, token=creator).expect(403)
    api.post("secret/cu/a", {"v": 3}, token=updater).expect(204)
    assert api.get("secret/cu/a").expect(200).data == {"v": 3}
    api.delete("secret/cu/a").expect(204)
    api.put("secret/cu/a", {"v": 4}, token=updater).expect(403)
    api.put("secret/cu/a", {"v": 4}, token=creator).expect(204)


def test_one_creates_the_others_are_late(api):
    """Told on the writer, where writes stand in a row: with the right to create only, one of many writers succeeds."""
    token = api.token_for("creator", rule("secret/race/*", "create"))
    with ThreadPoolExecutor(8) as pool:
        for turn in range(20):
            answers = list(pool.map(lambda n, turn=turn: api.post(f"secret/race/{turn}", {"n": n}, token=token).expect(204, 403), range(8)))
            assert [answer.status for answer in answers].count(204) == 1


def test_cubbyholes_are_apart(api):
    one, two = (api.new_token("default") for _ in range(2))
    api.post("cubbyhole/a", {"v": 1}, token=one).expect(204)
    api.get("cubbyhole/a", token=two).expect(404)
    api.list("cubbyhole/", token=two).expect(404)
    api.get("cubbyhole/a").expect(404)
    assert api.list("cubbyhole", token=one).expect(200).data["keys"] == ["a"]


# Rules about parameters

def test_a_query_hides_nothing_from_a_rule(api):
    text = 'path "auth/token/create" { capabilities = ["update"]\n denied_parameters = { "num_uses" = [] } }'
    token = api.token_for("params", text)
    create(api, {"num_uses": 3}, token).expect(403)
    auth = api.post("auth/token/create?num_uses=3", {"policies": ["default"]}, token=token).expect(200).body["auth"]
    assert auth["num_uses"] == 0, "the query has reached the handler past the rule"
    auth = api.post("auth/token/create?num_uses=3", token=token).expect(200).body["auth"]
    assert auth["num_uses"] == 0


def test_a_required_parameter_in_the_query_is_none(api):
    text = 'path "auth/token/create" { capabilities = ["update"]\n required_parameters = ["ttl"] }'
    token = api.token_for("params", text)
    api.post("auth/token/create?ttl=1h", token=token).expect(403)
    create(api, {"ttl": "1h"}, token).expect(200)


def test_pagination_limit(api):
    for n in range(5):
        api.post(f"secret/pages/{n}", {"n": n}).expect(204)
        api.rotate()
        api.policy(f"page-{n}", rule("x", "read"))
    text = "".join(f'path "{p}" {{ capabilities = ["list", "read", "sudo"]\n pagination_limit = 2 }}\n'
                   for p in ("secret/pages/", "sys/policies/acl/", "sys/policies/acl", "auth/token/accessors/", "sys/rotate/terms/", "sys/rotate/terms"))
    token = api.token_for("pages", text)
    for path in ("secret/pages", "secret/pages?limit=4", "sys/policies/acl", "auth/token/accessors", "sys/rotate/terms"):
        assert len(api.list(path, token=token).expect(200).data["keys"]) == 2, path
        assert len(api.list(path).expect(200).data["keys"]) > 2, path


# Limited uses

def limited(api, n, **more):
    api.policy("limited", rule("secret/*", "create", "read", "update", "delete", "list") + rule("sys/rotate", "update", "sudo") + rule("nowhere/*", "read"))
    return api.new_token("limited", num_uses=n, **more)


VERBS = [
    ("GET", "secret/a", None, 200), ("GET", "secret/missing", None, 404), ("LIST", "secret/", None, 200), ("GET", "secret?list=true", None, 200), ("HEAD", "secret/a", None, 200),
    ("POST", "secret/a", {"v": 1}, 204), ("PUT", "secret/used", {"v": 1}, 204), ("POST", "secret/a", {}, 400), ("DELETE", "secret/used", None, 204),
    ("POST", "sys/rotate", None, 204), ("GET", "sys/mounts", None, 403), ("POST", "sys/seal", None, 403), ("GET", "nowhere/a", None, 404), ("GET", "sys/nosuch", None, 403),
    ("PATCH", "secret/a", {"v": 2}, 403), ("SCAN", "secret/a", None, 403), ("POST", "auth/token/renew-self", None, 200), ("GET", "auth/token/lookup-self", None, 200),
    ("GET", "cubbyhole/a", None, 404), ("POST", "auth/token/create", {}, 403), ("POST", "sys/capabilities-self", {"path": "x"}, 200),
]


@pytest.mark.parametrize("method,path,body,status", VERBS)
def test_every_request_costs_a_use(api, method, path, body, status):
    """Also those that are refused, go nowhere or find nothing; the last one ends the token."""
    api.post("secret/a", {"v": 0}).expect(204)
    token = limited(api, 2)
    headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else None
    for left in (1, None):
        api.request(method, path, body, token=token, headers=headers).expect(status)
        found = holder(api, token)
        if left is None:
            found.expect(403)
        else:
            assert found.expect(200).data["num_uses"] == left
    api.request(method, path, body, token=token, headers=headers).expect(403)


def test_what_is_open_to_all_costs_nothing(api):
    token = limited(api, 1)
    for path in ("sys/health", "sys/seal-status", "sys/leader", "sys/init"):
        api.get(path, token=token).expect(200)
    assert holder(api, token).expect(200).data["num_uses"] == 1


def test_refused_requests_are_charged_exactly(api):
    """Twenty threads, nine uses, good and refused ones mixed: nine are charged, and not one more is answered."""
    api.post("secret/a", {"v": 0}).expect(204)
    token = limited(api, 9)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: api.get("secret/a" if n % 2 else "nowhere/x", token=token).expect(200, 403, 404), range(40)))
    assert sum(answer.status in (200, 404) for answer in answers) >= 9
    assert sum(answer.status == 200 for answer in answers) <= 9
    holder(api, token).expect(403)


def test_the_last_use_takes_everything_along(server):
    """The cubbyhole of a token that was used up is purged at once, not at the next unseal."""
    api = server.api

    def records():
        return sum(term["records"] for term in api.terms().values())

    api.policy("limited", rule("secret/*", "read"))
    before = records()
    token = api.new_token("limited", num_uses=12)
    for n in range(12):
        api.post(f"cubbyhole/{n}", {"n": n}, token=token).expect(204)
    holder(api, token).expect(403)
    wait_until(lambda: records() == before)


def test_sealing_with_the_last_use(new_server):
    server = new_server(storage="inmem").ready()
    api = server.api
    token = api.token_for("sealer", rule("sys/seal", "update", "sudo"), num_uses=1)
    api.post("sys/seal", token=token).expect(204)
    server.unseal()
    holder(api, token).expect(403)
    api.post("sys/seal", token=token).expect(403)


# Who may make which token

def test_limited_uses_make_no_children(api):
    token = api.new_token("root", num_uses=5)
    for body in ({}, {"no_parent": True}, {"policies": ["default"]}, {"id": "from-limited"}):
        assert "restricted use token cannot generate child tokens" in create(api, body, token).expect(400).errors
    api.post("auth/token/create-orphan", {}, token=token).expect(400)


def test_default_is_not_smuggled_in(api):
    """A token without "default" gives it to no child; one with sudo may."""
    api.policy("maker", MAKER)
    maker = create(api, {"policies": ["maker"], "no_default_policy": True}).expect(200).body["auth"]
    assert maker["policies"] == ["maker"]
    assert create(api, {}, maker["client_token"]).expect(200).body["auth"]["policies"] == ["maker"]
    assert create(api, {"policies": ["maker"]}, maker["client_token"]).expect(200).body["auth"]["policies"] == ["maker"]
    assert "subset" in create(api, {"policies": ["maker", "default"]}, maker["client_token"]).expect(400).errors
    assert "subset" in create(api, {"policies": ["DEFAULT"]}, maker["client_token"]).expect(400).errors
    api.policy("boss", rule("auth/token/create", "update", "sudo"))
    boss = create(api, {"policies": ["boss"], "no_default_policy": True}).expect(200).body["auth"]["client_token"]
    assert create(api, {"policies": ["maker"]}, boss).expect(200).body["auth"]["policies"] == ["default", "maker"]


@pytest.mark.parametrize("policies", [["root"], ["Root"], ["ROOT"], ["maker", "root"], "root", "maker,root", ["other"], ["Maker", "Other"]])
@pytest.mark.parametrize("capabilities", [("update",), ("update", "sudo")])
def test_no_rights_beyond_the_maker(api, policies, capabilities):
    api.policy("maker", rule("auth/token/create", *capabilities))
    token = api.new_token("maker")
    answer = create(api, {"policies": policies}, token)
    if "sudo" in capabilities and "root" not in str(policies).lower():
        assert "root" not in answer.expect(200).body["auth"]["policies"]
    else:
        assert "subset of parent" in answer.expect(400).errors


def test_empty_names_are_no_policies(api):
    api.policy("maker", MAKER)
    token = api.new_token("maker", "one", "two", "three")
    for policies in ([""] * 63, [""] * 64, [""], ["", "maker"]):
        auth = create(api, {"policies": policies}, token).expect(200).body["auth"]
        assert set(auth["policies"]) <= {"default", "maker"}, "empty names are not those of the parent"
    create(api, {"policies": [""] * 65}, token).expect(400)
    create(api, {"policies": [""], "no_default_policy": True}, token).expect(400)


def test_many_policies(api):
    names = [f"p{n}" for n in range(64)]
    assert create(api, {"policies": names, "no_default_policy": True}).expect(200).body["auth"]["policies"] == sorted(names)
    assert create(api, {"policies": names}).expect(400).errors
    assert create(api, {"policies": [*names, "more"], "no_default_policy": True}).expect(400).errors
    create(api, {"policies": ["p" * 128]}).expect(200)
    assert create(api, {"policies": ["p" * 129]}).expect(400).errors


def test_an_orphan_stays_one(api):
    answer = api.post("auth/token/create-orphan", {"policies": ["default"], "no_parent": False}).expect(200)
    assert answer.body["auth"]["orphan"] is True


def test_an_expiring_root_makes_none_without_end(api):
    root = create(api, {"policies": ["root"], "ttl": "1h"}).expect(200).body["auth"]["client_token"]
    for body in ({}, {"no_parent": True}):
        assert "expiring root" in create(api, body, root).expect(400).errors
    create(api, {"ttl": "1h", "no_parent": True}, root).expect(200)


@pytest.mark.parametrize("name,value", [("ttl", "0.2s"), ("ttl", "1ms"), ("period", "200ms"), ("explicit_max_ttl", "1ns")])
def test_less_than_a_second_is_not_none(api, name, value):
    assert create(api, {"policies": ["default"], name: value}).expect(200).body["auth"]["lease_duration"] == 1


@pytest.mark.parametrize("body", [
    {"ttl": "2562047h"}, {"ttl": 9223372036}, {"ttl": "9223372036"}, {"explicit_max_ttl": "2562047h"}, {"period": "2562047h"}, {"ttl": "2562047h", "explicit_max_ttl": "2562047h"}])
def test_long_lives_are_capped(api, body):
    auth = create(api, {"policies": ["default"], **body}).expect(200).body["auth"]
    assert 0 < auth["lease_duration"] <= 2764800
    auth = api.post("auth/token/renew", {"token": auth["client_token"], "increment": "2562047h"}).expect(200).body["auth"]
    assert 0 < auth["lease_duration"] <= 2764800


@pytest.mark.parametrize("value", [9223372037, "2562048h", 1e30, "99999999999999999999", -1, "-1s", "1x", [], {}, True])
@pytest.mark.parametrize("name", ["ttl", "explicit_max_ttl", "period"])
def test_lengths_refused(api, name, value):
    assert create(api, {"policies": ["default"], name: value}).expect(400).errors


@pytest.mark.parametrize("body", [{"explicit_max_ttl": "3s", "ttl": "2s"}, {"explicit_max_ttl": "3s", "period": "2s"}])
def test_no_renewal_beyond_the_longest_life(api, body):
    """Renewed without a pause: it must end all the same."""
    token = api.new_token("default", **body)
    wait_until(lambda: api.post("auth/token/renew-self", {"increment": "1h"}, token=token).expect(200, 400, 403).status == 403)
    assert not alive(api, token)


def test_children_end_with_an_expired_parent(api):
    api.policy("maker", MAKER)
    parent = api.new_token("maker", ttl="2s")
    child = create(api, {"policies": ["maker"], "ttl": "1h"}, parent).expect(200).body["auth"]
    grandchild = create(api, {"policies": ["maker"], "ttl": "1h"}, child["client_token"]).expect(200).body["auth"]
    wait_until(lambda: not alive(api, parent))
    assert not alive(api, child["client_token"]) and not alive(api, grandchild["client_token"])
    accessors = {child["accessor"], grandchild["accessor"]}
    wait_until(lambda: not accessors & set(api.list("auth/token/accessors").expect(200).data["keys"]))


def test_an_id_used_again_brings_nothing_back(api):
    """What hung on the token that had the id before is dead, and the purge of that one leaves the new one alone."""
    api.policy("maker", MAKER)
    for _ in range(5):
        create(api, {"id": "again", "policies": ["maker"]}).expect(200)
        old = [create(api, {"policies": ["maker"]}, "again").expect(200).body["auth"]["client_token"] for _ in range(60)]
        api.post("cubbyhole/old", {"v": 1}, token="again").expect(204)
        api.post("auth/token/revoke", {"token": "again"}).expect(204)
        wait_until(lambda: create(api, {"id": "again", "policies": ["maker"]}).expect(200, 400).status == 200)
        assert not [token for token in old if alive(api, token)]
        new = create(api, {"policies": ["maker"]}, "again").expect(200).body["auth"]["client_token"]
        api.get("cubbyhole/old", token="again").expect(404)
        assert not [token for token in old if alive(api, token)]
        assert alive(api, new) and alive(api, "again")
        api.post("auth/token/revoke", {"token": "again"}).expect(204)
        wait_until(lambda: not alive(api, new))


def test_a_revocation_holds_at_once_everywhere(api):
    """From its answer on, on every connection: each thread looks only after the answer."""
    api.post("secret/a", {"v": 0}).expect(204)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            token = api.token_for("reader", rule("secret/a", "read"))
            assert all(pool.map(lambda _, token=token: alive(api, token), range(8)))
            api.post("auth/token/revoke", {"token": token}).expect(204)
            assert not any(pool.map(lambda _, token=token: alive(api, token), range(8)))


def test_ancestors_have_an_end(api):
    """A line of tokens cannot be made deeper than is followed."""
    api.policy("maker", MAKER)
    token = api.new_token("maker")
    for _ in range(100):
        answer = create(api, {"policies": ["maker"]}, token).expect(200, 400)
        if answer.status == 400:
            break
        token = answer.body["auth"]["client_token"]
        assert alive(api, token)
    assert "ancestors" in answer.errors


# Mounts

def test_mounts_that_begin_alike(api):
    names = ["kv", "kv-2", "kv2", "kv.x", "k", "kvv", "kv_"]
    for name in names:
        api.post(f"sys/mounts/{name}", {"type": "kv"}).expect(204)
        api.post(f"{name}/a", {"v": name}).expect(204)
    for name in names:
        assert api.get(f"{name}/a").expect(200).data == {"v": name}
        assert api.list(name).expect(200).data["keys"] == ["a"]
    for path in ("kv-/a", "kv-22/a", "kvvv/a", "Kv/a", "kv%20/a"):
        api.get(path).expect(404)
    for name in names:
        api.delete(f"sys/mounts/{name}").expect(204)


def test_the_longest_paths(api):
    """A mount's path of 128 bytes, and below it the longest path that a request can have."""
    name = "m" * 128
    assert api.post(f"sys/mounts/{name}x", {"type": "kv"}).expect(400).errors
    api.post(f"sys/mounts/{name}", {"type": "kv"}).expect(204)
    path = f"{name}/" + "p" * (500 - 129)
    api.post(path, {"v": 1}).expect(204)
    assert api.get(path).expect(200).data == {"v": 1}
    assert api.post(path + "x", {"v": 1}).expect(400).errors
    api.delete(f"sys/mounts/{name}").expect(204)
    for path, status in (("cubbyhole/" + "p" * (511 - 83), 204), ("cubbyhole/" + "p" * (511 - 82), 400)):
        api.post(path, {"v": 1}).expect(status)


def test_remount_under_writes(server):
    """Each write that was answered with success is found at the new path."""
    api, kept, stop = server.api, [], threading.Event()

    def write(me):
        n = 0
        while not stop.is_set():
            for mount in ("here", "there"):
                if api.post(f"{mount}/{me}-{n}", {"n": n}).expect(204, 404).status == 204:
                    kept.append((f"{me}-{n}", n))
            n += 1

    api.post("sys/mounts/here", {"type": "kv"}).expect(204)
    with ThreadPoolExecutor(4) as pool:
        try:
            work = [pool.submit(write, me) for me in range(4)]
            names = ["here", "there"]
            for _ in range(20):
                api.post("sys/remount", {"from": names[0], "to": names[1]}).expect(200)
                names.reverse()
        finally:
            stop.set()
        for each in work:
            each.result()
    for name, n in kept:
        assert api.get(f"{names[0]}/{name}").expect(200).data == {"n": n}


# Sealing and making a store

def test_seal_under_load(server):
    """Reads, writes and rotations go on while the store is sealed and unsealed: every answer is a success or says that the store is sealed,
    and what was answered with success is there."""
    api, kept, stop = server.api, {}, threading.Event()

    def good(answer, *more):
        if answer.status == 503:
            assert "sealed" in answer.errors or "reopened" in answer.errors, answer
            return False
        answer.expect(200, 204, *more)
        return True

    def work(me):
        n = 0
        while not stop.is_set():
            path = f"secret/{me}/{n % 20}"
            answer = api.post(path, {"n": n})
            if good(answer):
                kept[path] = n
            elif path in kept:
                del kept[path]  # it may hold either value
            answer = api.get(path)
            if path not in kept:
                good(answer, 404)
            elif good(answer):
                assert answer.data == {"n": n}
            n += 1

    def rotate():
        while not stop.is_set():
            good(api.post("sys/rotate"))

    with ThreadPoolExecutor(8) as pool:
        try:
            running = [pool.submit(work, me) for me in range(6)] + [pool.submit(rotate)]
            for _ in range(15):
                server.seal()
                assert api.get("sys/health", token=None).status == 503
                server.unseal()
                api.get("sys/mounts").expect(200)
        finally:
            stop.set()
        for each in running:
            each.result()
    for path, n in kept.items():
        assert api.get(path).expect(200).data == {"n": n}
    server.restart()
    for path, n in kept.items():
        assert server.api.get(path).expect(200).data == {"n": n}


def test_many_seal_and_unseal_at_once(server):
    api = server.api
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            sealed = list(pool.map(lambda _: api.post("sys/seal").expect(204, 503).status, range(4)))
            assert 204 in sealed
            opened = list(pool.map(lambda _: api.post("sys/unseal", {"key": server.keys[0]}, token=None).expect(200).body["sealed"], range(4)))
            assert opened == [False] * 4
            mixed = [pool.submit(api.post, "sys/seal") for _ in range(3)]
            mixed += [pool.submit(api.post, "sys/unseal", {"key": server.keys[0]}, token=None) for _ in range(3)]
            for each in mixed:
                each.result().expect(200, 204, 503)
            server.unseal()
            api.get("sys/mounts").expect(200)


def test_two_inits_at_once(new_server):
    """One of them makes the store; its shares, and nobody else's, open it."""
    server = new_server(storage="inmem").start()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(
            lambda _: server.api.put("sys/init", {"secret_shares": 3, "secret_threshold": 2}, token=None).expect(200, 400), range(8)))
    made = [answer for answer in answers if answer.status == 200]
    assert len(made) == 1
    assert all("already initialized" in answer.errors for answer in answers if answer.status == 400)
    server.keys, server.threshold = made[0].body["keys"], 2
    server.api.token = made[0].body["root_token"]
    server.unseal(server.keys[1:])
    server.api.get("sys/mounts").expect(200)


@pytest.mark.parametrize("more", [
    {"pgp_keys": ["x"]}, {"root_token_pgp_key": "mQENBF"}, {"recovery_shares": 5}, {"recovery_threshold": "3"}, {"stored_shares": 1}, {"recovery_pgp_keys": ["x"]}])
def test_init_passes_over_nothing(new_server, more):
    server = new_server(storage="inmem").start()
    body = {"secret_shares": 1, "secret_threshold": 1}
    server.api.put("sys/init", {**body, **more}, token=None).expect(400)
    assert server.api.get("sys/init", token=None).body == {"initialized": False}
    nothing = {"pgp_keys": [], "root_token_pgp_key": "", "recovery_shares": 0, "recovery_threshold": 0, "stored_shares": 0, "recovery_pgp_keys": None}
    server.api.put("sys/init", {**body, **nothing}, token=None).expect(200)


# Answers

@pytest.mark.parametrize("paths", [["data"], ["auth"], ["request_id", "warnings"], ["capabilities"], ["a", "a"]])
def test_no_member_twice_in_an_answer(api, paths):
    def once(pairs):
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), names
        return dict(pairs)

    answer = api.post("sys/capabilities-self", {"paths": paths}).expect(200)
    body = json.loads(answer.raw, object_pairs_hook=once)
    assert all(body["data"][path] == ["root"] for path in paths)
    assert body["auth"] is None or "auth" in paths and body["auth"] != ["root"]


@pytest.mark.parametrize("method,path,body,status", [
    ("POST", "sys/mounts/odd", {"type": "kv", "config": 7}, 400), ("POST", "sys/mounts/odd", {"type": "kv", "options": 7}, 400),
    ("POST", "sys/mounts/odd", {"type": "kv", "options": [1]}, 400), ("POST", "sys/mounts/", {"type": "kv"}, 400), ("POST", "sys/mounts/a*b", {"type": "kv"}, 400),
    ("POST", "sys/remount", {}, 400), ("POST", "sys/remount", {"from": "secret", "to": "sys/x"}, 400), ("POST", "sys/remount", {"from": "sys", "to": "x"}, 400),
    ("POST", "sys/remount", {"from": "secret", "to": "auth/x"}, 400), ("POST", "sys/remount", {"from": "secret", "to": "a//b"}, 400),
    ("POST", "sys/mounts/cubbyhole/tune", {"description": "x"}, 400), ("DELETE", "sys/mounts/sys", None, 400), ("DELETE", "sys/mounts/auth/token", None, 400),
    ("PUT", "sys/policies/acl/root", {"policy": rule("a", "read")}, 400), ("PUT", "sys/policies/acl/ROOT", {"policy": rule("a", "read")}, 400),
    ("DELETE", "sys/policies/acl/root", None, 400), ("DELETE", "sys/policies/acl/Default", None, 400), ("PUT", "sys/policies/acl/" + "p" * 129, {"policy": ""}, 400),
    ("PUT", "sys/policies/acl/a/b", {"policy": rule("a", "read")}, 404), ("POST", "sys/capabilities", {}, 400), ("POST", "sys/capabilities", {"token": "x", "path": "y"}, 400),
    ("POST", "auth/token/lookup", {"token": "x"}, 403), ("POST", "auth/token/renew", {"token": "x"}, 400), ("POST", "auth/token/renew", {}, 400),
    ("POST", "auth/token/revoke", {}, 400), ("POST", "auth/token/revoke-accessor", {"accessor": "x"}, 400), ("POST", "auth/token/revoke-accessor", {"accessor": "a/b"}, 400),
    ("POST", "auth/token/create", {"id": "a.b"}, 400), ("POST", "auth/token/create", {"id": "a/b"}, 400), ("POST", "auth/token/create", {"id": "i" * 129}, 400),
    ("POST", "auth/token/create", {"display_name": "d" * 129}, 400), ("POST", "auth/token/create", {"id": "root"}, 400), ("GET", "sys/metrics?format=xml", None, 400),
    ("GET", "sys/health?activecode=99", None, 400), ("GET", "sys/rotate/terms?limit=-1", None, 400), ("GET", "sys/rotate/terms?limit=x", None, 400),
    ("POST", "sys/audit-hash/none", {"input": "x"}, 400), ("POST", "secret/a/", {"v": 1}, 400), ("OPTIONS", "secret/a", None, 405), ("PATCH", "secret/a", {"v": 1}, 415)])
def test_refusals_say_why(api, method, path, body, status):
    assert api.request(method, path, body).expect(status).errors


def test_terms_by_pages(api):
    for _ in range(4):
        api.rotate()
    active = api.term()
    for after, limit in ((0, 2), (1, 1), (active - 1, 5), (active, 1), (active + 7, 3), (4294967295, 20), (2**62, 2**62), (0, 2**62)):
        keys = api.get(f"sys/rotate/terms?after={after}&limit={limit}").expect(200).data["keys"]
        assert keys == [str(n) for n in range(after + 1, min(active, after + limit) + 1)] if after < active else keys == []
