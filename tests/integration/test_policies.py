"""Policies, beyond the recordings."""
import json

import pytest


@pytest.fixture(scope="module")
def api(dev_server):
    for key in ("a", "b", "deep/er", "team/x/cfg", "team/y/cfg"):
        dev_server.api.post(f"secret/{key}", {"v": key}).expect(204)
    return dev_server.api


def allowed(api, text, method, path, body=None):
    """Whether a token with this policy text may do it."""
    answer = api.request(method, path, body, token=api.token_for("tried", text))
    assert answer.status in (200, 204, 403, 404), answer
    return answer.status != 403


def rule(path, *capabilities):
    return f'path "{path}" {{ capabilities = {json.dumps(capabilities)} }}\n'


@pytest.mark.parametrize("capability,method,path,body", [
    ("read", "GET", "secret/a", None),
    ("update", "POST", "secret/a", {"v": "a"}),
    ("update", "PUT", "secret/a", {"v": "a"}),
    ("create", "POST", "secret/new", {"v": "n"}),
    ("delete", "DELETE", "secret/gone", None),
    ("list", "LIST", "secret/deep", None),
    ("list", "GET", "secret/deep?list=true", None),
])
def test_each_operation_needs_its_capability(api, capability, method, path, body):
    api.delete("secret/new").expect(204)
    every = ["create", "read", "update", "delete", "list", "patch", "scan", "sudo"]
    bare = path.split("?")[0]
    others = [c for c in every if c != capability]
    assert not allowed(api, rule(bare, *others) + rule(bare + "/", *others), method, path, body)
    assert allowed(api, rule(bare, capability) + rule(bare + "/", capability), method, path, body)


def test_deny_wins_within_one_path(api):
    assert not allowed(api, rule("secret/a", "read", "deny"), "GET", "secret/a")
    assert not allowed(api, rule("secret/*", "read") + rule("secret/*", "deny"), "GET", "secret/a")


def test_deny_in_another_policy_wins(api):
    api.policy("reads", rule("secret/*", "read"))
    api.policy("denies", rule("secret/a", "deny"))
    token = api.new_token("reads", "denies")
    api.get("secret/a", token=token).expect(403)
    api.get("secret/b", token=token).expect(200)


@pytest.mark.parametrize("path", ["secret/deep", "secret/deep/", "secret/deep?list=true", "secret/deep/?list=true"])
@pytest.mark.parametrize("denied", ["secret/deep", "secret/deep/", "secret/deep*"])
def test_list_cannot_step_around_deny(api, path, denied):
    text = rule("secret/*", "read", "list") + rule(denied, "deny")
    method = "GET" if "?" in path else "LIST"
    assert not allowed(api, text, method, path)


@pytest.mark.parametrize("pattern,path,good", [
    ("secret/a", "secret/a", True),
    ("secret/a", "secret/ab", False),
    ("secret/a*", "secret/ab", True),
    ("secret/d*", "secret/deep/er", True),
    ("secret/*", "secret/deep/er", True),
    ("*", "secret/a", True),
    ("secret/+", "secret/a", True),
    ("secret/+", "secret/deep/er", False),
    ("secret/+/er", "secret/deep/er", True),
    ("secret/+/+/cfg", "secret/team/x/cfg", True),
    ("secret/team/+/cfg", "secret/team/x/cfg", True),
    ("secret/+/cfg", "secret/team/x/cfg", False),
    ("+/a", "secret/a", True),
    ("secret/team/+/*", "secret/team/x/cfg", True),
    ("secret/A", "secret/a", False),
    ("ecret/a", "secret/a", False),
])
def test_matching(api, pattern, path, good):
    assert allowed(api, rule(pattern, "read"), "GET", path) is good


