"""Clients that are slow, idle or gone pin no old pages, hold no writer and leak nothing."""
import ctypes
import json
import os
import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from server import BUILD, ROOT, Server

WAIT_S = 60
PATIENT = "".join(f'{name} = "1h"\n' for name in ("http_idle_timeout", "http_read_header_timeout", "max_request_duration"))
HEAD = b"Host: a\r\nX-Vault-Token: %s\r\n"


def wait_until(true, what):
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def connect(server, receive_buffer=None):
    s = socket.socket()
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.settimeout(WAIT_S)
    s.connect(("127.0.0.1", server.port))
    return s


def reset(s):
    """Gone without a word."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    s.close()


def answer(s):
    """One whole answer's status."""
    got = b""
    while b"\r\n\r\n" not in got:
        data = s.recv(1 << 16)
        assert data, "closed"
        got += data
    head, _, body = got.partition(b"\r\n\r\n")
    n = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < n:
        body += s.recv(1 << 16)
    assert len(body) == n
    return int(head.split(b" ")[1])


def post(server, path, body, sent=None):
    """The bytes of a write; with `sent`, only so many of its body."""
    return (b"POST /v1/%s HTTP/1.1\r\n" % path.encode() + HEAD % server.root_token.encode() +
            b"Content-Length: %d\r\n\r\n" % len(body) + body[:sent])


def get(server, path):
    return b"GET /v1/%s HTTP/1.1\r\n" % path.encode() + HEAD % server.root_token.encode() + b"\r\n"


def descriptors(server):
    """How many files the server has open; where that may not be seen, how many connections."""
    try:
        return len(os.listdir(f"/proc/{server.process.pid}/fd"))
    except PermissionError:
        lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return sum(int(line[1].split(":")[1], 16) == server.port and line[3] != "0A" and line[9] != "0" for line in lines)


