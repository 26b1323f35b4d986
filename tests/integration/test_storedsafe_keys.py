"""Named keys of vaults by the StoredSafe API: every call of `transparent`, what it refuses, and what an operator sees of them."""
import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import OFB
from safe import ACTIVE, READ, WRITE, House, Safe

OWNER = READ | WRITE | ACTIVE


def b64(raw):
    return base64.b64encode(raw).decode()


def unb64(text):
    return base64.b64decode(text, validate=True)


TEXT = b64(b"attack at dawn")


def failed(answer, status, *parts):
    """A failure in this API's form, whose text has these parts."""
    body = answer.expect(status).body
    assert body["CALLINFO"]["status"] == "FAIL" and list(body["ERRORCODES"]) == ["2000"] and len(body["ERRORS"]) == 1, answer
    for part in parts:
        assert part in body["ERRORS"][0], answer
    return body


class Vault:
    """A vault of one Admin, and calls about its keys."""

    def __init__(self, safe, name="a vault"):
        self.safe = safe
        self.id = safe.good("POST", "vault", {"vaultname": name})["VAULT"][0]["id"]

    def path(self, what, name=None):
        return f"transparent/{self.id}/{what}" + (f"/{name}" if name else "")

    def call(self, what, name, body=None, method="POST", safe=None):
        return (safe or self.safe).call(method, self.path(what, name), body)

    def good(self, what, name, body=None, method="POST"):
        return self.safe.good(method, self.path(what, name), body)

    def make(self, name, **body):
        return self.good("keys", name, body)["CALLINFO"]

    def rotate(self, name):
        return self.good("keys", f"{name}/rotate")["CALLINFO"]["key_version"]

    def entry(self, name):
        return self.good("keys", name, method="GET")["KEYS"][0]

    def encrypt(self, name, text=TEXT, **more):
        return self.good("encrypt", name, {"plaintext": text, **more})["CALLINFO"]["ciphertext"]

    def decrypt(self, name, ciphertext, **more):
        return self.good("decrypt", name, {"ciphertext": ciphertext, **more})["CALLINFO"]["plaintext"]


@pytest.fixture
def house(server):
    return House(server.api)


@pytest.fixture
def vault(house):
    return Vault(house.session("owner", OWNER))


def member(house, vault, username, level):
    safe = house.session(username)
    vault.safe.good("POST", f"vault/{vault.id}/member/{safe.id}", {"status": level})
    return safe


# Making, reading, listing, deleting

def test_a_key_is_made_as_the_reference_says(vault):
    answer = vault.call("keys", "billing", {"type": "aes256-gcm96", "allow_export": False, "info": "invoice data"}).expect(201)
    info = answer.body["CALLINFO"]
    assert info["handler"] == "EncryptionHandler" and info["status"] == "SUCCESS" and info["token"] == vault.safe.token
    assert (info["name"], info["key_version"]) == ("billing", "1") and info["objectid"].isdecimal()
    assert answer.body["DATA"] == {"vaultid": vault.id, "name": "billing", "type": "aes256-gcm96", "allow_export": False, "info": "invoice data",
                                   "token": vault.safe.token}
    assert answer.body["PARAMS"] == [] and answer.body["HEADERS"]["X-Http-Token"] == vault.safe.token
    read = vault.good("keys", "billing", method="GET")
    assert read["CALLINFO"]["version"] == read["CALLINFO"]["key_version"] == "1" and read["CALLINFO"]["objectid"] == info["objectid"]
    assert read["CALLINFO"]["name"] == "billing"
    known = {"name": "billing", "key_version": "1", "type": "aes256-gcm96", "allow_backup": True, "allow_export": False,
             "allow_delete": True, "supports_signing": False, "info": "invoice data", "objectid": info["objectid"]}
    assert {name: read["KEYS"][0][name] for name in known} == known and len(read["KEYS"]) == 1


def test_defaults_of_a_key(vault):
    vault.make("plain")
    entry = vault.entry("plain")
    assert entry["type"] == "aes128-gcm96" and entry["info"] == ""
    assert entry["allow_backup"] is entry["allow_export"] is entry["allow_delete"] is True
    assert entry["auto_rotate_period"] == 0 and entry["max_operations"] == 1 << 32


def test_a_name_is_given_once_and_to_each_vault_by_itself(vault):
    first = vault.make("same")
    failed(vault.call("keys", "same", {}), 409, "already")
    other = Vault(vault.safe, "another")
    second = other.make("same", type="aes256-gcm96")
    assert first["objectid"] != second["objectid"]
    assert vault.entry("same")["type"] == "aes128-gcm96" and other.entry("same")["type"] == "aes256-gcm96"
    failed(other.call("decrypt", "same", {"ciphertext": vault.encrypt("same")}), 400)


