"""The data folder itself: full, of somebody else, with slot files that are torn, lost, swapped or older than the store."""
import os

import pytest
from operations import new_world, start_again

SECTOR = 512
MAP_SMALL = 1 << 20


def slot_files(server):
    return [server.data / "slots.0", server.data / "slots.1"]


def contents(server):
    return [file.read_bytes() for file in slot_files(server)]


def restart_with(server, old, new):
    """Another line in its configuration."""
    server.stop()
    text = server.config_file.read_text()
    assert old in text
    server.config_file.write_text(text.replace(old, new))
    server.start()
    server.unseal()


# ---- full ----

def small(new_server):
    server = new_server()
    text = server.config_file.read_text()
    server.config_file.write_text(text.replace("path =", f"map_size = {MAP_SMALL}\n path ="))
    return server


def fill(world):
    """Large records until there is no room, then small ones until there is none at all."""
    for size in (50000, 3000, 10):
        refused = 0
        for n in range(1000):
            answer = world.put(f"secret/fill{size}/{n}", n, "x" * size)
            if answer.status != 204:
                assert answer.status == 507 and "MDB_MAP_FULL" in answer.errors, answer
                refused += 1
                if refused == 3:
                    break
        assert refused == 3, "it is never full"


def test_full_store(new_server):
    """Writing is refused, reading goes on; with a larger map everything goes on, and nothing was lost."""
    world = new_world(small(new_server))
    fill(world)
    world.settle()
    assert world.rotate().status in (204, 507)
    world.settle()
    restart_with(world.server, f"map_size = {MAP_SMALL}", f"map_size = {4 * MAP_SMALL}")
    world.settle()
    world.put("secret/again", 1, "x" * 50000).expect(204)
    world.rotate().expect(204)
    start = world.settle()
    world.server.kill()
    start_again(world)
    assert world.settle() == start


def test_full_store_can_be_opened_and_emptied(new_server):
    """Without a change of the configuration: what was deleted makes room again."""
    world = new_world(small(new_server))
    fill(world)
    world.server.stop()
    start_again(world)
    for size in (50000, 3000, 10):
        for n in range(200):
            if world.promises.sure.get(f"kv secret/fill{size}/{n}") is not None:
                world.delete(f"secret/fill{size}/{n}").expect(204)
    world.put("secret/again", 1, "x" * 50000).expect(204)
    world.rotate().expect(204)
    world.settle()


# ---- of somebody else ----

def refused(server):
    """It ends with 1; what it said."""
    before = len(server.log())
    server.launch()
    server.wait_end(1)
    return server.log()[before:]


def test_folder_of_another_user(new_server, folder):
    server = new_server()
    if os.geteuid() == 0:
        server.data.mkdir(mode=0o700)
        os.chown(server.data, 65534, 65534)
        owner, whose = 65534, server.data
    else:
        owner, whose = 0, "/usr"
        server.config_file.write_text(server.config_file.read_text().replace(str(server.data), whose))
    said = refused(server)
    assert str(whose) in said and f"belongs to user {owner}" in said and f"runs as {os.geteuid()}" in said
    if os.geteuid() == 0:
        assert list(server.data.iterdir()) == []


@pytest.mark.parametrize("name", ["slots.0", "slots.1"])
def test_slot_file_that_others_can_read(new_server, name):
    world = new_world(new_server())
    world.server.stop()
    (world.server.data / name).chmod(0o640)
    assert str(world.server.data / name) in refused(world.server)
    (world.server.data / name).chmod(0o600)
    start_again(world)


def test_second_server_changes_nothing(new_server):
    world = new_world(new_server())
    other = new_server("other")
    other.config_file.write_text(other.config_file.read_text().replace(str(other.data), str(world.server.data)))
    before = contents(world.server), (world.server.data / "data.mdb").read_bytes()
    assert "another process uses this folder" in refused(other)
    assert before == (contents(world.server), (world.server.data / "data.mdb").read_bytes())
    world.rotate().expect(204)
    world.settle()


