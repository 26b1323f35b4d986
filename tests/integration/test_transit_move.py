"""Key material in and out of transit: import, export, wrapped export, backup and restore."""
import base64
import copy
import json
import random
import threading
import time
from datetime import datetime

import moving
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moving import ASYMMETRIC, HASHES, SYMMETRIC, TYPES, b64, material, new_key, public_pem, read_backup, unwrap, wrap, write_backup

ENCRYPTS = [kind for kind in TYPES if kind in SYMMETRIC and kind != "hmac" or kind.startswith("rsa")]
DERIVES = [kind for kind in SYMMETRIC if kind != "hmac"] + ["ed25519"]


@pytest.fixture(scope="module")
def mount(dev_server):
    """A mount, and its wrapping key as the other library reads it."""
    dev_server.api.post("sys/mounts/mv", {"type": "transit"}).expect(204)
    api = dev_server.api
    api.wrapping = moving.wrapping_key(api, "mv")
    return api


names = (f"k{n}" for n in range(1 << 30))


@pytest.fixture
def name():
    return next(names)


def make(api, name, kind="aes256-gcm96", **more):
    body = {"type": kind, "exportable": True, "allow_plaintext_backup": True, **more}
    if kind == "hmac":
        body["key_size"] = SYMMETRIC["hmac"]
    return api.post(f"mv/keys/{name}", body).expect(200).data


def import_key(api, name, key, kind, hash_function="SHA256", **more):
    body = {"type": kind, "ciphertext": b64(wrap(api.wrapping, material(key), hash_function)), "hash_function": hash_function, **more}
    return api.post(f"mv/keys/{name}/import", body)


def exported(api, name, kind, version=1, call=None, **query):
    call = call or ("encryption-key" if kind in ENCRYPTS else "hmac-key" if kind == "hmac" else "signing-key")
    more = "&".join(f"{key}={value}" for key, value in query.items())
    return api.get(f"mv/export/{call}/{name}?{more}").expect(200).data["keys"][str(version)]


def state_of(api, name):
    """Everything that is shown of a key."""
    return [api.get(f"mv/keys/{name}").expect(200).data, api.get(f"mv/keys/{name}/versions").expect(200).data]


# Import


@pytest.mark.parametrize("kind", TYPES)
def test_imported_key_is_the_key(mount, name, kind):
    key = new_key(kind)
    import_key(mount, name, key, kind, exportable=True).expect(204)
    shown = mount.get(f"mv/keys/{name}").expect(200).data
    assert (shown["type"], shown["imported_key"], shown["latest_version"]) == (kind, True, 1)
    if kind in SYMMETRIC:
        assert base64.b64decode(exported(mount, name, kind)) == key
        assert kind != "hmac" or shown["key_size"] == len(key)
    else:
        der = base64.b64decode(exported(mount, name, kind, format="der"))
        assert serialization.load_der_private_key(der, None).private_numbers() == key.private_numbers() if kind != "ed25519" else material(key) == der
        assert exported(mount, name, kind, call="public-key", format="pem").strip() == public_pem(key).strip()


@pytest.mark.parametrize("hash_function", [*HASHES, "sha256", None])
def test_hash_functions(mount, name, hash_function):
    key = new_key("aes256-gcm96")
    body = {"ciphertext": b64(wrap(mount.wrapping, key, (hash_function or "SHA256").upper())), "exportable": True}
    if hash_function:
        body["hash_function"] = hash_function
    mount.post(f"mv/keys/{name}/import", body).expect(204)
    assert base64.b64decode(exported(mount, name, "aes256-gcm96")) == key


@pytest.mark.parametrize("kind", DERIVES)
def test_imported_derived(mount, name, kind):
    """Who has the same key derives the same keys."""
    key = new_key(kind)
    for of in (name, f"{name}-too"):
        import_key(mount, of, key, kind, derived=True, exportable=True).expect(204)
        assert mount.get(f"mv/keys/{of}").expect(200).data["derived"] is True
    if kind != "ed25519":
        sealed = mount.post(f"mv/encrypt/{name}", {"plaintext": b64(b"text"), "context": b64(b"one")}).expect(200).data["ciphertext"]
        opened = mount.post(f"mv/decrypt/{name}-too", {"ciphertext": sealed, "context": b64(b"one")}).expect(200)
        assert opened.data["plaintext"] == b64(b"text")
        mount.post(f"mv/decrypt/{name}-too", {"ciphertext": sealed, "context": b64(b"two")}).expect(400)
    else:
        public = [mount.get(f"mv/keys/{of}?context=b25l").data["keys"]["1"] for of in (name, f"{name}-too")]
        assert public[0]["public_key"] == public[1]["public_key"]
        seed = key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
        public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        assert base64.b64decode(exported(mount, name, kind)) == seed + public


def test_uses_before_are_unknown(mount, name):
    import_key(mount, name, new_key("aes256-gcm96"), "aes256-gcm96", allow_rotation=True).expect(204)
    mount.post(f"mv/keys/{name}/rotate").expect(200)
    versions = mount.get(f"mv/keys/{name}/versions").expect(200).data["versions"]
    assert [versions[n]["earlier_uses_known"] for n in "12"] == [False, True]
    assert versions["1"]["encryptions"] == 0


def test_imported_key_rotates_only_when_allowed(mount, name):
    import_key(mount, name, new_key("aes256-gcm96"), "aes256-gcm96").expect(204)
    before = state_of(mount, name)
    mount.post(f"mv/keys/{name}/rotate").expect(400)
    mount.post(f"mv/keys/{name}/config", {"auto_rotate_period": "1h"}).expect(400)
    assert state_of(mount, name) == before


@pytest.mark.parametrize("kind", TYPES)
def test_import_version(mount, name, kind):
    first, second = new_key(kind), new_key(kind, fresh=kind == "rsa-2048")
    import_key(mount, name, first, kind, exportable=True).expect(204)
    mount.post(f"mv/keys/{name}/import_version", {"ciphertext": b64(wrap(mount.wrapping, material(second)))}).expect(204)
    assert mount.get(f"mv/keys/{name}").expect(200).data["latest_version"] == 2
    if kind in SYMMETRIC:
        assert [base64.b64decode(exported(mount, name, kind, n)) for n in (1, 2)] == [first, second]