@pytest.mark.parametrize("name", ["a", "A.b-c_9", "-x-", ".hidden", "x.", "0" * 128])
def test_names_that_keys_can_have(vault, name):
    vault.make(name)
    assert vault.decrypt(name, vault.encrypt(name)) == TEXT
    assert [key["name"] for key in vault.good("keys", None, method="LIST")["KEYS"]] == [name]
    vault.good("keys", name, method="DELETE")


@pytest.mark.parametrize("name", ["0" * 129, "a%20b", "a%2fb", "%c3%a4", "a:b", "a@b", "%2e%2e"])
@pytest.mark.parametrize("what", ["keys", "encrypt", "decrypt"])
def test_names_that_no_key_can_have(vault, what, name):
    answer = vault.call(what, name, {"plaintext": TEXT, "ciphertext": "storedsafe:v1:AAAA"})
    assert answer.status in (400, 404) and answer.body["CALLINFO"]["status"] == "FAIL"
    assert vault.good("keys", None, method="GET")["KEYS"] == []


@pytest.mark.parametrize("body, part", [({"type": "rsa-2048"}, "unknown key type"), ({"type": "chacha20-poly1305"}, "unknown key type"), ({"type": "AES128-OFB"}, "unknown key type"),
                                        ({"type": 7}, "type"), ({"allow_export": "perhaps"}, "allow_export"), ({"info": "x" * 1025}, "info"),
                                        ({"info": "a\nb"}, "info"), ({"auto_rotate_period": "5m"}, "hour"), ({"max_operations": -1}, "max_operations")])
def test_what_no_key_can_be(vault, body, part):
    failed(vault.call("keys", "bad", body), 400, part)
    failed(vault.call("keys", "bad", method="GET"), 404, "no such key")


def test_listing_by_both_verbs(vault):
    assert vault.good("keys", None, method="LIST")["KEYS"] == []
    for name in ["b", "a", "c"]:
        vault.make(name, info=name * 2)
    listed = vault.good("keys", None, method="LIST")
    assert [(k["name"], k["info"], k["key_version"]) for k in listed["KEYS"]] == [("a", "aa", "1"), ("b", "bb", "1"), ("c", "cc", "1")]
    assert vault.good("keys", None, method="GET")["KEYS"] == listed["KEYS"]
    assert "name" not in listed["CALLINFO"] and listed["DATA"]["vaultid"] == vault.id


def test_a_deleted_key_is_gone_and_its_name_free(vault):
    vault.make("k")
    old = vault.encrypt("k")
    vault.good("keys", "k", method="DELETE")
    for method, what in [("GET", "keys"), ("DELETE", "keys"), ("POST", "decrypt")]:
        failed(vault.call(what, "k", {"ciphertext": old} if method == "POST" else None, method), 404, "no such key")
    vault.make("k")
    failed(vault.call("decrypt", "k", {"ciphertext": old}), 400)
    vault.make("kept", allow_delete=False)
    failed(vault.call("keys", "kept", method="DELETE"), 403, "allow_delete")
    assert vault.entry("kept")["key_version"] == "1"


def test_a_vault_with_keys_cannot_be_deleted(vault):
    vault.make("k")
    failed(vault.safe.call("DELETE", f"vault/{vault.id}"), 400, "must be empty")
    vault.good("keys", "k", method="DELETE")
    vault.safe.good("DELETE", f"vault/{vault.id}")


# Rotating

def test_rotating_member_by_member(vault):
    made = vault.make("billing")
    before = vault.encrypt("billing")
    answer = vault.call("keys", "billing/rotate").expect(201)
    info = dict(answer.body["CALLINFO"])
    assert info == {"errorcodes": 0, "errors": 0, "general": [], "handler": "EncryptionHandler", "status": "SUCCESS",
                    "token": vault.safe.token, "name": "billing", "key_version": "2", "objectid": made["objectid"]}
    assert answer.body["DATA"] == {"vaultid": vault.id, "name": "billing", "token": vault.safe.token}
    assert set(answer.body) == {"CALLINFO", "DATA", "HEADERS", "PARAMS"} and answer.body["PARAMS"] == []
    after = vault.encrypt("billing")
    assert before.startswith("storedsafe:v1:") and after.startswith("storedsafe:v2:")
    assert vault.decrypt("billing", before) == vault.decrypt("billing", after) == TEXT


def test_the_token_may_stand_in_the_body(vault):
    vault.make("k")
    answer = vault.safe.call("POST", vault.path("keys", "k/rotate"), {"token": vault.safe.token}, token=None).expect(201)
    assert answer.body["CALLINFO"]["key_version"] == "2"
    assert vault.safe.call("POST", vault.path("keys", "k/rotate"), {}, token=None).expect(401).body["ERRORCODES"].keys() == {"1200"}


