"""Users log in, work and log out, members and users change, the server is killed at random moments and started again.

What must hold after each kill:
- a one-time code that was shown and answered is taken, whether it was accepted or the passphrase beside it was wrong; and the next one is good;
- a session whose token was acknowledged goes on, with the same successor of its token if that was told; one that was ended is over;
- every acknowledged change of a member or a user is there, and nothing that nobody asked for.

KEYTURN_KILLS says how often (6 unless told), KEYTURN_SEED repeats the moments of a run.
"""
import http.client
import os
import random
import threading
import time

import pytest
from promises import Promises, judge
from safe import ACTIVE, ADMIN, APIKEY, PASSPHRASE, READ, WRITE, Device, House, Safe, totp

KILLS = int(os.environ.get("KEYTURN_KILLS", "6"))
SEED = int(os.environ.get("KEYTURN_SEED", random.randrange(1 << 30)))
GONE = (OSError, http.client.HTTPException)


def over(safe):
    """Its token is no session's."""
    answer = safe.call("GET", "auth/check").expect(401)
    assert answer.body["ERRORCODES"] == {"1200": "Not logged in"}, answer


class Caller:
    """Logs in with the codes of a device, works, follows its tokens, logs out."""

    def __init__(self, me, house, dice):
        self.name, self.api, self.dice = f"caller-{me}", house.api, dice
        house.user(self.name)
        self.device = Device("cccccccccc" + "cbdefghijklnrtuv"[me] + "c")
        self.device.register(house.api, self.name)
        self.taken = []  # codes that were answered
        self.sessions, self.ended = [], []  # of each session: its tokens, the newest last; tokens

    def show(self, code, passphrase=PASSPHRASE):
        """The answer to a log-in, in one of its two forms."""
        body = {"username": self.name, "passphrase": passphrase, "otp": code, "apikey": APIKEY, "logintype": "yubikey_otp"}
        if self.dice.random() < 0.5:
            body = {"username": self.name, "keys": passphrase + APIKEY + code}
        return Safe(self.api).call("POST", "auth", body)

    def begin(self):
        code = self.device.press()
        token = self.show(code).expect(200).body["CALLINFO"]["token"]
        self.taken.append(code)
        self.sessions.append([token])

    def mistake(self):
        code = self.device.press()
        self.refused(self.show(code, "a wrong one").expect(401))
        self.taken.append(code)

    def refused(self, answer):
        assert answer.body["ERRORS"] == ["the log-in failed"], answer

    def work(self, tokens):
        """A call with the newest token; who is told another one goes on with that."""
        told = Safe(self.api, tokens[-1]).good("GET", "vault")["CALLINFO"]["token"]
        if told != tokens[-1]:
            tokens.append(told)

    def end(self):
        tokens = self.sessions.pop(self.dice.randrange(len(self.sessions)))
        Safe(self.api, tokens[-1]).good("GET", "auth/logout")
        self.ended += tokens

    def run(self):
        while True:
            chance = self.dice.random()
            if not self.sessions or chance < 0.2:
                self.begin()
            elif chance < 0.35:
                self.mistake()
                self.begin()
            elif chance < 0.45:
                self.end()
            else:
                self.work(self.dice.choice(self.sessions))

    def check(self):
        for code in [*self.taken[-1:], *self.dice.sample(self.taken, min(1, len(self.taken)))]:
            self.refused(self.show(code).expect(401))
        self.begin()
        for tokens in self.sessions[-20:]:
            self.work(tokens)
            for token in tokens[:-3]:  # the last but one may be the newest that was used; the one before that may have its grace
                over(Safe(self.api, token))
        for token in self.ended[-20:]:
            over(Safe(self.api, token))


class Coder:
    """Logs in with TOTP: of each secret with the code of now and with the next one, whose step is good for a while yet."""

    def __init__(self, house):
        self.name, self.api = "coder", house.api
        house.user(self.name)
        self.taken = None

    def show(self, code, passphrase=PASSPHRASE):
        body = {"username": self.name, "passphrase": passphrase, "otp": code, "apikey": APIKEY, "logintype": "totp"}
        return Safe(self.api).call("POST", "auth", body)

    def afresh(self):
        """Another secret, of which no code was taken."""
        self.taken = None
        made = self.api.post(f"auth/storedsafe/users/{self.name}/otp", {"type": "totp"}).expect(200)
        self.secret = made.data["secret"]

    def run(self):
        while True:
            self.afresh()
            now = time.time()
            self.show(totp(self.secret, now)).expect(200)
            late = totp(self.secret, now + 30)
            self.show(late, "a wrong one").expect(401)
            self.taken = (late, totp(self.secret, now))

    def check(self):
        for code in self.taken or ():
            assert self.show(code).expect(401).body["ERRORS"] == ["the log-in failed"]
        self.afresh()
        self.show(totp(self.secret)).expect(200)


