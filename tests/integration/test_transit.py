"""Named keys: their life, their types, what is encrypted under them, what is refused, who may do what."""
import itertools

import pytest
from transit import OVERHEAD, SYMMETRIC, Transit, b64, unb64, version_of

_mounts = itertools.count()


@pytest.fixture
def transit(dev_server):
    """A mount of its own."""
    return Transit(dev_server.api, f"t{next(_mounts)}").mount()


# The life of a key


def test_a_new_key(transit):
    data = transit.create("k")
    assert data == transit.read("k")
    assert {n: data[n] for n in ("name", "type", "latest_version", "min_decryption_version", "min_encryption_version", "min_available_version")} == {
        "name": "k", "type": "aes256-gcm96", "latest_version": 1, "min_decryption_version": 1, "min_encryption_version": 0, "min_available_version": 0}
    assert list(data["keys"]) == ["1"]
    assert data["supports_encryption"] and data["supports_decryption"] and data["supports_derivation"] and not data["supports_signing"]
    assert transit.names() == ["k"]


def test_creating_again_changes_nothing(transit):
    transit.create("k")
    cipher = transit.encrypt("k", b"text")
    before = transit.read("k")
    answer = transit.ask("keys/k", type="chacha20-poly1305", exportable=True, derived=True).expect(200)
    assert "already existed" in answer.body["warnings"][0]
    assert answer.data == transit.read("k") == before
    assert transit.decrypt("k", cipher) == b"text"


def test_names_in_pages(transit):
    names = sorted(f"key-{n}" for n in range(20))
    for name in reversed(names):
        transit.create(name)
    assert transit.names() == names
    api, path = transit.api, transit.path
    assert api.list(f"{path}/keys?after=key-10&limit=3").expect(200).data["keys"] == names[names.index("key-10") + 1:][:3]
    assert api.list(f"{path}/keys?after=zzz").expect(404)


def test_old_versions_decrypt_until_they_may_not(transit):
    transit.create("k")
    ciphers = {1: transit.encrypt("k", b"1")}
    for n in range(2, 6):
        assert transit.rotate("k") == n
        ciphers[n] = transit.encrypt("k", str(n).encode())
    assert {n: version_of(c) for n, c in ciphers.items()} == {n: n for n in range(1, 6)}
    assert all(transit.decrypt("k", c) == str(n).encode() for n, c in ciphers.items())
    data = transit.config("k", min_decryption_version=3)
    assert sorted(data["keys"]) == ["3", "4", "5"]
    for n, cipher in ciphers.items():
        if n < 3:
            transit.refused("decrypt/k", "disallowed by policy (too old)", ciphertext=cipher)
            transit.refused("rewrap/k", "disallowed by policy (too old)", ciphertext=cipher)
        else:
            assert transit.decrypt("k", cipher) == str(n).encode()
    transit.config("k", min_decryption_version=1)
    assert transit.decrypt("k", ciphers[1]) == b"1"


def test_key_version_chooses(transit):
    transit.create("k")
    transit.rotate("k")
    transit.rotate("k")
    assert [version_of(transit.encrypt("k", b"", key_version=n)) for n in (0, 1, 2, 3, "2")] == [3, 1, 2, 3, 2]
    transit.refused("encrypt/k", "higher than the latest", plaintext="", key_version=4)
    transit.refused("encrypt/k", "higher than the latest", plaintext="", key_version=1 << 40)
    transit.refused("encrypt/k", "is negative", plaintext="", key_version=-1)
    transit.config("k", min_encryption_version=2)
    transit.refused("encrypt/k", "less than the minimum", plaintext="", key_version=1)
    assert version_of(transit.encrypt("k", b"", key_version=2)) == 2
    assert version_of(transit.rewrap("k", transit.encrypt("k"), key_version=2)) == 2
    transit.refused("rewrap/k", "less than the minimum", ciphertext=transit.encrypt("k"), key_version=1)


