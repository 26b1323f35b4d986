"""What must hold for any sequence of calls on a named key, against a model that is written from the papers; and for any parameters.

The same examples each time; KEYTURN_EXAMPLES=20 tries twenty times as many, other ones each time.
"""
import itertools
import os

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server import DevServer
from transit import Transit, b64, unb64, version_of

FACTOR = int(os.environ.get("KEYTURN_EXAMPLES", "1"))
_names = itertools.count()


def examples(n):
    return settings(max_examples=n * FACTOR, derandomize=FACTOR == 1, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def transit(tmp_path_factory):
    server = DevServer(tmp_path_factory.mktemp("transit"))
    server.start()
    yield Transit(server.api).mount()
    server.close()


# Sequences

TEXTS = [b"", b"a", b"some text", bytes(range(256))]
CONTEXTS = [b"one", b"two"]
DATA = [b"", b"row 1", b"row 2"]


class Refused(Exception):
    """The model says 400."""


class Version:
    def __init__(self):
        self.state, self.rewrap_only, self.encryptions, self.decryptions = "usable", False, 0, 0


class Model:
    """One key, and the ciphertexts that were made under it: (version, text, context, data); of an earlier key of that name: version None."""

    def __init__(self, derived):
        self.derived = derived
        self.ciphers = []
        self.begin()

    def begin(self):
        self.versions = {1: Version()}
        self.latest, self.min_decryption, self.min_encryption, self.min_available = 1, 1, 0, 0
        self.deletion_allowed = self.soft_deleted = False

    def require(self, condition):
        if not condition:
            raise Refused

    def shown(self):
        return {"latest_version": self.latest, "min_decryption_version": self.min_decryption, "min_encryption_version": self.min_encryption,
                "min_available_version": self.min_available, "deletion_allowed": self.deletion_allowed, "soft_deleted": self.soft_deleted}

    def shown_versions(self):
        def state(n, v):
            return {"usable": "active" if n == self.latest else "decrypt_only", "destroyed": "destroy_pending"}.get(v.state, v.state)

        return {n: (state(n, v), v.rewrap_only, v.encryptions, v.decryptions) for n, v in self.versions.items() if n >= self.min_available}

    # Operations: each changes nothing when it raises Refused

    def target(self, wanted):
        self.require(not self.soft_deleted)
        number = wanted or self.latest
        self.require(0 <= wanted <= self.latest and (wanted == 0 or wanted >= max(self.min_encryption, self.min_available)))
        return number, self.versions[number]

    def encrypt(self, text, wanted, context, data):
        number, version = self.target(wanted)
        self.require(version.state == "usable")
        version.encryptions += 1
        return number

    def source(self, cipher, context, data):
        """The version that may open it; the ciphertext is right."""
        number, text, its_context, its_data = cipher
        self.require(not self.soft_deleted and number is not None and number >= self.min_decryption)
        version = self.versions[number]
        self.require(version.state != "destroyed")
        return version, (context == its_context or not self.derived) and data == its_data

    def decrypt(self, cipher, context, data):
        version, right = self.source(cipher, context, data)
        self.require(not version.rewrap_only and version.state == "usable" and right)
        version.decryptions += 1
        return cipher[1]

    def rewrap(self, cipher, wanted, context, data):
        version, right = self.source(cipher, context, data)
        number, target = self.target(wanted)
        self.require(version.rewrap_only or version.state == "usable")
        self.require(right)
        version.decryptions += 1
        self.require(target.state == "usable")
        target.encryptions += 1
        return number

    def rotate(self):
        self.require(not self.soft_deleted)
        self.latest += 1
        self.versions[self.latest] = Version()

    def config(self, changes):
        new = {**self.shown(), **changes}
        decryption, encryption = new["min_decryption_version"] or 1, new["min_encryption_version"]
        self.require(min(decryption, encryption) >= 0 and max(decryption, encryption) <= self.latest)
        self.require(encryption == 0 or encryption >= decryption)
        self.require(self.min_available <= decryption and (self.min_available == 0 or self.min_available <= encryption))
        self.min_decryption, self.min_encryption, self.deletion_allowed = decryption, encryption, new["deletion_allowed"]

    def trim(self, to):
        self.require(self.min_encryption > 0 and max(1, self.min_available) <= to <= min(self.min_encryption, self.min_decryption))
        self.min_available = to

    def set_version(self, number, changes):
        self.require(max(1, self.min_available) <= number <= self.latest)
        version, state = self.versions[number], changes.get("state")
        self.require(version.state != "destroyed")
        if state == "destroyed":
            self.require(self.deletion_allowed and number != self.latest)
            version.state, version.rewrap_only = "destroyed", False
            return
        self.require(state != "disabled" or number != self.latest)
        version.state = {"disabled": "disabled", "decrypt_only": "usable"}.get(state, version.state)
        version.rewrap_only = changes.get("rewrap_only", version.rewrap_only)

    def delete(self):
        self.require(self.deletion_allowed)
        self.ciphers = [(None, *rest) for _, *rest in self.ciphers]
        self.begin()


# Types whose ciphertexts others can make and open: the cipher and its key's bytes.
OURS = {"aes128-gcm96": (AESGCM, 16), "aes256-gcm96": (AESGCM, 32), "chacha20-poly1305": (ChaCha20Poly1305, 32)}


class Pair:
    """A key of the server and its model, side by side."""

    def __init__(self, transit, derived, kind):
        self.transit, self.name, self.settings = transit, f"k{next(_names)}", {"derived": derived, "type": kind, "exportable": True}
        self.transit.create(self.name, **self.settings)
        self.model, self.texts, self.kind = Model(derived), [], kind

    def cipher(self, number, context):
        """What encrypts under this version, of the exported key."""
        cipher, n = OURS[self.kind]
        found = self.transit.api.get(f"{self.transit.path}/export/encryption-key/{self.name}/{number}").expect(200)
        key = unb64(found.data["keys"][str(number)])
        return cipher(HKDF(hashes.SHA256(), n, None, context).derive(key) if self.model.derived else key)

    def may_export(self, number):
        return self.kind in OURS and not self.model.soft_deleted and self.model.versions[number].state == "usable"

    def others(self, text, number, context, data):
        """A ciphertext that somebody else made."""
        if 1 <= number <= self.model.latest and number >= max(self.model.min_decryption, self.model.min_available) and self.may_export(number):
            nonce = os.urandom(12)
            self.texts.append(f"vault:v{number}:{b64(nonce + self.cipher(number, context).encrypt(nonce, text, data))}")
            self.model.ciphers.append((number, text, context, data))

    def both(self, model, call, *good):
        """What the model says, or None when both refuse."""
        try:
            expected = model()
        except Refused:
            call().expect(400)
            return None, None
        return expected, call().expect(*(good or (200,)))

    def item(self, context, data):
        return {**({"context": context} if self.model.derived else {}), "associated_data": data}

    def pick(self, at):
        return at % len(self.texts)

    def encrypt(self, text, wanted, context, data):
        number, answer = self.both(lambda: self.model.encrypt(text, wanted, context, data),
                                   lambda: self.transit.ask(f"encrypt/{self.name}", plaintext=text, key_version=wanted, **self.item(context, data)))
        if answer:
            self.keep(answer.data, number, text, context, data)

    def keep(self, data_of, number, text, context, data):
        assert data_of["key_version"] == version_of(data_of["ciphertext"]) == number
        if self.may_export(number) and number >= self.model.min_decryption:
            raw = unb64(data_of["ciphertext"].split(":")[2])
            assert self.cipher(number, context).decrypt(raw[:12], raw[12:], data) == text
        self.texts.append(data_of["ciphertext"])
        self.model.ciphers.append((number, text, context, data))

    def decrypt(self, at, context, data):
        if self.texts:
            at = self.pick(at)
            cipher = self.model.ciphers[at]
            context, data = cipher[2] if context is None else context, cipher[3] if data is None else data
            text, answer = self.both(lambda: self.model.decrypt(cipher, context, data),
                                     lambda: self.transit.ask(f"decrypt/{self.name}", ciphertext=self.texts[at], **self.item(context, data)))
            assert answer is None or unb64(answer.data["plaintext"]) == text

    def rewrap(self, at, wanted, context, data):
        if self.texts:
            at = self.pick(at)
            cipher = self.model.ciphers[at]
            context, data = cipher[2] if context is None else context, cipher[3] if data is None else data
            number, answer = self.both(lambda: self.model.rewrap(cipher, wanted, context, data), lambda: self.transit.ask(
                f"rewrap/{self.name}", ciphertext=self.texts[at], key_version=wanted, **self.item(context, data)))
            if answer:
                self.keep(answer.data, number, cipher[1], cipher[2], cipher[3])

    def batch(self, ats):
        """All at once is what it is one by one."""
        if not self.texts:
            return
        ats = [self.pick(at) for at in ats]
        expected = []
        for at in ats:
            number, text, context, data = self.model.ciphers[at]
            try:
                expected.append(self.model.decrypt(self.model.ciphers[at], context, data))
            except Refused:
                expected.append(None)
        items = [{"ciphertext": self.texts[at], **self.item(self.model.ciphers[at][2], self.model.ciphers[at][3])} for at in ats]
        results = self.transit.batch("decrypt", self.name, items, 200 if None not in expected else 400)
        assert [None if "error" in r else unb64(r["plaintext"]) for r in results] == expected

    def rotate(self):
        self.both(self.model.rotate, lambda: self.transit.ask(f"keys/{self.name}/rotate"))

    def config(self, changes):
        self.both(lambda: self.model.config(changes), lambda: self.transit.ask(f"keys/{self.name}/config", **changes))

    def trim(self, to):
        self.both(lambda: self.model.trim(to), lambda: self.transit.ask(f"keys/{self.name}/trim", min_available_version=to))

    def set_version(self, number, changes):
        self.both(lambda: self.model.set_version(number, changes), lambda: self.transit.ask(f"keys/{self.name}/versions/{number}", **changes), 200, 204)

    def soft(self, deleted):
        path = f"{self.transit.path}/keys/{self.name}/soft-delete"
        (self.transit.api.delete(path) if deleted else self.transit.api.post(f"{path}-restore")).expect(200)
        self.model.soft_deleted = deleted

    def delete(self):
        _, answer = self.both(self.model.delete, lambda: self.transit.api.delete(f"{self.transit.path}/keys/{self.name}"), 204)
        if answer:
            self.transit.create(self.name, **self.settings)

    def check(self):
        data = self.transit.read(self.name)
        assert {name: data[name] for name in self.model.shown()} == self.model.shown()
        found = {n: (v["state"], v["rewrap_only"], v["encryptions"], v["decryptions"]) for n, v in self.transit.versions(self.name).items()}
        assert found == self.model.shown_versions()


numbers = st.integers(-1, 6)
texts, contexts, data = st.sampled_from(TEXTS), st.sampled_from(CONTEXTS), st.sampled_from(DATA)
ours = st.none()  # that of the ciphertext
states = st.fixed_dictionaries({}, optional={"state": st.sampled_from(["disabled", "decrypt_only", "destroyed"]), "rewrap_only": st.booleans()}).filter(bool)
steps = st.one_of(
    st.tuples(st.just("encrypt"), texts, st.one_of(st.just(0), numbers), contexts, data),
    st.tuples(st.just("encrypt"), texts, st.just(0), contexts, data),
    st.tuples(st.just("others"), texts, numbers, contexts, data),
    st.tuples(st.just("decrypt"), st.integers(0, 30), st.one_of(ours, ours, contexts), st.one_of(ours, ours, data)),
    st.tuples(st.just("rewrap"), st.integers(0, 30), st.one_of(st.just(0), numbers), st.one_of(ours, ours, contexts), st.one_of(ours, ours, data)),
    st.tuples(st.just("batch"), st.lists(st.integers(0, 30), min_size=1, max_size=8)),
    st.tuples(st.just("rotate")), st.tuples(st.just("rotate")),
    st.tuples(st.just("config"), st.fixed_dictionaries({}, optional={"min_decryption_version": numbers, "min_encryption_version": numbers, "deletion_allowed": st.booleans()})),
    st.tuples(st.just("config"), st.just({"deletion_allowed": True})),
    st.tuples(st.just("trim"), numbers),
    st.tuples(st.just("set_version"), st.integers(0, 6), states),
    st.tuples(st.just("soft"), st.sampled_from([True, False, False])),
    st.tuples(st.just("delete")),
)


@examples(120)
@given(st.booleans(), st.sampled_from([*OURS, "xchacha20-poly1305", "xaes-256-gcm"]), st.lists(steps, min_size=5, max_size=40))
def test_sequences(transit, derived, kind, sequence):
    pair = Pair(transit, derived, kind)
    for name, *arguments in sequence:
        getattr(pair, name)(*arguments)
        pair.check()


# Parameters

BOOLEANS = [True, "false", "perhaps", 1, -1, None, [], {"a": 1}]
NUMBERS = [0, 1, -1, "2", "x", 1.5, 1 << 40, 1 << 80, None, [1], True]
DURATIONS = ["1h", "90m", 0, 3600, "-1h", "x", 1e300, None, {}, "999999999h"]
CREATE = {"type": ["aes128-gcm96", "chacha20-poly1305", "xaes-256-gcm", "hmac", "ed25519", "", "none", None, 5, ["a"]], "derived": BOOLEANS, "convergent_encryption": BOOLEANS,
          "exportable": BOOLEANS, "allow_plaintext_backup": BOOLEANS, "auto_rotate_period": DURATIONS, "key_size": [32, 31, 512, *NUMBERS], "max_operations": [10, 1 << 32, *NUMBERS],
          "max_versions": NUMBERS, "retire_after": DURATIONS}
CONFIG = {"min_decryption_version": NUMBERS, "min_encryption_version": NUMBERS, "deletion_allowed": BOOLEANS, "exportable": BOOLEANS, "allow_plaintext_backup": BOOLEANS,
          "auto_rotate_period": DURATIONS, "max_operations": [10, 1 << 32, *NUMBERS], "max_versions": NUMBERS, "retire_after": DURATIONS}


def pairs_of(parameters):
    for (one, values), (other, others) in itertools.combinations(parameters.items(), 2):
        for value, another in itertools.product(values, others):
            yield {one: value, other: another}


def test_every_pair_of_parameters_of_create(transit):
    """Refused, there is no key; else it works."""
    made = 0
    for body in pairs_of(CREATE):
        answer = transit.api.post(f"{transit.path}/keys/pair", body)
        assert answer.status in (200, 400), (body, answer)
        assert transit.exists("pair") == (answer.status == 200), body
        if answer.status == 200:
            made += 1
            assert answer.data == transit.read("pair")
            if answer.data["supports_encryption"]:
                item = {"context": b"c"} if answer.data["derived"] else {}
                assert transit.decrypt("pair", transit.encrypt("pair", b"x", **item), **item) == b"x"
            transit.delete("pair")
    assert made > 500


def test_every_pair_of_parameters_of_config(transit):
    """Refused, nothing is changed; else what it answers is so."""
    transit.create("pair")
    transit.rotate("pair")
    done = 0
    for body in pairs_of(CONFIG):
        before = transit.read("pair")
        answer = transit.api.post(f"{transit.path}/keys/pair/config", body)
        assert answer.status in (200, 400), (body, answer)
        assert transit.read("pair") == (answer.data if answer.status == 200 else before), body
        done += answer.status == 200
    assert done > 300
    assert transit.decrypt("pair", transit.encrypt("pair", b"x")) == b"x"


ODD = [None, True, 0, -1, 1.5, 1 << 70, "", "x", "\u00e9\0", [], [1], {}, {"a": None}]
MEMBERS = ["plaintext", "ciphertext", "context", "associated_data", "key_version", "batch_input", "reference", "nonce", "type", "convergent_encryption", "partial_failure_response_code", "bits",
           "state", "rewrap_only", "min_available_version", "size", "disable_upsert"]
PLACES = ["encrypt/odd", "decrypt/odd", "rewrap/odd", "datakey/plaintext/odd", "datakey/wrapped/odd", "keys/odd/versions/1", "keys/odd/trim", "config/keys", "cache-config", "keys/odd/rotate"]


@pytest.mark.parametrize("place", PLACES)
def test_odd_members(transit, place):
    """Answered, and never as the server's mistake; afterwards everything works."""
    transit.create("odd")
    base = {"plaintext": "QQ==", "ciphertext": transit.encrypt("odd", b"x"), "min_available_version": 1, "size": 100}
    for name, value in itertools.product(MEMBERS, ODD):
        answer = transit.api.post(f"{transit.path}/{place}", {**base, name: value})
        assert 200 <= answer.status < 500, (name, value, answer)
    for raw in (b"[]", b"null", b"5", b'"x"', b"{", b"", b'{"plaintext":"QQ==","plaintext":"QQ=="}', b"\xff", b"{}" * 2):
        assert transit.api.request("POST", f"{transit.path}/{place}", raw=raw).status < 500
    transit.set_version("odd", 1, rewrap_only=False)
    assert transit.decrypt("odd", base["ciphertext"]) == b"x"
    transit.ask("config/keys", disable_upsert=False).expect(200)


@examples(40)
@given(st.lists(st.fixed_dictionaries({}, optional={
    "plaintext": st.one_of(st.sampled_from(["QQ==", "", "!", "QQ"]), st.text(max_size=8)), "context": st.sampled_from(["Yw==", "", "!"]), "reference": st.text(max_size=8),
    "associated_data": st.sampled_from(["", "ZA==", "?"]), "key_version": st.one_of(numbers, st.text(max_size=3)), "odd": st.integers()}), max_size=12))
def test_any_batch(transit, items):
    """Refused as a whole, or each item answered in its place."""
    name = f"k{next(_names)}"
    transit.create(name, derived=True, convergent_encryption=True)
    answer = transit.ask(f"encrypt/{name}", batch_input=items)
    assert answer.status in (200, 400), answer
    good = 0
    if "data" in answer.body:
        results = answer.data["batch_results"]
        assert [r["reference"] for r in results] == [item.get("reference", "") for item in items]
        good = sum("error" not in r for r in results)
        assert (answer.status == 200) == (good == len(items))
        for item, result in zip(items, results):
            single = transit.ask(f"encrypt/{name}", **{n: item[n] for n in item if n != "reference"})
            if "error" in result:
                assert single.status == 400 and single.errors == result["error"]
            else:
                assert single.data["ciphertext"] == result["ciphertext"]
        good *= 2
    assert transit.counts(name) == {1: good}
