"""Mounting and unmounting; what lies below a mount goes with it."""
import time

import pytest


def test_life(server):
    api = server.api
    api.post("sys/mounts/one", {"type": "kv", "description": "first"}).expect(204)
    api.post("one/a", {"v": 1}).expect(204)
    shown = api.get("sys/mounts").expect(200).data
    assert {"sys/", "cubbyhole/", "secret/", "one/"} <= set(shown)
    assert shown["one/"]["description"] == "first" and shown["one/"]["type"] == "kv"
    server.restart()
    api = server.api
    assert api.get("one/a").expect(200).data == {"v": 1}
    api.delete("sys/mounts/one").expect(204)
    assert "no handler for route" in api.get("one/a").expect(404).errors
    assert "one/" not in api.get("sys/mounts").expect(200).data


def test_a_new_mount_at_an_old_path_is_empty(server):
    api = server.api
    for n in range(5):
        api.post("sys/mounts/again", {"type": "kv"}).expect(204)
        api.get("again/a").expect(404)
        api.list("again/").expect(404)
        api.post("again/a", {"n": n}).expect(204)
        api.delete("sys/mounts/again").expect(204)


def test_unmounting_purges_in_the_background(server):
    """The entry is gone at once; the records go in slices, and a kill between the slices loses none of the work to do."""
    api = server.api
    api.post("sys/mounts/big", {"type": "kv"}).expect(204)

    def records():
        return sum(term["records"] for term in server.api.terms().values())

    before = records()
    for n in range(3000):
        api.post(f"big/{n}", {"n": n}).expect(204)
    assert records() == before + 3000
    api.delete("sys/mounts/big").expect(204)
    api.get("big/1").expect(404)
    server.kill()
    server.start()
    server.unseal()
    server.api.get("big/1").expect(404)
    deadline = time.monotonic() + 120
    while records() >= before:
        assert time.monotonic() < deadline, "records of the mount are left"
        time.sleep(0.05)


@pytest.mark.parametrize("path,body", [
    ("odd", {"type": "nosuch"}), ("odd", {}), ("odd", {"type": 7}), ("sys", {"type": "kv"}), ("sys/x", {"type": "kv"}),
    ("auth/x", {"type": "kv"}), ("cubbyhole", {"type": "kv"}), ("secret", {"type": "kv"}), ("secret/below", {"type": "kv"}),
    ("odd", {"type": "kv", "config": {"default_lease_ttl": "nonsense"}}), ("odd", {"type": "kv", "config": 7})])
def test_refused(dev_server, path, body):
    before = dev_server.api.get("sys/mounts").expect(200).data
    dev_server.api.post(f"sys/mounts/{path}", body).expect(400)
    assert dev_server.api.get("sys/mounts").expect(200).data == before


def test_version_two_is_not_version_one(dev_server):
    """There is no version 2 yet: asking for it must not quietly give version 1."""
    for body in ({"type": "kv", "options": {"version": "2"}}, {"type": "kv-v2"}):
        dev_server.api.post("sys/mounts/two", body).expect(400)


def test_a_path_above_a_mount_is_taken(dev_server):
    api = dev_server.api
    api.post("sys/mounts/up/per", {"type": "kv"}).expect(204)
    api.post("sys/mounts/up", {"type": "kv"}).expect(400)
    api.delete("sys/mounts/up/per").expect(204)


def test_rights(dev_server):
    api = dev_server.api
    token = api.new_token("default")
    api.get("sys/mounts", token=token).expect(403)
    api.post("sys/mounts/mine", {"type": "kv"}, token=token).expect(403)
    api.delete("sys/mounts/secret", token=token).expect(403)
    token = api.token_for("mounter", 'path "sys/mounts/mine" { capabilities = ["update", "create", "delete"] }')
    api.post("sys/mounts/mine", {"type": "kv"}, token=token).expect(204)
    api.post("sys/mounts/other", {"type": "kv"}, token=token).expect(403)
    api.delete("sys/mounts/mine", token=token).expect(204)