MIN_VERSIONS = [  # settings, and why they are refused, of a key with five versions
    ({"min_decryption_version": 6}, "cannot set min decryption version of 6"),
    ({"min_encryption_version": 6}, "cannot set min encryption version of 6"),
    ({"min_decryption_version": -1}, "cannot be negative"),
    ({"min_encryption_version": -1}, "cannot be negative"),
    ({"min_decryption_version": 4, "min_encryption_version": 3}, "must be greater than or equal"),
    ({"min_decryption_version": 1 << 31}, "too large"),
    ({"min_decryption_version": 1 << 70}, ""),
    ({"min_decryption_version": 1.5}, ""),
    ({"min_decryption_version": "one"}, ""),
    ({"min_decryption_version": [1]}, ""),
]


@pytest.mark.parametrize("settings,why", MIN_VERSIONS)
def test_min_versions_refused(transit, settings, why):
    transit.create("k")
    for _ in range(4):
        transit.rotate("k")
    before = transit.read("k")
    transit.refused("keys/k/config", why, deletion_allowed=True, exportable=True, **settings)
    assert transit.read("k") == before


def test_trim(transit):
    transit.create("k")
    ciphers = [transit.encrypt("k", b"x")]
    for _ in range(4):
        transit.rotate("k")
        ciphers.append(transit.encrypt("k", b"x"))
    transit.refused("keys/k/trim", "when minimum encryption version is not set", min_available_version=2)
    transit.config("k", min_decryption_version=3, min_encryption_version=4)
    transit.refused("keys/k/trim", "missing", )
    transit.refused("keys/k/trim", "should be positive", min_available_version=0)
    transit.refused("keys/k/trim", "cannot be decremented", min_available_version=-1)
    transit.refused("keys/k/trim", "cannot be greater than minimum decryption", min_available_version=4)
    transit.refused("keys/k/trim", "cannot be greater than", min_available_version=5)
    assert transit.trim("k", 3)["min_available_version"] == 3
    assert sorted(transit.versions("k")) == [3, 4, 5]
    transit.refused("keys/k/trim", "cannot be decremented", min_available_version=2)
    transit.refused("keys/k/config", "less then min available", min_decryption_version=2)
    transit.refused("keys/k/versions/2", "no such key version", state="disabled")
    assert [transit.decrypt("k", c) for c in ciphers[2:]] == [b"x"] * 3
    for cipher in ciphers[:2]:
        transit.refused("decrypt/k", "too old", ciphertext=cipher)


def test_what_is_stored_goes_with_its_key(server):
    """However many versions were trimmed, deleted, used just before; the removal of many goes on after a restart."""
    transit = Transit(server.api).mount()
    transit.create("other")

    def records():
        server.stop()
        found = sum(1 for _ in counts.dump(server.data))
        server.start().unseal()
        transit.api = server.api
        return found

    import counts
    before = records()
    transit.create("k")
    for _ in range(200):
        transit.rotate("k")
    transit.encrypt("k", b"", key_version=2)
    transit.decrypt("k", transit.encrypt("k", b"", key_version=150))
    transit.config("k", min_decryption_version=160, min_encryption_version=160)
    transit.trim("k", 160)
    assert sorted(transit.versions("k")) == list(range(160, 202))
    transit.decrypt("k", transit.encrypt("k", b"", key_version=170))
    assert records() == before + 1 + 2 * 42  # the head; of each version its record and its counts
    transit.decrypt("k", transit.encrypt("k"))
    transit.delete("k")
    assert records() == before


