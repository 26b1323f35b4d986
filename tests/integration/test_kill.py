"""The kill test: clients write, read and rotate as fast as they can, the server is killed at random moments and started again.

What must hold after each kill:
- every acknowledged write is read back, and what was in doubt is there or is not, whole;
- every acknowledged rotation is there; terms never go back; the shares still unseal;
- the recovered count of each term is never below what the counting hook noted, and above it by at most one group
  for each kill that the term was active in.

KEYTURN_KILLS says how often (12 unless told; ./dev test kill: 200), KEYTURN_SEED repeats the moments of a run.
"""
import http.client
import os
import random
import threading
import time

import counts
import pytest

KILLS = int(os.environ.get("KEYTURN_KILLS", "12"))
SEED = int(os.environ.get("KEYTURN_SEED", random.randrange(1 << 30)))
GROUP_LIMIT = 1024
WRITERS = 4
KEYS_EACH = 40
GONE = (OSError, http.client.HTTPException)


class Writer:
    """One client with keys of its own: knows what each must hold."""

    def __init__(self, me, seed):
        self.me, self.dice = me, random.Random(seed)
        self.stored = {}  # key: acknowledged number; absent: deleted or never written
        self.doubt = None  # (key, number or None): sent, not answered
        self.serial = 0

    def run(self, api):
        """Until the server is gone."""
        try:
            while True:
                key = f"secret/{self.me}/{self.dice.randrange(KEYS_EACH)}"
                what = self.dice.random()
                if what < 0.5:
                    self.write(api, key)
                elif what < 0.6:
                    self.delete(api, key)
                else:
                    self.read(api, key)
        except GONE:
            pass

    def write(self, api, key):
        self.serial += 1
        self.doubt = (key, self.serial)
        api.post(key, {"n": self.serial, "pad": "x" * self.dice.randrange(2000)}).expect(204)
        self.stored[key], self.doubt = self.serial, None

    def delete(self, api, key):
        self.doubt = (key, None)
        api.delete(key).expect(204)
        self.stored.pop(key, None)
        self.doubt = None

    def read(self, api, key):
        answer = api.get(key).expect(200, 404)
        found = answer.data["n"] if answer.status == 200 else None
        assert found == self.stored.get(key), f"{key} holds {found}, acknowledged was {self.stored.get(key)}"

    def check(self, api):
        """All keys after a restart; what was in doubt is settled by what is there."""
        if self.doubt:
            key, number = self.doubt
            answer = api.get(key).expect(200, 404)
            found = answer.data["n"] if answer.status == 200 else None
            assert found in (self.stored.get(key), number), f"{key} holds {found}, not {self.stored.get(key)} or {number}"
            self.stored.pop(key, None)
            if found is not None:
                self.stored[key] = found
            self.doubt = None
        for n in range(KEYS_EACH):
            self.read(api, f"secret/{self.me}/{n}")


class Rotator:
    """The only client that rotates: knows the term."""

    def __init__(self, term):
        self.term, self.doubt = term, False

    def run(self, api):
        try:
            while True:
                self.doubt = True
                api.rotate()
                self.term, self.doubt = self.term + 1, False
                assert api.term() == self.term
        except GONE:
            pass

    def check(self, api):
        found = api.term()
        assert found in (self.term, self.term + self.doubt), f"term {found}, acknowledged was {self.term}"
        self.term, self.doubt = found, False


class Counts:
    """The server's counts against the hook's, and how many kills each term may have been given a group for."""

    def __init__(self, file):
        self.file, self.kills, self.total = file, {}, 0

    def killed(self, rotator):
        """A kill just now: the term that was active then may be given a group; a rotation in doubt leaves two to choose from."""
        self.total += 1
        for term in range(rotator.term, rotator.term + rotator.doubt + 1):
            self.kills[term] = self.kills.get(term, 0) + 1

    def check(self, api):
        """What the hook notes above the active term is of a key that never became durable."""
        least = counts.encryptions(self.file)
        told = {number: term["encryptions"] for number, term in api.terms().items()}
        most = counts.encryptions(self.file)
        assert least, "the hook notes nothing"
        for number, count in told.items():
            allowed = most.get(number, 0) + GROUP_LIMIT * self.kills.get(number, 0)
            assert least.get(number, 0) <= count <= allowed, \
                f"term {number}: counted {count}, hook {least.get(number, 0)}, allowed {allowed}"
        assert sum(told.values()) <= sum(most.get(number, 0) for number in told) + GROUP_LIMIT * self.total


def run_until_killed(server, clients, dice):
    """All clients at once until a random moment; a client that saw something wrong fails the test."""
    wrong = []

    def guarded(client):
        try:
            client.run(server.api)
        except AssertionError as error:
            wrong.append(error)

    threads = [threading.Thread(target=guarded, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    time.sleep(dice.uniform(0.02, 0.6))
    server.kill()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]


def kill_while_starting(server, dice):
    """Start it, hand in the shares, kill it anywhere in between."""
    server.launch()

    def shares():
        try:
            server.wait_ready()
            server.unseal()
        except (*GONE, AssertionError):
            pass  # it was killed under this thread's hands

    api_thread = threading.Thread(target=shares)
    process = server.process
    api_thread.start()
    time.sleep(dice.uniform(0, 0.5))
    process.kill()
    api_thread.join()
    server.wait_end(-9)


@pytest.mark.limit(300 + 30 * KILLS)
def test_kill(new_server, folder):
    print(f"KEYTURN_SEED={SEED}")
    dice = random.Random(SEED)
    noted = folder / "noted"
    server = new_server(env={"KEYTURN_TEST_COUNT_FILE": str(noted)}).start()
    server.init(shares=5, threshold=3)
    server.unseal()
    server.api.post("sys/mounts/secret", {"type": "kv"}).expect(204)
    rotator, tally = Rotator(server.api.term()), Counts(noted)
    writers = [Writer(me, dice.random()) for me in range(WRITERS)]

    for kill in range(KILLS):
        before = rotator.term
        run_until_killed(server, [*writers, rotator], dice)
        tally.killed(rotator)
        while dice.random() < 0.2:
            kill_while_starting(server, dice)
            tally.killed(rotator)
        server.start()
        server.unseal(dice.sample(server.keys, 3))
        rotator.check(server.api)
        assert rotator.term >= before
        for writer in writers:
            writer.check(server.api)
        tally.check(server.api)

    terms = server.api.terms()
    assert sorted(terms) == list(range(1, rotator.term + 1))
    server.stop()
    found = counts.records(server.data)
    assert {n: t["records"] for n, t in terms.items() if t["records"]} == found
