"""Hostile HTTP/1.1 conversations with a real server: the table in lib/conversations.py, and clients that take their time."""
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import conversations as told
import pytest
from client import Api
from server import Server

WAIT_S = 60
STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) [\w -]+\r\n")


def make(folder, listener, **more):
    """A server whose token told.TOKEN may do everything."""
    server = Server(folder, listener=listener, **more).ready()
    server.api.post("auth/token/create", {"id": told.TOKEN, "policies": ["root"]}).expect(200)
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = make(tmp_path_factory.mktemp("hostile"), 'max_request_size = "1MiB"')
    yield server
    server.close()


def connect(server):
    s = socket.create_connection(("127.0.0.1", server.port), WAIT_S)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def send(s, pieces):
    """As far as the server takes it: it may have answered and closed meanwhile."""
    try:
        for piece in pieces:
            s.sendall(piece)
            time.sleep(0.001 if len(pieces) > 1 else 0)
    except OSError:
        pass


def receive(s):
    """All that comes until the server closes; a reset counts as closing."""
    got = b""
    try:
        while data := s.recv(1 << 16):
            got += data
    except ConnectionResetError:
        pass
    return got


def statuses(raw, verb):
    """The statuses of the answers in these bytes, which must be answers and nothing else."""
    found = []
    while raw:
        head, mark, raw = raw.partition(b"\r\n\r\n")
        line, *fields = (head + b"\r\n").splitlines(keepends=True)
        assert mark and STATUS_LINE.fullmatch(line), f"no answer: {head[:300]!r}"
        status = int(line.split(b" ")[1])
        fields = dict(field.strip().lower().split(b": ", 1) for field in fields)
        assert b"transfer-encoding" not in fields and b"x-injected" not in fields
        n = int(fields.get(b"content-length", 0))
        if verb == b"HEAD" and not found:
            n = 0
        assert len(raw) >= n, f"cut: {raw!r}"
        raw = raw[n:]
        found.append(status)
    return found


def carried_out(server):
    """Whether the smuggled request was; asked on a new connection, which must be answered.  Undoes it, for the next test."""
    api = Api("127.0.0.1", server.port, server.root_token)
    found = api.get("secret/smuggled").expect(200, 404).status == 200
    api.delete("secret/smuggled").expect(204)
    return found


def converse(server, pieces, verb=b""):
    pieces = [pieces] if isinstance(pieces, bytes) else list(pieces)
    with connect(server) as s:
        sender = threading.Thread(target=send, args=(s, [*pieces[:-1], pieces[-1] + told.NEXT]))
        sender.start()
        raw = receive(s)
        sender.join()
    return statuses(raw, verb)


def test_a_smuggled_request_would_show(server):
    """The canary is alive: as a request of its own the bytes do what they say."""
    assert converse(server, told.SMUGGLED) == told.WRITTEN
    assert carried_out(server)
    assert not carried_out(server)


@pytest.mark.parametrize("name", told.TABLE)
def test_conversation(server, name):
    source, sent, wanted = told.TABLE[name]
    assert source
    verb = (sent if isinstance(sent, bytes) else sent[0]).split(b" ")[0]
    found = converse(server, sent, verb)
    assert not carried_out(server), f"the smuggled request was carried out: {found}"
    assert found == wanted
    assert server.process.poll() is None
    server.check_log()


def test_a_path_that_the_store_cannot_hold(server):
    """Between what the dialect takes and LMDB's 511 bytes a key: written and read back, or refused, at each length."""
    for n in range(400, 512):
        key = "secret/" + "k" * (n - 7)
        answer = server.api.post(key, {"n": n})
        if n <= 473:
            answer.expect(204)
            assert server.api.get(key).expect(200).data == {"n": n}
        else:
            assert "the path is" in answer.expect(400).errors
            for method in ("GET", "LIST", "DELETE"):
                server.api.request(method, key).expect(400)


# Clients that take their time.  The deadlines are a second; that they pass is waited for, how long it takes is not judged.


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    server = make(tmp_path_factory.mktemp("impatient"), 'http_read_header_timeout = "1s"\nhttp_idle_timeout = "1s"\nmax_request_duration = "2s"\n'
                  'http_write_timeout = "1s"')
    yield server
    server.close()


def drip(s, first, each):
    """The first piece, then the others one by one, until the server has had enough."""
    s.settimeout(0.1)
    s.sendall(first)
    deadline = time.monotonic() + WAIT_S
    while True:
        assert time.monotonic() < deadline, "the server waits for ever"
        try:
            got = s.recv(1 << 16)
            s.settimeout(WAIT_S)
            return got + receive(s)
        except TimeoutError:
            send(s, [each])
        except ConnectionResetError:
            return b""