def test_deleting(transit):
    transit.create("k")
    cipher = transit.encrypt("k", b"text")
    transit.api.delete(f"{transit.path}/keys/k").expect(400)
    assert transit.decrypt("k", cipher) == b"text"
    transit.delete("k")
    assert not transit.exists("k") and transit.names() == []
    transit.refused("decrypt/k", "encryption key not found", ciphertext=cipher)
    transit.refused("keys/k/config", "no existing key named k", deletion_allowed=True)
    transit.api.delete(f"{transit.path}/keys/k").expect(400)
    # another key of that name knows nothing of the first
    transit.create("k")
    transit.refused("decrypt/k", "message authentication failed", ciphertext=cipher)
    assert transit.counts("k") == {1: 0}


def test_a_name_used_again_and_again(transit):
    """With caches warm on every loop."""
    old = []
    for n in range(20):
        transit.create("k")
        for cipher in old[-3:]:
            transit.refused("decrypt/k", "message authentication failed", ciphertext=cipher)
        old.append(transit.encrypt("k", str(n).encode()))
        assert transit.decrypt("k", old[-1]) == str(n).encode()
        transit.delete("k")


def test_soft_delete(transit):
    transit.create("k")
    cipher = transit.encrypt("k", b"text")
    api, path = transit.api, f"{transit.path}/keys/k"
    assert api.delete(f"{path}/soft-delete").expect(200).data["soft_deleted"]
    assert transit.read("k")["soft_deleted"]
    for what, members in {"encrypt/k": {"plaintext": b""}, "decrypt/k": {"ciphertext": cipher}, "rewrap/k": {"ciphertext": cipher},
                          "datakey/plaintext/k": {}, "keys/k/rotate": {}}.items():
        transit.refused(what, "soft-deleted", **members)
    assert transit.batch("encrypt", "k", [{"plaintext": b""}], 400)[0]["error"] == "refusing to use soft-deleted key"
    assert api.delete(f"{path}/soft-delete").expect(200).body["warnings"]
    assert not api.post(f"{path}/soft-delete-restore").expect(200).data["soft_deleted"]
    assert transit.decrypt("k", cipher) == b"text"
    assert api.post(f"{path}/soft-delete-restore").expect(200).body["warnings"]
    assert transit.counts("k") == {1: 1}
    api.delete(f"{transit.path}/keys/none/soft-delete").expect(404)
    api.post(f"{transit.path}/keys/none/soft-delete-restore").expect(404)


def test_exportable_stays(transit):
    transit.create("k")
    assert transit.config("k", exportable=True, allow_plaintext_backup=True)["exportable"]
    data = transit.config("k", exportable=False, allow_plaintext_backup=False)
    assert data["exportable"] and data["allow_plaintext_backup"]
    assert transit.config("k", deletion_allowed=True)["deletion_allowed"]
    assert not transit.config("k", deletion_allowed=False)["deletion_allowed"]


PERIODS = [("1h", 3600), (3600, 3600), ("3600", 3600), ("90m", 5400), ("1d", 86400), (0, 0), ("0", 0), ("", 0), ("36500d", 36500 * 86400)]


@pytest.mark.parametrize("given,seconds", PERIODS)
def test_auto_rotate_period(transit, given, seconds):
    data = transit.create("k", auto_rotate_period=given)
    assert data["auto_rotate_period"] == seconds
    assert ("next_rotation" in data) == (seconds > 0)
    assert transit.config("k", auto_rotate_period="2h")["auto_rotate_period"] == 7200
    assert transit.config("k", auto_rotate_period=given) == transit.read("k")
    assert transit.read("k")["auto_rotate_period"] == seconds


@pytest.mark.parametrize("given", ["59m", "1s", -3600, "-1h", "5d1", "x", 1, "101y", "4000000h", True, [3600], {"h": 1}])
def test_auto_rotate_period_refused(transit, given):
    transit.refused("keys/k", "", auto_rotate_period=given)
    assert not transit.exists("k")
    transit.create("k")
    transit.refused("keys/k/config", "", auto_rotate_period=given, deletion_allowed=True)
    assert not transit.read("k")["deletion_allowed"]


# Names

