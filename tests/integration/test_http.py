"""The wire, against a server whose upper floor is a toy (tests/unit/http/toy_server.c): framing, limits, deadlines, TLS, stopping."""
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
from toy import HEAD, TOY, WAIT_S, Toy, send_anyway


@pytest.fixture(scope="module")
def common():
    toy = Toy("-tcp", "127.0.0.1:0", "-loops", 2, "-max-body", 20_000_000)
    yield toy
    try:
        toy.stop()
    finally:
        toy.close()


@pytest.fixture
def c(common):
    with common.connect() as client:
        yield client


# --- good requests


def test_keep_alive(c):
    for n in range(1, 50):
        a = c.get(f"/echo?n={n}")
        assert (a.status, a.reason) == (200, "OK") and a.headers["content-type"] == "text/plain" and a.headers["x-toy"] == "yes"
        assert f"query=n={n}\n" in a.text and f"requests={n}\n" in a.text and "connection" not in a.headers
    assert f"remote=127.0.0.1:{c.s.getsockname()[1]}\n" in a.text


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "LIST", "SCAN", "OPTIONS"])
def test_methods(c, method):
    for _ in range(3):
        assert f"method={method}\n" in c.get("/v1/x", method).text


@pytest.mark.parametrize("method", ["TRACE", "LINK", "LOCK", "PURGE", "M-SEARCH"])
def test_other_methods_are_the_upper_floors(c, method):
    assert "method=OTHER\n" in c.get("/v1/x", method).text


@pytest.mark.parametrize("method", ["LIST", "SCAN", "POST"])
def test_split_at_each_byte(common, method):
    request = method.encode() + b" /body HTTP/1.1\r\n" + HEAD + b"Content-Length: 3\r\n\r\nabc"
    with common.connect() as c:
        for at in range(1, len(request)):
            c.send(request[:at])
            time.sleep(0.001)
            a = c.ask(request[at:])
            assert a.body == b"abc"


def test_one_byte_at_a_time(c):
    c.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for request in (b"\r\nSCAN /a HTTP/1.1\r\n" + HEAD + b"\r\n", b"POST /b HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"):
        for byte in request:
            c.send(bytes([byte]))
        assert c.read().status == 200


def test_head(c):
    a = c.get("/big?n=1000", "HEAD", head_only=True)
    assert a.status == 200 and a.headers["content-length"] == "1000"
    assert c.get("/big?n=10").body == b"x" * 10


@pytest.mark.parametrize("code", [204, 304])
def test_no_body(c, code):
    a = c.get(f"/status?code={code}")
    assert a.status == code and a.body == b"" and "content-type" not in a.headers
    assert c.get().status == 200


@pytest.mark.parametrize("code,reason", [(200, "OK"), (404, "Not Found"), (429, "Too Many Requests"), (503, "Service Unavailable"), (473, "Unknown")])
def test_status_lines(c, code, reason):
    a = c.get(f"/status?code={code}")
    assert (a.status, a.reason, a.body) == (code, reason, b"some text")


def test_answer_header_cannot_be_split(c):
    a = c.get("/bad-header")
    assert a.status == 200 and "x-bad" not in a.headers and "x-split" not in a.headers


def test_headers_arrive_tidy(c):
    a = c.ask(b"GET / HTTP/1.1\r\nhOsT:a\r\nX-Vault-Token: \t s.abc \t\r\nEmpty:\r\nA: b: c \xff\r\n\r\n")
    assert b"header x-vault-token=s.abc\nheader empty=\nheader a=b: c \xff\n" in a.body


def test_absolute_target(c):
    assert "target=/x\nquery=y\n" in c.ask(b"GET http://a/x?y HTTP/1.1\r\n" + HEAD + b"\r\n").text


def test_pipelined_1000(c):
    requests = b"".join(b"GET /echo?n=%d HTTP/1.1\r\n" % n + HEAD + b"\r\n" for n in range(1000))
    sender = threading.Thread(target=c.send, args=(requests,))
    sender.start()
    for n in range(1000):
        a = c.read()
        assert f"query=n={n}\n" in a.text and f"requests={n + 1}\n" in a.text
    sender.join()