@pytest.mark.parametrize("kind", ASYMMETRIC)
def test_public_key_and_later_the_private_one(mount, name, kind):
    keys = [new_key(kind), new_key(kind)] if not kind.startswith("rsa") else [new_key(kind)] * 2
    mount.post(f"mv/keys/{name}/import", {"type": kind, "public_key": public_pem(keys[0]), "exportable": True}).expect(204)
    assert exported(mount, name, kind, call="public-key", format="pem").strip() == public_pem(keys[0]).strip()
    assert exported(mount, name, kind, call="signing-key") == ""
    mount.post(f"mv/keys/{name}/import_version", {"public_key": public_pem(keys[1])}).expect(204)
    before = state_of(mount, name)
    wrong = b64(wrap(mount.wrapping, material(new_key(kind, fresh=kind == "rsa-2048"))))
    if kind in ("rsa-2048", "ed25519") or kind.startswith("ecdsa"):
        answer = mount.post(f"mv/keys/{name}/import_version", {"ciphertext": wrong, "version": 1}).expect(400)
        assert "key pair does not match" in answer.errors
    answer = mount.post(f"mv/keys/{name}/import_version", {"public_key": public_pem(keys[0]), "version": 1}).expect(400)
    assert "already has a public key" in answer.errors
    assert state_of(mount, name) == before
    # by number, and without one for the latest
    for n, key in ((1, keys[0]), (None, keys[1])):
        body = {"ciphertext": b64(wrap(mount.wrapping, material(key)))}
        mount.post(f"mv/keys/{name}/import_version", {**body, "version": n} if n else body).expect(204)
    assert mount.get(f"mv/keys/{name}").expect(200).data["latest_version"] == 2
    for n, key in ((1, keys[0]), (2, keys[1])):
        der = base64.b64decode(exported(mount, name, kind, n, call="signing-key", format="der"))
        assert serialization.load_der_private_key(der, None).public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo) == key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    answer = mount.post(f"mv/keys/{name}/import_version", {"ciphertext": b64(wrap(mount.wrapping, material(keys[0]))), "version": 1})
    assert "cannot be updated" in answer.expect(400).errors


def test_import_refused(mount, name):
    key, good = new_key("aes256-gcm96"), None
    good = b64(wrap(mount.wrapping, key))
    for body in (
            {}, {"ciphertext": ""}, {"ciphertext": "???"}, {"ciphertext": b64(b"x" * 512)}, {"ciphertext": b64(b"x" * 600)}, {"ciphertext": 7},
            {"ciphertext": good, "type": "none"}, {"ciphertext": good, "type": "aes128-gcm96"}, {"ciphertext": good, "type": "hmac", "derived": True},
            {"ciphertext": good, "type": "ed25519"}, {"ciphertext": good, "type": "rsa-2048"}, {"ciphertext": good, "type": "ecdsa-p256"},
            {"ciphertext": good, "hash_function": "SHA1"}, {"ciphertext": good, "hash_function": "MD5"}, {"ciphertext": good, "hash_function": 1},
            {"ciphertext": good, "convergent_encryption": True, "derived": True}, {"ciphertext": good, "auto_rotate_period": "2h"},
            {"ciphertext": good, "derived": 7}, {"ciphertext": good, "context": 7}, {"ciphertext": b64(wrap(mount.wrapping, key[:31]))},
            {"ciphertext": b64(wrap(mount.wrapping, key[:31])), "type": "hmac"}, {"ciphertext": b64(wrap(mount.wrapping, b"x" * 513)), "type": "hmac"},
            {"public_key": "", "type": "ed25519"}, {"public_key": "x", "type": "ed25519"}, {"public_key": public_pem(new_key("ecdsa-p256"))},
            {"public_key": public_pem(new_key("ecdsa-p256")), "type": "ecdsa-p384"}, {"public_key": public_pem(new_key("ed25519")), "type": "rsa-2048"},
            {"public_key": public_pem(new_key("rsa-2048")), "type": "rsa-4096"}, {"public_key": public_pem(new_key("ed25519")), "type": "ed25519", "derived": True}):
        answer = mount.post(f"mv/keys/{name}/import", body).expect(400)
        assert answer.body["errors"][0]
        mount.get(f"mv/keys/{name}").expect(404)
    mount.post(f"mv/keys/-{name}/import", {"ciphertext": good}).expect(400)
    mount.post(f"mv/keys/{name}/import_version", {"ciphertext": good}).expect(400)
    make(mount, name)
    before = state_of(mount, name)
    assert "existing key" in mount.post(f"mv/keys/{name}/import", {"ciphertext": good}).expect(400).errors
    assert "imported key" in mount.post(f"mv/keys/{name}/import_version", {"ciphertext": good}).expect(400).errors
    assert state_of(mount, name) == before


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind not in ("rsa-3072", "rsa-4096")])
def test_import_version_refused(mount, name, kind):
    import_key(mount, name, new_key(kind), kind).expect(204)
    before = state_of(mount, name)
    for body in ({"version": 1}, {"ciphertext": b64(wrap(mount.wrapping, material(new_key(kind)))), "version": 2},
                 {"ciphertext": b64(wrap(mount.wrapping, material(new_key(kind)))), "version": 1},
                 {"ciphertext": b64(wrap(mount.wrapping, material(new_key(kind)))), "version": -1},
                 {"ciphertext": b64(wrap(mount.wrapping, material(new_key(kind)))), "version": 1 << 40},
                 {"ciphertext": b64(wrap(mount.wrapping, b"short"))}):
        mount.post(f"mv/keys/{name}/import_version", body).expect(400)
    mount.delete(f"mv/keys/{name}/soft-delete").expect(200)
    mount.post(f"mv/keys/{name}/import_version", {"ciphertext": b64(wrap(mount.wrapping, material(new_key(kind))))}).expect(400)
    mount.post(f"mv/keys/{name}/soft-delete-restore").expect(200)
    assert state_of(mount, name) == before


