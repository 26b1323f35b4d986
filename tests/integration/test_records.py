"""Records and encryptions per term agree with what is really on the disk and was really encrypted."""
import random

import counts
import pytest


def act(api, dice, steps):
    """Random writes, overwrites, deletes and rotations; returns what must be stored then."""
    stored = {}
    for step in range(steps):
        key = f"secret/{dice.choice('abc')}/{dice.randrange(60)}"
        what = dice.random()
        if what < 0.6:
            stored[key] = {"step": step, "pad": "x" * dice.choice([0, 10, 3000])}
            api.post(key, stored[key]).expect(204)
        elif what < 0.9:
            stored.pop(key, None)
            api.delete(key).expect(204)
        else:
            api.rotate()
    return stored


def check(server, stored):
    """Counts that the server tells, then the same from its files; it is stopped then."""
    terms = server.api.terms()
    for key, value in stored.items():
        assert server.api.get(key).expect(200).data == value
    server.stop()
    found = counts.records(server.data)
    assert {n: t["records"] for n, t in terms.items() if t["records"]} == found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_recount(server, seed):
    check(server, act(server.api, random.Random(seed), 400))


def test_recount_after_a_kill(server):
    dice = random.Random(4)
    stored = act(server.api, dice, 150)
    server.kill()
    server.start()
    server.unseal()
    stored = {**stored, **act(server.api, dice, 150)}
    stored = {key: value for key, value in stored.items() if server.api.get(key).status == 200}
    check(server, stored)


def test_recount_with_mounts_policies_and_tokens(server):
    api = server.api
    for n in range(20):
        api.post(f"sys/mounts/m{n}", {"type": "kv"}).expect(204)
        api.post(f"m{n}/a/b", {"n": n}).expect(204)
        api.policy(f"p{n}", f'path "m{n}/*" {{ capabilities = ["read"] }}')
        token = api.new_token(f"p{n}")
        api.post("cubbyhole/mine", {"n": n}, token=token).expect(204)
        api.rotate()
        if n % 3 == 0:
            api.post("auth/token/revoke", {"token": token}).expect(204)
            api.delete(f"sys/policies/acl/p{n}").expect(204)
    check(server, {})


def test_encryptions_are_exact_without_a_crash(new_server, folder):
    """The count equals the counting hook's, through rotations, a seal and clean restarts."""
    noted = folder / "noted"
    server = new_server(env={"KEYTURN_TEST_COUNT_FILE": str(noted)}).ready()
    for seed in range(3):
        act(server.api, random.Random(seed), 120)
        before, told, after = counts.encryptions(noted), server.api.terms(), counts.encryptions(noted)
        assert before == after, "something writes while nobody asks for it"
        assert {n: t["encryptions"] for n, t in told.items()} == {n: before.get(n, 0) for n in told}
        if seed == 0:
            server.seal()
            server.unseal()
        else:
            server.restart()


def test_nothing_in_clear_on_disk(server):
    """Neither values, nor paths' values, nor tokens, nor keys are in the files."""
    marks = [b"attack-at-dawn", server.root_token.encode(), bytes.fromhex(server.keys[0]), server.keys[0].encode()]
    server.api.post("secret/plan", {"what": "attack-at-dawn"}).expect(204)
    token = server.api.new_token("default")
    server.api.post("cubbyhole/plan", {"what": "attack-at-dawn"}, token=token).expect(204)
    server.stop()
    files = [file for file in server.data.rglob("*") if file.is_file()]
    assert len(files) >= 3
    for file in files:
        raw = file.read_bytes()
        assert not [mark for mark in [*marks, token.encode()] if mark in raw], file
