"""The server dies before, in the middle of and after each write and sync of each operation; opened again, it keeps its promises."""
import http.client
import itertools
import os
import shutil
import tempfile
from pathlib import Path

import counts
import pytest
import shim
from operations import OPERATIONS, new_world, rotate, start_again
from promises import World
from server import Server

DEATHS = {"before": shim.DIE_BEFORE, "in the middle of": shim.DIE_HALF, "after": shim.DIE_AFTER}
GONE = (OSError, http.client.HTTPException)
GROUP_LIMIT = 1024
CALLS_MOST = 60


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
def shimmed(new_server, control, folder):
    return lambda name="server": shim.environment(new_server(name), control=control, counts=folder / "noted")


def points(control, death, prepare, operate, only=""):
    """Have operate(n) die over its n-th call (only: as Control.arm), for n = 1, 2, 3 ...; yields whether it died.  How many calls it makes varies a little (LMDB
    writes neighbouring pages at once), so it ends when three in a row found no n-th call."""
    whole = 0
    for n in itertools.count(1):
        assert n <= CALLS_MOST, "the operation does not come to an end"
        prepare(n)
        control.arm(death, n, only=only)
        try:
            operate(n)
        except GONE:
            pass
        calls, fired = control.off()
        yield bool(fired)
        whole = 0 if fired else whole + 1
        if whole == 3:
            assert n > 3 and calls > 1, "the operation makes no calls"
            return


def check_counts(world, kills):
    """Never below what the hook noted; at most one group above it for each kill."""
    noted = counts.encryptions(Path(world.server.env["KEYTURN_TEST_COUNT_FILE"]))
    told = {number: term["encryptions"] for number, term in world.api.terms().items()}
    for number, count in told.items():
        least = noted.get(number, 0)
        assert least <= count <= least + GROUP_LIMIT * kills, f"term {number}: counted {count}, hook {least}"


def check_records(world):
    """The records per term against a recount of the stopped store."""
    told = {number: term["records"] for number, term in world.api.terms().items() if term["records"]}
    world.server.stop()
    assert counts.records(world.server.data) == told


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(shimmed, control, name, death):
    before, operate = OPERATIONS[name]
    world, kills = new_world(shimmed()), 0
    for died in points(control, DEATHS[death], lambda n: before(world, n), lambda n: operate(world, n)):
        if died:
            world.server.wait_end(-9)
        else:
            world.server.kill()
        kills += 1
        start_again(world)
    check_counts(world, kills)
    check_records(world)


@pytest.mark.parametrize("death", DEATHS)
def test_rush(shimmed, control, death):
    """Rotations that follow one another: over each call on the slot files, those for the terms to come among them."""
    world, kills = new_world(shimmed()), 0
    rush = points(control, DEATHS[death], lambda n: rotate(world, 2), lambda n: rotate(world, 3), only="slots.")
    for died in rush:
        if died:
            world.server.wait_end(-9)
        else:
            world.server.kill()
        kills += 1
        start_again(world)
    check_counts(world, kills)
    check_records(world)


def stopped(server):
    """SIGTERM, and however it ends."""
    server.process.terminate()
    server.process.wait(60)


@pytest.mark.parametrize("death", DEATHS)
def test_seal(shimmed, control, death):
    world = new_world(shimmed())
    for died in points(control, DEATHS[death], lambda n: None, lambda n: world.api.post("sys/seal")):
        if died:
            world.server.wait_end(-9)
            start_again(world)
        else:
            world.server.unseal()
            world.settle()


@pytest.mark.parametrize("death", DEATHS)
def test_stop(shimmed, control, death):
    world = new_world(shimmed())
    for died in points(control, DEATHS[death], lambda n: None, lambda n: stopped(world.server)):
        world.server.wait_end(-9 if died else 0)
        start_again(world)


@pytest.mark.parametrize("death", DEATHS)
def test_unseal(shimmed, control, death):
    world = new_world(shimmed())

    world.server.kill()
    for died in points(control, DEATHS[death], lambda n: world.server.start(), lambda n: world.server.unseal()):
        world.server.wait_end(-9) if died else world.server.kill()
    start_again(world)


def start_attempt(server):
    try:
        server.start()
    except AssertionError:
        assert server.process.poll() is not None, server.log()


@pytest.mark.parametrize("death", DEATHS)
def test_start(shimmed, control, death):
    """On the store of a server that was killed."""
    world = new_world(shimmed())
    world.server.kill()
    for died in points(control, DEATHS[death], lambda n: None, lambda n: start_attempt(world.server)):
        world.server.wait_end(-9) if died else world.server.kill()
    start_again(world)


@pytest.mark.parametrize("death", DEATHS)
def test_first_start(shimmed, control, death):
    servers = []

    def prepare(n):
        servers.append(shimmed(f"server{n}"))

    for died in points(control, DEATHS[death], prepare, lambda n: start_attempt(servers[-1])):
        server = servers[-1]
        if died:
            server.wait_end(-9)
            server.start()
        World(server).init().expect(200)
        server.unseal()
        server.kill()
        server.start().unseal()
        server.stop()


@pytest.mark.parametrize("death", DEATHS)
def test_init(shimmed, control, death):
    """Without an answer nobody has the shares: then it is initialised for nobody, or it is not at all.  Never half."""
    worlds = []

    def prepare(n):
        worlds.append(World(shimmed(f"server{n}").start()))

    for died in points(control, DEATHS[death], prepare, lambda n: worlds[-1].init()):
        world = worlds[-1]
        if died:
            world.server.wait_end(-9)
            world.server.start()
        if not world.api.get("sys/init", token=None).expect(200).body["initialized"]:
            assert died
            world.init().expect(200)
        if world.server.keys:
            world.server.unseal()
            world.settle()
        world.server.stop()