def resident(server):
    """Bytes."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# Old pages

KEYS = 40
WRITERS = 4
VALUE = "x" * 6000
OVERWRITES = 3000
# What the file may grow while values are overwritten.  A pinned page of old costs at least VALUE an overwrite: 18 MB.
GROWTH_MAX = 2 << 20


def file_size(server):
    return (server.data / "data.mdb").stat().st_size


def overwrite(server, times):
    """So often, from several clients at once; every write must be good."""

    def work(me):
        for n in range(times // WRITERS):
            server.api.post(f"secret/{me}/{n % (KEYS // WRITERS)}", {"n": n, "v": VALUE}).expect(204)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(work, range(WRITERS)))


def half_head(server):
    s = connect(server)
    s.sendall(get(server, "secret/0/0")[:-3])
    return s


def half_body(server):
    s = connect(server)
    s.sendall(post(server, "secret/half", b'{"v":"' + b"x" * 50_000 + b'"}', 30_000))
    return s


def half_chunk(server):
    s = connect(server)
    s.sendall(b"POST /v1/secret/half HTTP/1.1\r\n" + HEAD % server.root_token.encode() + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{")
    return s


def idle(server):
    s = connect(server)
    s.sendall(get(server, "secret/0/0"))
    assert answer(s) == 200
    return s


def never_reads(server):
    s = connect(server, 4096)
    s.sendall(get(server, "secret/large"))
    return s


def never_reads_many(server):
    s = connect(server, 4096)
    s.setblocking(False)
    asked = get(server, "secret/0/0") * 500
    try:
        while asked:
            asked = asked[s.send(asked):]
    except BlockingIOError:
        pass
    return s


HANGING = [half_head, half_body, half_chunk, idle, never_reads, never_reads_many]


@pytest.fixture
def server(new_server):
    server = new_server(listener=PATIENT + 'http_write_timeout = "1h"').ready()
    server.api.post("secret/large", {"v": "x" * 6_000_000}).expect(204)
    overwrite(server, 1000)
    return server


def test_hanging_clients_pin_no_pages(server):
    """Eight of each kind, so that each loop has some, while values are overwritten thousands of times."""
    clients = [hang(server) for hang in HANGING for _ in range(8)]
    before = file_size(server)
    overwrite(server, OVERWRITES)
    assert file_size(server) - before <= GROWTH_MAX
    # they still hang there, and are served when they go on
    for hang, s in zip((h for h in HANGING for _ in range(8)), clients):
        s.settimeout(WAIT_S)
        if hang is half_head:
            s.sendall(get(server, "secret/0/0")[-3:])
            assert answer(s) == 200
        elif hang is half_chunk:
            s.sendall(b'"":7\r\n1\r\n}\r\n0\r\n\r\n')
            assert answer(s) == 204
        elif hang is never_reads:
            assert answer(s) == 200
    for s in clients:
        s.close()


def test_a_pinned_page_would_show(server):
    """The measure itself: a read transaction of another process that is never renewed makes the file grow."""
    lmdb = ctypes.CDLL("liblmdb.so.0")
    env, txn = ctypes.c_void_p(), ctypes.c_void_p()
    assert lmdb.mdb_env_create(ctypes.byref(env)) == 0
    assert lmdb.mdb_env_open(env, str(server.data).encode(), 0x20000, 0o600) == 0  # MDB_RDONLY
    assert lmdb.mdb_txn_begin(env, None, 0x20000, ctypes.byref(txn)) == 0
    try:
        before = file_size(server)
        overwrite(server, OVERWRITES // 3)
        assert file_size(server) - before > GROWTH_MAX
    finally:
        lmdb.mdb_txn_abort(txn)
        lmdb.mdb_env_close(env)


def test_vanishing_clients_hold_no_writer(server):
    """Writes whose client is gone before the answer: they are done or not, and others go on."""
    before = descriptors(server)
    for n in range(400):
        s = connect(server)
        s.sendall(post(server, f"secret/gone/{n % 20}", json.dumps({"n": n}).encode()) * (1 + n % 3))
        if n % 2:
            reset(s)
        else:
            s.close()
        if n % 40 == 0:
            server.api.post("secret/here", {"n": n}).expect(204)
    server.api.post("secret/here", {"n": -1}).expect(204)
    for n in range(20):
        found = server.api.get(f"secret/gone/{n}").expect(200, 404)
        assert found.status == 404 or found.data["n"] % 20 == n
    wait_until(lambda: descriptors(server) <= before, "connections of clients that are gone")


def test_vanishing_readers(server):
    """A large answer is under way when its reader goes."""
    before = descriptors(server)
    for n in range(60):
        s = connect(server, 4096)
        s.sendall(get(server, "secret/large") * 3)
        if n % 3:
            s.recv(1000)
        (reset if n % 2 else socket.socket.close)(s)
    wait_until(lambda: descriptors(server) <= before, "connections of readers that are gone")
    assert server.api.get("secret/large").expect(200).data == {"v": "x" * 6_000_000}


def test_sealing_does_not_wait_for_hanging_clients(server):
    clients = [hang(server) for hang in HANGING for _ in range(4)]
    server.seal()
    server.unseal()
    server.api.get("secret/0/0").expect(200)
    for s in clients:
        s.close()


# Ten thousand connections

CONNECTIONS = 10_000
SPARE = 500  # descriptors that both processes need besides
# What may stay resident when they are gone again: spares that each loop keeps, and what the allocator does not give back.
KEPT_MAX = 24 << 20


def is_sanitized(build):
    options = json.loads((build / "meson-info" / "intro-buildoptions.json").read_text())
    return next(option["value"] for option in options if option["name"] == "b_sanitize") != "none"


def is_current(build):
    program, sources = build / "keyturnd", [*(ROOT / "src").rglob("*.[ch]")]
    return program.exists() and program.stat().st_mtime >= max(file.stat().st_mtime for file in sources)


def measured_build():
    """A build whose memory says something, and whether it does: a sanitizer's does not, so the release build is taken where it is up to date."""
    plain = ROOT / "build"
    if is_sanitized(BUILD):
        return (plain, True) if is_current(plain) and not is_sanitized(plain) else (BUILD, False)
    return BUILD, True


@pytest.fixture
def many():
    """How many connections the limits of this process and of its children allow, at most CONNECTIONS."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield CONNECTIONS if hard == resource.RLIM_INFINITY else min(CONNECTIONS, hard - SPARE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def crowd(server, n):
    """n connections: some silent, some with half a head or half a body, some answered and idle."""
    body = post(server, "secret/crowd", b'{"v":"' + b"x" * 5000 + b'"}', 3000)
    head = get(server, "secret/crowd")
    clients = []
    for k in range(n):
        s = connect(server)
        if k % 4 == 1:
            s.sendall(head[:-3])
        elif k % 4 == 2:
            s.sendall(body)
        elif k % 4 == 3:
            s.sendall(head)
        clients.append(s)
    for s in clients[3::4]:
        assert answer(s) == 404
    return clients


def leave(clients):
    for k, s in enumerate(clients):
        if k % 5:
            reset(s)
        else:
            s.close()


def test_ten_thousand_connections(new_server, many):
    build, memory = measured_build()
    server = new_server(listener=PATIENT, build=build).ready()
    files = descriptors(server)
    leave(crowd(server, 50))
    wait_until(lambda: descriptors(server) <= files, "the first ones")
    before = resident(server)
    for _ in range(2):
        clients = crowd(server, many)
        wait_until(lambda: descriptors(server) >= files + many, f"{many} connections at once")
        assert server.api.get("sys/key-status").expect(200)
        leave(clients)
        wait_until(lambda: descriptors(server) <= files, "descriptors that do not come back")
        assert server.api.get("sys/key-status").expect(200)
        if memory:
            wait_until(lambda: resident(server) - before <= KEPT_MAX, f"{resident(server) >> 20} MB are kept, {before >> 20} before")
    server.stop()