GOOD_NAMES = ["a", "Z9", "_", "a-b.c_d", "a..b", "0", "keys", "config", "x" * 128]
BAD_NAMES = ["-a", "a-", ".a", "a.", "a b", "a%20b", "a+b", "a:b", "a*", "a@b", "%C3%A4", "x" * 129, "~", "a,b", "(", "%25", "%7F"]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_names(transit, name):
    assert transit.create(name)["name"] == name
    assert transit.decrypt(name, transit.encrypt(name, b"x")) == b"x"
    assert transit.names() == [name]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(transit, name):
    name = name.replace(" ", "%20")
    transit.refused(f"keys/{name}", "")
    transit.refused(f"encrypt/{name}", "", plaintext="")
    assert transit.names() == []
    transit.api.get(f"{transit.path}/keys/{name}").expect(404, 400)


# Types and items

TEXTS = [b"", b"x", b"\0", bytes(range(256)), b"y" * 15, b"y" * 16, b"y" * 17, b"z" * 1000, b"w" * 200000]


@pytest.mark.parametrize("kind", SYMMETRIC)
def test_round_trips(transit, kind):
    assert transit.create("k", type=kind)["type"] == kind
    for text in TEXTS:
        cipher = transit.encrypt("k", text)
        assert len(unb64(cipher.split(":")[2])) == len(text) + OVERHEAD[kind]
        assert transit.decrypt("k", cipher) == text
        assert transit.encrypt("k", text) != cipher
    transit.rotate("k")
    again = transit.rewrap("k", cipher)
    assert (version_of(cipher), version_of(again)) == (1, 2)
    assert transit.decrypt("k", again) == TEXTS[-1]


@pytest.mark.parametrize("kind", SYMMETRIC)
def test_a_changed_ciphertext_is_refused(transit, kind):
    transit.create("k", type=kind)
    transit.create("other", type=kind)
    cipher = transit.encrypt("k", b"some text", associated_data=b"data")
    raw = unb64(cipher.split(":")[2])
    for bit in range(0, 8 * len(raw), 5):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        transit.refused("decrypt/k", "message authentication failed", ciphertext=f"vault:v1:{b64(bytes(changed))}", associated_data=b"data")
    for n in range(len(raw)):
        transit.refused("decrypt/k", "", ciphertext=f"vault:v1:{b64(raw[:n])}", associated_data=b"data")
    transit.refused("decrypt/other", "message authentication failed", ciphertext=cipher, associated_data=b"data")
    assert transit.decrypt("k", cipher, associated_data=b"data") == b"some text"


@pytest.mark.parametrize("kind", SYMMETRIC)
def test_associated_data(transit, kind):
    transit.create("k", type=kind)
    transit.rotate("k")
    cipher = transit.encrypt("k", b"text", associated_data=b"row 7", key_version=1)
    for wrong in ({}, {"associated_data": b"row 8"}, {"associated_data": b"row 7 "}, {"associated_data": ""}):
        transit.refused("decrypt/k", "message authentication failed", ciphertext=cipher, **wrong)
        transit.refused("rewrap/k", "message authentication failed", ciphertext=cipher, **wrong)
    assert transit.decrypt("k", cipher, associated_data=b"row 7") == b"text"
    again = transit.rewrap("k", cipher, associated_data=b"row 7")
    transit.refused("decrypt/k", "message authentication failed", ciphertext=again)
    assert transit.decrypt("k", again, associated_data=b"row 7") == b"text"
    transit.refused("encrypt/k", "", plaintext=b"", associated_data="!")