def test_hostile_blobs(mount, name):
    """Cut off, a bit changed anywhere, parts of two blobs: 400, and there is no key."""
    rng, key = random.Random(7), new_key("ecdsa-p256")
    blob, other = wrap(mount.wrapping, material(key)), wrap(mount.wrapping, material(key))
    bad = [blob[:n] for n in (0, 1, 511, 512, 513, 519, 520, 527, len(blob) - 8, len(blob) - 1)]
    bad += [blob + b"\0" * n for n in (1, 8, 16, 70000)] + [blob[:512] + other[512:]]
    for _ in range(60):
        at = rng.randrange(len(blob) * 8)
        bad.append(blob[:at // 8] + bytes([blob[at // 8] ^ 1 << at % 8]) + blob[at // 8 + 1:])
    for raw in bad:
        mount.post(f"mv/keys/{name}/import", {"type": "ecdsa-p256", "ciphertext": b64(raw)}).expect(400)
    mount.get(f"mv/keys/{name}").expect(404)


def test_hostile_material(mount, name):
    """What is wrapped well but is no key of the type."""
    rng = random.Random(8)
    for kind in ("ecdsa-p256", "ecdsa-p521", "ed25519", "rsa-2048"):
        raw = material(new_key(kind))
        bad = [raw[:len(raw) // 2], raw[:-1], raw + b"\0", b"\x30\x80" + raw[2:], b"\0" * len(raw), b"\x30\x84\xff\xff\xff\xff" + raw]
        for _ in range(12):
            at = rng.randrange(len(raw))
            bad.append(raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[at + 1:])
        for other in TYPES:
            if other != kind and other not in ("rsa-3072", "rsa-4096"):
                bad.append(material(new_key(other)))
        for text in bad:
            answer = mount.post(f"mv/keys/{name}/import", {"type": kind, "ciphertext": b64(wrap(mount.wrapping, text))})
            if answer.status != 400:  # a bit of a seed may change into another good key, which must then be one
                answer.expect(204)
                mount.post(f"mv/keys/{name}/config", {"deletion_allowed": True}).expect(200)
                mount.delete(f"mv/keys/{name}").expect(204)
            mount.get(f"mv/keys/{name}").expect(404)


# The wrapping key


def test_wrapping_key_is_one(dev_server):
    """Many ask at once, one key is made; another mount has another one."""
    api, seen = dev_server.api, []
    for where in ("w1", "w2"):
        api.post(f"sys/mounts/{where}", {"type": "transit"}).expect(204)
    assert "no wrapping key yet" in api.post("w1/keys/k/import", {"ciphertext": b64(b"x" * 600)}).expect(400).errors
    threads = [threading.Thread(target=lambda: seen.append(api.get("w1/wrapping_key").expect(200, 503).body)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pem = api.get("w1/wrapping_key").expect(200).data["public_key"]
    assert len(seen) == 4 and {body["data"]["public_key"] for body in seen if "data" in body} <= {pem}
    assert serialization.load_pem_public_key(pem.encode()).key_size == 4096
    assert api.get("w2/wrapping_key").expect(200).data["public_key"] != pem


@pytest.mark.limit(600)
def test_wrapping_key_outlives_a_restart(server):
    server.api.post("sys/mounts/mv", {"type": "transit"}).expect(204)
    wrapping, key = moving.wrapping_key(server.api, "mv"), new_key("aes256-gcm96")
    server.restart()
    assert moving.wrapping_key(server.api, "mv").public_numbers() == wrapping.public_numbers()
    server.api.wrapping = wrapping
    import_key(server.api, "k", key, "aes256-gcm96", exportable=True).expect(204)
    server.kill()
    server.start()
    server.unseal()
    assert base64.b64decode(exported(server.api, "k", "aes256-gcm96")) == key


# Export


def test_export_formats(mount, name):
    load = {"der": lambda text: serialization.load_der_private_key(base64.b64decode(text), None),
            "pem": lambda text: serialization.load_pem_private_key(text.encode(), None)}
    for kind in ("ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "ed25519"):
        key, of = new_key(kind), f"{name}-{kind}"
        import_key(mount, of, key, kind, exportable=True).expect(204)
        for form in ("der", "pem"):
            assert material(load[form](exported(mount, of, kind, call="signing-key", format=form))) == material(key)
        default = exported(mount, of, kind, call="signing-key")
        if kind == "ed25519":
            assert exported(mount, of, kind, call="signing-key", format="raw") == default
            assert base64.b64decode(default)[:32] == material(key)[-32:]
        else:
            assert default.startswith("-----BEGIN RSA PRIVATE KEY-----\n" if kind[0] == "r" else "-----BEGIN EC PRIVATE KEY-----\n")
            assert default.endswith("-----\n") == (kind[0] == "r")
            assert material(load["pem"](default)) == material(key)
            assert all(len(line) <= 64 for line in default.split("\n"))
            assert "unknown format" in mount.get(f"mv/export/signing-key/{of}?format=raw").expect(400).errors
        public = serialization.load_der_public_key(base64.b64decode(exported(mount, of, kind, call="public-key", format="der")))
        assert public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode() == public_pem(key)
    make(mount, name)
    for form in ("der", "pem"):
        assert "unknown format" in mount.get(f"mv/export/encryption-key/{name}?format={form}").expect(400).errors
    assert "invalid format" in mount.get(f"mv/export/encryption-key/{name}?format=jwk").expect(400).errors


def test_export_versions(mount, name):
    make(mount, name)
    for _ in range(4):
        mount.post(f"mv/keys/{name}/rotate").expect(200)
    mount.post(f"mv/keys/{name}/config", {"min_decryption_version": 2, "deletion_allowed": True}).expect(200)
    every = mount.get(f"mv/export/encryption-key/{name}").expect(200).data["keys"]
    assert sorted(every) == ["2", "3", "4", "5"] and len(set(every.values())) == 4
    for text, number in (("latest", "5"), ("v3", "3"), ("3", "3"), ("03", "3")):
        assert mount.get(f"mv/export/encryption-key/{name}/{text}").expect(200).data["keys"] == {number: every[number]}
    for text, error in (("1", "below minimum"), ("0", "below minimum"), ("6", "does not exist"), ("x", "invalid key version"), ("v", "invalid key version"),
                        ("-1", "invalid key version"), ("99999999999999999999", "invalid key version"), ("4294967299", "does not exist")):
        assert error in mount.get(f"mv/export/encryption-key/{name}/{text}").expect(400).errors
    mount.post(f"mv/keys/{name}/versions/3", {"state": "disabled"}).expect(204)
    mount.post(f"mv/keys/{name}/versions/4", {"state": "destroyed"}).expect(200)
    assert sorted(mount.get(f"mv/export/encryption-key/{name}").expect(200).data["keys"]) == ["2", "5"]
    assert "is disabled" in mount.get(f"mv/export/encryption-key/{name}/3").expect(400).errors
    assert "was destroyed" in mount.get(f"mv/export/encryption-key/{name}/4").expect(400).errors
    page = mount.get(f"mv/export/encryption-key/{name}?after=2&limit=1").expect(200)
    assert page.data["keys"] == {} and "after=3" in page.body["warnings"][0]


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-p256", "rsa-2048"])
def test_export_of_many_versions(mount, name, kind):
    """More than are written where the request arrives: the same as each alone."""
    make(mount, name, kind)
    for _ in range(19):
        mount.post(f"mv/keys/{name}/rotate").expect(200)
    mount.post(f"mv/keys/{name}/versions/7", {"state": "disabled"}).expect(204)
    for call in ("signing-key", "public-key"):
        for form in ("", "der", "pem"):
            every = mount.get(f"mv/export/{call}/{name}?format={form}").expect(200).data
            assert every["name"] == name and every["type"] == kind
            assert list(every["keys"]) == [str(n) for n in range(1, 21) if n != 7] and len(set(every["keys"].values())) == 19
            for number in ("1", "8", "20"):
                assert mount.get(f"mv/export/{call}/{name}/{number}?format={form}").expect(200).data["keys"] == {number: every["keys"][number]}
    page = mount.get(f"mv/export/signing-key/{name}?after=1&limit=18").expect(200)
    assert list(page.data["keys"]) == [str(n) for n in range(2, 20) if n != 7] and "after=19" in page.body["warnings"][0]
    assert "certificate chain" in mount.get(f"mv/export/certificate-chain/{name}/1").expect(400).errors
    assert mount.get(f"mv/export/certificate-chain/{name}").expect(200).data["keys"] == {}
    if kind != "ed25519":
        assert "unknown format" in mount.get(f"mv/export/signing-key/{name}?format=raw").expect(400).errors


def test_export_while_the_key_changes(mount, name):
    """What the pool wrote is answered only if the key is still the same: all versions of a moment, none that was given up before the call."""
    make(mount, name, "ecdsa-p256")
    for _ in range(19):
        mount.post(f"mv/keys/{name}/rotate").expect(200)
    stop = threading.Event()

    def change():
        while not stop.is_set():
            mount.post(f"mv/keys/{name}/rotate").expect(200)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(100):
            latest = mount.get(f"mv/keys/{name}").expect(200).data["latest_version"]
            reply = mount.get(f"mv/export/signing-key/{name}")
            if reply.status == 503:
                continue
            keys = list(reply.expect(200).data["keys"])
            assert keys == [str(n) for n in range(1, len(keys) + 1)] and len(keys) >= min(latest, 1000)
    finally:
        stop.set()
        changer.join()
    assert list(mount.get(f"mv/export/signing-key/{name}").expect(200).data["keys"])[:20] == [str(n) for n in range(1, 21)]


def test_export_refused(mount, name):
    mount.get(f"mv/export/encryption-key/{name}").expect(404)
    mount.post(f"mv/keys/{name}", {}).expect(200)
    for call in ("encryption-key", "hmac-key"):
        assert "not exportable" in mount.get(f"mv/export/{call}/{name}").expect(400).errors
    assert "no public key" in mount.get(f"mv/export/public-key/{name}").expect(400).errors
    assert "invalid export type" in mount.get(f"mv/export/all/{name}").expect(400).errors
    mount.post(f"mv/keys/{name}/config", {"exportable": True}).expect(200)
    assert "signing not supported" in mount.get(f"mv/export/signing-key/{name}").expect(400).errors
    mount.delete(f"mv/keys/{name}/soft-delete").expect(200)
    assert "soft-deleted" in mount.get(f"mv/export/encryption-key/{name}").expect(400).errors
    make(mount, name + "d", "ed25519", derived=True)
    assert "context" in mount.get(f"mv/export/public-key/{name}d").expect(400).errors
    make(mount, name + "e", "ed25519", exportable=False)
    mount.get(f"mv/export/public-key/{name}e").expect(200)
    assert "not exportable" in mount.get(f"mv/export/encryption-key/{name}e").expect(400).errors
    mount.post(f"mv/keys/{name}e/config", {"exportable": True}).expect(200)
    assert "encryption not supported" in mount.get(f"mv/export/encryption-key/{name}e").expect(400).errors


# Wrapped export


@pytest.mark.parametrize("kind", TYPES)
def test_wrapped_export_is_imported_elsewhere(mount, name, kind):
    mount.post("sys/mounts/other", {"type": "transit"})
    elsewhere = mount.get("other/wrapping_key").expect(200).data["public_key"]
    mount.post(f"mv/keys/{name}-to/import", {"type": "rsa-4096", "public_key": elsewhere}).expect(204)
    key = new_key(kind)
    import_key(mount, name, key, kind, exportable=True).expect(204)
    for hash_function in ("", "SHA1", "SHA512"):
        data = mount.get(f"mv/byok-export/{name}-to/{name}?hash={hash_function}" if hash_function else f"mv/byok-export/{name}-to/{name}").expect(200).data
        assert (data["name"], data["type"], list(data["keys"])) == (name, kind, ["1"])
        body = {"type": kind, "ciphertext": data["keys"]["1"], "exportable": True, "hash_function": hash_function or "SHA256"}
        mount.post(f"other/keys/{name}{hash_function}/import", body).expect(204)
        call = "encryption-key" if kind in ENCRYPTS else "hmac-key" if kind == "hmac" else "signing-key"
        assert mount.get(f"other/export/{call}/{name}{hash_function}").expect(200).data["keys"] == mount.get(f"mv/export/{call}/{name}").data["keys"]


def test_wrapped_export_versions(mount, name):
    private = new_key("rsa-2048")
    mount.post(f"mv/keys/{name}-to/import", {"type": "rsa-2048", "public_key": public_pem(private)}).expect(204)
    make(mount, name)
    for _ in range(3):
        mount.post(f"mv/keys/{name}/rotate").expect(200)
    plain = {n: base64.b64decode(text) for n, text in mount.get(f"mv/export/encryption-key/{name}").data["keys"].items()}
    got = mount.get(f"mv/byok-export/{name}-to/{name}").expect(200).data["keys"]
    assert {n: unwrap(private, base64.b64decode(text)) for n, text in got.items()} == plain
    got = mount.get(f"mv/byok-export/{name}-to/{name}/v2?hash=SHA384").expect(200).data["keys"]
    assert {n: unwrap(private, base64.b64decode(text), "SHA384") for n, text in got.items()} == {"2": plain["2"]}
    for path, error in ((f"{name}-to/none", "no such source"), (f"none/{name}", "no such destination"), (f"{name}/{name}", "must be a rsa key"),
                        (f"{name}-to/{name}-to", "not exportable"), (f"{name}-to/{name}/9", "does not exist"), (f"{name}-to/{name}?hash=MD5", "hash")):
        assert error in mount.get(f"mv/byok-export/{path}").expect(400).errors
    mount.post(f"mv/keys/{name}p/import", {"type": "ed25519", "public_key": public_pem(new_key("ed25519")), "exportable": True}).expect(204)
    assert "private key not imported" in mount.get(f"mv/byok-export/{name}-to/{name}p").expect(400).errors
    mount.delete(f"mv/keys/{name}/soft-delete").expect(200)
    assert "for source key" in mount.get(f"mv/byok-export/{name}-to/{name}").expect(400).errors
    mount.delete(f"mv/keys/{name}-to/soft-delete").expect(200)
    assert "for destination key" in mount.get(f"mv/byok-export/{name}-to/{name}").expect(400).errors


# Backup: the reference's form

NUMBER, TEXT, FLAG = int, str, bool
POLICY = {"name": TEXT, "keys": dict, "derived": FLAG, "kdf": NUMBER, "convergent_encryption": FLAG, "exportable": FLAG, "min_decryption_version": NUMBER,
          "min_encryption_version": NUMBER, "latest_version": NUMBER, "archive_version": NUMBER, "archive_min_version": NUMBER, "min_available_version": NUMBER,
          "deletion_allowed": FLAG, "convergent_version": NUMBER, "type": NUMBER, "backup_info": dict, "restore_info": (dict, type(None)),
          "allow_plaintext_backup": FLAG, "version_template": TEXT, "storage_prefix": TEXT, "auto_rotate_period": NUMBER, "Imported": FLAG,
          "AllowImportedKeyRotation": FLAG, "soft_deleted": FLAG}
BYTES, BIG = (TEXT, type(None)), (NUMBER, type(None))
KEY = {"key": BYTES, "hmac_key": BYTES, "time": TEXT, "ec_x": BIG, "ec_y": BIG, "ec_d": BIG, "rsa_key": (dict, type(None)),
       "rsa_public_key": (dict, type(None)), "public_key": TEXT, "convergent_version": NUMBER, "creation_time": NUMBER,
       "certificate_chain": (list, type(None)), "external_key_ref": TEXT}
RSA_KEY = {"N": NUMBER, "E": NUMBER, "D": NUMBER, "Primes": list, "Precomputed": dict}
NUMBERS = {"aes256-gcm96": 0, "ecdsa-p256": 1, "ed25519": 2, "rsa-2048": 3, "rsa-4096": 4, "chacha20-poly1305": 5, "ecdsa-p384": 6, "ecdsa-p521": 7,
           "aes128-gcm96": 8, "rsa-3072": 9, "hmac": 10, "xchacha20-poly1305": 11, "xaes-256-gcm": -1}


def members(found, wanted, ours=("keyturn",)):
    assert set(found) - set(ours) == set(wanted), set(found) ^ set(wanted)
    for name, kind in wanted.items():
        kinds = kind if isinstance(kind, tuple) else (kind,)
        assert type(found[name]) in kinds, (name, found[name])


def check_key(key, kind):
    """The numbers and texts of one version."""
    members(key, KEY)
    assert datetime.fromisoformat(key["time"].split(".")[0].rstrip("Z")) and abs(key["creation_time"] - 1795370786) < 1 << 31
    assert len(base64.b64decode(key["hmac_key"])) == (SYMMETRIC["hmac"] if kind == "hmac" else 32)
    if kind in SYMMETRIC:
        assert len(base64.b64decode(key["key"])) == SYMMETRIC[kind]
    elif kind == "ed25519":
        raw = base64.b64decode(key["key"])
        assert len(raw) == 64 and raw[32:] == base64.b64decode(key["public_key"])
    elif kind in moving.CURVES:
        public = ec.derive_private_key(key["ec_d"], moving.CURVES[kind]()).public_key()
        assert (public.public_numbers().x, public.public_numbers().y) == (key["ec_x"], key["ec_y"])
        assert serialization.load_pem_public_key(key["public_key"].encode()).public_numbers() == public.public_numbers()
    else:
        rsa = key["rsa_key"]
        members(rsa, RSA_KEY)
        p, q = rsa["Primes"]
        assert p * q == rsa["N"] and rsa["N"].bit_length() == int(kind[4:]) and rsa["D"] * rsa["E"] % ((p - 1) * (q - 1)) in (1, rsa["D"] * rsa["E"] % ((p - 1) * (q - 1)))
        assert all(pow(pow(3, rsa["E"], r), rsa["D"], r) == 3 for r in (p, q))
        more = rsa["Precomputed"]
        assert more["Dp"] == rsa["D"] % (p - 1) and more["Dq"] == rsa["D"] % (q - 1) and more["Qinv"] * q % p == 1 and more["CRTValues"] == []


@pytest.mark.parametrize("kind", TYPES)
def test_backup_has_the_references_form(mount, name, kind):
    make(mount, name, kind)
    mount.post(f"mv/keys/{name}/rotate").expect(200)
    backup = read_backup(mount.get(f"mv/backup/{name}").expect(200).data["backup"])
    assert set(backup) == {"policy", "archived_keys"}
    policy = backup["policy"]
    members(policy, {**POLICY, "key_size": NUMBER} if kind == "hmac" else POLICY)
    assert (policy["name"], policy["type"], policy["latest_version"], policy["archive_version"]) == (name, NUMBERS[kind], 2, 2)
    assert sorted(policy["keys"]) == ["1", "2"]
    for key in policy["keys"].values():
        check_key(key, kind)
    first, *rest = backup["archived_keys"]["keys"]
    members(first, KEY)
    assert first["key"] is None and first["time"] == "0001-01-01T00:00:00Z" and rest == [policy["keys"]["1"], policy["keys"]["2"]]
    assert mount.get(f"mv/keys/{name}").data["backup_info"]["version"] == 2
    # and read by us
    mount.post(f"mv/restore/{name}-copy", {"backup": write_backup(backup)}).expect(204)
    again = read_backup(mount.get(f"mv/backup/{name}-copy").expect(200).data["backup"])
    assert again["policy"]["keys"] == policy["keys"] and again["archived_keys"] == backup["archived_keys"]
    for member in ("name", "backup_info", "restore_info", "keys"):
        del again["policy"][member], policy[member]
    assert again["policy"] == policy


def test_backup_leaves_out_what_is_trimmed(mount, name):
    make(mount, name)
    for _ in range(5):
        mount.post(f"mv/keys/{name}/rotate").expect(200)
    mount.post(f"mv/keys/{name}/config", {"min_decryption_version": 4, "min_encryption_version": 4}).expect(200)
    mount.post(f"mv/keys/{name}/trim", {"min_available_version": 3}).expect(200)
    text = mount.get(f"mv/backup/{name}").expect(200).data["backup"]
    backup = read_backup(text)
    assert sorted(backup["policy"]["keys"]) == ["4", "5", "6"]
    assert len(backup["archived_keys"]["keys"]) == 4 and backup["archived_keys"]["keys"][1:] == [backup["policy"]["keys"][n] for n in "456"]
    mount.post(f"mv/restore/{name}-copy", {"backup": text}).expect(204)
    mount.post(f"mv/keys/{name}-copy/config", {"min_decryption_version": 3}).expect(200)
    shown = mount.get(f"mv/keys/{name}-copy").data
    assert sorted(shown["keys"]) == ["3", "4", "5", "6"] and shown["min_available_version"] == 3
    assert mount.get(f"mv/export/encryption-key/{name}-copy").data["keys"]["3"] == backup["archived_keys"]["keys"][0]["key"]


def test_backup_keeps_what_is_ours(mount, name):
    """Counts, states and limits come back; a key goes on counting where it was."""
    make(mount, name, deletion_allowed=True)
    mount.post(f"mv/keys/{name}/config", {"max_operations": 1000, "max_versions": 9, "retire_after": "240h", "deletion_allowed": True}).expect(200)
    ciphertexts = []
    for n in range(4):
        for _ in range(n + 1):
            ciphertexts.append(mount.post(f"mv/encrypt/{name}", {"plaintext": b64(b"%d" % n)}).expect(200).data["ciphertext"])
        mount.post(f"mv/decrypt/{name}", {"ciphertext": ciphertexts[-1]}).expect(200)
        if n < 3:
            mount.post(f"mv/keys/{name}/rotate").expect(200)
    mount.post(f"mv/keys/{name}/versions/1", {"state": "destroyed"}).expect(200)
    mount.post(f"mv/keys/{name}/versions/2", {"state": "disabled"}).expect(204)
    mount.post(f"mv/keys/{name}/versions/3", {"rewrap_only": True}).expect(204)
    text = mount.get(f"mv/backup/{name}").expect(200).data["backup"]
    mount.post(f"mv/restore/{name}-copy", {"backup": text}).expect(204)
    was, now = (mount.get(f"mv/keys/{of}/versions").expect(200).data for of in (name, f"{name}-copy"))
    assert was["versions"]["1"].pop("pending_terms") and was["versions"]["1"].pop("state") == "destroy_pending"
    assert now["versions"]["1"].pop("state") == "destroyed"
    assert now == was
    assert now["versions"]["4"]["encryptions"] == 4 and now["versions"]["4"]["earlier_uses_known"] is True
    was, now = (mount.get(f"mv/keys/{of}").expect(200).data for of in (name, f"{name}-copy"))
    for member in ("max_operations", "max_versions", "retire_after", "deletion_allowed", "latest_version"):
        assert was[member] == now[member]
    assert mount.post(f"mv/decrypt/{name}-copy", {"ciphertext": ciphertexts[-1]}).expect(200).data["plaintext"] == b64(b"3")
    for ciphertext in (ciphertexts[0], ciphertexts[1], ciphertexts[3]):
        mount.post(f"mv/decrypt/{name}-copy", {"ciphertext": ciphertext}).expect(400)
    mount.post(f"mv/encrypt/{name}-copy", {"plaintext": ""}).expect(200)
    assert mount.get(f"mv/keys/{name}-copy/versions").data["versions"]["4"]["encryptions"] == 5


def test_restored_key_rotates_on_the_count(mount, name):
    """With our counts it goes on from there; without, it begins at zero, and says that it does not know more."""
    make(mount, name)
    mount.post(f"mv/keys/{name}/config", {"max_operations": 10}).expect(200)
    mount.post(f"mv/encrypt/{name}", {"batch_input": [{"plaintext": ""}] * 8}).expect(200)
    backup = read_backup(mount.get(f"mv/backup/{name}").expect(200).data["backup"])
    mount.post(f"mv/restore/{name}-a", {"backup": write_backup(backup)}).expect(204)
    for keys in (backup["policy"]["keys"].values(), backup["archived_keys"]["keys"]):
        for key in keys:
            key.pop("keyturn", None)
    mount.post(f"mv/restore/{name}-b", {"backup": write_backup(backup)}).expect(204)
    for of, version, known in ((f"{name}-a", 2, True), (f"{name}-b", 1, False)):
        data = mount.post(f"mv/encrypt/{of}", {"batch_input": [{"plaintext": ""}] * 5}).expect(200).data
        assert {item["key_version"] for item in data["batch_results"]} == {version}
        versions = mount.get(f"mv/keys/{of}/versions").expect(200).data["versions"]
        assert versions["1"]["earlier_uses_known"] is known


def test_restored_key_that_is_due(mount, name):
    """It rotates by itself; one that was imported, and may not be rotated, never does, and stops nobody else."""
    backup = good_backup(mount, name)
    for member, value in (("auto_rotate_period", 3600 * 10 ** 9), ("keys", {n: {**key, "time": "2020-01-01T00:00:00Z"} for n, key in backup["policy"]["keys"].items()})):
        backup = changed(backup, ("policy", member), value)
    mount.post(f"mv/restore/{name}-a", {"backup": write_backup(changed(backup, ("policy", "Imported"), True))}).expect(204)
    mount.post(f"mv/restore/{name}-b", {"backup": write_backup(backup)}).expect(204)
    deadline = time.monotonic() + 60
    while mount.get(f"mv/keys/{name}-b").expect(200).data["latest_version"] != 3:
        assert time.monotonic() < deadline, "it does not rotate"
        time.sleep(0.01)
    shown = mount.get(f"mv/keys/{name}-a").expect(200).data
    assert shown["latest_version"] == 2 and "next_rotation" not in shown


def test_restore_names_and_force(mount, name):
    make(mount, name)
    text = mount.get(f"mv/backup/{name}").expect(200).data["backup"]
    before = state_of(mount, name)
    for path in ("mv/restore", f"mv/restore/{name}"):
        assert "already exists" in mount.post(path, {"backup": text}).expect(400).errors
    assert state_of(mount, name) == before
    mount.post(f"mv/restore/{name}-2", {"backup": text}).expect(204)
    mount.post("mv/restore", {"backup": text, "name": f"{name}-3"}).expect(204)
    assert mount.get(f"mv/keys/{name}-3").data["name"] == f"{name}-3"
    # what it replaces is gone
    mount.post(f"mv/keys/{name}/rotate").expect(200)
    sealed = mount.post(f"mv/encrypt/{name}", {"plaintext": ""}).expect(200).data["ciphertext"]
    mount.post("mv/restore", {"backup": text, "force": True}).expect(204)
    assert mount.get(f"mv/keys/{name}").data["latest_version"] == 1
    mount.post(f"mv/decrypt/{name}", {"ciphertext": sealed}).expect(400)
    for bad in ("-x", "x-", "a%20b", "a:b", "x" * 200):
        mount.post(f"mv/restore/{bad}", {"backup": text}).expect(400)
    for bad in ("a/b", "", "-", "ü", "x" * 129):
        policy = read_backup(text)
        policy["policy"]["name"] = bad
        mount.post("mv/restore", {"backup": write_backup(policy)}).expect(400)


def test_backup_refused(mount, name):
    assert "not found" in mount.get(f"mv/backup/{name}").expect(400).errors
    mount.post(f"mv/keys/{name}", {}).expect(200)
    assert "exporting is disallowed" in mount.get(f"mv/backup/{name}").expect(400).errors
    mount.post(f"mv/keys/{name}/config", {"exportable": True}).expect(200)
    assert "plaintext backup is disallowed" in mount.get(f"mv/backup/{name}").expect(400).errors
    mount.post(f"mv/keys/{name}/config", {"allow_plaintext_backup": True}).expect(200)
    mount.delete(f"mv/keys/{name}/soft-delete").expect(200)
    assert "soft-deleted" in mount.get(f"mv/backup/{name}").expect(400).errors


# Hostile backups


def good_backup(api, name, kind="aes256-gcm96", **more):
    make(api, name, kind, **more)
    api.post(f"mv/keys/{name}/rotate").expect(200)
    return read_backup(api.get(f"mv/backup/{name}").expect(200).data["backup"])


def changed(backup, path, value):
    """A copy with one member set, or (value is ...) gone; in the archive too."""
    new = copy.deepcopy(backup)
    places = [new]
    for step in path[:-1]:
        places = [place[step] for place in places]
    for place in places:
        if value is ...:
            del place[path[-1]]
        else:
            place[path[-1]] = value
    return new


WRONG = [None, True, 7, -1, 1.5, 1e300, "x", "", [], {}, [[]], {"a": 1}, 1 << 70, "é"]


@pytest.mark.parametrize("kind", ["aes256-gcm96", "ed25519", "ecdsa-p256", "rsa-2048", "hmac"])
def test_members_of_wrong_types(mount, name, kind):
    """Any member replaced by anything: it is restored whole, or refused and nothing is there; the server lives."""
    backup = good_backup(mount, name, kind)
    paths = [("policy",), ("archived_keys",), ("archived_keys", "keys")]
    paths += [("policy", member) for member in backup["policy"]] + [("policy", "keyturn", member) for member in backup["policy"]["keyturn"]]
    key = backup["policy"]["keys"]["1"]
    paths += [("policy", "keys", "1")] + [("policy", "keys", "1", member) for member in key] + [("policy", "keys", "1", "keyturn", member) for member in key["keyturn"]]
    if kind == "rsa-2048":
        paths += [("policy", "keys", "1", "rsa_key", member) for member in key["rsa_key"]]
    rng, target = random.Random(3), f"{name}-x"
    for path in paths:
        for value in rng.sample(WRONG, 5) + [...]:
            answer = mount.post(f"mv/restore/{target}", {"backup": write_backup(changed(backup, path, value))})
            if answer.status == 204:
                assert mount.get(f"mv/keys/{target}/versions").status == 200
                mount.post(f"mv/keys/{target}/config", {"deletion_allowed": True}).expect(200)
                mount.delete(f"mv/keys/{target}").expect(204)
            else:
                assert answer.expect(400).errors, path
            mount.get(f"mv/keys/{target}").expect(404)


@pytest.mark.parametrize("member, value, error", [
    ("latest_version", 0, "no version"), ("latest_version", 3, "lacks version 3"), ("latest_version", 1 << 29, "more than 10000 versions"), ("latest_version", 1 << 30, "latest_version"),
    ("latest_version", 20000, "more than 10000 versions"), ("latest_version", 1, "keys"), ("min_decryption_version", 9, "contradict"),
    ("min_encryption_version", 9, "contradict"), ("min_available_version", 2, "contradict"), ("min_decryption_version", -1, "min_decryption_version"),
    ("type", 12, "unknown type"), ("type", -1, ""), ("type", -2, "type"), ("type", 10000, "unknown type"), ("type", 1 << 40, "type"),
    ("type", 8, "which no key of type aes128-gcm96 has"), ("type", 1, "has no key"), ("type", 3, "has no key"), ("type", 2, "64 bytes"),
    ("key_size", 32, "key_size"), ("derived", True, "kdf 0"), ("kdf", 7, ""), ("convergent_encryption", True, "convergently"),
    ("version_template", "my:v{{version}}:", "prefix"), ("auto_rotate_period", 1, "auto_rotate_period"),
    ("auto_rotate_period", 4 * 10 ** 18, "auto_rotate_period"), ("name", "a/b", "name")])
def test_contradictions(mount, name, member, value, error):
    backup = changed(good_backup(mount, name), ("policy", member), value)
    answer = mount.post("mv/restore" if member == "name" else f"mv/restore/{name}-x", {"backup": write_backup(backup)})
    if error:
        assert error in answer.expect(400).errors
        mount.get(f"mv/keys/{name}-x").expect(404)
    else:
        answer.expect(204)


def test_old_derivation_is_refused(mount, name):
    backup = good_backup(mount, name, derived=True)
    assert "old way (kdf 0)" in mount.post(f"mv/restore/{name}-x", {"backup": write_backup(changed(backup, ("policy", "kdf"), 0))}).expect(400).errors
    backup = good_backup(mount, name + "c", derived=True, convergent_encryption=True)
    for n in (1, 2):
        old = changed(backup, ("policy", "keys", "2", "convergent_version"), n)
        assert "old way" in mount.post(f"mv/restore/{name}-x", {"backup": write_backup(old)}).expect(400).errors
    mount.get(f"mv/keys/{name}-x").expect(404)


def test_keys_that_are_none(mount, name):
    """Numbers that do not belong together."""
    p256, rsa = good_backup(mount, name + "p", "ecdsa-p256"), good_backup(mount, name + "r", "rsa-2048")
    ed = good_backup(mount, name + "e", "ed25519")
    at = ("policy", "keys", "1")
    key, numbers = p256["policy"]["keys"]["1"], rsa["policy"]["keys"]["1"]["rsa_key"]
    swapped = base64.b64decode(ed["policy"]["keys"]["1"]["key"])
    bad = [changed(p256, (*at, "ec_x"), key["ec_y"]), changed(p256, (*at, "ec_d"), key["ec_d"] + 1), changed(p256, (*at, "ec_d"), 0),
           changed(p256, (*at, "ec_x"), 0), changed(p256, (*at, "ec_d"), 1 << 4000), changed(p256, (*at, "ec_y"), -key["ec_y"]),
           changed(rsa, (*at, "rsa_key", "N"), numbers["N"] + 2), changed(rsa, (*at, "rsa_key", "D"), numbers["D"] + 2),
           changed(rsa, (*at, "rsa_key", "E"), 1), changed(rsa, (*at, "rsa_key", "E"), 0), changed(rsa, (*at, "rsa_key", "E"), 1 << 63),
           changed(rsa, (*at, "rsa_key", "Primes"), numbers["Primes"] + [3]), changed(rsa, (*at, "rsa_key", "Primes"), [1, numbers["N"]]),
           changed(rsa, (*at, "rsa_key", "N"), 10 ** 4200), changed(rsa, (*at, "rsa_key"), None),
           changed(ed, (*at, "key"), b64(swapped[32:] + swapped[:32])), changed(ed, (*at, "key"), b64(swapped[:32])), changed(ed, (*at, "key"), b64(swapped + b"x"))]
    for backup in bad:
        assert "version 1" in mount.post(f"mv/restore/{name}-x", {"backup": write_backup(backup)}).expect(400).errors
        mount.get(f"mv/keys/{name}-x").expect(404)


def test_texts_that_are_no_backup(mount, name):
    text = write_backup(good_backup(mount, name))
    rng = random.Random(5)
    bad = ["AAAA", "=", "A", "{}", b64(b"{}"), b64(b"[]"), b64(b"null"), b64(b'{"policy":null}'), b64(b'{"policy":{}}'), b64(b'{"policy":{"name":"x"}}'),
           b64(b'{"policy":' * 70 + b"1" + b"}" * 70), b64(b"[" * 100000), text + "A", text + "=", "x" + text, " " + text]
    bad += [text[:rng.randrange(len(text))] for _ in range(30)]
    for backup in bad:
        assert mount.post(f"mv/restore/{name}-x", {"backup": backup}).expect(400).errors
    for backup in (None, 7, [], {}, "", True):
        mount.post(f"mv/restore/{name}-x", {"backup": backup}).expect(400)
    mount.post(f"mv/restore/{name}-x", {"backup": text, "force": "maybe"}).expect(400)
    mount.post(f"mv/restore/{name}-x").expect(400)
    mount.get(f"mv/keys/{name}-x").expect(404)


def test_bits_of_backups(mount, name):
    """A bit changed anywhere: refused, or a key that is there whole."""
    rng = random.Random(6)
    for kind in ("aes256-gcm96", "ecdsa-p256", "ed25519"):
        raw = json.dumps(good_backup(mount, f"{name}-{kind}", kind)).encode()
        for _ in range(80):
            at, target = rng.randrange(len(raw)), f"{name}-x"
            answer = mount.post(f"mv/restore/{target}", {"backup": b64(raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[at + 1:])}).expect(204, 400)
            if answer.status == 204:
                mount.get(f"mv/keys/{target}/versions").expect(200)
                mount.post(f"mv/keys/{target}/config", {"deletion_allowed": True}).expect(200)
                mount.delete(f"mv/keys/{target}").expect(204)
            mount.get(f"mv/keys/{target}").expect(404)


def many(backup, n):
    """The same with n versions."""
    key = backup["policy"]["keys"]["1"]
    backup["policy"].update(latest_version=n, archive_version=n, keys={str(i): key for i in range(1, n + 1)}, min_decryption_version=1)
    backup["archived_keys"]["keys"] = None
    return write_backup(backup)


def test_very_many_versions(mount, name):
    """10,000 in one transaction, one more is refused; export gives them in pages; a backup of them too."""
    backup = good_backup(mount, name)
    assert "more than 10000 versions" in mount.post(f"mv/restore/{name}-x", {"backup": many(backup, 10001)}).expect(400).errors
    mount.get(f"mv/keys/{name}-x").expect(404)
    mount.post(f"mv/restore/{name}-x", {"backup": many(backup, 10000)}).expect(204)
    assert mount.get(f"mv/keys/{name}-x").expect(200).data["latest_version"] == 10000
    found, after = {}, 0
    while True:
        answer = mount.get(f"mv/export/encryption-key/{name}-x?after={after}").expect(200)
        assert len(answer.data["keys"]) == 1000
        found.update(answer.data["keys"])
        after = max(map(int, answer.data["keys"]))
        assert (answer.body["warnings"] is None) == (after == 10000)
        if after == 10000:
            break
    assert len(found) == 10000 and set(found.values()) == {backup["policy"]["keys"]["1"]["key"]}
    again = read_backup(mount.get(f"mv/backup/{name}-x").expect(200).data["backup"])
    assert len(again["policy"]["keys"]) == 10000 and len(again["archived_keys"]["keys"]) == 10001
    mount.post(f"mv/keys/{name}-x/rotate").expect(200)
    assert "trim old ones" in mount.get(f"mv/backup/{name}-x").expect(400).errors


def test_vaults_own_number_of_hmac_keys(mount, name):
    """HashiCorp Vault numbers hmac keys 11, which are XChaCha20 keys elsewhere; these have no key_size."""
    backup = good_backup(mount, name, "hmac")
    mount.post(f"mv/restore/{name}-x", {"backup": write_backup(changed(backup, ("policy", "type"), 11))}).expect(204)
    assert mount.get(f"mv/keys/{name}-x").data["type"] == "hmac"


def test_a_version_without_a_mac_key(mount, name):
    """Old backups have versions without one; the latest gets one, as it would there."""
    backup = good_backup(mount, name)
    for n in "12":
        backup = changed(backup, ("policy", "keys", n, "hmac_key"), None)
    mount.post(f"mv/restore/{name}-x", {"backup": write_backup(backup)}).expect(204)
    keys = mount.get(f"mv/export/hmac-key/{name}-x").expect(200).data["keys"]
    assert keys["1"] == "" and len(base64.b64decode(keys["2"])) == 32


# Certificates


def certificate(subject, key, issuer=None, issuer_key=None, ca=False):
    builder = x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
    builder = builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer or subject)])).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(datetime(2026, 1, 1)).not_valid_after(datetime(2046, 1, 1))
    builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    signer = issuer_key or key
    return builder.sign(signer, None if signer.__class__.__name__.startswith("_Ed25519") or "Ed25519" in signer.__class__.__name__ else hashes.SHA256())


def pem(*certificates):
    return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in certificates)


@pytest.mark.parametrize("kind", [kind for kind in ASYMMETRIC if kind not in ("rsa-3072", "rsa-4096")])
def test_csr_and_certificate(mount, name, kind):
    key = new_key(kind)
    import_key(mount, name, key, kind, exportable=True, allow_plaintext_backup=True).expect(204)
    data = mount.post(f"mv/keys/{name}/csr", {}).expect(200).data
    assert (data["name"], data["type"]) == (name, kind)
    request = x509.load_pem_x509_csr(data["csr"].encode())
    assert request.is_signature_valid and request.public_key().public_numbers() == key.public_key().public_numbers() if kind != "ed25519" else request.is_signature_valid
    # a template's subject and extensions are taken, its key is not
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "one.example"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ö")])
    names = x509.SubjectAlternativeName([x509.DNSName("one.example"), x509.DNSName("two.example")])
    template = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, critical=False).sign(new_key("ecdsa-p384"), hashes.SHA256())
    text = template.public_bytes(serialization.Encoding.PEM).decode()
    request = x509.load_pem_x509_csr(mount.post(f"mv/keys/{name}/csr", {"csr": text, "version": 1}).expect(200).data["csr"].encode())
    assert request.is_signature_valid and request.subject == subject and request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == names
    assert public_pem_of(request) == public_pem(key)
    # the chain
    ca = new_key("ecdsa-p256")
    leaf = certificate("leaf", key, "ca", ca)
    chain = pem(leaf, certificate("ca", ca, ca=True))
    data = mount.post(f"mv/keys/{name}/set-certificate", {"certificate_chain": chain}).expect(200).data
    assert data["certificate_chain"] == chain
    assert mount.get(f"mv/keys/{name}").data["keys"]["1"]["certificate_chain"].strip() == chain.strip()
    assert mount.get(f"mv/export/certificate-chain/{name}").expect(200).data["keys"] == {"1": chain.strip()}
    # it comes along with a backup
    text = mount.get(f"mv/backup/{name}").expect(200).data["backup"]
    der = [base64.b64decode(c) for c in read_backup(text)["policy"]["keys"]["1"]["certificate_chain"]]
    assert der[0] == leaf.public_bytes(serialization.Encoding.DER) and len(der) == 2
    mount.post(f"mv/restore/{name}-x", {"backup": text}).expect(204)
    assert mount.get(f"mv/export/certificate-chain/{name}-x/1").expect(200).data["keys"] == {"1": chain.strip()}


def public_pem_of(request):
    return request.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def test_certificates_refused(mount, name):
    key, ca = new_key("ecdsa-p256"), new_key("ecdsa-p256")
    import_key(mount, name, key, "ecdsa-p256", exportable=True).expect(204)
    leaf, root, other = certificate("leaf", key, "ca", ca), certificate("ca", ca, ca=True), certificate("x", new_key("ecdsa-p256"))
    before = state_of(mount, name)
    for chain, error in (("", "PEM"), ("x", "PEM"), (public_pem(key), "malformed"), (pem(root), "authority's"), (pem(leaf, leaf), "is not an authority's"),
                         (pem(leaf, other, root), "certificate 2 is not an authority's"), (pem(other), "of another key"),
                         (pem(certificate("r", new_key("rsa-2048"))), "of another key"), (pem(leaf).replace("MII", "MIX", 1), "malformed"),
                         (pem(leaf)[:200], "malformed"), (pem(*[leaf] + [root] * 300), "too long")):
        assert error in mount.post(f"mv/keys/{name}/set-certificate", {"certificate_chain": chain}).expect(400).errors
    mount.post(f"mv/keys/{name}/set-certificate", {"certificate_chain": pem(leaf), "version": 2}).expect(400)
    mount.post(f"mv/keys/{name}/set-certificate", {"certificate_chain": 7}).expect(400)
    mount.post(f"mv/keys/{name}-none/set-certificate", {"certificate_chain": pem(leaf)}).expect(400)
    for body in ({"csr": "x"}, {"csr": pem(leaf)}, {"version": 2}, {"version": 0}, {"csr": 7}, {"version": "x"}):
        mount.post(f"mv/keys/{name}/csr", body).expect(400)
    assert state_of(mount, name) == before
    mount.post(f"mv/keys/{name}-none/csr", {}).expect(400)
    make(mount, name + "a")
    for call in ("csr", "set-certificate"):
        assert "does not support signing" in mount.post(f"mv/keys/{name}a/{call}", {"certificate_chain": pem(leaf)}).expect(400).errors
    make(mount, name + "d", "ed25519", derived=True)
    for call in ("csr", "set-certificate"):
        assert "derivation" in mount.post(f"mv/keys/{name}d/{call}", {"certificate_chain": pem(leaf)}).expect(400).errors
    mount.post(f"mv/keys/{name}p/import", {"type": "ecdsa-p256", "public_key": public_pem(key)}).expect(204)
    assert "private key not imported" in mount.post(f"mv/keys/{name}p/csr", {}).expect(400).errors
    mount.post(f"mv/keys/{name}p/set-certificate", {"certificate_chain": pem(leaf)}).expect(200)
