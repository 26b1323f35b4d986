"""The disk fails: single calls on the data folder, once or for ever.  The server says truthfully what it did, goes on, and loses nothing."""
import errno
import http.client
import itertools
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import counts
import pytest
import shim
from operations import OPERATIONS, new_world, rotate, start_again
from promises import World

FAILURES = {
    "refused": shim.FAIL_BEFORE,
    "answer lost": shim.FAIL_AFTER,
    "half done": shim.FAIL_HALF,
    "cut short": shim.SHORT,
}
ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EROFS": errno.EROFS}
EACH = [(failure, error) for failure in FAILURES for error in ("EIO", "ENOSPC")]
SOME = [(failure, "EIO") for failure in FAILURES] + [("refused", "ENOSPC")]
CALLS_MOST = 60
WAIT_S = 30


@pytest.fixture
def folder():
    """In memory where the system allows it: nothing here depends on the disk."""
    path = Path(tempfile.mkdtemp(prefix="keyturn-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def control(folder):
    return shim.Control(folder / "control")


@pytest.fixture
def shimmed(new_server, control):
    return lambda name="server": shim.environment(new_server(name), control=control)


def failing(control, failure, error, do, forever=False, only=""):
    """do(n) with its n-th call failing, for n = 1, 2, 3 ... (see test_crash_points.points; only: as Control.arm); yields what it returned."""
    whole = 0
    for n in itertools.count(1):
        assert n <= CALLS_MOST, "the operation does not come to an end"
        control.arm(failure, n, error, forever, only=only)
        result = do(n)
        fired = control.off()[1]
        yield result, fired
        whole = 0 if fired else whole + 1
        if whole == 3:
            assert n > 3, "the operation makes no calls"
            return


def check_answer(answer, fired):
    """Whatever it was: a success, or an error that names a reason; without a fault a success."""
    assert answer.status in (200, 204) or (fired and answer.status in (500, 503, 507) and answer.errors), answer


def check_lasting(world):
    """After a crash everything is as it was shown; so are the counts of records."""
    world.server.kill()
    start_again(world)
    told = {number: term["records"] for number, term in world.api.terms().items() if term["records"]}
    world.server.stop()
    assert counts.records(world.server.data) == told


@pytest.mark.parametrize("failure, error", EACH)
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(shimmed, control, name, failure, error):
    before, operate = OPERATIONS[name]
    world = new_world(shimmed())
    for n in range(1, 40):
        before(world, n)
    for answer, fired in failing(control, FAILURES[failure], ERRORS[error], lambda n: operate(world, n)):
        check_answer(answer, fired)
        world.settle()
    check_lasting(world)


@pytest.mark.parametrize("forever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("failure, error", SOME)
def test_rush(shimmed, control, failure, error, forever):
    """Rotations that follow one another, when slots cannot be written: those of the terms to come, or those that are needed now."""
    world = new_world(shimmed())
    for answers, fired in failing(control, FAILURES[failure], ERRORS[error], lambda n: rotate(world, 6), forever, "slots."):
        for answer in answers:
            check_answer(answer, fired)
        world.settle()
    check_lasting(world)


class Later:
    """A call in a thread of its own, as its answer may wait for the disk."""

    def __init__(self, call):
        self.answer = None
        self.thread = threading.Thread(target=self.run, args=(call,))
        self.thread.start()

    def run(self, call):
        try:
            self.answer = call()
        except (OSError, http.client.HTTPException) as problem:
            self.answer = problem

    def result(self, seconds=WAIT_S):
        self.thread.join(seconds)
        return None if self.thread.is_alive() else self.answer


def until_mended(control, call):
    """What it answers at last, though the disk is broken until somebody has waited for a while."""
    later = Later(call)
    if later.result(0.2) is None:
        assert control.off()[1], "the answer waits for nothing"
    return later.result()


def reopened(world):
    """What was left in doubt by a commit that nobody asked for (purging, say) is settled soon after the disk is well again."""
    end = time.monotonic() + WAIT_S
    while b"being reopened" in world.api.get("sys/key-status").raw:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("name, error", [*((name, "EIO") for name in OPERATIONS), ("put", "ENOSPC"), ("rotate", "EROFS"), ("unmount", "ENOSPC")])
def test_operation_on_a_disk_that_stays_broken(shimmed, control, name, error):
    """An answer may have to wait until the disk says what became of a commit; then it comes, and it is true."""
    before, operate = OPERATIONS[name]
    world = new_world(shimmed())
    for n in range(1, 40):
        before(world, n)

    for answer, fired in failing(control, shim.FAIL_BEFORE, ERRORS[error], lambda n: until_mended(control, lambda: operate(world, n)), forever=True):
        check_answer(answer, fired)
        reopened(world)
        world.settle()
    check_lasting(world)


def test_reading_goes_on_while_the_disk_is_full(shimmed, control):
    world = new_world(shimmed())
    control.arm(shim.FAIL_BEFORE, 1, errno.ENOSPC, forever=True)
    for n in range(5):
        for answer in (world.put(f"secret/{n}", n), world.rotate()):
            assert answer.status in (500, 503, 507) and "space" in answer.errors, answer
        assert world.api.get("secret/first").expect(200).data["n"] == 1
        assert world.api.get("sys/health", token=None).status == 200
        assert world.api.term() == 2
    control.off()
    world.put("secret/0", 7).expect(204)
    world.rotate().expect(204)
    world.settle()
    check_lasting(world)


@pytest.mark.parametrize("failure, error", EACH)
def test_seal(shimmed, control, failure, error):
    """It seals whatever the disk does; a clean stop that could not be recorded counts as an unclean one."""
    world = new_world(shimmed())
    for answer, _ in failing(control, FAILURES[failure], ERRORS[error], lambda n: world.api.post("sys/seal")):
        answer.expect(204)
        assert world.api.get("sys/seal-status", token=None).body["sealed"] is True
        world.server.unseal()
        world.settle()
    check_lasting(world)


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_seal_on_a_disk_that_stays_broken(shimmed, control, error):
    world = new_world(shimmed())
    for answer, _ in failing(control, shim.FAIL_BEFORE, ERRORS[error], lambda n: until_mended(control, lambda: world.api.post("sys/seal")), forever=True):
        answer.expect(204)
        assert world.api.get("sys/seal-status", token=None).body["sealed"] is True
        world.server.unseal()
        world.settle()
    check_lasting(world)


def unseal(world):
    """The answer that decides: of the last share."""
    for key in world.server.keys[:3]:
        answer = world.api.post("sys/unseal", {"key": key}, token=None)
    return answer


@pytest.mark.parametrize("failure, error, how_long", [(*each, "once") for each in EACH] + [("refused", error, "for ever") for error in ERRORS])
def test_unseal(shimmed, control, failure, error, how_long):
    """It opens, or it says why not, stays sealed, and opens at the next try."""
    world = new_world(shimmed())
    world.server.kill()
    world.server.start()
    for answer, fired in failing(control, FAILURES[failure], ERRORS[error], lambda n: until_mended(control, lambda: unseal(world)), how_long == "for ever"):
        check_answer(answer, fired)
        status = world.api.get("sys/seal-status", token=None).expect(200).body
        assert status["sealed"] is (answer.status != 200)
        assert status["progress"] == 0
        if status["sealed"]:
            world.server.unseal()
        world.settle()
        world.server.kill()
        world.server.start()
    world.server.unseal()
    check_lasting(world)


def start(server):
    """True when it runs; when not, it has said in which folder something went wrong, and ended with 1."""
    before = len(server.log())
    try:
        server.start()
        return True
    except AssertionError:
        server.wait_end(1)
        assert str(server.data) in server.log()[before:], server.log()
        return False


@pytest.mark.parametrize("failure, error, how_long", [(*each, "once") for each in SOME] + [("refused", error, "for ever") for error in ERRORS])
def test_start(shimmed, control, failure, error, how_long):
    """With a disk that is broken, full or mounted read-only: it runs, or says what is wrong where."""
    world = new_world(shimmed())
    world.server.kill()
    calls = [*shim.CHANGES, shim.OPEN]
    for n in itertools.count(1):
        control.arm(FAILURES[failure], n, ERRORS[error], how_long == "for ever", calls)
        started = start(world.server)
        fired = control.off()[1]
        if started:
            world.server.unseal()
            world.settle()
            world.server.kill()
        if not fired:
            assert started and n > 3
            break
    start_again(world)


@pytest.mark.parametrize("failure, error", SOME)
def test_first_start_and_init(shimmed, control, failure, error):
    """On no folder at all: whatever fails, it can be tried again in the same place and then works."""
    for n in itertools.count(1):
        world = World(shimmed(f"server{n}"))
        control.arm(FAILURES[failure], n, ERRORS[error], calls=[*shim.CHANGES, shim.OPEN])
        if not start(world.server):
            control.off()
            assert start(world.server)
        answer = world.init()
        fired = control.off()[1]
        check_answer(answer, fired)
        if answer.status != 200:
            assert world.api.get("sys/init", token=None).expect(200).body["initialized"] is False
            world.init().expect(200)
        world.server.kill()
        start_again(world)
        world.server.kill()
        if not fired:
            assert n > 10
            break


@pytest.mark.parametrize("error", ERRORS)
def test_init_on_a_disk_that_stays_broken(shimmed, control, error):
    """It is initialised, and then the shares are in the answer; or it is not, and can be once the disk is well."""
    for n in itertools.count(1):
        world = World(shimmed(f"server{n}").start())
        control.arm(shim.FAIL_BEFORE, n, ERRORS[error], forever=True)
        answer = until_mended(control, world.init)
        fired = control.off()[1]
        check_answer(answer, fired)
        if answer.status != 200:
            assert world.api.get("sys/init", token=None).expect(200).body["initialized"] is False
            world.init().expect(200)
        world.server.kill()
        start_again(world)
        world.server.kill()
        if not fired:
            assert n > 3
            break
