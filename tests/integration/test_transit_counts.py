"""How often versions were used, what limits that, and what becomes of versions: exact while the server lives and after a clean stop; never too low, nor
more than two blocks too high, after a kill; no limit passed by one."""
import itertools
import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pytest
from server import Server
from transit import USES_BLOCK, Transit, version_of

FACTOR = int(os.environ.get("KEYTURN_LOAD", "1"))
_mounts = itertools.count()


@pytest.fixture
def transit(dev_server):
    return Transit(dev_server.api, f"c{next(_mounts)}").mount()


def today():
    return datetime.now(timezone.utc).strftime("%Y-%m-%d")


def settle(condition, what):
    """What the writer does in the background."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


# What is shown


def test_versions_of_a_new_key(transit):
    before = datetime.now(timezone.utc)
    transit.create("k")
    data = transit.api.get(f"{transit.path}/keys/k/versions").expect(200).data
    assert (data["keys"], data["latest_version"], data["max_operations"]) == (["1"], 1, 1 << 32)
    version = data["versions"]["1"]
    made = datetime.fromisoformat(version.pop("creation_time")[:26].rstrip("Z") + "+00:00")
    assert abs((made - before).total_seconds()) < 60
    assert version == {"state": "active", "encryptions": 0, "decryptions": 0, "last_used": None, "destroy_time": None, "rewrap_only": False, "earlier_uses_known": True}
    assert transit.api.list(f"{transit.path}/keys/k/versions").expect(200).data["keys"] == ["1"]
    transit.api.get(f"{transit.path}/keys/none/versions").expect(404)


def test_what_counts(transit):
    """Each item that was encrypted or opened; nothing that was refused."""
    transit.create("k")
    first = transit.encrypt("k", b"x")
    days = {today()}
    assert transit.versions("k")[1]["last_used"] in days | {today()}
    transit.ask("datakey/plaintext/k").expect(200)
    transit.batch("encrypt", "k", [{"plaintext": b""}] * 5 + [{"plaintext": "!"}] * 3, 400)
    assert transit.counts("k") == {1: 7}
    for what in ("encrypt/k", "decrypt/k", "rewrap/k"):
        transit.ask(what, plaintext="!", ciphertext="vault:v1:AAAA").expect(400)
    assert transit.counts("k") == {1: 7}
    assert transit.counts("k", "decryptions") == {1: 0}
    transit.decrypt("k", first)
    transit.rotate("k")
    second = transit.rewrap("k", first)
    transit.rewrap("k", second)
    transit.batch("decrypt", "k", [{"ciphertext": first}, {"ciphertext": second}, {"ciphertext": "x"}], 400)
    assert transit.counts("k") == {1: 7, 2: 2}
    assert transit.counts("k", "decryptions") == {1: 3, 2: 2}


def test_pinned_versions_count_exactly(transit):
    """However many a batch names, and whether the writer has to reserve for them or not."""
    transit.create("k")
    for _ in range(11):
        transit.rotate("k")
    made = {n: 0 for n in range(1, 13)}
    dice = random.Random(1)
    for round in range(30):
        items = [dice.randrange(13) for _ in range(dice.randrange(1, 60))] if round % 2 else [dice.randrange(9, 13) for _ in range(20)]
        results = transit.batch("encrypt", "k", [{"plaintext": b"x", "key_version": n} for n in items])
        for result in results:
            made[result["key_version"]] += 1
        again = transit.batch("rewrap", "k", [{"ciphertext": r["ciphertext"], "key_version": n} for r, n in zip(results, items)])
        for result in again:
            made[result["key_version"]] += 1
        if round % 5 == 0:
            made[transit.rotate("k")] = 0
        assert transit.counts("k") == made


def test_pages_of_versions(transit):
    transit.create("k")
    for _ in range(24):
        transit.rotate("k")
    url = f"{transit.path}/keys/k/versions"

    def page(query):
        return [int(n) for n in transit.api.get(url + query).expect(200).data["keys"]]

    assert page("") == list(range(1, 26))
    assert page("?limit=10") == list(range(1, 11))
    assert page("?after=10&limit=10") == list(range(11, 21))
    assert page("?after=20&limit=10") == list(range(21, 26))
    assert page("?after=24") == [25]
    for after in (25, 26, 1 << 31, 1 << 62):
        assert page(f"?after={after}") == []
    transit.config("k", min_decryption_version=5, min_encryption_version=5)
    transit.trim("k", 5)
    assert page("?limit=2") == page("?after=1&limit=2") == [5, 6]
    for bad in ("?after=-1", "?limit=-1", "?after=x", "?limit=1.5"):
        transit.api.get(url + bad).expect(400)
    limited = transit.api.token_for(f"p-{transit.path}", f'path "{url}" {{ capabilities = ["read", "list"] pagination_limit = 7 }}')
    assert len(transit.api.list(url, token=limited).expect(200).data["keys"]) == 7


# States


def test_states(transit):
    transit.create("k")
    first = transit.encrypt("k", b"x")
    transit.rotate("k")
    states = {n: v["state"] for n, v in transit.versions("k").items()}
    assert states == {1: "decrypt_only", 2: "active"}
    transit.set_version("k", 1, state="disabled")
    assert transit.versions("k")[1]["state"] == "disabled"
    for what, members in {"decrypt/k": {"ciphertext": first}, "rewrap/k": {"ciphertext": first}, "encrypt/k": {"plaintext": b"", "key_version": 1}}.items():
        transit.refused(what, "disabled", **members)
    assert "disabled" in transit.batch("decrypt", "k", [{"ciphertext": first}], 400)[0]["error"]
    transit.set_version("k", 1, state="decrypt_only")
    assert transit.decrypt("k", first) == b"x"
    assert version_of(transit.encrypt("k", b"", key_version=1)) == 1
    assert transit.counts("k") == {1: 2, 2: 0}


def test_rewrap_only(transit):
    transit.create("k")
    first = transit.encrypt("k", b"x")
    transit.rotate("k")
    transit.set_version("k", 1, rewrap_only=True)
    assert transit.versions("k")[1]["rewrap_only"]
    transit.refused("decrypt/k", "may only be rewrapped", ciphertext=first)
    again = transit.rewrap("k", first)
    assert transit.decrypt("k", again) == b"x"
    transit.set_version("k", 1, state="disabled")
    assert transit.decrypt("k", transit.rewrap("k", first)) == b"x"
    transit.refused("decrypt/k", "", ciphertext=first)
    transit.set_version("k", 1, rewrap_only=False)
    transit.refused("rewrap/k", "revoked", ciphertext=first)
    transit.set_version("k", 1, state="decrypt_only")
    transit.set_version("k", 1, rewrap_only=False)
    assert transit.decrypt("k", first) == b"x"
    # that of the latest, too
    transit.set_version("k", 2, rewrap_only=True)
    transit.refused("decrypt/k", "may only be rewrapped", ciphertext=again)
    assert version_of(transit.rewrap("k", again)) == 2


def test_destroying(transit):
    transit.create("k")
    first = transit.encrypt("k", b"x")
    transit.rotate("k")
    transit.refused("keys/k/versions/1", "deletion is not allowed", state="destroyed")
    assert transit.decrypt("k", first) == b"x"
    transit.config("k", deletion_allowed=True)
    transit.refused("keys/k/versions/2", "latest version cannot be destroyed", state="destroyed")
    answer = transit.set_version("k", 1, state="destroyed")
    assert answer.status == 204 or "storage terms" in answer.body["warnings"][0]
    version = transit.versions("k")[1]
    assert version["state"] == "destroy_pending" and version["encryptions"] == 1
    assert version["destroy_time"][:10] in (version["creation_time"][:10], today())
    assert version["pending_terms"]["first"] <= version["pending_terms"]["last"]
    for what, members in {"decrypt/k": {"ciphertext": first}, "rewrap/k": {"ciphertext": first}, "encrypt/k": {"plaintext": b"", "key_version": 1}}.items():
        transit.ask(what, **members).expect(400)
    for members in ({"state": "decrypt_only"}, {"state": "disabled"}, {"state": "destroyed"}, {"rewrap_only": True}):
        transit.refused("keys/k/versions/1", "was destroyed", **members)
    assert transit.counts("k") == {1: 1, 2: 0}
    assert "1" in transit.read("k")["keys"]
    assert transit.rotate("k") == 3


STATES_REFUSED = [({"state": "no"}, "must be disabled, decrypt_only or destroyed"), ({"state": "active"}, "must be"), ({"state": 5}, ""), ({}, "is needed"),
                  ({"rewrap_only": "maybe"}, ""), ({"state": "disabled", "rewrap_only": 7}, ""), ({"state": ["disabled"]}, "")]


@pytest.mark.parametrize("members,why", STATES_REFUSED)
def test_states_refused(transit, members, why):
    transit.create("k")
    transit.rotate("k")
    before = transit.versions("k")
    transit.refused("keys/k/versions/1", why, **members)
    for number in ("0", "3", "-1", "x", "1.0", "4294967297", "99999999999999999999", "1x", "%31"):
        if number != "%31":
            transit.refused(f"keys/k/versions/{number}", "", state="disabled")
    transit.refused("keys/k/versions/2", "latest version cannot be disabled", state="disabled")
    transit.ask("keys/none/versions/1", state="disabled").expect(404)
    assert transit.versions("k") == before


# Limits


def test_a_limit_is_never_passed(transit):
    """Used up, the key rotates: one after another, by batches, by data keys, by rewrapping."""
    transit.create("k", max_operations=10)
    made = {}

    def count(*versions):
        for version in versions:
            made[version] = made.get(version, 0) + 1

    for n in range(35):
        count(version_of(transit.encrypt("k", b"x")))
    for size in (1, 3, 10, 7, 9, 2, 4):
        results = transit.batch("encrypt", "k", [{"plaintext": b""}] * size)
        assert len({r["key_version"] for r in results}) == 1  # one claim, one version
        count(*(r["key_version"] for r in results))
    for _ in range(12):
        count(transit.ask("datakey/wrapped/k").expect(200).data["key_version"])
    cipher = transit.encrypt("k", b"text")
    count(version_of(cipher))
    for _ in range(12):
        cipher = transit.rewrap("k", cipher)
        count(version_of(cipher))
    assert transit.decrypt("k", cipher) == b"text"
    shown = transit.counts("k")
    assert {n: c for n, c in shown.items() if c} == made
    assert max(made.values()) <= 10
    assert transit.api.get(f"{transit.path}/keys/k/versions").expect(200).data["max_operations"] == 10


def test_a_batch_larger_than_the_limit(transit):
    transit.create("k", max_operations=10)
    transit.refused("encrypt/k", "max_operations 10", batch_input=[{"plaintext": ""}] * 11)
    assert transit.counts("k") == {1: 0}
    transit.batch("encrypt", "k", [{"plaintext": b""}] * 10)
    transit.batch("encrypt", "k", [{"plaintext": b""}] * 10)
    settle(lambda: len(transit.versions("k")) == 3, "used up, it does not rotate")
    assert transit.counts("k") == {1: 10, 2: 10, 3: 0}
    cipher = transit.encrypt("k")
    transit.refused("rewrap/k", "max_operations 10", batch_input=[{"ciphertext": cipher}] * 11)


def test_a_pinned_version_that_is_used_up(transit):
    """400, and never a rotation."""
    transit.create("k", max_operations=10)
    for _ in range(3):
        transit.encrypt("k")
    transit.rotate("k")
    for _ in range(7):
        assert version_of(transit.encrypt("k", b"", key_version=1)) == 1
    for _ in range(3):
        transit.refused("encrypt/k", "used up", plaintext=b"", key_version=1)
        transit.refused("datakey/plaintext/k", "used up", key_version=1)
        transit.refused("rewrap/k", "used up", ciphertext=transit.encrypt("k", b"", key_version=2), key_version=1)
    assert transit.counts("k") == {1: 10, 2: 3}
    results = transit.batch("encrypt", "k", [{"plaintext": b"", "key_version": n} for n in (1, 2, 0, 1)], 400)
    assert ["error" in r for r in results] == [True, False, False, True]
    assert transit.counts("k") == {1: 10, 2: 5}


def test_the_latest_used_up_by_name(transit):
    """Naming it is pinning it."""
    transit.create("k", max_operations=10)
    for n in range(10):
        version = version_of(transit.encrypt("k", b"", key_version=1))
        assert version == 1
    transit.refused("encrypt/k", "", plaintext=b"", key_version=1)
    assert transit.counts("k")[1] == 10


def test_a_part_of_a_batch_that_still_fits_a_pinned_version(transit):
    transit.create("k", max_operations=10)
    transit.encrypt("k")
    transit.rotate("k")
    results = transit.batch("encrypt", "k", [{"plaintext": b"", "key_version": 1}] * 12, 400)
    assert [r.get("key_version") for r in results] == [1] * 9 + [None] * 3
    assert transit.counts("k") == {1: 10, 2: 0}


def test_a_limit_set_later(transit):
    transit.create("k")
    for _ in range(20):
        transit.encrypt("k")
    assert transit.config("k", max_operations=25)["latest_version"] == 1
    versions = [version_of(transit.encrypt("k")) for _ in range(6)]
    assert versions in ([1] * 5 + [2], [1] * 4 + [2] * 2)  # in the background, a sixteenth of the limit ahead
    # at or below what is used: rotated in the same transaction
    transit.config("k", max_operations=100)
    for _ in range(9):
        transit.encrypt("k")
    data = transit.config("k", max_operations=10)
    assert data["latest_version"] == 3 and data["max_operations"] == 10
    assert version_of(transit.encrypt("k")) == 3
    assert transit.config("k", max_operations=0)["max_operations"] == 0
    for _ in range(20):
        assert version_of(transit.encrypt("k")) == 3
    assert transit.counts("k") == {1: 20 + versions.count(1), 2: 9 + versions.count(2), 3: 21}


def test_a_limit_of_one(transit):
    transit.create("k", max_operations=1)
    assert [version_of(transit.encrypt("k")) for _ in range(20)] == list(range(1, 21))
    transit.refused("encrypt/k", "max_operations 1", batch_input=[{"plaintext": ""}] * 2)
    assert all(count <= 1 for count in transit.counts("k").values())


def test_automatic_rotations_are_audited(new_server, folder):
    audit = folder / "audit"
    server = new_server(config=f'audit "file" "main" {{ options {{ file_path = "{audit}" }} }}').ready()
    transit = Transit(server.api).mount()
    transit.create("k", max_operations=5)
    for _ in range(17):
        transit.encrypt("k")
    transit.rotate("k")
    latest = transit.read("k")["latest_version"]
    server.stop()
    notes = [event for line in audit.read_text().splitlines() for event in [json.loads(line)] if "key_rotated" in line]
    told = [find(note, "event", "key_rotated") for note in notes]
    assert [(n["key"], n["cause"], n["old_version"], n["new_version"], n["encryptions"]) for n in told] == [
        ("k", "max_operations", v, v + 1, 5) for v in range(1, latest - 1)]
    assert {n["mount"] for n in told} == {f"{transit.path}/"}


def find(value, name, wanted):
    """The object in a tree whose member `name` is `wanted`."""
    if isinstance(value, dict):
        if value.get(name) == wanted:
            return value
        value = list(value.values())
    return next((found for v in value if (found := find(v, name, wanted))), None) if isinstance(value, list) else None


# Old versions


def test_max_versions(transit):
    """The oldest beyond it are destroyed, but none that was used since retire_after."""
    transit.create("k", max_versions=3, retire_after="0s")
    for _ in range(5):
        transit.rotate("k")
    states = [v["state"] for v in transit.versions("k").values()]
    assert states == ["destroy_pending"] * 3 + ["decrypt_only", "decrypt_only", "active"]
    cipher = transit.encrypt("k", b"x")  # used: no day of it is over
    for _ in range(6):
        transit.rotate("k")
    assert transit.decrypt("k", cipher) == b"x"
    states = [v["state"] for v in transit.versions("k").values()]
    assert states == ["destroy_pending"] * 5 + ["decrypt_only"] * 6 + ["active"]


def test_max_versions_waits_for_retire_after(transit):
    transit.create("k", max_versions=1, retire_after="1h")
    for _ in range(5):
        transit.rotate("k")
    assert "destroy_pending" not in {v["state"] for v in transit.versions("k").values()}
    transit.config("k", retire_after=0)
    transit.rotate("k")  # a few at a time
    transit.rotate("k")
    assert [v["state"] for v in transit.versions("k").values()] == ["destroy_pending"] * 7 + ["active"]


# Restarts


def check_counts(transit, name, wanted, what="encryptions"):
    assert transit.counts(name, what) == wanted


def test_counts_survive_a_clean_restart(server):
    transit = Transit(server.api).mount()
    transit.create("k")
    transit.create("small", max_operations=10)
    ciphers = [transit.encrypt("k") for _ in range(3)]
    for _ in range(13):
        transit.encrypt("small")
    transit.rotate("k")
    for _ in range(2):
        ciphers.append(transit.encrypt("k"))
    transit.encrypt("k", b"", key_version=1)
    for cipher in ciphers:
        transit.decrypt("k", cipher)
    wanted = [({1: 4, 2: 2}, {1: 3, 2: 2}), ({1: 10, 2: 3}, {1: 0, 2: 0})]
    for again in (lambda: None, server.restart, lambda: (server.seal(), server.unseal()), server.restart):
        again()
        transit.api = server.api
        for name, (encryptions, decryptions) in zip(("k", "small"), wanted):
            check_counts(transit, name, encryptions)
            check_counts(transit, name, decryptions, "decryptions")


def test_counts_after_a_kill(server):
    """At most two blocks more for each, never less; and what was closed before is exact."""
    transit = Transit(server.api).mount()
    transit.create("k")
    transit.create("small", max_operations=10)
    transit.create("unused")
    for _ in range(5):
        transit.encrypt("k")
    transit.rotate("k")
    transit.encrypt("k")
    for _ in range(13):
        transit.encrypt("small")
    server.kill()
    server.start().unseal()
    transit.api = server.api
    counts = transit.counts("k")
    assert counts[1] == 5 and 1 <= counts[2] <= 1 + 2 * USES_BLOCK
    small = transit.counts("small")
    assert small[1] == 10 and 3 <= small[2] <= 10
    assert transit.counts("unused")[1] <= 2 * USES_BLOCK
    # the limit holds all the same
    versions = [version_of(transit.encrypt("small")) for _ in range(25)]
    assert all(versions.count(v) <= 10 for v in versions)
    after = transit.counts("small")
    assert all(count <= 10 for count in after.values())
    # and from now on it is exact again
    transit.encrypt("k")
    assert transit.counts("k") == {1: 5, 2: counts[2] + 1}
    server.restart()
    transit.api = server.api
    assert transit.counts("k") == {1: 5, 2: counts[2] + 1}
    assert transit.counts("small") == after


# Exact under load


class Load:
    """Clients that encrypt, by ones and by batches, and remember what they were answered."""

    def __init__(self, server, names):
        self.server, self.names = server, names
        self.made = {}  # (key, version): how many ciphertexts were answered
        self.doubt = 0  # items sent and not answered
        self.lock, self.wrong = threading.Lock(), []
        self.ending = threading.Event()

    def client(self, me, rounds):
        dice = random.Random(me)
        transit = Transit(self.server.api)
        try:
            for n in itertools.count():
                if (rounds and n >= rounds) or (self.ending.is_set() and not rounds):
                    return
                name, many = dice.choice(self.names), dice.choice((0, 0, 3, 40))
                self.one(transit, name, many, dice.random() < 0.1)
        except BaseException as error:
            self.wrong.append(f"client {me}: {error!r}")

    def one(self, transit, name, many, spoiled):
        """Sealed or stopped at the moment: nothing was encrypted, or nobody will ever see it."""
        items = [{"plaintext": ""}] * many + [{"plaintext": "!"}] * spoiled
        try:
            answer = transit.ask(f"encrypt/{name}", **({"batch_input": items} if many else {"plaintext": ""})).expect(200, 400, 503)
        except OSError:
            time.sleep(0.01)
            return
        if answer.status == 503:
            time.sleep(0.005)
            return
        results = answer.data["batch_results"] if many else [answer.data]
        with self.lock:
            for result in results:
                if "key_version" in result:
                    key = (name, result["key_version"])
                    self.made[key] = self.made.get(key, 0) + 1

    def run(self, clients, rounds, disturb):
        """Clients beside disturb() until all have done their rounds."""
        threads = [threading.Thread(target=self.client, args=(me, rounds)) for me in range(clients)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            disturb()
        for thread in threads:
            thread.join()
        assert not self.wrong, "\n".join(self.wrong)

    def compare(self, transit, slack=0):
        for name in self.names:
            made = {version: n for (key, version), n in self.made.items() if key == name}
            shown = transit.counts(name)
            assert set(made) <= set(shown)
            for version, count in shown.items():
                assert made.get(version, 0) <= count <= made.get(version, 0) + slack, f"{name} {version}: {made.get(version, 0)} made, {count} counted"


CONFIG = "loops = 2"
NAMES = ["plain", "small", "other"]


def loaded_server(new_server, names=NAMES):
    server = new_server(config=CONFIG).ready()
    transit = Transit(server.api).mount()
    for name in names:
        transit.create(name, **{"small": {"max_operations": 57}}.get(name, {}))
    return server, transit


def test_exact_under_load(new_server):
    """While keys rotate, by themselves and by hand, and pinned versions are used."""
    server, transit = loaded_server(new_server)
    load, dice = Load(server, NAMES), random.Random(3)

    def disturb():
        name = dice.choice(NAMES)
        latest = transit.rotate(name)
        pinned = transit.ask(f"encrypt/{name}", plaintext="", key_version=dice.randrange(max(1, latest - 3), latest + 1)).expect(200, 400)
        if pinned.status == 200:
            with load.lock:
                key = (name, pinned.data["key_version"])
                load.made[key] = load.made.get(key, 0) + 1
        transit.config(name, max_versions=0)
        time.sleep(0.003)

    load.run(4, 150 * FACTOR, disturb)
    load.compare(transit)
    server.restart()
    transit.api = server.api
    load.compare(transit)


def test_exact_while_it_is_sealed_and_restarted(new_server):
    server, transit = loaded_server(new_server)
    load, dice = Load(server, NAMES), random.Random(4)

    def disturb():
        transit.api = server.api
        transit.rotate(dice.choice(NAMES))
        time.sleep(0.05)
        if dice.random() < 0.7:
            server.seal()
            server.unseal()
        else:
            server.restart()

    load.run(4, 150 * FACTOR, disturb)
    transit.api = server.api
    load.compare(transit)
    server.restart()
    transit.api = server.api
    load.compare(transit)


# Many versions


def test_rotating_costs_the_same_however_many_there_are(server):
    """By the encryptions that the storage does for each."""
    transit = Transit(server.api).mount()
    transit.create("k")

    def cost(rotations):
        before = server.api.terms()[1]["encryptions"]
        for _ in range(rotations):
            transit.rotate("k")
        return server.api.terms()[1]["encryptions"] - before

    first = cost(20)
    for _ in range(500 * FACTOR):
        transit.rotate("k")
    assert abs(cost(20) - first) <= 20  # a tick more or less
    assert first <= 20 * 6
    assert len(transit.versions("k")) == 541 + 500 * (FACTOR - 1)
    data = transit.api.get("transit/keys/k").expect(200)
    assert len(data.data["keys"]) == 256 and "newest 256" in data.body["warnings"][0]