@pytest.mark.parametrize("kind", SYMMETRIC)
def test_contexts(transit, kind):
    assert transit.create("k", type=kind, derived=True)["kdf"] == "hkdf_sha256"
    cipher = transit.encrypt("k", b"text", context=b"one")
    assert transit.decrypt("k", cipher, context=b"one") == b"text"
    transit.refused("decrypt/k", "message authentication failed", ciphertext=cipher, context=b"two")
    transit.refused("decrypt/k", "missing 'context'", ciphertext=cipher)
    transit.refused("encrypt/k", "missing 'context'", plaintext=b"text")
    transit.refused("encrypt/k", "", plaintext=b"text", context="!")
    transit.rotate("k")
    again = transit.rewrap("k", cipher, context=b"one")
    assert transit.decrypt("k", again, context=b"one") == b"text"
    transit.refused("rewrap/k", "message authentication failed", ciphertext=cipher, context=b"two")
    assert transit.encrypt("k", b"text", context=b"one") != transit.encrypt("k", b"text", context=b"one")


@pytest.mark.parametrize("kind", SYMMETRIC)
def test_convergent(transit, kind):
    """The same text under the same context, version and associated data is the same ciphertext; anything else is another one."""
    transit.create("k", type=kind, derived=True, convergent_encryption=True)
    transit.rotate("k")
    same = {"plaintext": b"text", "context": b"one", "key_version": 1, "associated_data": b"data"}
    first = transit.encrypt("k", **same)
    others = [{"plaintext": b"texu"}, {"plaintext": b""}, {"context": b"two"}, {"key_version": 2}, {"associated_data": b"datb"}, {"associated_data": b""},
              {"associated_data": b"dat", "plaintext": b"atext"}]
    ciphers = [transit.encrypt("k", **{**same, **other}) for other in others]
    assert transit.encrypt("k", **same) == first
    assert len({first.split(":")[2], *(c.split(":")[2] for c in ciphers)}) == 1 + len(others)
    nonces = {unb64(c.split(":")[2])[:12] for c in (first, *ciphers)}
    assert len(nonces) == 1 + len(others)
    for other, cipher in zip(others, ciphers):
        told = {**same, **other}
        assert transit.decrypt("k", cipher, context=told["context"], associated_data=told["associated_data"]) == told["plaintext"]
    assert transit.rewrap("k", first, context=b"one", associated_data=b"data") == transit.encrypt("k", **{**same, "key_version": 2})
    results = transit.batch("encrypt", "k", [same, {**same, **others[0]}, same])
    assert [r["ciphertext"] for r in results] == [first, ciphers[0], first]


def test_create_refused(transit):
    for why, settings in {
        "requires derivation": {"convergent_encryption": True},
        "derivation not supported": {"type": "ecdsa-p256", "derived": True},
        "unknown key type": {"type": "AES256-GCM96"},
        "unknown key type aes128-ofb": {"type": "aes128-ofb"},
        "unknown key type aes256-ofb": {"type": "aes256-ofb"},
        "key_size is not valid": {"key_size": 32},
        "invalid key size": {"type": "hmac", "key_size": 31},
        "between 32 and 512": {"type": "hmac"},
        "max_operations is not valid": {"type": "hmac", "key_size": 32, "max_operations": 5},
        "max_operations must be": {"max_operations": (1 << 32) + 1},
        "range [1,": {"max_operations": -1},
        "max_versions cannot be negative": {"max_versions": -1},
        "retire_after cannot be negative": {"retire_after": "-1h"},
    }.items():
        transit.refused("keys/k", why, **settings)
    assert transit.names() == []


def test_hmac_keys_encrypt_nothing(transit):
    transit.create("k", type="hmac", key_size=64)
    assert transit.read("k")["key_size"] == 64
    transit.refused("encrypt/k", "not supported", plaintext=b"")
    transit.refused("decrypt/k", "not supported", ciphertext="vault:v1:AAAA")
    transit.refused("rewrap/k", "not supported", ciphertext="vault:v1:AAAA")
    transit.refused("datakey/wrapped/k", "not supported")
    assert transit.rotate("k") == 2


# Keys made by encrypting


