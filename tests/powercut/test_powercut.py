"""The power-cut test; README says how it works.

KEYTURN_CUTS says at how many moments the power is cut (60 unless told, "all": at each record of the log), KEYTURN_SEED repeats a run.
"""
import errno
import http.client
import os
import random
import shutil
import tempfile
import threading
from pathlib import Path

import counts
import disk
import pytest
import shim
from promises import BrokenPromise, Promises, World, judge, observe
from server import Server

CUTS = os.environ.get("KEYTURN_CUTS", "60")
SEED = int(os.environ.get("KEYTURN_SEED", random.randrange(1 << 30)))
GROUP_LIMIT = 1024
WRITERS, KEYS_EACH = 3, 6
RUSH = 4  # rotations after which slots are made ahead


# ---- the recording ----

def write_some(world, me, seed, rounds):
    dice = random.Random(seed)
    for n in range(rounds):
        key = f"secret/{me}/{dice.randrange(KEYS_EACH)}"
        if dice.random() < 0.8:
            world.put(key, dice.randrange(1 << 30), "x" * dice.choice([0, 100, 1500, 6000, 30000]))
        else:
            world.delete(key)


def together(world, dice, rounds, main):
    """Some writers at once, and this beside them."""
    threads = [threading.Thread(target=write_some, args=(world, me, dice.random(), rounds)) for me in range(WRITERS)]
    for thread in threads:
        thread.start()
    main()
    for thread in threads:
        thread.join()


def administer(world):
    """One of each thing that changes the store."""
    world.policy("reader", 'path "secret/*" { capabilities = ["read"] }')
    world.token("parent")
    world.rotate()
    world.token("child", "parent")
    world.token("grandchild", "child")
    world.mount("other")
    world.put("other/a", 1)
    world.put("other/b", 2, "x" * 20000)
    world.config(2000000, "48h", True)
    world.rotate()
    world.revoke("child", "grandchild")
    world.unmount("other")
    world.config(3000000, "", False)
    world.policy("reader", 'path "secret/*" { capabilities = ["list"] }')


def die_in_commit(world, control, action, call):
    """The server dies in the commit of one write; started again, it shows one outcome, and that is a promise."""
    control.arm(action, 1, calls=[call])
    with pytest.raises(OSError):
        world.put("secret/last", world.promises.sure.get("kv secret/last", 0) + 1, "x" * 5000)
    world.server.wait_end(-9)
    control.off()
    start(world)
    world.settle()


def fail_in_commit(world, control, action, call, *good, then=0):
    """A disk that fails once, or in so many calls after that too."""
    world.put("secret/before", 1).expect(204)  # after a failure the next group's allowance has a commit of its own
    control.arm(action, 1, errno.EIO, calls=[call], then=then)
    answer = world.put("secret/failed", world.promises.sure.get("kv secret/failed", 0) + 1, "x" * 5000)
    assert control.off()[1] == 1
    answer.expect(*good)


def rush(world, control):
    """Rotations one after another: slots are made ahead, at first in vain."""
    for _ in range(RUSH - 1):
        world.rotate().expect(204)
    control.arm(shim.FAIL_BEFORE, 3, errno.EIO, calls=[shim.SYNC], only="slots.")  # two syncs are those of the next rotation itself
    for _ in range(4):
        world.rotate().expect(204)
        world.put("secret/rush", world.promises.sure["term"])
    control.off()


def start(world):
    world.server.start()
    world.server.unseal(world.server.keys[1:4])


def workload(world, control, dice):
    world.server.start()
    world.init().expect(200)
    world.server.unseal()
    world.mount("secret").expect(204)
    together(world, dice, 12, lambda: administer(world))
    world.server.seal()
    world.server.unseal()
    world.rotate()
    die_in_commit(world, control, shim.DIE_AFTER, shim.DSYNC_WRITE)
    die_in_commit(world, control, shim.DIE_BEFORE, shim.DSYNC_WRITE)
    die_in_commit(world, control, shim.DIE_BEFORE, shim.SYNC)
    together(world, dice, 4, world.rotate)
    fail_in_commit(world, control, shim.FAIL_AFTER, shim.DSYNC_WRITE, 500)  # LMDB puts the old page back
    fail_in_commit(world, control, shim.FAIL_AFTER, shim.DSYNC_WRITE, 204, then=1)  # it cannot put it back: taken for done
    fail_in_commit(world, control, shim.FAIL_BEFORE, shim.DSYNC_WRITE, 500)
    fail_in_commit(world, control, shim.FAIL_BEFORE, shim.SYNC, 500)
    world.put("secret/failed", 77).expect(204)
    control.arm(shim.FAIL_BEFORE, 1, errno.EIO, calls=[shim.SYNC])
    world.rotate().expect(500)
    control.off()
    world.rotate().expect(204)
    world.server.stop()
    start(world)
    rush(world, control)
    world.server.stop()
    start(world)
    together(world, dice, 4, world.rotate)
    world.settle()
    world.server.stop()


