"""Signatures, MACs, hashes, random bytes: what others say of them, batches against single calls, odd parameters, rights."""
import base64
import hashlib
import hmac
import itertools
import json
import os
import subprocess

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key, load_pem_public_key
from hypothesis import HealthCheck, given, settings, strategies as st
from transit import Transit, b64, unb64

HASHES = {
    "sha1": hashes.SHA1(), "sha2-224": hashes.SHA224(), "sha2-256": hashes.SHA256(), "sha2-384": hashes.SHA384(), "sha2-512": hashes.SHA512(),
    "sha3-224": hashes.SHA3_224(), "sha3-256": hashes.SHA3_256(), "sha3-384": hashes.SHA3_384(), "sha3-512": hashes.SHA3_512(),
}
CURVES = {"ecdsa-p256": 32, "ecdsa-p384": 48, "ecdsa-p521": 66}
RSA = ["rsa-2048", "rsa-3072"]
TYPES = ["ed25519", *CURVES, *RSA]
MESSAGES = [b"", b"a", b"hello world", bytes(range(256)) * 41]

_mounts = itertools.count()

# The same examples each time; KEYTURN_EXAMPLES=20 tries twenty times as many, other ones each time.
FACTOR = int(os.environ.get("KEYTURN_EXAMPLES", "1"))
examples = settings(max_examples=100 * FACTOR, derandomize=FACTOR == 1, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def keys(dev_server):
    """A mount with a key of each type, named as it."""
    transit = Transit(dev_server.api, "keys-of-all-types").mount()
    for kind in TYPES:
        transit.create(kind, type=kind, exportable=True)
    transit.create("derived", type="ed25519", derived=True)
    transit.create("sym", exportable=True)
    transit.create("hmac", type="hmac", key_size=100, exportable=True)
    return transit


@pytest.fixture
def transit(dev_server):
    """A mount of its own."""
    return Transit(dev_server.api, f"s{next(_mounts)}").mount()


def public_key(transit, name, version=1):
    """As the server shows it to everybody."""
    shown = transit.read(name)["keys"][str(version)]["public_key"]
    if name == "ed25519":
        return ed25519.Ed25519PublicKey.from_public_bytes(unb64(shown))
    return load_pem_public_key(shown.encode())


def signature_of(text):
    """The bytes of "vault:v1:...", in either alphabet."""
    prefix, version, rest = text.split(":")
    assert (prefix, version) == ("vault", "v1")
    if "=" not in rest and len(rest) % 4:
        rest += "=" * (-len(rest) % 4)
    return base64.b64decode(rest.replace("-", "+").replace("_", "/"), validate=True)


def sign(transit, name, message, **more):
    return transit.ask(f"sign/{name}", input=message, **more).expect(200).data["signature"]


def valid(transit, name, message, signature, **more):
    return transit.ask(f"verify/{name}", input=message, signature=signature, **more).expect(200).data["valid"]


def accepts(check, *args):
    try:
        check(*args)
    except InvalidSignature:
        return False
    return True


# What others say of our signatures


@pytest.mark.parametrize("message", MESSAGES, ids=len)
def test_others_verify_ed25519(keys, message):
    for more in ({}, {"prehashed": True, "hash_algorithm": "sha2-512"}, {"marshaling_algorithm": "jws"}):
        signature = signature_of(sign(keys, "ed25519", message, **more))
        public_key(keys, "ed25519").verify(signature, message)
        assert not accepts(public_key(keys, "ed25519").verify, signature, message + b"x")


def test_others_verify_keys_of_contexts(keys):
    found = set()
    for context in (b"one", b"two", b"\0" * 100):
        data = keys.ask("sign/derived", input=b"message", context=context).expect(200).data
        public = ed25519.Ed25519PublicKey.from_public_bytes(unb64(data["public_key"]))
        public.verify(signature_of(data["signature"]), b"message")
        found.add(data["public_key"])
        assert valid(keys, "derived", b"message", data["signature"], context=context)
        assert not valid(keys, "derived", b"message", data["signature"], context=context + b"x")
    assert len(found) == 3


@pytest.mark.parametrize("kind", CURVES)
@pytest.mark.parametrize("name", HASHES)
def test_others_verify_ecdsa(keys, kind, name):
    public, algorithm, length = public_key(keys, kind), HASHES[name], CURVES[kind]
    for message, prehashed, jws in itertools.product(MESSAGES, (False, True), (False, True)):
        given_input = hashlib.new(algorithm.name.replace("-", "_") if "sha3" in algorithm.name else algorithm.name, message).digest() if prehashed else message
        more = {"hash_algorithm": name, "prehashed": prehashed, "marshaling_algorithm": "jws" if jws else "asn1"}
        text = sign(keys, kind, given_input, **more)
        assert valid(keys, kind, given_input, text, **more)
        signature = signature_of(text)
        if jws:
            assert len(signature) == 2 * length and not set(text) & set("+/=")
            signature = utils.encode_dss_signature(int.from_bytes(signature[:length], "big"), int.from_bytes(signature[length:], "big"))
        public.verify(signature, message, ec.ECDSA(algorithm))
        assert not accepts(public.verify, signature, message + b"x", ec.ECDSA(algorithm))


def test_ecdsa_takes_any_digest_that_the_caller_made(keys):
    """Its algorithm need not be told: only its length matters."""
    digest = hashlib.sha384(b"message").digest()
    text = sign(keys, "ecdsa-p384", digest, prehashed=True)
    public_key(keys, "ecdsa-p384").verify(signature_of(text), b"message", ec.ECDSA(hashes.SHA384()))
    assert valid(keys, "ecdsa-p384", digest, text, prehashed=True)
    assert valid(keys, "ecdsa-p384", b"message", text, hash_algorithm="sha2-384")


@pytest.mark.parametrize("kind", RSA)
@pytest.mark.parametrize("name", HASHES)
def test_others_verify_rsa(keys, kind, name):
    public, algorithm = public_key(keys, kind), HASHES[name]
    modulus = public.key_size // 8
    longest = modulus - 2 - algorithm.digest_size
    paddings = [({"signature_algorithm": "pkcs1v15"}, padding.PKCS1v15())] + [
        ({"salt_length": salt}, padding.PSS(padding.MGF1(algorithm), length))
        for salt, length in (("auto", longest), ("hash", algorithm.digest_size), (1, 1), (str(longest), longest))]
    message = b"hello world"
    for (more, how), prehashed in itertools.product(paddings, (False, True)):
        data = hashlib.new(algorithm.name.replace("-", "_"), message).digest() if prehashed else message
        text = sign(keys, kind, data, hash_algorithm=name, prehashed=prehashed, **more)
        assert valid(keys, kind, data, text, hash_algorithm=name, prehashed=prehashed, **more)
        signature = signature_of(text)
        assert len(signature) == modulus
        public.verify(signature, message, how, algorithm)
        assert not accepts(public.verify, signature, message + b"x", how, algorithm)


def test_rsa_without_a_hash(keys):
    """The input alone is padded: no name of a hash stands before it."""
    more = {"hash_algorithm": "none", "prehashed": True, "signature_algorithm": "pkcs1v15"}
    for data in (b"x", b"any text", bytes(245)):
        text = sign(keys, "rsa-2048", data, **more)
        assert public_key(keys, "rsa-2048").recover_data_from_signature(signature_of(text), padding.PKCS1v15(), None) == data
        assert valid(keys, "rsa-2048", data, text, **more)
        assert not valid(keys, "rsa-2048", data[1:] + b"?", text, **more)


@pytest.mark.parametrize("kind", TYPES)
def test_openssl_verifies(keys, kind, tmp_path):
    message = b"what openssl's command says"
    signature = signature_of(sign(keys, kind, message, **({"signature_algorithm": "pkcs1v15"} if kind in RSA else {})))
    pem = public_key(keys, kind).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, content in (("key", pem), ("signature", signature), ("message", message), ("other", message[1:])):
        (tmp_path / name).write_bytes(content)
    how = ["-rawin"] if kind == "ed25519" else ["-rawin", "-digest", "sha256"]

    def verified(file):
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key", "-sigfile", "signature", "-in", file, *how]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout.startswith("Signature Verified Successfully")

    assert verified("message") and not verified("other")


def test_a_json_web_token(keys):
    """ES256 (RFC 7515): signed here, taken apart and verified by the rules of JWS."""
    def url64(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    body = url64(b'{"alg":"ES256"}') + "." + url64(json.dumps({"sub": "somebody"}).encode())
    token = body + "." + sign(keys, "ecdsa-p256", body.encode(), marshaling_algorithm="jws").split(":")[2]
    text, signature = token.rsplit(".", 1)
    raw = base64.urlsafe_b64decode(signature + "==")
    pair = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public_key(keys, "ecdsa-p256").verify(pair, text.encode(), ec.ECDSA(hashes.SHA256()))


@examples
@given(message=st.binary(max_size=2000), changed=st.binary(max_size=2000), at=st.integers(0, 63))
def test_any_message(keys, message, changed, at):
    text = sign(keys, "ed25519", message)
    signature = bytearray(signature_of(text))
    public_key(keys, "ed25519").verify(bytes(signature), message)
    assert valid(keys, "ed25519", message, text)
    assert valid(keys, "ed25519", changed, text) == (changed == message)
    signature[at] ^= 1
    assert not valid(keys, "ed25519", message, "vault:v1:" + b64(bytes(signature)))


# What we say of others' signatures


def private_key(transit, name):
    exported = transit.api.get(f"{transit.path}/export/signing-key/{name}/1").expect(200).data["keys"]["1"]
    if name == "ed25519":
        return ed25519.Ed25519PrivateKey.from_private_bytes(unb64(exported)[:32])
    return load_pem_private_key(exported.encode(), None)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", ["sha2-256", "sha2-512", "sha3-384"])
def test_others_signatures(keys, kind, name):
    key, algorithm, message = private_key(keys, kind), HASHES[name], b"signed elsewhere"

    def said(signature, text=message, **more):
        return valid(keys, kind, text, "vault:v1:" + b64(signature), hash_algorithm=name, **more)

    if kind == "ed25519":
        made = [(key.sign(message), {})]
    elif kind in CURVES:
        made = [(key.sign(message, ec.ECDSA(algorithm)), {})]
    else:
        made = [(key.sign(message, padding.PKCS1v15(), algorithm), {"signature_algorithm": "pkcs1v15"})]
        made += [(key.sign(message, padding.PSS(padding.MGF1(algorithm), length), algorithm), more)
                 for length in (0, 20, algorithm.digest_size) for more in ({}, {"salt_length": "auto"}, *([{"salt_length": length}] if length else []))]
        assert not said(key.sign(message, padding.PSS(padding.MGF1(algorithm), 20), algorithm), salt_length="hash")
    for signature, more in made:
        assert said(signature, **more)
        assert not said(signature, b"signed here", **more)
        assert not said(signature[:-1] + bytes([signature[-1] ^ 1]), **more)


# MACs


@pytest.mark.parametrize("name", HASHES)
@pytest.mark.parametrize("kind", ["sym", "hmac", "ecdsa-p256"])
def test_others_make_the_same_macs(keys, kind, name):
    key = unb64(keys.api.get(f"{keys.path}/export/hmac-key/{kind}/1").expect(200).data["keys"]["1"])
    assert len(key) == (100 if kind == "hmac" else 32)
    for message in MESSAGES:
        want = hmac.digest(key, message, name.replace("sha2-", "sha").replace("sha3-", "sha3_"))
        assert keys.ask(f"hmac/{kind}/{name}", input=message).expect(200).data == {"hmac": "vault:v1:" + b64(want)}
        assert keys.ask(f"verify/{kind}", input=message, hmac="vault:v1:" + b64(want), hash_algorithm=name).expect(200).data == {"valid": True}


# Hashes


@pytest.mark.parametrize("name", [name for name in HASHES if name != "sha1"])
def test_hashes(keys, name):
    python = name.replace("sha2-", "sha").replace("-", "_")
    for message in MESSAGES:
        want = hashlib.new(python, message).digest()
        assert keys.ask(f"hash/{name}", input=message).expect(200).data == {"sum": want.hex()}
        assert keys.ask("hash", input=message, algorithm=name, format="base64").expect(200).data == {"sum": b64(want)}


def test_a_long_input_is_hashed(keys):
    message = bytes(range(256)) * 40000
    assert keys.ask("hash", input=message).expect(200).data["sum"] == hashlib.sha256(message).hexdigest()
    mac = keys.ask("hmac/sym", input=message).expect(200).data["hmac"]
    assert keys.ask("verify/sym", input=message, hmac=mac).expect(200).data == {"valid": True}
    assert keys.ask("verify/sym", input=message[1:], hmac=mac).expect(200).data == {"valid": False}


# Batches


def messages(n):
    return [f"message {i}".encode() * (i % 5) for i in range(n)]


@pytest.mark.parametrize("kind,n", [("ed25519", 10000), ("ecdsa-p256", 500), ("ecdsa-p384", 40), ("ecdsa-p521", 40), ("rsa-2048", 40)])
def test_batches(keys, kind, n):
    inputs = messages(n)
    results = keys.batch("sign", kind, [{"input": m, "reference": str(i)} for i, m in enumerate(inputs)])
    assert [r["reference"] for r in results] == [str(i) for i in range(n)]
    assert {r["key_version"] for r in results} == {1} and not any("error" in r for r in results)
    items = [{"input": m, "signature": r["signature"]} for m, r in zip(inputs, results)]
    items[n // 2]["input"] = b"another"
    verdicts = keys.batch("verify", kind, items)
    assert [v["valid"] for v in verdicts] == [i != n // 2 for i in range(n)]
    for i in range(0, n, n // 10):
        assert valid(keys, kind, inputs[i], results[i]["signature"])
        if kind == "ed25519":
            assert sign(keys, kind, inputs[i]) == results[i]["signature"]


def test_a_batch_of_macs(keys):
    inputs = messages(10000)
    results = keys.batch("hmac", "hmac", [{"input": m} for m in inputs])
    assert len({r["hmac"] for r in results}) == len(set(inputs))
    for i in range(0, 10000, 1000):
        assert keys.ask("hmac/hmac", input=inputs[i]).expect(200).data["hmac"] == results[i]["hmac"]
    verdicts = keys.batch("verify", "hmac", [{"input": m, "hmac": r["hmac"]} for m, r in zip(inputs, results)])
    assert all(v == {"valid": True, "reference": ""} for v in verdicts)


def test_too_many_items(keys):
    for what in ("sign/ed25519", "hmac/sym"):
        keys.refused(what, "50001 items, of at most 50000", batch_input=[{}] * 50001)


def test_other_calls_go_on_meanwhile(keys):
    """Slow signing holds up nobody: while batches are signed, encrypting is answered, and each answer is right."""
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        batches = [pool.submit(keys.batch, "sign", "rsa-3072", [{"input": b"x"}] * 100) for _ in range(3)]
        while not all(b.done() for b in batches):
            assert keys.decrypt("sym", keys.encrypt("sym", b"text")) == b"text"
        assert all(valid(keys, "rsa-3072", b"x", r["signature"]) for b in batches for r in b.result()[::50])


def test_sealing_ends_slow_work(server):
    """A store that is sealed while workers sign waits for no batch; each call is answered, and what was signed is valid."""
    import concurrent.futures
    transit = Transit(server.api).mount()
    transit.create("k", type="rsa-3072")
    items = [{"input": b64(bytes([i]))} for i in range(100)]
    made = []

    def caller(_):
        for _ in range(4):
            answer = server.api.post("transit/sign/k", {"batch_input": items}).expect(200, 503)
            if answer.status == 200:
                made.append([r["signature"] for r in answer.data["batch_results"]])

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(caller, i) for i in range(4)]
        while not all(c.done() for c in calls):
            server.seal()
            server.unseal()
        for call in calls:
            call.result()
    made.append([r["signature"] for r in server.api.post("transit/sign/k", {"batch_input": items}).expect(200).data["batch_results"]])
    for signatures in made:
        verdicts = transit.batch("verify", "k", [{**item, "signature": s} for item, s in zip(items, signatures)])
        assert all(v["valid"] for v in verdicts)


# Rotation


def test_old_signatures_stay_valid(transit):
    transit.create("k", type="ecdsa-p256")
    signatures = [sign(transit, "k", b"message")]
    for _ in range(3):
        transit.rotate("k")
        signatures.append(sign(transit, "k", b"message"))
    assert [s.split(":")[1] for s in signatures] == ["v1", "v2", "v3", "v4"]
    assert all(valid(transit, "k", b"message", s) for s in signatures)
    transit.config("k", min_decryption_version=3, min_encryption_version=3)
    transit.trim("k", 3)
    for s in signatures[:2]:
        transit.refused("verify/k", "disallowed by policy (too old)", input=b"message", signature=s)
    transit.refused("sign/k", "less than the minimum", input=b"", key_version=1)
    assert all(valid(transit, "k", b"message", s) for s in signatures[2:])


# Odd parameters

ODD = [None, "", "x", "AAAA", "vault:v1:AAAA", "none", "jws", "pkcs1v15", "hash", True, 0, -1, 1.5, 1 << 70, [], [{}], {}, {"a": 1}, "\x00\ud7ff\U0010ffff", "A" * 5000]
MEMBERS = ["input", "context", "signature", "hmac", "hash_algorithm", "algorithm", "signature_algorithm", "marshaling_algorithm", "salt_length", "prehashed",
           "key_version", "batch_input", "bytes", "format", "source"]
CALLS = ["sign/ed25519", "sign/ecdsa-p256", "sign/rsa-2048", "sign/derived", "sign/sym", "verify/ed25519", "verify/ecdsa-p256", "verify/rsa-2048", "verify/derived",
         "verify/hmac", "hmac/sym", "hmac/hmac", "hash", "random"]


@pytest.mark.parametrize("call", CALLS)
def test_every_pair_of_odd_parameters(keys, call):
    """Nothing a caller sends does harm: it is done, or refused with a reason."""
    for one, two in itertools.combinations(MEMBERS, 2):
        for i, value in enumerate(ODD):
            body = {"input": "AAAA", one: value, two: ODD[(i * 7 + len(one)) % len(ODD)]}
            answer = keys.api.post(f"{keys.path}/{call}", body).expect(200, 400)
            assert answer.status == 200 or answer.errors, (body, answer)


@examples
@given(body=st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=20), lambda x: st.lists(x, max_size=4)
                         | st.dictionaries(st.sampled_from(MEMBERS + ["reference"]), x, max_size=4)), call=st.sampled_from(CALLS))
def test_any_batch(keys, body, call):
    keys.api.post(f"{keys.path}/{call}", {"batch_input": body}).expect(200, 400)


# Rights


def test_rights_are_per_path(keys, dev_server):
    path = keys.path
    token = dev_server.api.token_for("signer", f"""
        path "{path}/sign/ed25519" {{ capabilities = ["update"] }}
        path "{path}/sign/ecdsa-p256/sha2-512" {{ capabilities = ["update"] }}
        path "{path}/random/platform/*" {{ capabilities = ["update"] }}
    """)

    def status(what, **body):
        return dev_server.api.post(f"{path}/{what}", {"input": "AAAA", **body}, token=token).status

    assert status("sign/ed25519") == status("sign/ecdsa-p256/sha2-512") == status("random/platform/5") == 200
    for what in ("sign/ecdsa-p256", "sign/ed25519/sha2-256", "sign/rsa-2048", "verify/ed25519", "hmac/ed25519", "hash", "random", "random/5", "random/all/5"):
        assert status(what) == 403, what
