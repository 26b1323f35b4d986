"""Clients encrypt, rewrap and rotate as fast as they can, the server is killed at random moments and started again.

What must hold after each kill:
- every acknowledged ciphertext decrypts to what was encrypted, wherever it was rewrapped to;
- every acknowledged rotation is there;
- the count of a version that was rotated away from is what it was;
- the count of a version is not below the ciphertexts that were acknowledged under it, and above it by what was in doubt and two blocks for each kill
  since it was made; nor above what the version may do.

KEYTURN_KILLS says how often (6 unless told), KEYTURN_SEED repeats the moments of a run.
"""
import os
import random
import time

import pytest
from tally import Tally, run_until_killed
from transit import Transit, b64, unb64

KILLS = int(os.environ.get("KEYTURN_KILLS", "6"))
SEED = int(os.environ.get("KEYTURN_SEED", random.randrange(1 << 30)))
KEYS = {"plain": {}, "small": {"max_operations": 57}, "convergent": {"derived": True, "convergent_encryption": True}}
KEPT = 400  # ciphertexts that a client checks


class Client:
    """Encrypts and rewraps: knows what was acknowledged."""

    def __init__(self, me, seed, tally):
        self.me, self.dice, self.tally = me, random.Random(seed), tally
        self.kept = []  # (key, ciphertext, plaintext)
        self.serial = 0

    def step(self, transit):
        name = self.dice.choice(list(KEYS))
        if self.kept and self.dice.random() < 0.3:
            self.rewrap(transit)
        elif self.dice.random() < 0.3:
            self.encrypt(transit, name, self.dice.randrange(1, 30))
        else:
            self.encrypt(transit, name, 0)

    def item(self, name, **more):
        return {**more, **({"context": b64("c")} if name == "convergent" else {})}

    def encrypt(self, transit, name, many):
        texts = []
        for _ in range(many or 1):
            self.serial += 1
            texts.append(f"{self.me} {self.serial}")
        items = [self.item(name, plaintext=b64(text)) for text in texts]
        self.tally.sent(name, len(items))
        answer = transit.ask(f"encrypt/{name}", **({"batch_input": items} if many else items[0])).expect(200)
        results = answer.data["batch_results"] if many else [answer.data]
        self.tally.made(name, [r["key_version"] for r in results])
        self.keep([(name, r["ciphertext"], text) for r, text in zip(results, texts)])

    def rewrap(self, transit):
        at = self.dice.randrange(len(self.kept))
        name, cipher, text = self.kept[at]
        self.tally.sent(name, 1)
        data = transit.ask(f"rewrap/{name}", **self.item(name, ciphertext=cipher)).expect(200).data
        self.tally.made(name, [data["key_version"]])
        self.kept[at] = (name, data["ciphertext"], text)

    def keep(self, made):
        self.kept = (self.kept + made)[-KEPT:]

    def check(self, transit):
        for name in KEYS:
            mine = [(cipher, text) for key, cipher, text in self.kept if key == name]
            if mine:
                results = transit.batch("decrypt", name, [self.item(name, ciphertext=cipher) for cipher, _ in mine])
                assert [unb64(r["plaintext"]).decode() for r in results] == [text for _, text in mine]


class Rotator:
    """The only client that rotates by hand.  `small` rotates by itself, too."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.latest = {name: 1 for name in KEYS}
        self.doubt = None

    def step(self, transit):
        self.doubt = self.dice.choice(list(KEYS))
        version = transit.rotate(self.doubt)
        assert version == self.latest[self.doubt] + 1 or (self.doubt == "small" and version > self.latest["small"])
        self.latest[self.doubt], self.doubt = version, None
        time.sleep(0.002)

    def check(self, transit):
        for name in KEYS:
            found = transit.read(name)["latest_version"]
            most = self.latest[name] + (self.doubt == name)
            assert self.latest[name] <= found and (found <= most or name == "small"), f"{name}: version {found}, acknowledged was {self.latest[name]}"
            self.latest[name] = found
        self.doubt = None


@pytest.mark.limit(300 + 30 * KILLS)
def test_kill(new_server):
    print(f"KEYTURN_SEED={SEED}")
    dice = random.Random(SEED)
    server = new_server(config="loops = 2").ready()
    transit = Transit(server.api).mount()
    for name, settings in KEYS.items():
        transit.create(name, **settings)
    tally, rotator = Tally({name: settings.get("max_operations") for name, settings in KEYS.items()}), Rotator(dice.random())
    clients = [Client(me, dice.random(), tally) for me in range(3)]
    for _ in range(KILLS):
        run_until_killed(server, [lambda c=c: c.step(transit) for c in [*clients, rotator]], dice)
        server.start().unseal()
        transit.api = server.api
        rotator.check(transit)
        tally.check(transit.counts)
        for client in clients:
            client.check(transit)
    before = {name: transit.counts(name) for name in KEYS}
    server.restart()
    transit.api = server.api
    assert {name: transit.counts(name) for name in KEYS} == before
    for client in clients:
        client.check(transit)