class Owner:
    """The Admin of a vault, who lets others in, changes their level, and shows them the door."""

    def __init__(self, house, dice):
        self.dice, self.promises = dice, Promises()
        self.safe = house.session("owner", READ | WRITE | ACTIVE)
        self.vault = self.safe.good("POST", "vault", {"vaultname": "a vault"})["VAULT"][0]["id"]
        self.promises.seen({house.user(f"member-{n}"): None for n in range(5)})

    def run(self):
        while True:
            user, level = self.dice.choice(list(self.promises.sure)), self.dice.choice([1, 2, 4])
            there, at = self.promises.sure[user] is not None, f"vault/{self.vault}/member/{user}"
            if there and self.dice.random() < 0.5:
                level = None
            self.promises.begin("change", {user: level})
            if level is None:
                self.safe.good("DELETE", at)
            else:
                self.safe.good("PUT" if there else "POST", at, {"status": level})
            self.promises.done("change")

    def check(self):
        members = self.safe.good("GET", f"vault/{self.vault}/members")["CALLINFO"]["vaultmembers"]
        found = {int(m["id"]): int(m["groupstatus"]) for m in members if int(m["id"]) != self.safe.id}
        assert set(found) <= set(self.promises.sure)
        seen = {user: found.get(user) for user in self.promises.sure}
        judge(self.promises.allowed(), seen)
        self.promises.seen(seen)


class Chief:
    """Makes users, edits them, deactivates them."""

    def __init__(self, house, dice):
        self.dice, self.promises, self.made = dice, Promises(), 0
        self.safe = house.session("chief", READ | ADMIN | ACTIVE)
        self.ids = {}

    def change(self, name, then, method, path, body=None):
        self.promises.begin("change", {name: then})
        info = self.safe.good(method, path, body)["CALLINFO"]
        self.promises.done("change")
        return info

    def make(self):
        self.made += 1
        name = f"user-{self.made:03}"
        body = {"username": name, "status": [0, 7], "fullname": "As it was", "email": "a@example.org", "passphrase": PASSPHRASE}
        self.ids[name] = self.change(name, ["As it was", True], "POST", "user", body)["id"]

    def run(self):
        while True:
            known = [name for name, what in self.promises.sure.items() if what is not None and name in self.ids]
            name, chance = self.dice.choice(known) if known else None, self.dice.random()
            if name is None or chance < 0.2:
                self.make()
            elif chance < 0.4:
                self.change(name, [self.promises.sure[name][0], False], "DELETE", f"user/{self.ids[name]}")
            else:
                fullname = f"Number {self.dice.randrange(1000)}"
                self.change(name, [fullname, self.promises.sure[name][1]], "PUT", f"user/{self.ids[name]}", {"fullname": fullname})

    def check(self):
        users = {u["username"]: u for u in self.safe.good("GET", "user")["CALLINFO"]["users"] if u["username"].startswith("user-")}
        found = {name: [u["fullname"], int(u["status"]) & ACTIVE != 0] for name, u in users.items()}
        allowed = self.promises.allowed()
        assert set(found) <= set(allowed)
        seen = {name: found.get(name) for name in allowed}
        judge(allowed, seen)
        self.promises.seen(seen)
        self.ids = {name: u["id"] for name, u in users.items()}


def run_until_killed(server, clients, dice):
    """All at once until a random moment; a client that saw something wrong fails the test."""
    wrong = []

    def guarded(client):
        try:
            client.run()
        except GONE:
            pass
        except Exception as error:  # noqa: BLE001: told below, on the test's thread
            wrong.append(error)

    threads = [threading.Thread(target=guarded, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    time.sleep(dice.uniform(0.5, 4))
    server.kill()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


@pytest.mark.limit(300 + 60 * KILLS)
def test_kill(new_server):
    print(f"KEYTURN_SEED={SEED}")
    dice = random.Random(SEED)
    server = new_server(config="loops = 2").ready()
    house = House(server.api)
    house.api.post("auth/storedsafe/config", {"token_rotation": "1s", "token_grace": "1s"}).expect(204)
    callers = [Caller(me, house, random.Random(dice.random())) for me in range(2)]
    clients = [*callers, Coder(house), Owner(house, random.Random(dice.random())), Chief(house, random.Random(dice.random()))]
    for _ in range(KILLS):
        run_until_killed(server, clients, dice)
        server.start().unseal()
        for client in clients:
            client.check()
    server.restart()
    for client in clients:
        client.check()
    assert all(len(caller.taken) > KILLS for caller in callers)