def test_a_missing_key_cannot_be_rotated(vault):
    failed(vault.call("keys", "none/rotate"), 404, "no such key")


# Encrypting and decrypting

@pytest.mark.parametrize("kind, size", [("aes128-gcm96", 16), ("aes256-gcm96", 32)])
@pytest.mark.parametrize("text", [b"", b"x", bytes(range(256)) * 20])
def test_ciphertexts_are_what_the_reference_says(vault, kind, size, text):
    vault.make("k", type=kind)
    key = unb64(vault.safe.good("GET", f"transparent/export/{vault.id}/k")["KEYS"][0]["key"])
    assert len(key) == size
    prefix, version, raw = vault.encrypt("k", b64(text)).split(":")
    raw = unb64(raw)
    assert (prefix, version, len(raw)) == ("storedsafe", "v1", 28 + len(text))
    assert AESGCM(key).decrypt(raw[:12], raw[12:], None) == text
    foreign = bytes(12) + AESGCM(key).encrypt(bytes(12), text, None)
    assert vault.decrypt("k", f"storedsafe:v1:{b64(foreign)}") == b64(text)


@pytest.mark.parametrize("kind, size", [("aes128-ofb", 16), ("aes256-ofb", 32)])
@pytest.mark.parametrize("text", [b"", b"x", bytes(range(256)) * 20])
def test_ciphertexts_of_the_types_without_a_tag(vault, kind, size, text):
    vault.make("k", type=kind)
    key = unb64(vault.safe.good("GET", f"transparent/export/{vault.id}/k")["KEYS"][0]["key"])
    raw = unb64(vault.encrypt("k", b64(text)).removeprefix("storedsafe:v1:"))
    assert (len(key), len(raw)) == (size, 16 + len(text))
    assert Cipher(AES(key), OFB(raw[:16])).decryptor().update(raw[16:]) == text
    changed = bytearray(raw)
    changed[-1] ^= 1
    if text:  # nothing tells
        assert unb64(vault.decrypt("k", "storedsafe:v1:" + b64(bytes(changed)))) == text[:-1] + bytes([text[-1] ^ 1])
    vault.rotate("k")
    lifted = vault.safe.good("POST", f"transparent/rewrap/{vault.id}/k", {"ciphertext": "storedsafe:v1:" + b64(raw), "to_version": "2"})["CALLINFO"]["ciphertext"]
    assert lifted.startswith("storedsafe:v2:") and vault.decrypt("k", lifted) == b64(text)
    failed(vault.call("encrypt", "k", {"plaintext": b64(text), "associated_data": TEXT}), 400, "associated data")
    failed(vault.call("decrypt", "k", {"ciphertext": "storedsafe:v1:" + b64(bytes(15))}), 400, "cannot be decrypted")


def test_answers_of_encrypt_and_decrypt(vault):
    vault.make("k")
    info = vault.good("encrypt", "k", {"plaintext": TEXT})["CALLINFO"]
    assert (info["name"], info["key_version"]) == ("k", "1")
    answer = vault.call("decrypt", "k", {"ciphertext": info["ciphertext"]}).expect(200)
    assert (answer.body["CALLINFO"]["name"], answer.body["CALLINFO"]["key_version"]) == ("k", "1")
    assert answer.body["DATA"] == {"vaultid": vault.id, "name": "k", "ciphertext": "********", "token": vault.safe.token}


def test_a_batch_that_fails_whole_makes_no_key(vault):
    for item in [{"plaintext": "!"}, {"plaintext": TEXT, "key_version": "2"}]:
        failed(vault.call("encrypt", "none", {"batch": [item, item]}), 400, "all 2 items failed")
        failed(vault.call("keys", "none", method="GET"), 404)
    results = vault.good("encrypt", "one", {"batch": [{"plaintext": "!"}, {"plaintext": TEXT}]})["CALLINFO"]["batch"]
    assert "error" in results[0] and vault.decrypt("one", results[1]["ciphertext"]) == TEXT


def test_versions_of_a_key_that_may_not_be_deleted_stay(house, vault):
    failed(vault.call("keys", "k", {"allow_delete": False, "max_versions": 2}), 400, "allow_delete")
    vault.make("k", allow_delete=False, info="before")
    writer = member(house, vault, "writer", WRITE)
    failed(vault.call("keys", "k", {"info": "after", "max_versions": 1}, method="PUT", safe=writer), 400, "allow_delete")
    assert vault.entry("k")["info"] == "before"
    vault.call("keys", "k", {"info": "after", "max_versions": 0}, method="PUT", safe=writer).expect(200)
    vault.call("keys", "k/rotate", {}, safe=writer).expect(201)
    states = vault.good("keys", "k/versions", method="GET")["CALLINFO"]["versions"]
    assert [states[n]["state"] for n in "12"] == ["decrypt_only", "active"]
    vault.make("other", max_versions=1)
    vault.rotate("other")
    assert vault.good("keys", "other/versions", method="GET")["CALLINFO"]["versions"]["1"]["state"] == "destroy_pending"