def test_pipelined_mixture(c):
    """Bodies of all kinds, late and large answers between others."""
    one = [(b"POST /body HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\n\r\nfirst", b"first"),
           (b"POST /body HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nseco\r\n2\r\nnd\r\n0\r\n\r\n", b"second"),
           (b"GET /big?n=100000 HTTP/1.1\r\n" + HEAD + b"\r\n", b"x" * 100000),
           (b"GET /late?ms=1 HTTP/1.1\r\n" + HEAD + b"\r\n", None),
           (b"POST /body HTTP/1.1\r\n" + HEAD + b"Content-Length: 9000\r\n\r\n" + b"y" * 9000, b"y" * 9000),
           (b"POST /body HTTP/1.1\r\n" + HEAD + b"Content-Length: 0\r\n\r\n", b"")]
    all_of_it = b"".join(r for r, _ in one) * 30
    sender = threading.Thread(target=c.send, args=(all_of_it,))
    sender.start()
    for n in range(30):
        for _, body in one:
            a = c.read()
            assert a.status == 200 and (body is None or a.body == body)
            assert body is not None or a.text.startswith("method=GET\ntarget=/late\n")
    sender.join()


@pytest.mark.parametrize("pad", range(7200, 8300, 37))
def test_chunked_head_at_the_end_of_the_buffer(c, pad):
    """A body fills the buffer, so that the next head stands at its very end."""
    first = b"POST /body HTTP/1.1\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % (pad - 200)
    second = b"POST /body HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    c.send((first + b"a" * (pad - 200) + second) + b"400\r\n" + b"b" * 1024 + b"\r\n0\r\n\r\n")
    assert c.read().body == b"a" * (pad - 200)
    assert c.read().body == b"b" * 1024


def test_pipelined_after_chunks(c):
    """What follows a chunked body in the same bytes belongs to the next request."""
    chunked = b"POST /body HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: x\r\n\r\n"
    c.send(chunked * 400)
    for _ in range(400):
        assert c.read().body == b"hello"


