"""Values of kv version 1 and cubbyhole come back as they went in."""
import pytest


@pytest.mark.parametrize("value", [
    {"v": ""}, {"v": "text"}, {"v": "ünï \U0001f511 \u0000 \" \\ \n"}, {"v": 0}, {"v": -1}, {"v": 1.5}, {"v": 9007199254740993},
    {"v": None}, {"v": True}, {"v": []}, {"v": {}}, {"v": [[[{"deep": [1, "2", None]}]]]}, {"": "no name"}, {"a b/c": 1}, {"x" * 300: 1},
    {f"n{n}": n for n in range(2000)}, {"v": "x" * 1_000_000}])
@pytest.mark.parametrize("mount", ["secret", "cubbyhole"])
def test_round_trip(dev_server, mount, value):
    dev_server.api.post(f"{mount}/round", value).expect(204)
    assert dev_server.api.get(f"{mount}/round").expect(200).data == value


def test_numbers_keep_their_text(dev_server):
    """Numbers are kept as they were written: no digit is lost."""
    text = b'{"v":[1.10,1e400,123456789012345678901234567890,-0.0]}'
    dev_server.api.request("POST", "secret/numbers", raw=text).expect(204)
    assert b"[1.10,1e400,123456789012345678901234567890,-0.0]" in dev_server.api.get("secret/numbers").expect(200).raw


@pytest.mark.parametrize("raw", [
    b"", b"{}", b"[]", b"null", b'"v"', b"7", b"{", b'{"v":}', b'{"v":1}x', b'{"v":1,"v":2}', b'{"v":"\xff"}', b'{"v":"\\ud800"}', b'{"v":01}',
    b"\xef\xbb\xbf{\"v\":1}", b'{"v":NaN}', b"{'v':1}", b'{"v":1,}', b"[" * 100000, b'{"v":' * 100 + b"1" + b"}" * 100])
def test_body_refused(dev_server, raw):
    dev_server.api.post("secret/refused", {"v": "before"}).expect(204)
    dev_server.api.request("POST", "secret/refused", raw=raw).expect(400)
    assert dev_server.api.get("secret/refused").expect(200).data == {"v": "before"}


@pytest.mark.parametrize("path", [
    "secret/a//b", "secret/./a", "secret/../secret/a", "secret/%2e%2e/a", "secret/a%2fb", "secret/a%00b", "secret/a%0ab", "secret/a%7fb",
    "secret/%zz", "secret/%c3%28", "secret/" + "x" * 600])
def test_path_refused(dev_server, path):
    for method in ("GET", "POST", "DELETE"):
        dev_server.api.request(method, path, {"v": 1} if method == "POST" else None).expect(400)


@pytest.mark.parametrize("key", ["a", "A", "a b", "ä", "a.b", "...", "a:b@c~", "x" * 300, "a/b/c/d/e/f", "%25", "*", "+"])
def test_paths(dev_server, key):
    from urllib.parse import quote
    path = "secret/paths/" + quote(key)
    dev_server.api.post(path, {"key": key}).expect(204)
    assert dev_server.api.get(path).expect(200).data == {"key": key}
    assert key.split("/")[0] + ("/" if "/" in key else "") in dev_server.api.list("secret/paths").expect(200).data["keys"]
    dev_server.api.delete(path).expect(204)
    dev_server.api.get(path).expect(404)


def test_lists_are_sorted_and_whole(dev_server):
    api, names = dev_server.api, [f"{n:04}" for n in range(0, 3000, 7)]
    for name in names:
        api.post(f"secret/many/{name}", {"n": 1}).expect(204)
        api.post(f"secret/many/{name[:3]}x/below", {"n": 1}).expect(204)
    assert api.list("secret/many").expect(200).data["keys"] == sorted(names + sorted({f"{name[:3]}x/" for name in names}))


def test_overwritten_and_deleted(dev_server):
    api = dev_server.api
    for n in range(20):
        api.put("secret/over", {"n": n}).expect(204)
    assert api.get("secret/over").expect(200).data == {"n": 19}
    for _ in range(2):
        api.delete("secret/over").expect(204)
    api.get("secret/over").expect(404)