def test_why_a_ciphertext_cannot_be_decrypted_is_not_told(vault):
    vault.make("k")
    good = vault.encrypt("k").removeprefix("storedsafe:v1:")
    changed = ("A" if good[0] != "A" else "B") + good[1:]
    for text in ["x", f"vault:v1:{good}", f"storedsafe:v2:{good}", f"storedsafe:v-1:{good}", f"storedsafe:v:{good}", "storedsafe:v1:", "storedsafe:v1:AAAA",
                 "storedsafe:v1:!", f"storedsafe:v1:{good[:-4]}", f"storedsafe:v1:{changed}"]:
        for what in ["decrypt", "rewrap"]:
            body = failed(vault.call(what, "k", {"ciphertext": text}), 400)
            assert body["ERRORS"] == ["the ciphertext cannot be decrypted under this key"], text


def test_encrypting_under_a_version_that_is_named(vault):
    vault.make("k")
    vault.rotate("k")
    for version in ["1", 1]:
        assert vault.encrypt("k", key_version=version).startswith("storedsafe:v1:")
    assert vault.encrypt("k", key_version="2").startswith("storedsafe:v2:")
    for version in ["3", "-1", "x"]:
        failed(vault.call("encrypt", "k", {"plaintext": TEXT, "key_version": version}), 400)


@pytest.mark.parametrize("body, part", [({}, "plaintext"), ({"plaintext": "!"}, "base64"), ({"plaintext": 7.5}, "base64"), ({"plaintext": []}, "plaintext")])
def test_plaintexts_that_are_none(vault, body, part):
    vault.make("k")
    failed(vault.call("encrypt", "k", body), 400, part)


def test_encrypting_makes_a_missing_key(house, vault):
    assert vault.encrypt("one").startswith("storedsafe:v1:")
    assert vault.encrypt("two", type="aes256-gcm96", key_version="1").startswith("storedsafe:v1:")
    entries = {k["name"]: k for k in vault.good("keys", None, method="LIST")["KEYS"]}
    assert entries["one"]["type"] == "aes128-gcm96" and entries["two"]["type"] == "aes256-gcm96"
    assert all(entries["one"][flag] is True for flag in ["allow_backup", "allow_export", "allow_delete"])
    assert vault.encrypt("one", type="aes256-gcm96") and vault.entry("one")["type"] == "aes128-gcm96"
    failed(vault.call("encrypt", "three", {"plaintext": TEXT, "key_version": "2"}), 400, "no version 2")
    failed(vault.call("encrypt", "three", {"plaintext": TEXT, "type": "des"}), 400, "unknown key type")
    failed(vault.call("encrypt", "three", {"plaintext": "!"}), 400, "base64")
    reader, writer = member(house, vault, "reader", 1), member(house, vault, "writer", 2)
    failed(vault.call("encrypt", "three", {"plaintext": TEXT}, safe=reader), 403, "permission denied")
    failed(vault.call("keys", "three", method="GET"), 404)
    vault.call("encrypt", "three", {"plaintext": TEXT}, safe=writer).expect(200)
    vault.call("encrypt", "three", {"plaintext": TEXT}, safe=reader).expect(200)


def test_a_ciphertext_that_cannot_be_decrypted_is_told_in_one_way(vault):
    vault.make("k")
    good = vault.encrypt("k")
    raw = bytearray(unb64(good.split(":")[2]))
    raw[-1] ^= 1
    texts = set()
    for bad in [f"storedsafe:v1:{b64(bytes(raw))}", good.replace(":v1:", ":v2:"), good.replace(":v1:", ":v999999999999999999999:"),
                good.replace("storedsafe", "vault"), good[:-1], "storedsafe:v1:" + b64(b"short"), "storedsafe:v1", "x", good.replace(":v1:", ":vx:")]:
        texts.add(failed(vault.call("decrypt", "k", {"ciphertext": bad}), 400)["ERRORS"][0])
        texts.add(failed(vault.safe.call("POST", f"transparent/rewrap/{vault.id}/k", {"ciphertext": bad, "to_version": "1"}), 400)["ERRORS"][0])
    assert len(texts) == 1
    failed(vault.call("decrypt", "k", {}), 400, "ciphertext")


def test_associated_data(vault):
    vault.make("k")
    sealed = vault.encrypt("k", associated_data=b64(b"row 7"))
    assert vault.decrypt("k", sealed, associated_data=b64(b"row 7")) == TEXT
    failed(vault.call("decrypt", "k", {"ciphertext": sealed}), 400)
    failed(vault.call("decrypt", "k", {"ciphertext": sealed, "associated_data": b64(b"row 8")}), 400)


