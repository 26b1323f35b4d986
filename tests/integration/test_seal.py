"""Initialising, unsealing share by share, sealing."""
import itertools

import pytest


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """A server with 5 shares of which 3 open it, kv at secret/, one value in it."""
    from server import Server
    server = Server(tmp_path_factory.mktemp("five"), storage="lmdb").start()
    answer = server.init(shares=5, threshold=3)
    server.keys_base64 = answer["keys_base64"]
    server.unseal()
    server.api.post("sys/mounts/secret", {"type": "kv"}).expect(204)
    server.api.post("secret/kept", {"v": 1}).expect(204)
    yield server
    server.close()


@pytest.fixture
def closed(five):
    """The same, sealed, no share given yet."""
    if not five.api.get("sys/seal-status", token=None).body["sealed"]:
        five.seal()
    five.api.post("sys/unseal", {"reset": True}, token=None).expect(200)
    return five


def give(server, key):
    return server.api.post("sys/unseal", {"key": key}, token=None)


def progress(server):
    return server.api.get("sys/seal-status", token=None).expect(200).body["progress"]


@pytest.mark.parametrize("chosen", list(itertools.combinations(range(5), 3)))
def test_any_three_shares_open(closed, chosen):
    texts = closed.keys_base64 if sum(chosen) % 2 else closed.keys
    for have, n in enumerate(chosen[:2], 1):
        body = give(closed, texts[n]).expect(200).body
        assert (body["sealed"], body["progress"], body["t"], body["n"]) == (True, have, 3, 5)
        assert body["nonce"] != ""
    body = give(closed, texts[chosen[2]]).expect(200).body
    assert (body["sealed"], body["progress"], body["nonce"]) == (False, 0, "")
    assert closed.api.get("secret/kept").expect(200).data == {"v": 1}


def test_hex_and_base64_mixed(closed):
    give(closed, closed.keys[0]).expect(200)
    give(closed, closed.keys_base64[0]).expect(200)
    assert progress(closed) == 1, "one share in both spellings is one share"
    give(closed, closed.keys_base64[1]).expect(200)
    assert give(closed, closed.keys[2]).expect(200).body["sealed"] is False


def test_a_share_twice_counts_once(closed):
    for _ in range(4):
        assert give(closed, closed.keys[3]).expect(200).body["progress"] == 1


def test_reset(closed):
    give(closed, closed.keys[0]).expect(200)
    first = give(closed, closed.keys[1]).expect(200).body["nonce"]
    closed.api.post("sys/unseal", {"reset": True}, token=None).expect(200)
    assert progress(closed) == 0
    assert give(closed, closed.keys[2]).expect(200).body["nonce"] != first


@pytest.mark.parametrize("body", [
    {}, {"key": ""}, {"key": "zz"}, {"key": "abcd"}, {"key": 7}, {"key": None}, {"key": ["00"]}, {"reset": "perhaps"}, {"key": "0" * 10000},
    {"key": "é" * 33}])
def test_no_share_changes_nothing(closed, body):
    give(closed, closed.keys[0]).expect(200)
    closed.api.post("sys/unseal", body, token=None).expect(400)
    assert progress(closed) == 1


def test_a_wrong_share_among_right_ones(closed):
    """It is only found out at the third; the attempt is over, the store unharmed."""
    wrong = closed.keys[4][:-4] + ("00" if closed.keys[4][-4:-2] != "00" else "11") + closed.keys[4][-2:]
    give(closed, closed.keys[0]).expect(200)
    give(closed, wrong).expect(200)
    give(closed, closed.keys[2]).expect(400)
    assert progress(closed) == 0
    closed.unseal()
    assert closed.api.get("secret/kept").expect(200).data == {"v": 1}


def test_shares_of_another_store(closed, new_server):
    other = new_server("other", storage="inmem").start()
    other.init(shares=5, threshold=3)
    for key in other.keys[:2]:
        give(closed, key).expect(200)
    give(closed, other.keys[2]).expect(400)
    closed.unseal(closed.keys[2:])
    assert closed.api.get("secret/kept").expect(200).data == {"v": 1}


def test_a_share_more_is_fine(closed):
    closed.unseal()
    assert give(closed, closed.keys[4]).expect(200).body["sealed"] is False
    assert closed.api.get("secret/kept").expect(200).data == {"v": 1}


def test_sealed_twice(closed):
    assert "Vault is sealed" in closed.api.post("sys/seal").expect(503).errors


def test_sealing_needs_update_and_sudo(closed):
    closed.unseal()
    for capabilities, status in (('"update"', 403), ('"sudo"', 403), ('"update", "sudo"', 204)):
        token = closed.api.token_for("sealer", f'path "sys/seal" {{ capabilities = [{capabilities}] }}')
        closed.api.post("sys/seal", token=token).expect(status)
    for token in (None, "nonsense"):
        closed.api.post("sys/seal", token=token).expect(503)


def test_shares_open_after_rotations_and_restart(closed):
    closed.unseal()
    for _ in range(7):
        closed.api.rotate()
    closed.stop()
    closed.start()
    assert closed.api.get("sys/health", token=None).status == 503
    closed.unseal(closed.keys[1:4])
    assert closed.api.get("secret/kept").expect(200).data == {"v": 1}


@pytest.mark.parametrize("shares,threshold", [(1, 1), (2, 2), (3, 2), (255, 2), (255, 255)])
def test_numbers_of_shares(new_server, shares, threshold):
    server = new_server(storage="inmem").start()
    server.init(shares, threshold)
    assert len(set(server.keys)) == shares
    server.unseal(server.keys[shares - threshold:])
    server.api.get("sys/mounts").expect(200)


@pytest.mark.parametrize("body", [
    {}, {"secret_shares": 5}, {"secret_threshold": 3}, {"secret_shares": 256, "secret_threshold": 3}, {"secret_shares": 3, "secret_threshold": 4},
    {"secret_shares": 5, "secret_threshold": 1}, {"secret_shares": -1, "secret_threshold": -1}, {"secret_shares": "x", "secret_threshold": 1}])
def test_init_refused(new_server, body):
    server = new_server(storage="inmem").start()
    server.api.put("sys/init", body, token=None).expect(400)
    assert server.api.get("sys/init", token=None).body == {"initialized": False}


def test_init_once(closed):
    closed.api.put("sys/init", {"secret_shares": 1, "secret_threshold": 1}, token=None).expect(400)
    closed.unseal()
