"""Members of a vault encrypt, rewrap, rotate, make and delete keys and change one another's levels as fast as they can; the server is killed at random moments.

What must hold after each kill:
- every acknowledged ciphertext decrypts to what was encrypted, wherever it was rewrapped to;
- every acknowledged rotation, new key, deleted key, restored key and change of a member is there; what was sent last is done as a whole or not at all;
- counts are never below the ciphertexts that were acknowledged, and above them by no more than what was in doubt and two blocks a kill (see lib/tally).

KEYTURN_KILLS says how often (6 unless told), KEYTURN_SEED repeats the moments of a run.
"""
import os
import random
import time

import pytest
from safe import ACTIVE, READ, WRITE, House
from tally import Tally, run_until_killed
from transparent import Vault, b64

KILLS = int(os.environ.get("KEYTURN_KILLS", "6"))
SEED = int(os.environ.get("KEYTURN_SEED", random.randrange(1 << 30)))
KEYS = {"plain": {}, "small": {"type": "aes256-gcm96", "max_operations": 57}, "untagged": {"type": "aes256-ofb"}}
KEPT = 400  # ciphertexts that a client checks


class Client:
    """Encrypts and rewraps: knows what was acknowledged."""

    def __init__(self, me, seed, tally):
        self.me, self.dice, self.tally = me, random.Random(seed), tally
        self.kept = []  # (key, ciphertext, plaintext in base64)
        self.serial = 0

    def step(self, vault):
        name = self.dice.choice(list(KEYS))
        if self.kept and self.dice.random() < 0.3:
            self.rewrap(vault)
        else:
            self.encrypt(vault, name, self.dice.randrange(1, 30) if self.dice.random() < 0.3 else 0)

    def encrypt(self, vault, name, many):
        texts = [b64(f"{self.me} {self.serial + n}".encode()) for n in range(many or 1)]
        self.serial += len(texts)
        items = [{"plaintext": text} for text in texts]
        self.tally.sent(name, len(items))
        info = vault.info(f"encrypt/{name}", {"batch": items} if many else items[0])
        results = info["batch"] if many else [info]
        self.tally.made(name, [int(r["key_version"]) for r in results])
        self.kept = (self.kept + [(name, r["ciphertext"], text) for r, text in zip(results, texts)])[-KEPT:]

    def rewrap(self, vault):
        at = self.dice.randrange(len(self.kept))
        name, cipher, text = self.kept[at]
        self.tally.sent(name, 1)
        info = vault.info(f"rewrap/{name}", {"ciphertext": cipher})
        self.tally.made(name, [int(info["key_version"])])
        self.kept[at] = (name, info["ciphertext"], text)

    def check(self, vault):
        for name in KEYS:
            mine = [(cipher, text) for key, cipher, text in self.kept if key == name]
            if mine:
                results = vault.info(f"decrypt/{name}", {"batch": [{"ciphertext": cipher} for cipher, _ in mine]})["batch"]
                assert [r["plaintext"] for r in results] == [text for _, text in mine]


class Rotator:
    """The only one who rotates by hand.  `small` rotates by itself, too."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.latest = {name: 1 for name in KEYS}
        self.doubt = None

    def step(self, vault):
        self.doubt = self.dice.choice(list(KEYS))
        version = int(vault.info(f"keys/{self.doubt}/rotate")["key_version"])
        assert version == self.latest[self.doubt] + 1 or (self.doubt == "small" and version > self.latest["small"])
        self.latest[self.doubt], self.doubt = version, None
        time.sleep(0.002)

    def check(self, vault):
        for name in KEYS:
            found = int(vault.entry(name)["key_version"])
            assert self.latest[name] <= found, f"{name}: version {found}, acknowledged was {self.latest[name]}"
            assert name == "small" or found <= self.latest[name] + (self.doubt == name)
            self.latest[name] = found
        self.doubt = None


class Register:
    """Changes things of which each has one value, None: not there.  A change that was not answered is done or not."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.sure, self.doubt = {}, None  # doubt: (name, value)

    def change(self, name, value, call):
        self.doubt = (name, value)
        result = call()
        self.settle(name, value)
        return result

    def settle(self, name, value):
        self.sure[name], self.doubt = value, None

    def check(self, vault):
        found = self.look(vault)
        allowed = {name: [value] for name, value in self.sure.items()}
        if self.doubt:
            allowed.setdefault(self.doubt[0], [None]).append(self.doubt[1])
        assert set(found) <= set(allowed)
        for name, values in allowed.items():
            assert found.get(name) in values, f"{name} is {found.get(name)!r}, allowed: {values!r}"
            self.sure[name] = found.get(name)
        self.doubt = None