# Rewrapping, data keys

def test_rewrapping(vault):
    made = vault.make("k")
    old = vault.encrypt("k")
    vault.rotate("k")
    vault.rotate("k")

    def rewrap(**more):
        return vault.safe.call("POST", f"transparent/rewrap/{vault.id}/k", {"ciphertext": old, **more})
    for more, version in [({"to_version": "2"}, "2"), ({"to_version": 3}, "3"), ({}, "3"), ({"to_version": "1"}, "1")]:
        info = rewrap(**more).expect(200).body["CALLINFO"]
        assert (info["key_version"], info["objectid"], info["name"]) == (version, made["objectid"], "k")
        assert info["ciphertext"].startswith(f"storedsafe:v{version}:") and info["ciphertext"] != old
        assert vault.decrypt("k", info["ciphertext"]) == TEXT and "plaintext" not in info
    failed(rewrap(to_version="4"), 400, "higher than the latest")
    failed(rewrap(to_version="x"), 400, "to_version")


@pytest.mark.parametrize("bits", [None, 128, 256, 512])
def test_data_keys(house, vault, bits):
    made = vault.make("k")
    reader = member(house, vault, "reader", 1)
    body = {} if bits is None else {"bits": bits}
    info = vault.good("datakey/plaintext", "k", body)["CALLINFO"]
    assert (info["key_version"], info["objectid"], info["name"]) == ("1", made["objectid"], "k")
    assert len(unb64(info["plaintext"])) == (bits or 256) // 8
    assert vault.decrypt("k", info["ciphertext"]) == info["plaintext"]
    wrapped = vault.call("datakey/wrapped", "k", body, safe=reader).expect(200).body["CALLINFO"]
    assert "plaintext" not in wrapped and len(unb64(vault.decrypt("k", wrapped["ciphertext"]))) == (bits or 256) // 8
    failed(vault.call("datakey/plaintext", "k", body, safe=reader), 403, "permission denied")


def test_data_keys_that_are_refused(vault):
    vault.make("k")
    for bits in [0, 64, 255, 1024, "many"]:
        failed(vault.call("datakey/wrapped", "k", {"bits": bits}), 400)
    failed(vault.call("datakey/plaintext", "none", {}), 404, "no such key")
    failed(vault.call("keys", "none", method="GET"), 404)
    assert vault.call("datakey/other", "k", {}).status == 404


# Batches

def test_a_batch(vault):
    vault.make("k")
    vault.rotate("k")
    items = [{"plaintext": b64(b"a")}, {"plaintext": b64(b"b"), "key_version": "1", "reference": "two"},
             {"plaintext": b64(b"c"), "associated_data": b64(b"d")}]
    answer = vault.good("encrypt", "k", {"batch": items})
    sealed = answer["CALLINFO"]["batch"]
    assert [item["key_version"] for item in sealed] == ["2", "1", "2"] and answer["CALLINFO"]["general"] == []
    assert [item.get("reference") for item in sealed] == [None, "two", None]
    opened = [{"ciphertext": item["ciphertext"]} for item in sealed]
    answer = vault.good("decrypt", "k", {"batch": opened})["CALLINFO"]
    assert [item.get("plaintext") for item in answer["batch"]] == [b64(b"a"), b64(b"b"), None]
    assert answer["batch"][2] == {"error": "the ciphertext cannot be decrypted under this key"}
    assert answer["general"] == ["1 of 3 items failed"]
    again = vault.safe.good("POST", f"transparent/rewrap/{vault.id}/k", {"batch": [{"ciphertext": sealed[1]["ciphertext"]},
                                                                                  {"ciphertext": sealed[0]["ciphertext"], "to_version": "1"}]})
    assert [item["key_version"] for item in again["CALLINFO"]["batch"]] == ["2", "1"]
    assert again["CALLINFO"]["objectid"] == vault.entry("k")["objectid"]


@pytest.mark.parametrize("batch", [[], {}, "x", [7], [{"ciphertext": "x"}]])
def test_batches_that_are_none(vault, batch):
    vault.make("k")
    failed(vault.call("encrypt", "k", {"batch": batch}), 400)


# Export, backup, restore

def test_export(vault):
    vault.make("k")
    vault.rotate("k")
    latest = vault.safe.good("GET", f"transparent/export/{vault.id}/k")
    first = vault.safe.good("GET", f"transparent/export/{vault.id}/k/1")["KEYS"]
    assert [(k["name"], k["key_version"], k["type"]) for k in latest["KEYS"] + first] == [("k", "2", "aes128-gcm96"), ("k", "1", "aes128-gcm96")]
    assert len(unb64(first[0]["key"])) == 16 and first[0]["key"] != latest["KEYS"][0]["key"]
    assert latest["CALLINFO"]["name"] == "k" and "key" not in latest["CALLINFO"]
    for version in ["3", "0", "x", "-1"]:
        failed(vault.safe.call("GET", f"transparent/export/{vault.id}/k/{version}"), 400)
    vault.make("closed", allow_export=False)
    failed(vault.safe.call("GET", f"transparent/export/{vault.id}/closed"), 403, "allow_export")