def test_upsert(transit):
    assert transit.decrypt("new", transit.encrypt("new", b"text")) == b"text"
    assert transit.read("new")["type"] == "aes256-gcm96" and not transit.read("new")["derived"]
    transit.encrypt("derived", b"text", context=b"c")
    assert transit.read("derived")["derived"] and not transit.read("derived")["convergent_encryption"]
    same = {"plaintext": b"x", "context": b"c", "convergent_encryption": True}
    assert transit.encrypt("convergent", **same) == transit.encrypt("convergent", **same)
    transit.encrypt("chacha", b"", type="chacha20-poly1305")
    assert transit.read("chacha")["type"] == "chacha20-poly1305"
    transit.refused("encrypt/bad", "requires derivation", plaintext="", convergent_encryption=True)
    transit.refused("encrypt/bad", "not supported for this operation", plaintext="", type="ecdsa-p256")
    transit.refused("encrypt/bad", "unknown key type", plaintext="", type="no")
    transit.refused("encrypt/bad", "unknown key type aes128-ofb", plaintext="", type="aes128-ofb")
    transit.refused("encrypt/bad", "missing plaintext")
    transit.refused("encrypt/bad", "", plaintext="!")
    assert not transit.exists("bad")
    assert transit.counts("new") == {1: 1}


def test_disable_upsert(transit):
    config = f"{transit.path}/config/keys"
    assert transit.api.get(config).expect(200).data == {"disable_upsert": False}
    assert transit.ask("config/keys", disable_upsert=True).expect(200).data == {"disable_upsert": True}
    transit.refused("encrypt/new", "encryption key not found", plaintext="")
    assert transit.names() == []
    transit.refused("config/keys", "", disable_upsert="perhaps")
    assert transit.ask("config/keys").expect(200).data == {"disable_upsert": True}
    transit.ask("config/keys", disable_upsert=False).expect(200)
    transit.encrypt("new")


# Data keys


@pytest.mark.parametrize("kind", SYMMETRIC)
def test_data_keys(transit, kind):
    transit.create("k", type=kind)
    transit.rotate("k")
    seen = set()
    for bits in (128, 256, 512, None):
        data = transit.ask("datakey/plaintext/k", **({"bits": bits} if bits else {})).expect(200).data
        key = unb64(data["plaintext"])
        assert len(key) == (bits or 256) // 8 and data["key_version"] == 2
        assert transit.decrypt("k", data["ciphertext"]) == key
        wrapped = transit.ask("datakey/wrapped/k", **({"bits": bits} if bits else {})).expect(200).data
        assert set(wrapped) == {"ciphertext", "key_version"}
        seen |= {key, transit.decrypt("k", wrapped["ciphertext"])}
    assert len(seen) == 8
    pinned = transit.ask("datakey/plaintext/k", key_version=1).expect(200).data
    assert pinned["key_version"] == version_of(pinned["ciphertext"]) == 1
    assert transit.counts("k") == {1: 1, 2: 8}
    for bits in (0, 8, 100, 127, 1024, -128, "x", [256]):
        transit.refused("datakey/plaintext/k", "", bits=bits)
    transit.refused("datakey/odd/k", "must be 'plaintext' or 'wrapped'")
    transit.refused("datakey/plaintext/none", "encryption key not found")
    assert not transit.exists("none")
    assert transit.counts("k") == {1: 1, 2: 8}


def test_data_keys_of_derived_keys(transit):
    transit.create("k", derived=True)
    transit.refused("datakey/plaintext/k", "missing 'context'")
    data = transit.ask("datakey/plaintext/k", context=b"c", associated_data=b"a").expect(200).data
    assert b64(transit.decrypt("k", data["ciphertext"], context=b"c", associated_data=b"a")) == data["plaintext"]
    assert transit.counts("k") == {1: 1}


# Rights