@pytest.mark.parametrize("size", [0, 1, 7_000, 8_192, 70_000, 1_048_576, 1_048_577, 5_000_000, 19_999_999, 20_000_000])
@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_bodies(c, size, framing):
    body = os.urandom(size)
    if framing == "sized":
        data = b"POST /body HTTP/1.1\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % size + body
    else:
        step = max(1, size // 7)
        chunks = b"".join(b"%x\r\n" % len(body[i:i + step]) + body[i:i + step] + b"\r\n" for i in range(0, size, step))
        data = b"POST /body HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    for _ in range(2):
        sender = threading.Thread(target=c.send, args=(data,))
        sender.start()
        a = c.read()
        sender.join()
        assert a.status == 200 and a.body == body


def test_slow_reader(c):
    """The answer is larger than what the socket takes, and the client takes its time."""
    c.send(b"GET /big?n=12000000 HTTP/1.1\r\n" + HEAD + b"\r\nGET /echo HTTP/1.1\r\n" + HEAD + b"\r\n")
    time.sleep(0.3)
    assert c.read().body == b"x" * 12_000_000
    assert c.read().status == 200


def test_client_that_never_reads_pipelined_answers(common):
    """Answers that nobody takes must not gather: the server stops reading."""
    with common.connect() as c:
        c.s.setblocking(False)
        request, sent = b"GET /big?n=2000 HTTP/1.1\r\n" + HEAD + b"\r\n", 0
        deadline = time.monotonic() + WAIT_S
        data = request * 1000
        while select.select([], [c.s], [], 1)[1]:
            assert time.monotonic() < deadline and sent < 100_000_000
            sent += c.s.send(data[sent % len(request):])
        c.s.settimeout(WAIT_S)
        for _ in range(sent // len(request)):
            assert len(c.read().body) == 2000


def test_late(c):
    for ms in (0, 30, 0):
        assert c.get(f"/late?ms={ms}").status == 200


def test_late_many(common):
    clients = [common.connect() for _ in range(100)]
    for k, client in enumerate(clients):
        client.send(b"GET /late?ms=%d HTTP/1.1\r\n" % (k % 20) + HEAD + b"\r\n" * 1)
    for client in clients:
        assert client.read().status == 200
        client.close()


def test_late_pipelined(c):
    c.send((b"GET /late?ms=2 HTTP/1.1\r\n" + HEAD + b"\r\n") * 50)
    for n in range(50):
        assert f"requests={n + 1}\n" in c.read().text


def test_client_vanishes(common):
    """Before, during and after its request; the exchange is finished later all the same."""
    for how in ("close", "reset"):
        for data in (b"", b"GET", b"GET /late?ms=50 HTTP/1.1\r\n" + HEAD + b"\r\n", b"POST /body HTTP/1.1\r\n" + HEAD + b"Content-Length: 50\r\n\r\nx",
                     b"GET /big?n=12000000 HTTP/1.1\r\n" + HEAD + b"\r\n", (b"GET /late?ms=20 HTTP/1.1\r\n" + HEAD + b"\r\n") * 40):
            for _ in range(5):
                c = common.connect()
                if how == "reset":
                    c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                c.send(data)
                c.close()
    with common.connect() as c:
        assert c.get("/late?ms=100").status == 200


def test_half_closed(c):
    """Who has sent all it wanted may shut its side and still gets its answers."""
    c.send((b"GET /late?ms=10 HTTP/1.1\r\n" + HEAD + b"\r\n") * 3)
    c.s.shutdown(socket.SHUT_WR)
    for _ in range(3):
        assert c.read().status == 200
    assert c.closed()


def test_connection_close(c):
    a = c.ask(b"GET / HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n")
    assert a.status == 200 and a.closes and c.closed()


@pytest.mark.parametrize("extra", [b"", b"Connection: keep-alive\r\n", b"Host: a\r\n"])
def test_http_1_0(c, extra):
    a = c.ask(b"GET / HTTP/1.0\r\n" + extra + b"\r\n")
    assert a.status == 200 and a.closes and c.closed()


def test_upgrade_is_ignored(c):
    a = c.ask(b"GET / HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
    assert a.status == 200 and not a.closes
    assert c.ask(b"POST /body HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi").body == b"hi"
    assert c.get().status == 200


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_continue(c, framing):
    c.send(b"POST /body HTTP/1.1\r\n" + HEAD + b"Expect: 100-continue\r\n" + framing)
    assert c.read().status == 100
    a = c.ask(b"hello" if b"Length" in framing else b"5\r\nhello\r\n0\r\n\r\n")
    assert a.status == 200 and a.body == b"hello"
    assert c.get().status == 200


def test_continue_not_needed(c):
    a = c.ask(b"POST /body HTTP/1.1\r\n" + HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi")
    assert a.status == 200 and a.body == b"hi"
    assert c.ask(b"GET /echo HTTP/1.1\r\n" + HEAD + b"Expect: 100-continue\r\n\r\n").status == 200


# --- refused


REFUSED = {
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    "malformed host": (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "folded": (400, b"GET / HTTP/1.1\r\n" + HEAD + b"A: b\r\n c\r\n\r\n"),
    "http/0.9": (400, b"GET /\r\n"),
    "http/2.0": (505, b"GET / HTTP/2.0\r\n" + HEAD + b"\r\n"),
    "http/1.2": (505, b"GET / HTTP/1.2\r\n" + HEAD + b"\r\n"),
    "http/2 preface": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "bare lf": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "nul in value": (400, b"GET / HTTP/1.1\r\n" + HEAD + b"A: \0\r\n\r\n"),
    "control in value": (400, b"GET / HTTP/1.1\r\n" + HEAD + b"A: \x1b\r\n\r\n"),
    "space before colon": (400, b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    "no name": (400, b"GET / HTTP/1.1\r\n" + HEAD + b": a\r\n\r\n"),
    "fragment": (400, b"GET /a#b HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "scheme": (400, b"GET ftp://a/ HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "other authority": (400, b"GET http://b/ HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "relative": (400, b"GET a/b HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "connect": (405, b"CONNECT a:80 HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "asterisk": (405, b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "unknown method": (405, b"FOO / HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "lower-case method": (400, b"get / HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "tls": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "blank lines": (400, b"\r\n" * 10 + b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "long line": (414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "long line without end": (414, b"GET /" + b"a" * 9000),
    "large headers": (431, b"GET / HTTP/1.1\r\n" + HEAD + (b"A: " + b"a" * 1000 + b"\r\n") * 40 + b"\r\n"),
    "one large header": (431, b"GET / HTTP/1.1\r\n" + HEAD + b"A: " + b"a" * 40000),
    "many headers": (431, b"GET / HTTP/1.1\r\n" + HEAD + b"A: a\r\n" * 100 + b"\r\n"),
    "body too large": (413, b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 20000001\r\n\r\n"),
    "enormous": (413, b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 18446744073709551615\r\n\r\n"),
    "too large, expects": (413, b"POST / HTTP/1.1\r\n" + HEAD + b"Expect: 100-continue\r\nContent-Length: 20000001\r\n\r\n"),
    "length overflows": (400, b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 18446744073709551617\r\n\r\n"),
    "length twice": (400, b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
    "lengths differ": (400, b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    "length and chunked": (400, b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "gzip": (501, b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "chunked in 1.0": (501, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "expectation": (417, b"POST / HTTP/1.1\r\n" + HEAD + b"Expect: the-moon\r\nContent-Length: 1\r\n\r\n"),
    "chunk size": (400, b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"),
    "chunk end": (400, b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"),
    "chunk extension": (413, b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n3;" + b"a" * 40000),
    "trailers": (413, b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 10000),
    "chunk of the enormous": (413, b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n" + b"x" * 21_000_000),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("before", [0, 3])
def test_refused(common, name, before):
    """The answer arrives although the client goes on sending, nothing behind it is looked at, and the connection ends."""
    status, data = REFUSED[name]
    with common.connect() as c:
        good = (b"GET /echo HTTP/1.1\r\n" + HEAD + b"\r\n") * before
        sender = threading.Thread(target=send_anyway, args=(c, good + data + b"GET /smuggled HTTP/1.1\r\n" + HEAD + b"\r\n"))
        sender.start()
        for _ in range(before):
            assert c.read().status == 200
        a = c.read()
        assert a.status == status and a.closes and a.text.startswith("rejected: ")
        assert c.closed()
        c.s.close()
        sender.join()


def test_refused_head_has_no_body(c):
    a = c.ask(b"HEAD /a HTTP/1.1\r\n\r\n", head_only=True)
    assert a.status == 400 and c.closed()


def test_limits_are_configurable(new_toy):
    toy = new_toy("-max-body", 10, "-max-request-line", 64, "-max-headers-bytes", 128, "-max-header-count", 3)
    with toy.connect() as c:
        assert c.post(b"x" * 10).status == 200
        assert c.get("/" + "a" * 48).status == 200
    for data, status in ((b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 11\r\n\r\n", 413), (b"GET /" + b"a" * 50 + b" HTTP/1.1\r\n", 414),
                         (b"GET / HTTP/1.1\r\n" + HEAD + b"A: " + b"a" * 128 + b"\r\n", 431), (b"GET / HTTP/1.1\r\n" + HEAD + b"A: b\r\n" * 3, 431),
                         (b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n", 413)):
        with toy.connect() as c:
            assert c.ask(data).status == status and c.closed()
    toy.stop()


# --- deadlines


@pytest.mark.parametrize("data,status", [
    (b"", None), (b"\r\n", 408), (b"GET / HT", 408), (b"GET / HTTP/1.1\r\nHost: a\r\nA", 408), (b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 9\r\n\r\n1234", 408),
    (b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\na", 408)])
def test_slow_clients_are_closed(new_toy, data, status):
    toy = new_toy("-header-ms", 500, "-request-ms", 700)
    with toy.connect() as c:
        c.send(data)
        if status:
            a = c.read()
            assert a.status == status and a.closes
        assert c.closed()
    toy.stop()


def test_slowloris(new_toy):
    """A byte now and then does not extend the time for the head."""
    toy = new_toy("-header-ms", 500)
    with toy.connect() as c:
        c.send(b"GET / HTTP/1.1\r\n" + HEAD + b"A: ")
        deadline = time.monotonic() + WAIT_S
        while not select.select([c.s], [], [], 0.05)[0]:
            assert time.monotonic() < deadline
            send_anyway(c, b"a")
        assert c.read().status == 408
    toy.stop()


@pytest.mark.parametrize("idle_ms", [300, 4500])
def test_idle_is_closed_silently(new_toy, idle_ms):
    toy = new_toy("-idle-ms", idle_ms)
    with toy.connect() as c:
        assert c.get().status == 200
        assert c.closed()
    toy.stop()


def test_memory_goes_back_while_idle(new_toy):
    """After some seconds without a request its memory is given back; the connection still works, with a new exchange."""
    toy = new_toy()
    with toy.connect() as c:
        assert "requests=1\n" in c.get().text
        time.sleep(7)
        assert "requests=1\n" in c.get().text
        assert "requests=2\n" in c.get().text
    toy.stop()


def test_reader_that_stalls_is_closed(new_toy):
    toy = new_toy("-write-ms", 500)
    with toy.connect() as c:
        c.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.send(b"GET /big?n=50000000 HTTP/1.1\r\n" + HEAD + b"\r\n")
        wait_for(lambda: count_sockets(toy) == 0)
    toy.stop()


def count_sockets(toy):
    """Connections that the server holds, seen from outside."""
    port = int(toy.addresses[0].rsplit(":", 1)[1])
    own = {os.readlink(f"/proc/{toy.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{toy.process.pid}/fd") if os.path.lexists(f"/proc/{toy.process.pid}/fd/{fd}")}
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        field = line.split()
        if int(field[1].split(":")[1], 16) == port and field[3] != "0A" and f"socket:[{field[9]}]" in own:
            count += 1
    return count


def wait_for(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_no_deadline_while_the_upper_floor_works(new_toy):
    toy = new_toy("-header-ms", 300, "-request-ms", 300, "-idle-ms", 300, "-write-ms", 300)
    with toy.connect() as c:
        assert c.get("/late?ms=3500").status == 200
    toy.stop()


# --- connections


def test_2000_connections(new_toy):
    toy = new_toy("-loops", 2)
    for _ in range(4):
        clients = [toy.connect() for _ in range(500)]
        for k, client in enumerate(clients):
            if k % 3:
                assert client.get().status == 200
        for client in clients:
            client.close()
    assert int(toy.stop()["total"]) == 2000


def test_max_connections(new_toy):
    toy = new_toy("-max-connections", 5, "-loops", 2)
    clients = [toy.connect() for _ in range(5)]
    for client in clients:
        assert client.get().status == 200
    for _ in range(20):
        with toy.connect() as extra:
            assert extra.closed()
    clients[0].close()
    wait_for(lambda: one_more_works(toy))
    for client in clients[1:]:
        assert client.get().status == 200
    assert int(toy.stop()["refused"]) >= 20
    assert toy.stderr.count("connections are refused") == 1


def one_more_works(toy):
    with toy.connect() as c:
        try:
            return c.get().status == 200
        except (EOFError, ConnectionError):
            return False


def test_out_of_descriptors(new_toy):
    """With no descriptor left the server neither spins nor dies, and goes on when there are some again."""
    import resource
    toy = new_toy("-loops", 1)
    clients = [toy.connect() for _ in range(3)]
    for client in clients:
        assert client.get().status == 200
    used = max(int(fd) for fd in os.listdir(f"/proc/{toy.process.pid}/fd")) + 1
    limit = resource.prlimit(toy.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(toy.process.pid, resource.RLIMIT_NOFILE, (used, limit[1]))
    waiting = [toy.connect() for _ in range(3)]
    wait_for(lambda: "no file descriptors" in toy.stderr)
    before = cpu_ticks(toy)
    time.sleep(1)
    assert cpu_ticks(toy) - before < os.sysconf("SC_CLK_TCK") / 2
    assert clients[0].get().status == 200
    resource.prlimit(toy.process.pid, resource.RLIMIT_NOFILE, limit)
    for client in waiting:
        assert client.get().status == 200
    toy.stop()


def cpu_ticks(toy):
    fields = Path(f"/proc/{toy.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_unix_socket(new_toy, folder):
    path = folder / "s"
    toy = new_toy("-unix", path, tcp=False)
    assert path.stat().st_mode & 0o777 == 0o600
    with toy.connect() as c:
        assert "remote=unix\n" in c.get().text
        body = os.urandom(3_000_000)
        sender = threading.Thread(target=c.send, args=(b"POST /body HTTP/1.1\r\n" + HEAD + b"Content-Length: 3000000\r\n\r\n" + body,))
        sender.start()
        assert c.read().body == body
        sender.join()
    assert refuses_to_start("-unix", path) == f"the address {path} is in use by another process"
    toy.stop()
    assert not path.exists()


def test_stale_socket_file(new_toy, folder):
    path = folder / "s"
    socket.socket(socket.AF_UNIX).bind(str(path))
    toy = new_toy("-unix", path, tcp=False)
    with toy.connect() as c:
        assert c.get().status == 200
    toy.stop()


def test_other_file_is_kept(folder):
    path = folder / "s"
    path.write_text("mine")
    assert refuses_to_start("-unix", path) == f"{path} exists and is no socket"
    assert path.read_text() == "mine"


def refuses_to_start(*args):
    done = subprocess.run([TOY, *map(str, args)], capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 1, done
    return done.stderr.strip().split("\n")[-1].removeprefix("server: ")


def test_used_port(new_toy):
    toy = new_toy()
    assert refuses_to_start("-tcp", toy.addresses[0]) == f"the address {toy.addresses[0]} is in use by another process"
    toy.stop()


@pytest.mark.parametrize("address", ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:99999", "[::1:80", "1.2.3:x"])
def test_malformed_address(address):
    assert f'the address "{address}"' in refuses_to_start("-tcp", address)


def test_ipv6(new_toy):
    toy = new_toy("-tcp", "[::1]:0", tcp=False)
    with toy.connect() as c:
        assert "remote=[::1]:" in c.get().text
    toy.stop()


# --- TLS


@pytest.fixture
def files(folder):
    subprocess.run([TOY, "-dev", folder, "-tcp", "bad"], capture_output=True, check=False, timeout=WAIT_S)
    return folder


def context(files, **versions):
    ctx = ssl.create_default_context(cafile=files / "ca.pem")
    ctx.set_alpn_protocols(["h2", "http/1.1"])
    for name, version in versions.items():
        setattr(ctx, name, version)
    return ctx


def wrap(toy, ctx, which=0, name="localhost"):
    c = toy.connect(which)
    c.s = ctx.wrap_socket(c.s, server_hostname=name)
    return c


def test_dev_files(files):
    assert (files / "key.pem").stat().st_mode & 0o777 == 0o600
    assert {p.name for p in files.iterdir()} == {"ca.pem", "cert.pem", "key.pem"}


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_tls(new_toy, files, version):
    toy = new_toy("-tls", "127.0.0.1:0", files / "cert.pem", files / "key.pem", "-loops", 2, tcp=False)
    v = getattr(ssl.TLSVersion, version)
    for name in ("localhost", "127.0.0.1", "::1"):
        with wrap(toy, context(files, minimum_version=v, maximum_version=v), name=name) as c:
            assert c.s.version() == version.replace("_", ".") and c.s.selected_alpn_protocol() == "http/1.1"
            assert c.s.compression() is None
            for n in range(1, 5):
                assert f"requests={n}\n" in c.get().text
            assert c.get("/late?ms=5").status == 200
            c.send((b"GET /echo HTTP/1.1\r\n" + HEAD + b"\r\n") * 200)
            for _ in range(200):
                assert c.read().status == 200
            body = os.urandom(2_000_000)
            assert c.post(body).body == body
            assert len(c.get("/big?n=3000000").body) == 3_000_000
            a = c.ask(b"GET / HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n")
            assert a.closes and c.s.recv(1) == b""
    toy.stop()


@pytest.mark.parametrize("name", ["no host", "body too large", "chunk of the enormous"])
def test_tls_refused(new_toy, files, name):
    toy = new_toy("-tls", "127.0.0.1:0", files / "cert.pem", files / "key.pem", "-max-body", 1_000_000, tcp=False)
    status, data = REFUSED[name]
    with wrap(toy, context(files)) as c:
        send_anyway(c, data[:3_000_000])
        assert c.read().status == status
    toy.stop()


def test_tls_minimum(new_toy, files):
    toy = new_toy("-tls13", "127.0.0.1:0", files / "cert.pem", files / "key.pem", "-tls", "127.0.0.1:0", files / "cert.pem", files / "key.pem", tcp=False)
    old = context(files, maximum_version=ssl.TLSVersion.TLSv1_2)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        wrap(toy, old)
    with wrap(toy, old, 1) as c:
        assert c.get().status == 200
    with wrap(toy, context(files)) as c:
        assert c.s.version() == "TLSv1.3" and c.get().status == 200
    toy.stop()


def test_tls_older_versions_and_weak_ciphers(new_toy, files):
    toy = new_toy("-tls", "127.0.0.1:0", files / "cert.pem", files / "key.pem", tcp=False)
    for setting in (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], ["-tls1", "-cipher", "ALL:@SECLEVEL=0"], ["-tls1_2", "-cipher", "AES128-SHA"],
                    ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"], ["-tls1_2", "-cipher", "AES128-GCM-SHA256"]):
        done = subprocess.run(["openssl", "s_client", "-connect", toy.addresses[0], *setting], input=b"", capture_output=True, timeout=WAIT_S, check=False)
        assert done.returncode != 0 and b"New, (NONE)" in done.stdout, setting
    toy.stop()


def test_tls_renegotiation_refused(new_toy, files):
    toy = new_toy("-tls", "127.0.0.1:0", files / "cert.pem", files / "key.pem", tcp=False)
    done = subprocess.run(["openssl", "s_client", "-connect", toy.addresses[0], "-tls1_2"], input=b"R\n", capture_output=True, timeout=WAIT_S, check=False)
    assert b"no renegotiation" in done.stderr
    toy.stop()


def test_tls_garbage_and_silence(new_toy, files):
    toy = new_toy("-tls", "127.0.0.1:0", files / "cert.pem", files / "key.pem", "-header-ms", 500, tcp=False)
    with toy.connect() as silent, toy.connect() as half, toy.connect() as plain:
        half.send(b"\x16\x03\x01\x02\x00\x01\x00")
        plain.send(b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n")
        try:
            assert not plain.s.recv(100).startswith(b"HTTP/1.1 200")
        except ConnectionResetError:
            pass
        assert silent.closed() and half.closed()
    toy.stop()


def test_mutual_tls(new_toy, files):
    toy = new_toy("-mtls", "127.0.0.1:0", files / "cert.pem", files / "key.pem", files / "ca.pem", tcp=False)
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)), wrap(toy, context(files)) as c:
        c.get()
    ctx = context(files)
    ctx.load_cert_chain(files / "cert.pem", files / "key.pem")
    with wrap(toy, ctx) as c:
        assert c.get().status == 200
    other = files / "other"
    other.mkdir()
    subprocess.run([TOY, "-dev", other, "-tcp", "bad"], capture_output=True, check=False, timeout=WAIT_S)
    ctx = context(files)
    ctx.load_cert_chain(other / "cert.pem", other / "key.pem")
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)), wrap(toy, ctx) as c:
        c.get()
    toy.stop()


def test_reload(new_toy, files):
    toy = new_toy("-tls", "127.0.0.1:0", files / "cert.pem", files / "key.pem", tcp=False)

    def serial():
        with wrap(toy, context(files)) as c:
            assert c.get().status == 200
            return c.s.getpeercert()["serialNumber"]

    first = serial()
    kept = wrap(toy, context(files))
    assert serial() == first
    subprocess.run([TOY, "-dev", files, "-tcp", "bad"], capture_output=True, check=False, timeout=WAIT_S)
    toy.process.send_signal(signal.SIGHUP)
    assert toy.line() == "reloaded"
    second = serial()
    assert second != first
    assert kept.get().status == 200
    (files / "cert.pem").write_text("nonsense")
    toy.process.send_signal(signal.SIGHUP)
    assert toy.line().startswith(f"kept: cannot load the certificate file {files / 'cert.pem'}: ")
    assert serial() == second
    kept.close()
    toy.stop()


def test_bad_tls_files(files):
    args = ["-tls", "127.0.0.1:0"]
    assert "cannot load the certificate file" in refuses_to_start(*args, files / "none.pem", files / "key.pem")
    assert "cannot load the key file" in refuses_to_start(*args, files / "cert.pem", files / "none.pem")
    assert "cannot load the key file" in refuses_to_start(*args, files / "ca.pem", files / "key.pem")
    assert "cannot load the client CA file" in refuses_to_start("-mtls", "127.0.0.1:0", files / "cert.pem", files / "key.pem", files / "none.pem")


# --- stopping


def test_graceful_stop(new_toy):
    """Idle connections close, what is under way is answered with Connection: close, new ones are refused."""
    toy = new_toy("-loops", 2)
    idle, used, busy, half = (toy.connect() for _ in range(4))
    assert used.get().status == 200
    busy.send(b"GET /late?ms=1000 HTTP/1.1\r\n" + HEAD + b"\r\n")
    half.send(b"POST /body HTTP/1.1\r\n" + HEAD + b"Content-Length: 4\r\n\r\nab")
    time.sleep(0.2)
    toy.process.send_signal(signal.SIGTERM)
    assert idle.closed() and used.closed()
    a = half.ask(b"cd")
    assert a.body == b"abcd" and a.closes and half.closed()
    a = busy.read()
    assert a.status == 200 and a.closes and busy.closed()
    half.close()
    busy.close()
    toy.stop()
    with pytest.raises(OSError):
        toy.connect()


def test_stop_answers_what_has_arrived(new_toy):
    """Requests that came while the server did not look are answered, also on connections that it has not accepted yet."""
    toy = new_toy("-loops", 2)
    old = [toy.connect() for _ in range(5)]
    for c in old:
        assert c.get().status == 200
    toy.process.send_signal(signal.SIGSTOP)
    clients = old + [toy.connect() for _ in range(100)]
    for c in clients:
        c.send(b"GET /echo HTTP/1.1\r\n" + HEAD + b"\r\n")
    toy.process.send_signal(signal.SIGTERM)
    toy.process.send_signal(signal.SIGCONT)
    for c in clients:
        a = c.read()
        assert a.status == 200
        c.close()
    toy.stop()


def test_stop_cuts_after_the_grace(new_toy):
    """Requests that do not end in time are cut; exchanges that finish later do no harm."""
    toy = new_toy()
    stuck, late = toy.connect(), toy.connect()
    stuck.send(b"POST /body HTTP/1.1\r\n" + HEAD + b"Content-Length: 4\r\n\r\nab")
    late.send(b"GET /late?ms=5000 HTTP/1.1\r\n" + HEAD + b"\r\n")
    time.sleep(0.2)
    toy.process.send_signal(signal.SIGTERM)
    assert stuck.closed() and late.closed()
    assert toy.stop("BUSY")["late"] == "1"


def test_stop_under_load(new_toy):
    toy = new_toy("-loops", 2)
    errors = []

    def load():
        while True:
            try:
                with toy.connect() as c:
                    while not c.get("/late?ms=1").closes:
                        pass
            except EOFError as e:  # between two requests: fine; within an answer: not
                if "b''" not in str(e):
                    errors.append(e)
                return
            except OSError:
                return

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    toy.stop()
    for thread in threads:
        thread.join()
    assert not errors