@pytest.mark.parametrize("kind", ["aes256-gcm96", "aes256-ofb"])
def test_backup_and_restore(vault, kind):
    vault.make("k", type=kind, allow_export=False, info="what it is for")
    old = vault.encrypt("k")
    vault.rotate("k")
    new = vault.encrypt("k")
    answer = vault.safe.good("GET", f"transparent/backup/{vault.id}/k")
    assert answer["CALLINFO"]["version"] == answer["CALLINFO"]["key_version"] == "2" and answer["CALLINFO"]["name"] == "k"
    assert answer["CALLINFO"]["objectid"] == vault.entry("k")["objectid"] and len(answer["KEYS"]) == 1
    backup = answer["KEYS"][0]["backup"]
    other = Vault(vault.safe, "another")
    restored = other.safe.call("POST", f"transparent/restore/{other.id}/other", {"backup": backup}).expect(200).body
    assert restored["CALLINFO"]["name"] == "other" and restored["DATA"]["backup"] == "********"
    entry = other.entry("other")
    assert (entry["type"], entry["key_version"], entry["allow_export"], entry["allow_backup"], entry["info"]) == (kind, "2", False, True, "what it is for")
    assert entry["objectid"] != answer["CALLINFO"]["objectid"]
    assert other.decrypt("other", old) == other.decrypt("other", new) == TEXT
    failed(vault.safe.call("GET", f"transparent/export/{other.id}/other"), 403, "allow_export")
    failed(other.safe.call("POST", f"transparent/restore/{other.id}/other", {"backup": backup}), 409, "already")
    vault.good("keys", "k", method="DELETE")
    vault.safe.good("POST", f"transparent/restore/{vault.id}/k", {"backup": backup})
    assert vault.decrypt("k", old) == TEXT and vault.encrypt("k").startswith("storedsafe:v2:")
    vault.make("closed", allow_backup=False)
    failed(vault.safe.call("GET", f"transparent/backup/{vault.id}/closed"), 403, "allow_backup")
    failed(vault.safe.call("GET", f"transparent/backup/{vault.id}/none"), 404, "no such key")


def test_what_is_no_backup(server, vault):
    vault.make("k")
    backup = vault.safe.good("GET", f"transparent/backup/{vault.id}/k")["KEYS"][0]["backup"]
    raw = unb64(backup)

    def sealed(body):
        return b64(body + hashlib.sha256(body).digest())
    server.api.post("sys/mounts/transit", {"type": "transit"}).expect(204)
    for name, body in {"t": {"type": "aes128-gcm96"}, "e": {"type": "ed25519"}, "d": {"derived": True}, "c": {"type": "chacha20-poly1305"}}.items():
        server.api.post(f"transit/keys/{name}", {**body, "exportable": True, "allow_plaintext_backup": True}).expect(200)
    texts = {name: server.api.get(f"transit/backup/{name}").data["backup"].encode() for name in ["t", "e", "d", "c"]}

    def blob(text):
        return sealed(b"KTSB\x01" + bytes(4) + len(text).to_bytes(4, "big") + text)
    bad = ["", "!", b64(b""), b64(raw[:-1]), b64(raw[:40]), b64(bytes([raw[0] ^ 1]) + raw[1:]), b64(raw[:60] + bytes([raw[60] ^ 1]) + raw[61:]),
           texts["t"].decode(), blob(texts["e"]), blob(texts["c"]), blob(texts["d"]), blob(b"x"), sealed(b"KTSB\x02" + raw[5:-32]), sealed(b"KTSB\x01" + b"\xff" * 60),
           sealed(raw[:-32] + b"\0")]
    for text in bad:
        failed(vault.safe.call("POST", f"transparent/restore/{vault.id}/r", {"backup": text}), 400, "backup")
    failed(vault.safe.call("POST", f"transparent/restore/{vault.id}/r", {}), 400, "backup is missing")
    failed(vault.call("keys", "r", method="GET"), 404)
    vault.safe.good("POST", f"transparent/restore/{vault.id}/r", {"backup": blob(texts["t"])})
    assert vault.entry("r")["type"] == "aes128-gcm96"


# What is ours: settings, versions