RIGHTS = {  # operation: method, path, body; the capability it takes
    "encrypt": ("POST", "encrypt/k", {"plaintext": ""}, "update"),
    "decrypt": ("POST", "decrypt/k", {"ciphertext": None}, "update"),
    "rewrap": ("POST", "rewrap/k", {"ciphertext": None}, "update"),
    "datakey/plaintext": ("POST", "datakey/plaintext/k", {}, "update"),
    "datakey/wrapped": ("POST", "datakey/wrapped/k", {}, "update"),
    "read": ("GET", "keys/k", None, "read"),
    "list": ("LIST", "keys", None, "list"),
    "config": ("POST", "keys/k/config", {}, "update"),
    "rotate": ("POST", "keys/k/rotate", {}, "update"),
    "versions": ("GET", "keys/k/versions", None, "read"),
    "version": ("POST", "keys/k/versions/1", {"rewrap_only": True}, "update"),
    "soft-delete": ("DELETE", "keys/k/soft-delete", None, "delete"),
    "soft-restore": ("POST", "keys/k/soft-delete-restore", {}, "update"),
    "config/keys": ("POST", "config/keys", {}, "update"),
    "config/keys read": ("GET", "config/keys", None, "read"),
    "cache-config": ("POST", "cache-config", {}, "update"),
}


@pytest.mark.parametrize("name", RIGHTS)
def test_rights_are_per_path(transit, name):
    api, (method, path, body, capability) = transit.api, RIGHTS[name]
    transit.create("k")
    transit.create("j")
    if body and "ciphertext" in body:
        body = {"ciphertext": transit.encrypt("k")}
    every = ["create", "read", "update", "delete", "list"]
    others = "".join(f'path "{transit.path}/{p}" {{ capabilities = {every} }}\n'.replace("'", '"') for p in {r[1] for r in RIGHTS.values()} - {path})
    alone = f'path "{transit.path}/{path}" {{ capabilities = ["{capability}"] }}\n'
    without = alone.replace(f'"{capability}"', ", ".join(f'"{c}"' for c in every if c not in (capability, "create")))
    id = f"r-{transit.path}"
    assert api.request(method, f"{transit.path}/{path}", body, token=api.token_for(f"{id}-1", alone)).status < 300
    for n, text in enumerate((others, others + without)):
        api.request(method, f"{transit.path}/{path}", body, token=api.token_for(f"{id}-{2 + n}", text)).expect(403)
    if "k" in path.split("/"):
        api.request(method, f"{transit.path}/{path.replace('/k', '/j', 1)}", body, token=api.token_for(f"{id}-4", alone)).expect(403)


def test_encrypting_makes_keys_only_with_create(transit):
    api = transit.api
    update = api.token_for(f"u-{transit.path}", f'path "{transit.path}/encrypt/*" {{ capabilities = ["update"] }}')
    create = api.token_for(f"c-{transit.path}", f'path "{transit.path}/encrypt/*" {{ capabilities = ["create"] }}')
    api.post(f"{transit.path}/encrypt/k", {"plaintext": ""}, token=update).expect(403)
    assert not transit.exists("k")
    api.post(f"{transit.path}/encrypt/k", {"plaintext": ""}, token=create).expect(200)
    api.post(f"{transit.path}/encrypt/k", {"plaintext": ""}, token=create).expect(403)
    api.post(f"{transit.path}/encrypt/k", {"plaintext": ""}, token=update).expect(200)


def test_two_mounts_know_nothing_of_each_other(dev_server):
    one, two = (Transit(dev_server.api, f"t{next(_mounts)}").mount() for _ in range(2))
    one.create("k")
    cipher = one.encrypt("k", b"text")
    assert two.names() == []
    two.refused("decrypt/k", "encryption key not found", ciphertext=cipher)
    two.create("k")
    two.refused("decrypt/k", "message authentication failed", ciphertext=cipher)
    dev_server.api.post("sys/remount", {"from": one.path, "to": one.path + "-moved"}).expect(200, 204)
    assert Transit(dev_server.api, one.path + "-moved").decrypt("k", cipher) == b"text"