class Maker(Register):
    """Makes keys, by name, by encrypting and from a backup; changes what is said of them; deletes them.  What it knows of one: info and the latest version."""

    def __init__(self, seed, vault):
        super().__init__(seed)
        self.serial = 0
        vault.info("keys/origin", {"info": "origin"})
        vault.info("keys/origin/rotate")
        self.cipher = vault.info("encrypt/origin", {"plaintext": b64(b"text")})["ciphertext"]
        self.backup = vault.get("backup/origin")[0]["backup"]

    def step(self, vault):
        there = [name for name, value in self.sure.items() if value]
        if there and self.dice.random() < 0.6:
            name = self.dice.choice(there)
            if self.dice.random() < 0.5:
                self.change(name, None, lambda: vault.info(f"keys/{name}", method="DELETE"))
            else:
                info = f"changed {self.serial}"
                self.serial += 1
                self.change(name, (info, self.sure[name][1]), lambda: vault.info(f"keys/{name}", {"info": info}, "PUT"))
            return
        self.serial += 1
        name = f"k{self.serial if self.dice.random() < 0.5 else self.serial % 3}"
        if self.sure.get(name):
            return
        how = self.dice.randrange(3)
        if how == 0:
            self.change(name, ("by name", "1"), lambda: vault.info(f"keys/{name}", {"info": "by name"}))
        elif how == 1:
            self.change(name, ("", "1"), lambda: vault.info(f"encrypt/{name}", {"plaintext": "QQ=="}))
        else:
            self.change(name, ("origin", "2"), lambda: vault.info(f"restore/{name}", {"backup": self.backup}))

    def look(self, vault):
        found = {}
        for name, key in vault.entries().items():
            if name in (*KEYS, "origin"):
                continue
            found[name] = (key["info"], key["key_version"])
            assert vault.entry(name) == key
            cipher = vault.info(f"encrypt/{name}", {"plaintext": "QQ=="})["ciphertext"]
            assert vault.info(f"decrypt/{name}", {"ciphertext": cipher})["plaintext"] == "QQ=="
            if key["key_version"] == "2":  # from the backup
                assert vault.info(f"decrypt/{name}", {"ciphertext": self.cipher})["plaintext"] == b64(b"text")
        objects = [key["objectid"] for key in vault.entries().values()]
        assert len(set(objects)) == len(objects)
        return found


class Manager(Register):
    """Adds users to the vault, changes their levels, removes them."""

    def __init__(self, seed, users):
        super().__init__(seed)
        self.sure = dict.fromkeys(users)

    def step(self, vault):
        user = self.dice.choice(list(self.sure))
        at, level = f"vault/{vault.id}/member/{user}", self.dice.choice([1, 2, 4])
        if self.sure[user] is None:
            self.change(user, level, lambda: vault.safe.good("POST", at, {"status": level}))
        elif self.dice.random() < 0.3:
            self.change(user, None, lambda: vault.safe.good("DELETE", at))
        else:
            self.change(user, level, lambda: vault.safe.good("PUT", at, {"status": level}))

    def look(self, vault):
        return {user: level for user, level in vault.members().items() if user in self.sure}


@pytest.mark.limit(300 + 30 * KILLS)
def test_kill(new_server):
    print(f"KEYTURN_SEED={SEED}")
    dice = random.Random(SEED)
    server = new_server(config="loops = 2").ready()
    house = House(server.api)
    owner = house.session("owner", READ | WRITE | ACTIVE)
    users = [str(house.user(f"user{n}")) for n in range(4)]
    vault = Vault.new(owner)
    for name, settings in KEYS.items():
        vault.info(f"keys/{name}", settings)
    tally = Tally({name: settings.get("max_operations") for name, settings in KEYS.items()})
    actors = [Rotator(dice.random()), Maker(dice.random(), vault), Manager(dice.random(), users), *(Client(me, dice.random(), tally) for me in range(3))]
    for _ in range(KILLS):
        run_until_killed(server, [lambda actor=actor: actor.step(vault) for actor in actors], dice)
        server.start().unseal()
        vault = vault.of(server.api)
        for actor in actors:
            actor.check(vault)
        tally.check(vault.counts)
    before = {name: vault.counts(name) for name in KEYS}, vault.entries(), vault.members()
    server.restart()
    vault = vault.of(server.api)
    assert ({name: vault.counts(name) for name in KEYS}, vault.entries(), vault.members()) == before
    for actor in actors:
        actor.check(vault)