SLOW = {
    # name: (source, what comes at once, what drips behind it, statuses)
    "says nothing": ("RFC 9112 9.5", b"", b"", []),
    "says nothing after an answer": ("RFC 9112 9.5", told.get(), b"", [200]),
    "drips blank lines": ("RFC 9112 2.2", b"\r\n", b"\r\n", [400]),
    "drips the first line": ("RSnake, Slowloris, 2009; CVE-2007-6750", b"GET /v1/", b"a", [408]),
    "drips a field's value": ("RSnake, Slowloris, 2009; CVE-2007-6750", b"GET /v1/sys/health HTTP/1.1\r\nHost: a\r\nA: ", b"a", [408]),
    "drips fields": ("RSnake, Slowloris, 2009; CVE-2018-12122", b"GET /v1/sys/health HTTP/1.1\r\nHost: a\r\n", b"A: b\r\n", [408]),
    "drips the second request": ("CVE-2018-12122, CVE-2019-5737", told.get() + b"GET /v1/", b"a", [200, 408]),
    "stops within its head": ("RFC 9110 15.5.9", b"GET /v1/sys/health HTTP/1.1\r\nHost: a\r\n\r", b"", [408]),
    "drips its body": ("R.U.D.Y., 2010; RFC 9110 15.5.9", told.post(b"Content-Length: 100000\r\n"), b"{", [408]),
    "drips a large body": ("R.U.D.Y., 2010", told.post(b"Content-Length: 20000000\r\n", b" " * 100000), b" ", [408]),
    "drips chunks": ("R.U.D.Y., 2010", told.chunks(b""), b"1\r\n \r\n", [408]),
    "drips a chunk's size": ("RFC 9112 7.1", told.chunks(b""), b"0", [408]),
    "drips a chunk's extension": ("RFC 9112 7.1.1; CVE-2024-22019", told.chunks(b"1;"), b"a", [408]),
    "drips trailers": ("RFC 9112 7.1.2", told.chunks(told.CHUNKED[:-2]), b"A: b\r\n", [408]),
    "promises a body and keeps silent": ("RFC 9110 10.1.1", told.post(b"Expect: 100-continue\r\nContent-Length: 7\r\n"), b"", [100, 408]),
}


@pytest.fixture(scope="module")
def slow_outcomes(impatient):
    """All of them at the same time, to wait for all together; others are served meanwhile."""

    def one(name):
        _, first, each, _ = SLOW[name]
        with connect(impatient) as s:
            return drip(s, first, each)

    with ThreadPoolExecutor(len(SLOW)) as pool:
        running = {name: pool.submit(one, name) for name in SLOW}
        asked = 0
        while not all(future.done() for future in running.values()):
            impatient.api.post("secret/meanwhile", {"n": asked}).expect(204)
            assert impatient.api.get("secret/meanwhile").expect(200).data == {"n": asked}
            asked += 1
        assert asked > 0
        return running


@pytest.mark.parametrize("name", SLOW)
def test_slow(impatient, slow_outcomes, name):
    assert statuses(slow_outcomes[name].result(), b"") == SLOW[name][3]
    assert not carried_out(impatient)
    impatient.check_log()


def test_slow_reader_is_dropped(impatient):
    """Shekyan, Slow Read, 2011; CVE-2019-9517's idea: a large answer that nobody takes is not kept for ever, nor are those behind it."""
    impatient.api.post("secret/large", {"v": "x" * 8_000_000}).expect(204)
    get = b"GET /v1/secret/large HTTP/1.1\r\n" + told.H + told.T + b"\r\n"
    for asked in (get, get * 50):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.settimeout(WAIT_S)
            s.connect(("127.0.0.1", impatient.port))
            s.sendall(asked)
            deadline = time.monotonic() + WAIT_S
            while peer_holds(impatient.port, s):
                assert time.monotonic() < deadline, "the server still holds the connection"
                time.sleep(0.05)
            assert len(receive(s)) < 8_000_000
    assert not carried_out(impatient)


def peer_holds(port, s):
    """Whether the server's end of this connection is still open (ESTABLISHED): /proc/net/tcp."""
    mine = s.getsockname()[1]
    with open("/proc/net/tcp") as table:
        for line in table.readlines()[1:]:
            _, local, remote, state, *_ = line.split()
            if int(local.split(":")[1], 16) == port and int(remote.split(":")[1], 16) == mine:
                return state == "01"
    return False