def test_settings_of_a_key(vault):
    vault.make("k", auto_rotate_period="24h", max_operations=1000)
    entry = vault.entry("k")
    assert (entry["auto_rotate_period"], entry["max_operations"]) == (86400, 1000)
    changed = vault.good("keys", "k", {"auto_rotate_period": 0, "max_operations": 2, "info": "new"}, method="PUT")
    assert changed["KEYS"][0] == vault.entry("k")
    entry = vault.entry("k")
    assert (entry["auto_rotate_period"], entry["max_operations"], entry["info"]) == (0, 2, "new")
    versions = [vault.encrypt("k").split(":")[1] for _ in range(5)]
    assert versions == ["v1", "v1", "v2", "v2", "v3"]
    for name in ["type", "allow_export", "allow_backup", "allow_delete", "exportable", "deletion_allowed"]:
        failed(vault.call("keys", "k", {name: True}, method="PUT"), 400, name)
    failed(vault.call("keys", "none", {"info": "x"}, method="PUT"), 404)
    failed(vault.call("keys", "k", {"info": "x", "min_decryption_version": 9}, method="PUT"), 400)
    assert vault.entry("k")["info"] == "new"


def test_versions_and_their_states(house, vault):
    vault.make("k")
    old = vault.encrypt("k")
    vault.rotate("k")
    shown = vault.good("keys", "k/versions", method="GET")["CALLINFO"]
    assert shown["versions"]["1"]["state"] == "decrypt_only" and shown["versions"]["2"]["state"] == "active"
    assert shown["versions"]["1"]["encryptions"] == 1
    writer = member(house, vault, "writer", 2)
    failed(vault.call("keys", "k/versions/1", {"state": "disabled"}, safe=writer), 403)
    vault.good("keys", "k/versions/1", {"state": "disabled"}, method="PUT")
    failed(vault.call("decrypt", "k", {"ciphertext": old}), 400, "revoked")
    vault.good("keys", "k/versions/1", {"state": "decrypt_only", "rewrap_only": True})
    failed(vault.call("decrypt", "k", {"ciphertext": old}), 400, "rewrap")
    new = vault.safe.good("POST", f"transparent/rewrap/{vault.id}/k", {"ciphertext": old, "to_version": "2"})["CALLINFO"]["ciphertext"]
    assert vault.decrypt("k", new) == TEXT
    vault.good("keys", "k/versions/1", {"state": "destroyed"})
    failed(vault.safe.call("GET", f"transparent/export/{vault.id}/k/1"), 400, "destroyed")
    failed(vault.call("keys", "none/versions", method="GET"), 404, "no such key")


# Both orders of a path

@pytest.mark.parametrize("order", ["{vault}/{what}", "{what}/{vault}"])
def test_both_orders(vault, order):
    def at(what, rest):
        return "transparent/" + order.format(vault=vault.id, what=what) + "/" + rest
    safe = vault.safe
    sealed = safe.good("POST", at("encrypt", "k"), {"plaintext": TEXT})["CALLINFO"]["ciphertext"]
    assert safe.good("POST", at("decrypt", "k"), {"ciphertext": sealed})["CALLINFO"]["plaintext"] == TEXT
    assert safe.good("POST", at("rewrap", "k"), {"ciphertext": sealed, "to_version": "1"})["CALLINFO"]["key_version"] == "1"
    assert "plaintext" in safe.good("POST", at("datakey", "plaintext/k"), {})["CALLINFO"]
    assert "plaintext" not in safe.good("POST", at("datakey", "wrapped/k"), {})["CALLINFO"]
    assert safe.good("GET", at("export", "k"))["KEYS"] == safe.good("GET", at("export", "k/1"))["KEYS"]
    backup = safe.good("GET", at("backup", "k"))["KEYS"][0]["backup"]
    safe.good("POST", at("restore", "again"), {"backup": backup})
    assert vault.decrypt("again", sealed) == TEXT


# Operators, restarts

def test_an_operator_sees_and_rotates_the_keys_of_vaults(server, vault):
    made = vault.make("k", info="of a vault")
    base = f"storedsafe/vaults/{vault.id}"
    listed = server.api.list(f"{base}/keys").expect(200).data
    assert listed["keys"] == ["k"] and listed["key_info"]["k"]["info"] == "of a vault"
    read = server.api.get(f"{base}/keys/k").data
    assert (read["name"], read["objectid"], read["type"], read["info"]) == ("k", made["objectid"], "aes128-gcm96", "of a vault")
    assert server.api.post(f"{base}/keys/k/rotate").expect(200).data["key_version"] == "2"
    sealed = server.api.post(f"{base}/encrypt/k", {"plaintext": TEXT}).expect(200).data["ciphertext"]
    assert vault.decrypt("k", sealed) == TEXT
    assert server.api.get(f"{base}/keys/k/versions").data["versions"]["2"]["state"] == "active"
    assert server.api.post("storedsafe/vaults/99/keys/k", {}).status == 404
    assert server.api.post("storedsafe/vaults/99/encrypt/k", {"plaintext": TEXT}).status == 404
    # A dot in what stands for the vault must not reach another vault's key "b.k".
    vault.make("b.k")
    assert server.api.get(f"storedsafe/vaults/{vault.id}.b/keys/k").status == 404
    assert server.api.list("storedsafe/vaults/99/keys").status == 404