class Recording:
    def __init__(self, folder):
        dice = random.Random(SEED)
        log, control = shim.Log(folder / "log"), shim.Control(folder / "control")
        self.server = Server(folder / "recorded")
        shim.environment(self.server, log, control, folder / "noted")
        workload(World(self.server, log), control, dice)
        log.close()
        self.records = log.read()

    def states(self, without=None):
        """(position, disk, what is allowed there, counts of the hook) after each record; all but the position are reused.
        without: as if the server had not done these syncs (see Disk)."""
        state, promises, noted = disk.Disk(without), Promises(), bytes(8 * shim.COUNTERS)
        for position, record in enumerate(self.records):
            if record.call == shim.MARK:
                promises.mark(record.mark)
            else:
                noted = record.counts
                state.record(record)
            yield position, state, promises, noted


@pytest.fixture(scope="module")
def recording():
    print(f"KEYTURN_SEED={SEED}")
    folder = Path(tempfile.mkdtemp(prefix="keyturn-"))
    yield Recording(folder)
    shutil.rmtree(folder)


# ---- after a cut ----

class Observed:
    """What a server shows that is started on an image; and that it works on."""

    def __init__(self, folder, image, like, names):
        self.folder = folder
        self.server = Server(folder / "server")
        disk.lay_out(image, self.server.data)
        self.server.env["KEYTURN_TEST_COUNT_FILE"] = str(folder / "noted")
        self.server.start()
        try:
            self.look(like, names)
        finally:
            if self.server.process:
                self.server.kill()
            self.server = None  # with its connection: there will be thousands

    def look(self, like, names):
        api = self.server.api
        self.registers, self.told = {"init": None}, {}
        if not api.get("sys/init", token=None).expect(200).body["initialized"]:
            api.put("sys/init", {"secret_shares": 1, "secret_threshold": 1}, token=None).expect(200)
            return
        api.token, self.server.keys, self.server.threshold = like.root_token, like.keys, 3
        self.server.unseal(like.keys[2:])
        self.registers = observe(self.server, names)
        # Records that this server encrypted are not the recording's.
        own = counts.encryptions(self.folder / "noted")
        self.told = {number: term["encryptions"] - own.get(number, 0) for number, term in api.terms().items()}
        self.work_on(api)

    def work_on(self, api):
        term = self.registers["term"]
        assert sorted(self.told) == list(range(1, term + 1))
        api.rotate()
        assert api.term() == term + 1
        if self.registers.get("mount secret/"):
            api.post("secret/new", {"n": 1}).expect(204)
            assert api.get("secret/new").expect(200).data["n"] == 1
        told = {number: t["records"] for number, t in api.terms().items() if t["records"]}
        self.server.stop()
        assert counts.records(self.server.data) == told

    def judge(self, allowed, noted):
        judge({"init": [None], **allowed}, self.registers)
        for number, count in self.told.items():
            least = int.from_bytes(noted[8 * number:8 * number + 8], "little")
            if not least <= count <= least + GROUP_LIMIT * KILLS:
                raise BrokenPromise(f"term {number}: counted {count}, the hook noted {least}")


# Unclean stops that a term may have seen: those of the recording and the cut.
KILLS = 4


class Checker:
    """Observes each image once, however many moments leave it behind."""

    def __init__(self, folder, recording):
        self.folder, self.like = folder, recording.server
        self.names = sorted({name for r in recording.records if r.mark for name in r.mark.get("registers", ())})
        self.seen = {}

    def check(self, image, allowed, noted):
        key = None if image is None else frozenset(image.items())
        if key not in self.seen:
            self.seen[key] = self.observe(image)
        self.seen[key].judge(allowed, noted)

    def observe(self, image):
        folder = self.folder / f"cut{len(self.seen)}"
        try:
            return Observed(folder, image, self.like, self.names)
        except (AssertionError, OSError, http.client.HTTPException) as error:
            raise BrokenPromise(f"{error}\n{(folder / 'server' / 'stderr').read_text()}") from error
        finally:
            shutil.rmtree(folder)