@pytest.mark.parametrize("wide,narrow,path", [
    ("secret/*", "secret/a", "secret/a"),
    ("secret/*", "secret/deep/*", "secret/deep/er"),
    ("secret/+/x/cfg", "secret/team/x/cfg", "secret/team/x/cfg"),
    ("secret/team/*", "secret/team/+/cfg", "secret/team/x/cfg"),
    ("secret/+/+/cfg", "secret/team/+/cfg", "secret/team/x/cfg"),
])
def test_most_specific_wins(api, wide, narrow, path):
    assert allowed(api, rule(wide, "deny") + rule(narrow, "read"), "GET", path)
    assert not allowed(api, rule(wide, "read") + rule(narrow, "deny"), "GET", path)
    assert not allowed(api, rule(narrow, "update") + rule(wide, "read"), "GET", path), "rights of the wider path do not add up"


@pytest.mark.parametrize("word,may", [
    ("read", {"read", "list"}), ("write", {"create", "read", "update", "delete", "list"}), ("deny", set()),
    ("sudo", {"create", "read", "update", "delete", "list", "sudo"})])
def test_old_words(api, word, may):
    token = api.token_for("old", f'path "old/x" {{ policy = "{word}" }}')
    shown = api.post("sys/capabilities", {"token": token, "path": "old/x"}).expect(200).data["capabilities"]
    assert set(shown) >= may if may else shown == ["deny"]


def test_json_text(api):
    token = api.token_for("as-json", '{"path": {"secret/a": {"capabilities": ["read"]}, "secret/+/er": {"policy": "deny"}}}')
    api.get("secret/a", token=token).expect(200)
    api.get("secret/deep/er", token=token).expect(403)


@pytest.mark.parametrize("text", [
    "path", "path {", 'path "a" {', 'path "a" { capabilities = "read', 'path "a" { capabilities = ["fly"] }', 'path "a" { policy = "fly" }',
    'path "a" { capabilities = [7] }', 'path "a" { nosuch = 1 }', 'nosuch "a" { }', '{"path": []', '{"path": 7}', "\x00", 'path "a+b" {}}',
    'path "a" { allowed_parameters = 7 }', 'path "a" "b" { }'])
def test_text_refused(api, text):
    api.put("sys/policies/acl/refused", {"policy": text}).expect(400)
    api.get("sys/policies/acl/refused").expect(404)


def test_a_bad_text_leaves_the_old_one(api):
    api.policy("kept", rule("secret/a", "read"))
    token = api.new_token("kept")
    api.put("sys/policies/acl/kept", {"policy": "path {"}).expect(400)
    api.get("secret/a", token=token).expect(200)


def test_a_change_holds_at_once(api):
    """From the answer on, for tokens that exist already, on every connection."""
    api.policy("changing", rule("secret/a", "read"))
    token = api.new_token("changing")
    for _ in range(20):
        api.policy("changing", rule("secret/b", "read"))
        api.get("secret/a", token=token).expect(403)
        api.policy("changing", rule("secret/a", "read"))
        api.get("secret/a", token=token).expect(200)
    api.delete("sys/policies/acl/changing").expect(204)
    api.get("secret/a", token=token).expect(403)


def test_listed_by_both_names(api):
    api.policy("listed", rule("a", "read"))
    for path in ("sys/policies/acl", "sys/policies/acl/"):
        assert {"default", "listed", "root"} <= set(api.list(path).expect(200).data["keys"])
    assert {"default", "listed"} <= set(api.get("sys/policy").expect(200).data["policies"])


def test_default_policy_gives_no_secrets(api):
    token = api.new_token("default")
    api.get("secret/a", token=token).expect(403)
    api.post("sys/mounts/mine", {"type": "kv"}, token=token).expect(403)
    api.get("auth/token/lookup-self", token=token).expect(200)


def test_managing_policies_needs_rights(api):
    token = api.new_token("default")
    for method in ("PUT", "DELETE", "GET"):
        api.request(method, "sys/policies/acl/listed", {"policy": rule("*", "sudo")}, token=token).expect(403)


def test_durable(server):
    token = server.api.token_for("durable", rule("secret/a", "read"))
    server.api.post("secret/a", {"v": 1}).expect(204)
    server.kill()
    server.start()
    server.unseal()
    server.api.get("secret/a", token=token).expect(200)
    server.api.get("secret/b", token=token).expect(403)
