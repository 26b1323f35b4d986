"""What must hold for any sequence of calls on the keys of vaults, against a model that is written from the reference and the papers; and for any parameters.

The same examples each time; KEYTURN_EXAMPLES=20 tries twenty times as many, other ones each time.
"""
import copy
import itertools
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safe import ACTIVE, READ, WRITE, House
from server import DevServer
from transparent import NO_KEY, TYPES, UNREADABLE, Vault, b64, has_tag, seal, unb64, unseal

FACTOR = int(os.environ.get("KEYTURN_EXAMPLES", "1"))
_names = itertools.count()


def examples(n):
    return settings(max_examples=n * FACTOR, derandomize=FACTOR == 1, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def vaults(tmp_path_factory):
    """Two of one Admin."""
    server = DevServer(tmp_path_factory.mktemp("properties"))
    server.start()
    owner = House(server.api).session("owner", READ | WRITE | ACTIVE)
    yield [Vault.new(owner), Vault.new(owner)]
    server.close()


# Sequences

ANYTHING = object()  # a plaintext that nobody knows
GARBAGE = "garbage"


class Refused(Exception):
    """The model says no: with this status, and this text if it is always the same."""

    def __init__(self, status=400, text=None):
        super().__init__(status, text)
        self.status, self.text = status, text


class Version:
    def __init__(self):
        self.state, self.rewrap_only, self.encryptions, self.decryptions = "usable", False, 0, 0


class Model:
    """One key: its versions, and its settings."""

    ids = itertools.count()

    def __init__(self, kind, flags, info):
        self.kind, self.flags, self.info = kind, flags, info
        self.id = next(self.ids)  # of the key's bytes: a restored key keeps it
        self.versions = {1: Version()}
        self.latest, self.min_decryption, self.min_encryption = 1, 1, 0

    def require(self, condition, *how):
        if not condition:
            raise Refused(*how)

    def shown(self):
        return {"type": self.kind, "key_version": str(self.latest), "info": self.info, "min_decryption_version": str(self.min_decryption),
                "min_encryption_version": str(self.min_encryption), "supports_signing": False, **self.flags}

    def shown_versions(self):
        def state(n, v):
            return {"usable": "active" if n == self.latest else "decrypt_only", "destroyed": "destroy_pending", "lost": "destroyed"}.get(v.state, v.state)

        return {n: (state(n, v), v.rewrap_only, v.encryptions, v.decryptions) for n, v in self.versions.items()}

    def target(self, wanted):
        number = wanted or self.latest
        self.require(0 <= wanted <= self.latest and (wanted == 0 or wanted >= self.min_encryption))
        return number, self.versions[number]

    def encrypt(self, wanted, data):
        self.require(not data or has_tag(self.kind))
        number, version = self.target(wanted)
        self.require(version.state == "usable")
        version.encryptions += 1
        return number

    def source(self, cipher):
        """The version that a ciphertext names."""
        self.require(1 <= cipher.number <= self.latest, 400, UNREADABLE)
        self.require(cipher.number >= self.min_decryption)
        version = self.versions[cipher.number]
        self.require(version.state not in ("destroyed", "lost"))
        return version

    def open(self, cipher, data):
        """What it says under this key."""
        self.require(not data or has_tag(self.kind))
        if has_tag(self.kind):
            self.require(cipher.key == self.id and cipher.kind == self.kind and cipher.data == data, 400, UNREADABLE)
            return cipher.text
        self.require(cipher.bytes >= 16, 400, UNREADABLE)
        return cipher.text if cipher.key == self.id else ANYTHING

    def decrypt(self, cipher, data):
        version = self.source(cipher)
        self.require(version.state == "usable" and not version.rewrap_only)
        text = self.open(cipher, data)
        version.decryptions += 1
        return text

    def rewrap(self, cipher, wanted, data):
        version = self.source(cipher)
        number, target = self.target(wanted)
        self.require(version.rewrap_only or version.state == "usable")
        text = self.open(cipher, data)
        version.decryptions += 1
        self.require(target.state == "usable")
        target.encryptions += 1
        return number, text

    def rotate(self):
        self.latest += 1
        self.versions[self.latest] = Version()

    def config(self, changes):
        decryption = changes.get("min_decryption_version", self.min_decryption) or 1
        encryption = changes.get("min_encryption_version", self.min_encryption)
        self.require(min(decryption, encryption) >= 0 and max(decryption, encryption) <= self.latest)
        self.require(encryption == 0 or encryption >= decryption)
        self.min_decryption, self.min_encryption, self.info = decryption, encryption, changes.get("info", self.info)

    def set_version(self, number, changes):
        self.require(1 <= number <= self.latest)
        version, state = self.versions[number], changes.get("state")
        self.require(version.state not in ("destroyed", "lost"))
        if state == "destroyed":
            self.require(self.flags["allow_delete"] and number != self.latest)
            version.state, version.rewrap_only = "destroyed", False
            return
        self.require(state != "disabled" or number != self.latest)
        version.state = {"disabled": "disabled", "decrypt_only": "usable"}.get(state, version.state)
        version.rewrap_only = changes.get("rewrap_only", version.rewrap_only)

    def export(self, number):
        self.require(self.flags["allow_export"], 403)
        self.require(1 <= number <= self.latest and number >= self.min_decryption)
        self.require(self.versions[number].state == "usable")

    def copied(self):
        """As it comes out of a backup."""
        model = copy.deepcopy(self)
        for version in model.versions.values():
            version.state = "lost" if version.state == "destroyed" else version.state
        return model


class Cipher:
    def __init__(self, string, key, kind, number, text, data):
        self.string, self.key, self.kind, self.number, self.text, self.data = string, key, kind, number, text, data

    @property
    def bytes(self):
        return len(unb64(self.string.split(":")[2]))


class Shop:
    """Keys of the server and their models, side by side; by vault and name."""

    def __init__(self, vaults):
        self.vaults, self.run = vaults, next(_names)
        self.models, self.ciphers, self.backups = {}, [], []

    def path(self, key, what):
        return f"{what}/{self.name(key)}"

    def name(self, key):
        return f"k{self.run}.{key[1]}"

    def ask(self, key, what, body=None, method="POST"):
        return self.vaults[key[0]].ask(what, body, method)

    def both(self, model, call, status=200):
        """What the model says and the answer; None, None when both refuse."""
        try:
            expected = model()
        except Refused as refused:
            answer = call().expect(refused.status)
            assert answer.body["CALLINFO"]["status"] == "FAIL" and len(answer.body["ERRORS"]) == 1
            assert refused.text in (None, answer.body["ERRORS"][0]), answer
            return None, None
        answer = call().expect(status)
        assert answer.body["CALLINFO"]["status"] == "SUCCESS" and answer.body["CALLINFO"]["name"] == self.name_in(answer)
        return expected, answer.body["CALLINFO"]

    def name_in(self, answer):
        return answer.body["DATA"]["name"]

    def model(self, key):
        if key not in self.models:
            raise Refused(404, NO_KEY)
        return self.models[key]

    def keep(self, model, string, number, text, data):
        key = self.key_of(model, number)
        if key is not None:
            assert unseal(model.kind, key, string, data) == (text, number)
        assert string.startswith(f"storedsafe:v{number}:")
        self.ciphers.append(Cipher(string, model.id, model.kind, number, text, data))

    def key_of(self, model, number):
        """The bytes of a version; None when they are not told."""
        key = next(key for key, found in self.models.items() if found is model)
        try:
            model.export(number)
        except Refused:
            return None
        found = self.vaults[key[0]].get(f"{self.path(key, 'export')}/{number}")[0]
        assert (found["name"], found["key_version"], found["type"]) == (self.name(key), str(number), model.kind)
        return unb64(found["key"])

    def pick(self, at):
        return self.ciphers[at % len(self.ciphers)]

    # The steps

    def create(self, key, kind, flags, info):
        def new():
            if key in self.models:
                raise Refused(409)
            self.models[key] = Model(kind, {**dict.fromkeys(["allow_export", "allow_backup", "allow_delete"], True), **flags}, info)
        self.both(new, lambda: self.ask(key, self.path(key, "keys"), {"type": kind, "info": info, **flags}), 201)

    def encrypt(self, key, text, wanted, data, kind, version_is):
        body = {"plaintext": b64(text), "type": kind, **({"key_version": version_is(wanted)} if wanted else {}), **({"associated_data": b64(data)} if data else {})}

        def encrypt():
            if key in self.models:
                return self.models[key].encrypt(wanted, data)
            if wanted not in (0, 1) or (data and not has_tag(kind)):
                raise Refused(400)
            self.models[key] = Model(kind, dict.fromkeys(["allow_export", "allow_backup", "allow_delete"], True), "")
            return self.models[key].encrypt(wanted, data)
        number, info = self.both(encrypt, lambda: self.ask(key, self.path(key, "encrypt"), body))
        if info:
            assert info["key_version"] == str(number)
            self.keep(self.models[key], info["ciphertext"], number, text, data)

    def others(self, key, text, number, data):
        """A ciphertext that somebody else made, of the exported key."""
        model = self.models.get(key)
        if model and 1 <= number <= model.latest and (has_tag(model.kind) or not data):
            raw = self.key_of(model, number)
            if raw:
                self.ciphers.append(Cipher(seal(model.kind, raw, number, text, data), model.id, model.kind, number, text, data))

    def decrypt(self, key, at, data):
        if self.ciphers:
            cipher = self.pick(at)
            data = cipher.data if data is None else data
            body = {"ciphertext": cipher.string, **({"associated_data": b64(data)} if data else {})}
            text, info = self.both(lambda: self.model(key).decrypt(cipher, data), lambda: self.ask(key, self.path(key, "decrypt"), body))
            if info:
                assert info["key_version"] == str(cipher.number) and text in (ANYTHING, unb64(info["plaintext"]))

    def rewrap(self, key, at, wanted, data, version_is):
        if self.ciphers:
            cipher = self.pick(at)
            data = cipher.data if data is None else data
            body = {"ciphertext": cipher.string, **({"to_version": version_is(wanted)} if wanted else {}), **({"associated_data": b64(data)} if data else {})}
            found, info = self.both(lambda: self.model(key).rewrap(cipher, wanted, data), lambda: self.ask(key, self.path(key, "rewrap"), body))
            if info:
                assert info["key_version"] == str(found[0]) and info["ciphertext"] != cipher.string and "plaintext" not in info
                if found[1] is not ANYTHING:
                    self.keep(self.models[key], info["ciphertext"], found[0], found[1], data)

    def batch(self, key, ats):
        """All at once is what it is one by one."""
        if not self.ciphers or key not in self.models:
            return
        ciphers, expected = [self.pick(at) for at in ats], []
        for cipher in ciphers:
            try:
                expected.append(self.models[key].decrypt(cipher, cipher.data))
            except Refused:
                expected.append(None)
        items = [{"ciphertext": c.string, "reference": str(n), **({"associated_data": b64(c.data)} if c.data else {})} for n, c in enumerate(ciphers)]
        info = self.ask(key, self.path(key, "decrypt"), {"batch": items}).expect(200).body["CALLINFO"]
        failed = expected.count(None)
        assert info["general"] == ([f"{failed} of {len(items)} items failed"] if failed else [])
        assert [item["reference"] for item in info["batch"]] == [str(n) for n in range(len(items))]
        for want, item in zip(expected, info["batch"]):
            assert ("error" in item) == (want is None) and (want in (None, ANYTHING) or unb64(item["plaintext"]) == want)

    def datakey(self, key, how, wanted, bits):
        body = {**({"bits": bits} if bits else {}), **({"key_version": wanted} if wanted else {})}
        number, info = self.both(lambda: self.model(key).encrypt(wanted, b""), lambda: self.ask(key, f"datakey/{how}/{self.name(key)}", body))
        if info:
            assert ("plaintext" in info) == (how == "plaintext")
            text = unb64(info["plaintext"]) if how == "plaintext" else None
            raw = self.key_of(self.models[key], number)
            if raw:
                found = unseal(self.models[key].kind, raw, info["ciphertext"])
                assert found[1] == number and text in (None, found[0]) and len(found[0]) == (bits or 256) // 8
            if text is not None:
                self.keep(self.models[key], info["ciphertext"], number, text, b"")

    def rotate(self, key):
        _, info = self.both(lambda: self.model(key).rotate(), lambda: self.ask(key, self.path(key, "keys") + "/rotate"), 201)
        assert info is None or info["key_version"] == str(self.models[key].latest)

    def config(self, key, changes):
        self.both(lambda: self.model(key).config(changes), lambda: self.ask(key, self.path(key, "keys"), changes, "PUT"))

    def set_version(self, key, number, changes):
        self.both(lambda: self.model(key).set_version(number, changes), lambda: self.ask(key, f"{self.path(key, 'keys')}/versions/{number}", changes, "PUT"))

    def delete(self, key):
        def delete():
            self.model(key).require(self.models[key].flags["allow_delete"], 403)
            del self.models[key]
        self.both(delete, lambda: self.ask(key, self.path(key, "keys"), method="DELETE"))

    def backup(self, key):
        def back_up():
            self.model(key).require(self.models[key].flags["allow_backup"], 403)
            return self.models[key].copied()
        model, info = self.both(back_up, lambda: self.ask(key, self.path(key, "backup"), method="GET"))
        if info:
            self.backups.append((model, self.vaults[key[0]].get(self.path(key, "backup"))[0]["backup"]))

    def restore(self, key, at):
        if self.backups:
            model, text = self.backups[at % len(self.backups)]

            def restore():
                if key in self.models:
                    raise Refused(409)
                self.models[key] = copy.deepcopy(model)
            self.both(restore, lambda: self.ask(key, self.path(key, "restore"), {"backup": text}))

    def check(self):
        for n, vault in enumerate(self.vaults):
            entries = {name: entry for name, entry in vault.entries().items() if name.startswith(f"k{self.run}.")}
            mine = {self.name(key): model for key, model in self.models.items() if key[0] == n}
            assert set(entries) == set(mine)
            for name, model in mine.items():
                assert {what: entries[name][what] for what in model.shown()} == model.shown()
                found = {i: (v["state"], v["rewrap_only"], v["encryptions"], v["decryptions"]) for i, v in vault.versions(name).items()}
                assert found == model.shown_versions()


FIRST, SECOND, OTHER = (0, "a"), (0, "b"), (1, "a")  # vault, name
keys = st.sampled_from([FIRST] * 8 + [SECOND, OTHER])
kinds, numbers = st.sampled_from(list(TYPES)), st.integers(-1, 4)
wanted = st.one_of(st.just(0), numbers)
said = st.sampled_from([str, int])  # versions are taken either way
texts, data = st.sampled_from([b"", b"a", b"some text", bytes(range(256))]), st.sampled_from([b"", b"", b"row 1", b"row 2"])
flags = st.fixed_dictionaries({}, optional=dict.fromkeys(["allow_export", "allow_backup", "allow_delete"], st.booleans()))
states = st.fixed_dictionaries({}, optional={"state": st.sampled_from(["disabled", "decrypt_only", "destroyed"]), "rewrap_only": st.booleans()}).filter(bool)
infos = st.text(st.characters(min_codepoint=32, blacklist_characters="\x7f", blacklist_categories=["Cs", "Cc"]), max_size=8)
ours = st.none()  # that of the ciphertext
steps = st.one_of(
    st.tuples(st.just("create"), keys, kinds, flags, infos),
    *[st.tuples(st.just("encrypt"), keys, texts, w, data, kinds, said) for w in (wanted, st.just(0))],
    st.tuples(st.just("others"), keys, texts, numbers, data),
    *[st.tuples(st.just("decrypt"), keys, st.integers(0, 30), d) for d in (ours, st.one_of(ours, data))],
    *[st.tuples(st.just("rewrap"), keys, st.integers(0, 30), w, st.one_of(ours, ours, data), said) for w in (wanted, st.just(0))],
    st.tuples(st.just("batch"), keys, st.lists(st.integers(0, 30), min_size=1, max_size=8)),
    st.tuples(st.just("datakey"), keys, st.sampled_from(["plaintext", "wrapped"]), wanted, st.sampled_from([None, 128, 256, 512])),
    *[st.tuples(st.just("rotate"), keys)] * 2,
    st.tuples(st.just("config"), keys, st.fixed_dictionaries({}, optional={"min_decryption_version": numbers, "min_encryption_version": numbers, "info": infos})),
    *[st.tuples(st.just("set_version"), keys, st.integers(0, 4), states)] * 2,
    st.tuples(st.just("delete"), keys),
    st.tuples(st.just("backup"), keys),
    st.tuples(st.just("restore"), keys, st.integers(0, 9)),
)


@examples(120)
@given(kinds, kinds, st.lists(steps, min_size=20, max_size=60))
def test_sequences(vaults, first, second, sequence):
    shop = Shop(vaults)
    shop.create(FIRST, first, {}, "the first")
    shop.create(SECOND, second, {"allow_delete": False}, "")
    for _ in range(2):
        shop.encrypt(FIRST, b"text", 0, b"", first, str)
        shop.rotate(FIRST)
    for name, *arguments in sequence:
        getattr(shop, name)(*arguments)
        shop.check()
    for key in list(shop.models):
        if shop.models[key].flags["allow_delete"]:
            shop.delete(key)


# Parameters

ODD = [None, True, 0, -1, 1.5, 1 << 70, "", "x", "\u00e9\0", [], [1], {}, {"a": None}]
MEMBERS = ["plaintext", "ciphertext", "associated_data", "key_version", "to_version", "type", "bits", "batch", "backup", "info", "allow_export", "allow_backup", "allow_delete",
           "auto_rotate_period", "max_operations", "max_versions", "retire_after", "min_decryption_version", "min_encryption_version", "state", "rewrap_only", "name", "vaultid", "context",
           "nonce", "batch_input", "derived", "convergent_encryption", "reference"]
PLACES = [("POST", "keys/fresh"), ("PUT", "keys/odd"), ("POST", "keys/odd/rotate"), ("PUT", "keys/odd/versions/1"), ("POST", "encrypt/odd"), ("POST", "encrypt/fresh"), ("POST", "decrypt/odd"),
          ("POST", "rewrap/odd"), ("POST", "datakey/plaintext/odd"), ("POST", "datakey/wrapped/odd"), ("POST", "restore/fresh"), ("DELETE", "keys/fresh"), ("GET", "keys"), ("GET", "export/odd")]


def check_odd(answer):
    """It was the caller's mistake, or it was done."""
    assert answer.status < 500, answer
    info = answer.body["CALLINFO"]
    assert info["status"] == ("SUCCESS" if answer.status < 300 else "FAIL") and info["errors"] == len(answer.body.get("ERRORS", [])), answer


@pytest.mark.parametrize("method, place", PLACES)
def test_odd_members(vaults, method, place):
    """Answered, and never as the server's mistake; afterwards everything works."""
    vault = vaults[0]
    vault.info("keys/odd", {"max_operations": 1 << 30})
    cipher = vault.info("encrypt/odd", {"plaintext": "QQ=="})["ciphertext"]
    base = {"plaintext": "QQ==", "ciphertext": cipher, "to_version": "1", "backup": vault.get("backup/odd")[0]["backup"]}
    for name, value in itertools.product(MEMBERS, ODD):
        check_odd(vault.ask(place, {**base, name: value}, method))
        vault.ask("keys/fresh", method="DELETE")
    for item in itertools.chain([None, 5, "x", [], {}], ({**base, name: value} for name, value in itertools.product(MEMBERS, ODD))):
        check_odd(vault.ask(place, {"batch": [item, {**base}]}, method))
        vault.ask("keys/fresh", method="DELETE")
    for raw in (b"[]", b"null", b"5", b'"x"', b"{", b"", b'{"plaintext":"QQ==","plaintext":"QQ=="}', b"\xff", b"{}" * 2):
        check_odd(vault.safe.call(method, f"transparent/{vault.id}/{place}", raw=raw))
    vault.info("keys/odd/versions/1", {"rewrap_only": False})
    assert vault.info("decrypt/odd", {"ciphertext": cipher})["plaintext"] == "QQ=="
    vault.info("keys/odd", method="DELETE")


@examples(40)
@given(kinds, st.lists(st.fixed_dictionaries({}, optional={
    "plaintext": st.one_of(st.sampled_from(["QQ==", "", "!", "QQ"]), st.text(max_size=8)), "reference": st.text(max_size=8), "associated_data": st.sampled_from(["", "ZA==", "?"]),
    "key_version": st.one_of(numbers, numbers.map(str), st.text(max_size=3)), "odd": st.integers()}), max_size=12))
def test_any_batch(vaults, kind, items):
    """Refused as a whole, or each item answered in its place as a call by itself is."""
    vault, name = vaults[0], f"batch{next(_names)}"
    vault.info(f"keys/{name}", {"type": kind})
    answer = vault.ask(f"encrypt/{name}", {"batch": items})
    good = 0
    if answer.expect(200, 400).status == 200:
        info = answer.body["CALLINFO"]
        assert [r.get("reference") for r in info["batch"]] == [item.get("reference") for item in items]
        failed = sum("error" in r for r in info["batch"])
        assert info["general"] == ([f"{failed} of {len(items)} items failed"] if failed else [])
        for item, result in zip(items, info["batch"]):
            single = vault.ask(f"encrypt/{name}", {n: item[n] for n in item if n != "reference"})
            assert single.status == (400 if "error" in result else 200), (item, result, single)
            assert "error" not in result or single.body["ERRORS"] == [result["error"]]
            if "error" not in result:
                good += 2
                assert vault.info(f"decrypt/{name}", {"ciphertext": result["ciphertext"], **({"associated_data": item["associated_data"]} if "associated_data" in item else {})})["plaintext"] == item.get("plaintext", "")
    assert vault.counts(name) == {1: good}
    vault.info(f"keys/{name}", method="DELETE")