def without_copy(image, number):
    return {name: data for name, data in image.items() if name != f"slots.{number}"}


def rare(recording):
    """Positions of the first answer after each fault and each death: what happens least often is always looked at."""
    found, wanted = set(), False
    for n, record in enumerate(recording.records):
        wanted = wanted or bool(record.flags & shim.LOST) or (record.call == shim.SYNC and record.result < 0)
        if record.mark and ("seen" in record.mark or (wanted and "begin" not in record.mark)):
            found.add(n)
            wanted = False
    return found


def chosen(recording, how_many, dice):
    """Positions: right after syncs and answers, where the promises are new, and as many anywhere."""
    everywhere = range(len(recording.records))
    if how_many == "all":
        return set(everywhere)
    keen = [n for n in everywhere if recording.records[n].call in (shim.SYNC, shim.MARK) or recording.records[n].flags]
    half = int(how_many) // 2
    return {*rare(recording), *dice.sample(keen, min(half, len(keen))), *dice.sample(everywhere, min(half, len(everywhere)))}


def images(state, dice, rounds):
    """What the disk may hold here, each by name."""
    yield "dropped", state.dropped()
    yield "kept", state.kept()
    yield "stale", state.stale()
    for number in range(rounds):
        yield f"torn {number}", state.torn(dice)
        yield f"torn pages {number}", state.torn(dice, 4096)
    if state.dropped():
        for number in (0, 1):
            yield f"dropped, slots.{number} lost", without_copy(state.dropped(), number)


def cut(recording, folder, positions, rounds, without=None):
    """Cut the power after each of these records; BrokenPromise tells where and how one was broken."""
    dice, checker = random.Random(SEED), Checker(folder, recording)
    for position, state, promises, noted in recording.states(without):
        if position not in positions:
            continue
        for how, image in images(state, dice, rounds):
            try:
                checker.check(image, promises.allowed(), noted)
            except BrokenPromise as error:
                raise BrokenPromise(f"cut after {position} {recording.records[position]}, {how}: {error}") from error
    print(f"{len(positions)} cuts, {len(checker.seen)} different disks")


@pytest.fixture
def folder():
    """For the rebuilt disks: in memory where the system allows it, as what becomes of them does not matter."""
    path = Path(tempfile.mkdtemp(prefix="keyturn-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    yield path
    shutil.rmtree(path)


def test_promises_hold_after_a_cut(recording, folder):
    positions = chosen(recording, CUTS, random.Random(SEED))
    cut(recording, folder, positions, 4 if CUTS == "all" else 1)


# ---- the checker itself: a server that leaves out one kind of sync is found out ----

def answered(recording):
    """Positions of answers, where promises are new."""
    return {n for n, r in enumerate(recording.records) if r.mark and not r.mark.keys() & {"begin"}}


@pytest.mark.parametrize("kind", ["sync data.mdb", "dsync data.mdb", "sync slots.0", "sync slots.1", "sync folder", "sync parent"])
def test_a_sync_left_out_is_found(recording, folder, kind):
    assert any(r.call != shim.MARK and r.kind() == kind for r in recording.records), "the server does no such sync"
    with pytest.raises(BrokenPromise) as found:
        cut(recording, folder, answered(recording), 1, lambda record: record.kind() == kind)
    print(found.value)


def settling(recording):
    """Syncs between a commit whose outcome the disk hid and its answer."""
    found, inside = set(), False
    for record in recording.records:
        inside = bool(inside or record.flags & shim.LOST) and not (record.mark and record.mark.keys() & {"done", "refused"})
        if inside and record.call == shim.SYNC:
            found.add(id(record))
    return found


def test_an_outcome_told_before_it_is_pinned_is_found(recording, folder):
    left_out = settling(recording)
    first = min(n for n, r in enumerate(recording.records) if id(r) in left_out)
    with pytest.raises(BrokenPromise) as found:
        cut(recording, folder, {n for n in answered(recording) if n > first}, 1, lambda record: id(record) in left_out)
    print(found.value)