# ---- slot files ----

@pytest.fixture
def stopped(new_server):
    """A world of four terms whose server has stopped."""
    world = new_world(new_server())
    world.rotate().expect(204)
    world.put("secret/third", 3).expect(204)
    world.rotate().expect(204)
    world.server.stop()
    return world


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("damage", ["lost", "empty", "torn", "zeros", "of another term", "cut short"])
def test_one_damaged_slot_file_is_repaired(stopped, copy, damage):
    file, other = slot_files(stopped.server)[copy], slot_files(stopped.server)[1 - copy]
    good = other.read_bytes()
    assert file.read_bytes() == good
    term = good[SECTOR * 2:SECTOR * 3]
    damaged = {
        "empty": b"",
        "torn": good[:SECTOR * 2] + term[:40] + bytes(SECTOR - 40) + good[SECTOR * 3:],
        "zeros": bytes(len(good)),
        "of another term": good[:SECTOR] + term + good[SECTOR * 2:],
        "cut short": good[:SECTOR * 3 + 7],
    }
    file.unlink() if damage == "lost" else file.write_bytes(damaged[damage])
    start_again(stopped)
    stopped.server.stop()
    used = SECTOR * 5
    assert file.read_bytes()[:used] == good[:used] == other.read_bytes()[:used]
    assert file.stat().st_mode & 0o777 == 0o600


def refuses_to_open(world, *terms):
    """With the right shares it names the terms, stays sealed, and has changed nothing."""
    before = contents(world.server), (world.server.data / "data.mdb").read_bytes()
    world.server.start()
    for key in world.server.keys[:3]:
        answer = world.api.post("sys/unseal", {"key": key}, token=None)
    assert answer.expect(500).errors.startswith(f"the slot files lack the terms {', '.join(map(str, terms))}:"), answer
    assert world.api.get("sys/seal-status", token=None).body["sealed"] is True
    world.server.stop()
    assert before[1] == (world.server.data / "data.mdb").read_bytes()
    return before[0]


def put_right(world, files):
    for file, data in zip(slot_files(world.server), files):
        file.write_bytes(data)
        file.chmod(0o600)
    start_again(world)
    world.rotate().expect(204)
    world.settle()


def test_both_slot_files_lost(stopped):
    good = contents(stopped.server)
    for file in slot_files(stopped.server):
        file.write_bytes(b"")
    refuses_to_open(stopped, 1, 2, 3, 4)
    put_right(stopped, good)


def test_slot_files_older_than_the_store(stopped):
    """Of a backup in the wrong order: the terms since then are named."""
    old = contents(stopped.server)
    start_again(stopped)
    for _ in range(2):
        stopped.rotate().expect(204)
    stopped.server.stop()
    good = contents(stopped.server)
    for file, data in zip(slot_files(stopped.server), old):
        file.write_bytes(data)
    assert refuses_to_open(stopped, 5, 6) == old
    put_right(stopped, good)


def test_slot_files_of_another_store(stopped, new_server):
    other = new_world(new_server("other"))
    other.server.stop()
    good, foreign = contents(stopped.server), contents(other.server)
    for file, data in zip(slot_files(stopped.server), foreign):
        file.write_bytes(data)
    assert refuses_to_open(stopped, 1, 2, 3, 4) == foreign == contents(stopped.server)
    put_right(stopped, good)


def test_slots_newer_than_the_store_do_no_harm(stopped):
    """Of a backup as it is made: the store first."""
    old = (stopped.server.data / "data.mdb").read_bytes()
    before = stopped.promises.sure.copy()
    start_again(stopped)
    for _ in range(3):
        stopped.rotate().expect(204)
    stopped.server.stop()
    (stopped.server.data / "data.mdb").write_bytes(old)
    stopped.promises.seen(before)
    start_again(stopped)
    for _ in range(3):
        stopped.rotate().expect(204)
        stopped.put("secret/third", stopped.promises.sure["term"]).expect(204)
    stopped.server.kill()
    start_again(stopped)