def test_keys_outlive_a_restart_and_a_kill(server, vault):
    vault.make("k", info="stays")
    sealed = vault.encrypt("k")
    vault.rotate("k")
    before = vault.entry("k")
    for stop in [server.stop, server.kill]:
        stop()
        server.start()
        server.unseal()
        again = Safe(server.api, vault.safe.token)
        assert again.good("GET", vault.path("keys", "k"))["KEYS"] == [before]
        assert again.good("POST", vault.path("decrypt", "k"), {"ciphertext": sealed})["CALLINFO"]["plaintext"] == TEXT


def test_counts_are_exact_after_a_clean_stop(server, vault):
    vault.make("k")
    for _ in range(7):
        vault.encrypt("k")
    vault.good("encrypt", "k", {"batch": [{"plaintext": TEXT}] * 5})
    server.stop()
    server.start()
    server.unseal()
    again = Safe(server.api, vault.safe.token)
    assert again.good("GET", vault.path("keys", "k/versions"))["CALLINFO"]["versions"]["1"]["encryptions"] == 12


def test_blocks_of_uses_are_reserved_ahead(server, vault):
    """A vault's keys are looked after as those of transit are: far beyond the first block, counts stay exact."""
    vault.make("k")
    batch = [{"plaintext": ""}] * 40000
    for n in range(1, 6):
        assert len(vault.good("encrypt", "k", {"batch": batch})["CALLINFO"]["batch"]) == len(batch)
        assert vault.good("keys", "k/versions", method="GET")["CALLINFO"]["versions"]["1"]["encryptions"] == n * len(batch)
    vault.good("keys", "k", {"max_operations": 200050}, method="PUT")
    sealed = vault.good("encrypt", "k", {"batch": batch[:100]})["CALLINFO"]["batch"]
    assert {item["key_version"] for item in sealed} == {"2"}
    assert vault.good("keys", "k/versions", method="GET")["CALLINFO"]["versions"]["1"]["encryptions"] == 200000


def test_a_vault_of_many_keys_is_listed_by_pages(vault):
    names = [f"k{n:03}" for n in range(30)]
    for name in names:
        vault.make(name)
    path = f"transparent/{vault.id}/keys"
    assert [k["name"] for k in vault.safe.good("LIST", path)["KEYS"]] == names
    first = vault.safe.good("LIST", path + "?limit=7")
    assert [k["name"] for k in first["KEYS"]] == names[:7]
    assert first["CALLINFO"]["general"] == ["there are more keys: after=k006 gives those behind"]
    rest = vault.safe.good("GET", path + "?limit=23&after=k006")
    assert [k["name"] for k in rest["KEYS"]] == names[7:] and rest["CALLINFO"]["general"] == []


@pytest.mark.parametrize("change", [lambda s: s.replace(":v1:", ":v0:"), lambda s: s.replace(":v1:", ":v01:"), lambda s: s.replace(":v1:", ":v+1:"),
                                    lambda s: s[:20] + "\n" + s[20:], lambda s: s + "\r\n", lambda s: s.replace("=", "")])
def test_a_ciphertext_has_one_form(vault, change):
    vault.make("k", type="aes256-gcm96")
    text = b64(b"fifteen letters")
    sealed = vault.encrypt("k", text)
    assert change(sealed) != sealed
    failed(vault.call("decrypt", "k", {"ciphertext": change(sealed)}), 400, "cannot be decrypted")
    assert vault.decrypt("k", sealed) == text


def test_base64_has_one_form(vault):
    vault.make("k")
    for text in [TEXT + "\n", TEXT[:4] + "\r\n" + TEXT[4:], TEXT.rstrip("="), " " + TEXT, TEXT[:-3] + "-" + TEXT[-2:]]:
        failed(vault.call("encrypt", "k", {"plaintext": text}), 400, "base64")
        failed(vault.call("encrypt", "k", {"plaintext": TEXT, "associated_data": text}), 400, "base64")


@pytest.mark.parametrize("what, name", [("encrypt", "plaintext"), ("encrypt", "key_version"), ("encrypt", "associated_data"), ("rewrap", "to_version"), ("decrypt", "ciphertext")])
def test_nothing_of_an_item_stands_beside_a_batch(vault, what, name):
    vault.make("k")
    item = {"plaintext": TEXT} if what == "encrypt" else {"ciphertext": vault.encrypt("k")}
    failed(vault.call(what, "k", {"batch": [item], name: "1"}), 400, name, "beside a batch")
    vault.good(what, "k", {"batch": [item]})
