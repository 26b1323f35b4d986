"""Streams on the wire, against the toy (tests/unit/http/toy_stream.c): a line for a line, bounded memory, slow and hostile clients; and from the socket to an
engine (tests/lib/shout.h): rights, sealing, the writer, the audit."""
import json
import os
import random
import re
import select
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
from toy import HEAD, TOY, WAIT_S, StreamServer, Toy, send_anyway

CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module", params=[131_072, 1000])
def common(request):
    """With buffers as usual, and with small ones, in which everything happens at an edge."""
    toy = Toy("-tcp", "127.0.0.1:0", "-loops", 2, "-max-body", 100_000, "-stream-buffer", request.param)
    toy.buffer = request.param
    yield toy
    try:
        settled(toy.stop())
    finally:
        toy.close()


@pytest.fixture
def c(common):
    with common.connect() as client:
        yield client


def settled(counts):
    """Each stream that began came to one end."""
    assert int(counts["begun"]) == int(counts["over"]) + int(counts["aborted"])
    return counts


def head(*extra, query=b"", method=b"POST"):
    return method + b" /stream" + query + b" HTTP/1.1\r\n" + HEAD + b"".join(extra) + b"\r\n"


def sized(body, query=b"", announced=None):
    return head(b"Content-Length: %d\r\n" % (len(body) if announced is None else announced), query=query) + body


def in_chunks(body, step, extension=b""):
    return b"".join(b"%x%s\r\n" % (len(body[i:i + step]), extension) + body[i:i + step] + b"\r\n" for i in range(0, len(body), step)) + b"0\r\n\r\n"


def chunked(body, step=1000, query=b"", extension=b""):
    return head(CHUNKED, query=query) + in_chunks(body, step, extension)


def rows(n, width=100):
    """n lines, all different."""
    return b"".join(b"%d %s\n" % (i, b"x" * (width - len(str(i)) - 2)) for i in range(n))


def answers(body):
    lines = body.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return b"".join(b"answer to " + line + b"\n" for line in lines)


def talk(c, data, piece=None):
    """Send all and read the whole answer meanwhile: its head and its lines."""
    def run():
        for i in range(0, len(data), piece or len(data)):
            send_anyway(c, data[i:i + (piece or len(data))])

    sender = threading.Thread(target=run)
    sender.start()
    a = c.read()
    lines = c.chunks() if a.body is None else a.body
    sender.join()
    return a, lines


def counts(toy):
    with toy.connect() as c:
        return {name: int(n) for name, n in re.findall(r"(\w+)=(\d+)", c.get("/streams").text)}


def wait_for(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- a line for a line


@pytest.mark.parametrize("body", [b"", b"\n", b"a", b"a\n", b"a\nb", b"\n\n\n", rows(3), rows(5000), rows(300, 5000)], ids=lambda body: f"{len(body)}")
@pytest.mark.parametrize("framing", ["sized", "chunked", "chunks of a byte"])
def test_each_line_is_answered(c, body, framing):
    data = sized(body) if framing == "sized" else chunked(body, 1 if len(body) < 50_000 and "byte" in framing else 7777)
    for n in range(2):
        a, lines = talk(c, data)
        assert a.status == 200 and a.headers["content-type"] == "application/x-ndjson" and not a.closes
        assert lines == answers(body)
        assert c.get().status == 200


def test_put_is_as_good_as_post(c):
    a, lines = talk(c, head(b"Content-Length: 2\r\n", method=b"PUT") + b"a\n")
    assert a.status == 200 and lines == b"answer to a\n"


def test_a_stream_without_a_body_is_empty(c):
    for _ in range(3):
        a, lines = talk(c, head())
        assert a.status == 200 and lines == b""


def test_the_body_may_be_longer_than_any_body(common, c):
    """-max-body is 100,000; this one has 60 MB, and some of it is answered before it ends."""
    block = rows(5000, 120)
    before = counts(common)["input"]

    def send():
        c.send(head(CHUNKED))
        for _ in range(100):
            c.send(b"%x\r\n" % len(block) + block + b"\r\n")
        c.send(b"0\r\n\r\n")

    sender = threading.Thread(target=send)
    sender.start()
    assert c.read().status == 200
    want = answers(block)
    have = b""
    n = 0
    while True:
        data = c.chunk()
        if not data:
            break
        have += data
        while len(have) >= len(want):
            assert have[:len(want)] == want
            have = have[len(want):]
            n += 1
    sender.join()
    assert n == 100 and have == b""
    counted = counts(common)
    assert counted["input"] - before == 100 * len(block) and counted["most"] <= 131_072


def test_answers_come_while_the_request_goes_on(c):
    """One line, its answer, the next line: in both framings, from the first one on."""
    for data, wrap in ((head(CHUNKED), lambda line: b"%x\r\n%s\r\n" % (len(line), line)), (head(b"Content-Length: 300\r\n"), lambda line: line)):
        assert c.ask(data).status == 200
        for n in range(30):
            line = b"line %04d\n" % n
            assert c.send(wrap(line)).chunk() == b"answer to " + line
        if b"chunked" in data:
            c.send(b"0\r\n\r\n")
        assert c.chunk() == b""


def test_the_head_of_the_answer_does_not_wait_for_the_body(c):
    a = c.ask(head(CHUNKED))
    assert a.status == 200 and "content-length" not in a.headers


def test_a_byte_at_a_time(c):
    c.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = rows(20, 30)
    for data in (sized(body), chunked(body, 3, extension=b";a=b")):
        a, lines = talk(c, data, piece=1)
        assert a.status == 200 and lines == answers(body)


def test_split_at_each_byte(c):
    body = b"first\nsecond\nthird"
    for data in (sized(body), head(CHUNKED) + in_chunks(body, 4)[:-2] + b"Trailer: x\r\n\r\n"):
        for at in range(1, len(data)):
            c.send(data[:at])
            time.sleep(0.0005)
            c.send(data[at:])
            assert c.read().status == 200 and c.chunks() == answers(body)


def test_random_pieces(common):
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    for _ in range(30):
        body = b"".join(b"y" * dice.choice((0, 1, 50, 120, 3000)) + b"\n" for _ in range(dice.randrange(400)))
        query = b"?pause=%d&ms=%d&out=%d" % (dice.choice((0, 0, 7, 100)), dice.randrange(2), dice.choice((0, 0, 1, 5000)))
        data = sized(body, query) if dice.random() < 0.3 else chunked(body, dice.randrange(1, 9000), query)
        with common.connect() as c:
            a, lines = talk(c, data, piece=dice.randrange(1, 40_000))
            assert a.status == 200 and lines == answers(body), f"seed {seed}"


def test_small_pieces_of_answer(c):
    """The upper floor calls its answer full after each line."""
    a, lines = talk(c, chunked(rows(500), query=b"?out=1"))
    assert a.status == 200 and lines == answers(rows(500))


def test_answers_longer_than_their_lines(c):
    a, lines = talk(c, chunked(b"x\n" * 3000, query=b"?answer=2000"))
    assert a.status == 200
    assert lines == (b"answer to x" + b"." * (2000 - 12) + b"\n") * 3000


@pytest.mark.parametrize("query", [b"?pause=1&ms=0", b"?pause=10&ms=1", b"?begin=30", b"?begin=5&pause=50&ms=3"])
def test_pauses(c, query):
    """It begins later, or waits in between: nothing is lost, and nothing of the next request is mistaken for it."""
    body = rows(200)
    for data in (sized(body, query), chunked(body, 333, query)):
        c.send(data + b"GET /echo?next HTTP/1.1\r\n" + HEAD + b"\r\n")
        assert c.read().status == 200 and c.chunks() == answers(body)
        assert "query=next\n" in c.read().text


@pytest.mark.parametrize("length", [65_535, 65_536])
def test_the_longest_line(c, length):
    body = b"a\n" + b"l" * length + b"\nb\n"
    assert talk(c, chunked(body, 5000))[1] == answers(body)


def test_a_line_longer_than_the_buffer(c):
    """Items may be longer than what is read at once, if the upper floor says so."""
    body = b"a\n" + b"l" * 900_000 + b"\n" + rows(10) + b"m" * 1_000_000
    for data in (sized(body, b"?item=1000000"), chunked(body, 9000, b"?item=1000000")):
        assert talk(c, data)[1] == answers(body)


@pytest.mark.parametrize("item", [100, 65_536, 500_000])
@pytest.mark.parametrize("with_end", [True, False])
def test_a_line_that_is_too_long_ends_the_stream(c, item, with_end):
    """What went before it is answered, it is told, and the connection ends, however much is sent."""
    body = b"a\nb\n" + b"l" * (item + 1) + (b"\nc\n" if with_end else b"") + b"l" * 3_000_000
    a, lines = talk(c, head(CHUNKED, query=b"?item=%d" % item) + in_chunks(body, 4000))
    assert a.status == 200 and lines == b"answer to a\nanswer to b\ntoo long\n"
    assert c.closed()


# --- what follows


def test_pipelined_behind_a_stream(c):
    """Whatever stands behind a stream in the same bytes is the next request: streams, others, few and many."""
    body = rows(40)
    next_one = b"GET /echo?n=%d HTTP/1.1\r\n" + HEAD + b"\r\n"
    data = b""
    for n in range(40):
        data += (chunked(body, 100 + n) if n % 2 else sized(body)) + next_one % n
        if n % 5 == 0:
            data += b"POST /body HTTP/1.1\r\n" + HEAD + b"Content-Length: 9000\r\n\r\n" + b"y" * 9000
    sender = threading.Thread(target=c.send, args=(data,))
    sender.start()
    for n in range(40):
        assert c.read().status == 200 and c.chunks() == answers(body)
        assert f"query=n={n}\n" in c.read().text
        if n % 5 == 0:
            assert c.read().body == b"y" * 9000
    sender.join()


def test_a_crowd_of_requests_behind_a_stream(c):
    """More of them than a connection's buffer holds otherwise, with large heads among them."""
    large = b"A: " + b"a" * 20_000 + b"\r\n"
    one = b"GET /echo HTTP/1.1\r\n" + HEAD + b"\r\nGET /echo?large HTTP/1.1\r\n" + HEAD + large + b"\r\n"
    sender = threading.Thread(target=c.send, args=(chunked(b"a\n") + one * 40,))
    sender.start()
    assert c.read().status == 200 and c.chunks() == b"answer to a\n"
    for _ in range(40):
        assert "query=\n" in c.read().text
        assert "query=large\n" in c.read().text
    sender.join()


def test_large_limits_and_a_crowd_behind_a_stream(new_toy):
    """A head that needs a larger buffer than the stream's begins in the stream's."""
    toy = new_toy("-max-headers-bytes", 600_000)
    with toy.connect() as c:
        large = b"A: " + b"a" * 300_000 + b"\r\n"
        data = chunked(b"a\n") + b"GET /echo?n HTTP/1.1\r\n" + HEAD + b"\r\nGET /echo?l HTTP/1.1\r\n" + HEAD + large + b"\r\n" + chunked(rows(9))
        sender = threading.Thread(target=c.send, args=(data,))
        sender.start()
        assert c.read().status == 200 and c.chunks() == b"answer to a\n"
        assert "query=n\n" in c.read().text and "query=l\n" in c.read().text
        assert c.read().status == 200 and c.chunks() == answers(rows(9))
        sender.join()
    settled(toy.stop())


def test_connection_close(c):
    a = c.ask(head(b"Content-Length: 2\r\n", b"Connection: close\r\n") + b"a\n")
    assert a.status == 200 and a.closes and c.chunks() == b"answer to a\n"
    assert c.closed()


def test_an_early_end_closes(c):
    """It is over before its request is: the answer ends as it should, then the connection."""
    a, lines = talk(c, chunked(rows(100_000), 4000, b"?over=10"))
    assert a.status == 200 and lines == answers(rows(10)) + b"over\n"
    assert c.closed()


def test_an_early_end_at_the_very_end_closes_too(c):
    """All lines were used, but the end of the body was not waited for."""
    assert c.ask(head(CHUNKED, query=b"?over=1") + b"2\r\na\n\r\n").status == 200
    assert c.chunks() == b"answer to a\nover\n"
    assert c.closed()


# --- refused before it begins


@pytest.mark.parametrize("status", [400, 403, 404, 503])
@pytest.mark.parametrize("how", ["sized", "chunked", "expects"])
def test_refused(c, status, how):
    """An ordinary answer; the body is not read as a request, and the connection ends, since it was not read at all."""
    body = b"GET /smuggled HTTP/1.1\r\n" + HEAD + b"\r\n" + rows(20_000)
    query = b"?refuse=%d" % status
    data = {"sized": sized(body, query), "chunked": chunked(body, 1000, query), "expects": head(b"Content-Length: 9\r\nExpect: 100-continue\r\n", query=query)}[how]
    a, text = talk(c, data)
    assert a.status == status and a.closes and text == b"refused\n"
    assert c.closed()


def test_refused_without_a_body_goes_on(c):
    for _ in range(3):
        a = c.ask(head(query=b"?refuse=403"))
        assert a.status == 403 and not a.closes and a.body == b"refused\n"


def test_http_1_0_is_refused(c):
    a = c.ask(b"POST /stream HTTP/1.0\r\nContent-Length: 2\r\n\r\na\n")
    assert a.status == 505 and a.closes and a.text == "rejected: a stream needs HTTP/1.1"
    assert c.closed()


@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_continue(c, framing):
    c.send(head(b"Expect: 100-continue\r\n", CHUNKED if framing == "chunked" else b"Content-Length: 4\r\n"))
    assert c.read().status == 100
    assert c.read().status == 200
    c.send(b"4\r\na\nb\n\r\n0\r\n\r\n" if framing == "chunked" else b"a\nb\n")
    assert c.chunks() == b"answer to a\nanswer to b\n"
    assert c.get().status == 200


def test_continue_not_needed(c):
    """Part of the body is there, or there is none: nobody waits."""
    for extra, body in ((b"Content-Length: 4\r\n", b"a\nb\n"), (b"", b"")):
        a = c.ask(head(b"Expect: 100-continue\r\n", extra) + body)
        assert a.status == 200 and c.chunks() == answers(body)


def test_curl_sends_and_receives(common, folder):
    """A client of everyday: with and without Expect, from a file and from a pipe."""
    body = rows(100_000)
    (folder / "in").write_bytes(body)
    url = f"http://{common.addresses[0]}/stream"
    for how in (["-T", str(folder / "in"), "-X", "POST"], ["-T", "-"], ["-T", str(folder / "in"), "-H", "Expect: 100-continue"], ["--data-binary", f"@{folder / 'in'}"]):
        done = subprocess.run(["curl", "-sS", *how, url], input=body if how[1] == "-" else None, capture_output=True, timeout=WAIT_S, check=False)
        assert done.returncode == 0 and done.stdout == answers(body), done.stderr


# --- malformed bodies


BROKEN = {
    "chunk size": b"xyz\r\n",
    "chunk end": b"3\r\nabcd\r\n0\r\n\r\n",
    "negative": b"-1\r\na\n\r\n",
    "size overflows": b"fffffffffffffffff\r\na\n",
    "bare LF": b"2\na\n\r\n",
    "folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer without a name": b"0\r\n: b\r\n\r\n",
    "trailer ends in LF": b"0\r\nA: b\n\r\n",
    "endless extension": b"1;" + b"a" * 100_000,
    "endless trailers": b"0\r\n" + b"A: b\r\n" * 20_000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_body_cuts_the_stream(common, name):
    """What came before is used; the answer has no end, so that nobody takes it for whole; nothing behind it is a request."""
    before = counts(common)
    with common.connect() as c:
        assert c.ask(head(CHUNKED)).status == 200
        c.send(b"5\r\none\n2\r\n")
        assert c.chunk() == b"answer to one\n"
        send_anyway(c, BROKEN[name] + b"\r\n\r\nGET /smuggled HTTP/1.1\r\n" + HEAD + b"\r\n")
        with pytest.raises((EOFError, ConnectionResetError)):
            while True:
                assert c.chunk() != b""
    wait_for(lambda: counts(common)["aborted"] == before["aborted"] + 1)


def test_a_body_that_is_broken_from_its_first_byte(c):
    c.send(head(CHUNKED) + b"nonsense\r\n")
    with pytest.raises((EOFError, ConnectionResetError)):
        c.read()
        c.chunk()


def test_trailers_and_extensions_are_dropped(c):
    data = head(CHUNKED) + b"2;a=b\r\na\n\r\n1;x\r\nb\r\n0;last\r\nTrailer: x\r\nOther: y\r\n\r\n"
    for _ in range(2):
        assert talk(c, data)[1] == b"answer to a\nanswer to b\n"


def test_more_than_the_announced_length_is_the_next_request(c):
    """It is read as one, and refused as what it is."""
    c.send(sized(b"a\nrest", announced=2))
    assert c.read().status == 200 and c.chunks() == b"answer to a\n"
    a = c.read()
    assert a.status == 400 and a.closes


@pytest.mark.parametrize("data", [sized(b"a\n", announced=3), head(CHUNKED) + b"2\r\na\n\r\n", head(CHUNKED) + b"2\r\na\n\r\n0\r\n"], ids=["sized", "chunked", "before its trailers"])
@pytest.mark.parametrize("how", ["half", "close", "reset"])
def test_less_than_was_announced_is_an_abort(common, data, how):
    """The line that came is answered; the end that did not come is not made up."""
    before = counts(common)
    with common.connect() as c:
        c.send(data)
        assert c.read().status == 200 and c.chunk() == b"answer to a\n"
        if how == "reset":
            c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if how == "half":
            c.s.shutdown(socket.SHUT_WR)
            assert c.closed()
    wait_for(lambda: counts(common)["aborted"] == before["aborted"] + 1)


# --- slow clients, lost clients


def test_who_does_not_read_is_not_read_from(common):
    """The proof of backpressure: what the upper floor used is bounded, and when the client reads on nothing was lost."""
    block = rows(1000, 120)
    before = counts(common)["input"]
    with common.connect() as c:
        c.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        c.send(head(CHUNKED))
        piece = b"%x\r\n" % len(block) + block + b"\r\n"
        c.s.setblocking(False)
        sent = 0
        while select.select([], [c.s], [], 1.5)[1]:
            assert sent < 200_000_000
            sent += c.s.send(piece[sent % len(piece):])
        stands = counts(common)["input"]
        time.sleep(0.5)
        assert counts(common)["input"] == stands
        # what both sides' kernels hold, and less than a megabyte here
        assert stands - before < 30_000_000
        c.s.settimeout(WAIT_S)
        rest = len(piece) - sent % len(piece)
        sender = threading.Thread(target=c.send, args=(piece[-rest:] if rest < len(piece) else b"", b"0\r\n\r\n"))
        sender.start()
        assert c.read().status == 200
        lines = c.chunks()
        sender.join()
        n = -(-sent // len(piece))
        assert lines == answers(block) * n


def test_who_never_reads_is_cut_off(new_toy):
    toy = new_toy("-write-ms", 500, "-request-ms", 60_000)
    with toy.connect() as c:
        c.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender = threading.Thread(target=send_anyway, args=(c, sized(rows(400_000))))
        sender.start()
        wait_for(lambda: counts(toy)["aborted"] == 1)
        sender.join()
    settled(toy.stop())


def test_who_never_sends_is_cut_off(new_toy):
    """No byte either way for the time of a request; in the first line, between lines, within one, before the trailers."""
    toy = new_toy("-request-ms", 500, "-write-ms", 60_000)
    for n, data in enumerate((head(CHUNKED), head(CHUNKED) + b"2\r\na\n\r\n", sized(b"a\nb", announced=9), head(CHUNKED) + b"2\r\na\n\r\n0\r\n"), 1):
        with toy.connect() as c:
            assert c.ask(data).status == 200
            with pytest.raises(EOFError):
                while True:
                    assert c.chunk() != b""
        wait_for(lambda n=n: counts(toy)["aborted"] == n)
    settled(toy.stop())


def test_a_stream_may_last_longer_than_a_request(new_toy):
    """A line now and then for several times the deadline of a request."""
    toy = new_toy("-request-ms", 1500, "-header-ms", 1000)
    with toy.connect() as c:
        assert c.ask(head(CHUNKED)).status == 200
        for n in range(12):
            line = b"%d\n" % n
            assert c.send(b"%x\r\n%s\r\n" % (len(line), line)).chunk() == b"answer to " + line
            time.sleep(0.7)
        assert c.send(b"0\r\n\r\n").chunk() == b""
    settled(toy.stop())


def test_no_deadline_while_the_upper_floor_pauses(new_toy):
    toy = new_toy("-request-ms", 400, "-write-ms", 400, "-idle-ms", 400, "-header-ms", 400)
    with toy.connect() as c:
        assert c.ask(sized(b"a\nb\n", b"?pause=1&ms=3000")).status == 200
        assert c.chunks() == b"answer to a\nanswer to b\n"
    settled(toy.stop())


def test_slow_both_ways(c):
    """A client that reads a little and sends a little."""
    body = rows(3000)
    data, c.s = chunked(body, 5000), c.s
    c.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    c.s.setblocking(False)
    got, sent = b"", 0
    deadline = time.monotonic() + WAIT_S
    while not got.endswith(b"\r\n0\r\n\r\n"):
        assert time.monotonic() < deadline
        if sent < len(data) and select.select([], [c.s], [], 0)[1]:
            sent += c.s.send(data[sent:sent + 3001])
        if select.select([c.s], [], [], 0.001)[0]:
            got += c.s.recv(4099)
    c.s.setblocking(True)
    c.buffer = got
    assert c.read().status == 200 and c.chunks() == answers(body)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_vanishes(common, how):
    """At each stage: before the head, in it, while it is being decided, in the body, in a pause, with answers unread; each stream that began ends once."""
    body = rows(5000)
    stages = [b"", head(CHUNKED)[:30], head(CHUNKED), head(CHUNKED) + b"5\r\nab", chunked(body)[:100_000], sized(body)[:100_000], chunked(body), sized(body), sized(body, b"?begin=30"),
              sized(body, b"?pause=1&ms=30"), sized(body, b"?pause=50&ms=1"), chunked(b"x\n" * 20_000, 9999, b"?answer=1000"), sized(body, b"?over=3"), sized(body, b"?refuse=400")]
    for data in stages:
        for wait_s in (0, 0.01):
            c = common.connect()
            if how == "reset":
                c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            send_anyway(c, data)
            time.sleep(wait_s)
            c.close()

    def all_over():
        n = counts(common)
        return n["begun"] == n["over"] + n["aborted"]

    wait_for(all_over)
    with common.connect() as c:
        assert c.get().status == 200


# --- many


def resident(toy):
    return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{toy.process.pid}/status").read_text())[1]) * 1024


def test_100_streams_in_parallel(new_toy):
    """All of them stand still with full buffers, then all come to their ends; a few hundred KiB each, and others are served meanwhile."""
    toy = new_toy("-loops", 2)
    block = rows(1000, 120)
    piece = b"%x\r\n" % len(block) + block + b"\r\n"
    clients = []
    with toy.connect() as other:
        assert other.get().status == 200
        before = resident(toy)
        for _ in range(100):
            c = toy.connect()
            c.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            c.send(head(CHUNKED))
            c.s.setblocking(False)
            clients.append(c)
        sent = dict.fromkeys(clients, 0)
        deadline = time.monotonic() + 120
        while (ready := select.select([], clients_of(clients), [], 1)[1]) and time.monotonic() < deadline:
            for s in ready:
                c = next(c for c in clients if c.s is s)
                sent[c] += s.send(piece[sent[c] % len(piece):])
            assert other.get().status == 200
        assert not ready and min(sent.values()) > 500_000
        # sanitizers keep what was freed for a while
        if "asan" not in str(TOY) and "tsan" not in str(TOY):
            assert resident(toy) - before < 100 * 500 * 1024
        assert other.get().status == 200
    ends = [threading.Thread(target=finish, args=(c, piece, sent[c])) for c in clients]
    for c, end in zip(clients, ends):
        end.start()
    for end in ends:
        end.join()
    for c in clients:
        assert c.lines == answers(block) * -(-sent[c] // len(piece))
        c.close()
    assert int(settled(toy.stop())["over"]) == 100


def clients_of(clients):
    return [c.s for c in clients]


def finish(c, piece, sent):
    c.s.settimeout(120)
    rest = piece[sent % len(piece):] if sent % len(piece) else b""
    sender = threading.Thread(target=c.send, args=(rest + b"0\r\n\r\n",))
    sender.start()
    c.read()
    c.lines = c.chunks()
    sender.join()


def test_others_are_served_beside_a_stream(new_toy):
    """One loop, a stream at full speed: requests of others are answered all the time."""
    toy = new_toy("-loops", 1)
    block = rows(2000, 120)
    piece = b"%x\r\n" % len(block) + block + b"\r\n"
    ending = threading.Event()
    with toy.connect() as c, toy.connect() as other:
        def send():
            c.send(head(CHUNKED))
            while not ending.is_set():
                c.send(piece)
            c.send(b"0\r\n\r\n")

        def read():
            c.read()
            while c.chunk():
                pass

        threads = [threading.Thread(target=send), threading.Thread(target=read)]
        for thread in threads:
            thread.start()
        wait_for(lambda: counts(toy)["input"] > 1_000_000)
        served, start = 0, counts(toy)["input"]
        while served < 300 or counts(toy)["input"] - start < 5_000_000:
            assert other.get().status == 200
            served += 1
        ending.set()
        for thread in threads:
            thread.join()
    settled(toy.stop())


# --- TLS


def test_tls(new_toy, folder):
    subprocess.run([TOY, "-dev", folder, "-tcp", "bad"], capture_output=True, check=False, timeout=WAIT_S)
    toy = new_toy("-tls", "127.0.0.1:0", folder / "cert.pem", folder / "key.pem", tcp=False)
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    body = rows(60_000)
    with toy.connect() as c:
        c.s = context.wrap_socket(c.s, server_hostname="localhost")
        for data in (sized(body), chunked(body, 30_000), sized(rows(10)), chunked(body, 700, b"?pause=5000&ms=1"), sized(rows(2000), b"?out=1")):
            want = answers(body if len(data) > len(body) else rows(10) if len(data) < 2000 else rows(2000))
            assert tls_talk(c, data) == want
            assert c.get().status == 200
    with toy.connect() as c:
        c.s = context.wrap_socket(c.s, server_hostname="localhost")
        assert tls_talk(c, sized(body, b"?over=5")[:20_000]) == answers(rows(5)) + b"over\n"
    settled(toy.stop())


def tls_talk(c, data):
    """One thread, since a TLS object of Python's must not be used by two."""
    c.s.setblocking(False)
    got, sent = b"", 0
    deadline = time.monotonic() + WAIT_S
    while not got.endswith(b"0\r\n\r\n"):
        assert time.monotonic() < deadline
        try:
            while sent < len(data):
                sent += c.s.send(data[sent:sent + 16_384])
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        try:
            while True:
                piece = c.s.recv(1 << 17)
                if not piece:
                    break
                got += piece
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        select.select([c.s], [c.s] if sent < len(data) else [], [], 0.05)
    c.s.settimeout(WAIT_S)
    c.buffer = got
    assert c.read().status == 200
    return c.chunks()


# --- stopping


def test_graceful_stop(new_toy):
    """A stream under way comes to its end; then its connection closes."""
    toy = new_toy("-loops", 1)
    with toy.connect() as c, toy.connect() as idle:
        assert c.ask(head(CHUNKED)).status == 200 and idle.get().status == 200
        toy.process.send_signal(15)
        assert idle.closed()
        assert c.send(b"2\r\na\n\r\n").chunk() == b"answer to a\n"
        assert c.send(b"0\r\n\r\n").chunk() == b""
        assert c.closed()
    assert settled(toy.stop())["over"] == "1"


def test_stop_cuts_after_the_grace(new_toy):
    """What stands still, and what pauses, is cut; a pause that ends later does no harm."""
    toy = new_toy()
    clients = [toy.connect() for _ in range(3)]
    for c, data in zip(clients, (head(CHUNKED), sized(b"a\nb\n", b"?pause=1&ms=5000"), sized(b"a\n", b"?begin=5000"))):
        c.send(data)
    wait_for(lambda: counts(toy)["begun"] == 3)
    toy.process.send_signal(15)
    for c in clients:
        while c.s.recv(1000):
            pass
        c.close()
    stopped = settled(toy.stop("BUSY"))
    assert stopped["aborted"] == "3" and stopped["over"] == "0"


def test_streams_with_hostile_noise(common):
    """Random damage to good conversations: the server lives, and what began ends."""
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    for _ in range(150):
        data = bytearray(dice.choice((sized(rows(20)), chunked(rows(20), 50), chunked(rows(3), 1), sized(rows(9), b"?pause=2&ms=1"))))
        for _ in range(dice.randrange(4)):
            at = dice.randrange(len(data))
            data[at:at + dice.randrange(3)] = os.urandom(dice.randrange(3))
        with common.connect() as c:
            send_anyway(c, bytes(data))
            try:
                c.s.shutdown(socket.SHUT_WR)
                while c.s.recv(1 << 16):
                    pass
            except OSError:
                pass
    wait_for(lambda: (lambda n: n["begun"] == n["over"] + n["aborted"])(counts(common)))


# --- from the socket to an engine


@pytest.fixture
def new_shouter(folder):
    made = []

    def make(*args, loops=2):
        (folder / "audit").touch()
        made.append(StreamServer(loops, folder / "audit", *args))
        made[-1].audit = folder / "audit"
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def shouter(new_shouter):
    return new_shouter()


def opening(server, *extra, name="a", query=b"", token=None, op=b"shout", framing=CHUNKED):
    token = (server.told["root"] if token is None else token).encode()
    return b"POST /v1/t/%s-stream/%s%s HTTP/1.1\r\n" % (op, name.encode(), query) + HEAD + b"X-Vault-Token: " + token + b"\r\n" + framing + b"".join(extra) + b"\r\n"


def piece(text):
    return b"%x\r\n%s\r\n" % (len(text), text)


def begun(c, server, **more):
    a = c.ask(opening(server, **more))
    assert a.status == 200 and a.headers["content-type"] == "application/x-ndjson"
    return c


def lines_of(file):
    return [json.loads(line) for line in Path(file).read_text().splitlines() if line]


def test_shouting(shouter):
    with shouter.connect() as c:
        for _ in range(3):
            begun(c, shouter)
            assert c.send(piece(b"one\ntw")).chunk() == b"ONE\n"
            assert c.send(piece(b"o\nbad\nthree")).chunk() == b'TWO\n{"error":"a bad line"}\n'
            assert c.send(b"0\r\n\r\n").chunk() == b"THREE\n"
            assert c.chunk() == b""
    both = [line for line in lines_of(shouter.audit) if line["request"]["path"] == "t/shout-stream/a"]
    assert [line["type"] for line in both] == ["request", "response"] * 3
    assert all(line["response"]["data"] == {"items": 4, "failed": 1, "bytes_in": 17, "bytes_out": 37} and "error" not in line for line in both[1::2])
    shouter.stop()


@pytest.mark.parametrize("status,how", [(403, {"token": "s.none"}), (404, {"name": "missing"}), (400, {"query": b"?allow=x"}), (400, {"query": b"?a=%zz"}),
                                        (415, {"framing": CHUNKED + b"Content-Type: text/csv\r\n"})])
def test_refusals_are_ordinary_answers(shouter, status, how):
    with shouter.connect() as c:
        a, text = talk(c, opening(shouter, **how) + in_chunks(rows(5000, 30), 4000))
        assert a.status == status and a.headers["content-type"] == "application/json" and list(json.loads(text)) == ["errors"]
        if how != {"query": b"?a=%zz"}:  # of which nobody asked whether it is a stream
            assert a.closes and c.closed()  # its body was not read
    shouter.stop()


def test_the_writer_is_asked_on_the_way(shouter):
    """Every two lines more must be reserved; nothing is lost, and a request behind the stream waits for its end."""
    with shouter.connect() as c:
        c.send(opening(shouter, query=b"?allow=1") + in_chunks(b"".join(b"%d\n" % n for n in range(12)), 5) + b"GET /v1/sys/health HTTP/1.1\r\n" + HEAD + b"\r\n")
        assert c.read().status == 200 and c.chunks() == b"".join(b"%d\n" % n for n in range(12))
        assert c.read().status == 200
    assert shouter.api.get("t/get/reserved").expect(200).raw == b"6"
    shouter.stop()


def test_slow_work_on_the_way(shouter):
    with shouter.connect() as c:
        begun(c, shouter)
        c.send(in_chunks(b"a\nwhisper\nb\nwhisper\n" * 20, 7))
        assert c.chunks() == b"A\nWHISPER\nB\nWHISPER\n" * 20
    shouter.stop()


def test_a_revoked_token_ends_its_streams(shouter):
    """At the next line, with a last one that says so; then the connection closes."""
    token = shouter.api.token_for("voice", 'path "t/*" { capabilities = ["create", "update"] }')
    with shouter.connect() as c, shouter.connect() as idle, shouter.connect() as other:
        for client in (c, idle):
            begun(client, shouter, token=token)
            assert client.send(piece(b"a\n")).chunk() == b"A\n"
        begun(other, shouter)
        shouter.api.post("auth/token/revoke", {"token": token}).expect(204)
        assert c.send(piece(b"b\n")).chunk() == b'{"stream_error":"permission denied"}\n'
        assert c.chunk() == b"" and c.closed()
        assert other.send(piece(b"b\n")).chunk() == b"B\n"
    shouter.stop()


def test_a_changed_policy_ends_streams(shouter):
    token = shouter.api.token_for("voice", 'path "t/*" { capabilities = ["create", "update"] }')
    with shouter.connect() as c:
        begun(c, shouter, token=token)
        assert c.send(piece(b"a\n")).chunk() == b"A\n"
        shouter.api.policy("voice", 'path "t/*" { capabilities = ["read"] }')
        assert c.send(piece(b"b\n")).chunk() == b'{"stream_error":"permission denied"}\n'
        assert c.chunk() == b"" and c.closed()
    shouter.stop()


def test_sealing_waits_for_no_stream(shouter):
    """Idle, in the middle of a line, stopped by a client that does not read, waiting for the writer: sealing goes on, and each finds out when it goes on itself."""
    block = b"".join(b"%029d\n" % n for n in range(1000))
    with shouter.connect() as idle, shouter.connect() as half, shouter.connect() as stuck:
        stuck.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        for client in (idle, half, stuck):
            begun(client, shouter)
        half.send(piece(b"a"))
        stuck.s.setblocking(False)
        sent, data = 0, piece(block)
        while select.select([], [stuck.s], [], 1)[1]:
            sent += stuck.s.send(data[sent % len(data):])
        stuck.s.setblocking(True)
        shouter.api.post("sys/seal").expect(204)
        last = b'{"stream_error":"Vault is sealed"}\n'
        assert idle.send(piece(b"b\n")).chunk() == last and idle.chunk() == b"" and idle.closed()
        assert half.send(piece(b"b\n")).chunk() == last and half.chunk() == b"" and half.closed()
        got = stuck.chunks()
        assert got.endswith(b"\n" + last) and got[:-len(last)] == (block * (len(got) // len(block) + 1))[:len(got) - len(last)]
        with shouter.connect() as c:
            a, text = talk(c, opening(shouter) + in_chunks(block, 4000))
            assert a.status == 503 and json.loads(text) == {"errors": ["Vault is sealed"]} and a.closes
    ends = [line for line in lines_of(shouter.audit) if line["type"] == "response" and line.get("error") == "Vault is sealed"]
    assert len(ends) >= 3
    shouter.stop()


def test_a_stream_does_not_outlive_a_seal(shouter):
    with shouter.connect() as c:
        begun(c, shouter)
        shouter.api.post("sys/seal").expect(204)
        shouter.api.post("sys/unseal", {"key": shouter.told["share"]}).expect(200)
        assert c.send(piece(b"b\n")).chunk() == b'{"stream_error":"Vault is sealed"}\n' and c.chunk() == b"" and c.closed()
        with shouter.connect() as again:
            begun(again, shouter)
            assert again.send(piece(b"b\n")).chunk() == b"B\n"
    shouter.stop()


def test_one_use_a_stream(shouter):
    token = shouter.api.token_for("voice", 'path "t/*" { capabilities = ["create", "update"] }', num_uses=2)
    with shouter.connect() as c, shouter.connect() as last:
        begun(c, shouter, token=token)
        for _ in range(5):
            assert c.send(piece(b"a\n")).chunk() == b"A\n"
        begun(last, shouter, token=token)
        assert shouter.api.get("auth/token/lookup-self", token=token).status == 403
        assert last.send(piece(b"a\n")).chunk() == b"A\n"
        assert last.send(b"0\r\n\r\n").chunk() == b""
        # with the stream of its last use the token has ended
        wait_for(lambda: ended(c))
    shouter.stop()


def ended(c):
    line = c.send(piece(b"a\n")).chunk()
    assert line in (b"A\n", b'{"stream_error":"permission denied"}\n')
    return line != b"A\n"


def test_who_leaves_is_in_the_audit(shouter):
    for how in ("close", "reset", "broken"):
        c = begun(shouter.connect(), shouter)
        assert c.send(piece(b"a\nbad\n")).chunk() == b'A\n{"error":"a bad line"}\n'
        if how == "reset":
            c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if how == "broken":
            c.send(b"nonsense")
            assert c.closed()
        c.close()
    cut = "the connection ended before the stream did"
    wait_for(lambda: sum(line.get("error") == cut for line in lines_of(shouter.audit)) == 3)
    for line in lines_of(shouter.audit):
        if line.get("error") == cut:
            assert line["response"]["data"] == {"items": 2, "failed": 1, "bytes_in": 6, "bytes_out": 25}
    shouter.stop()


def test_writes_rotations_and_streams_at_once(shouter):
    """The published number moves all the time, and the streams' rights are looked at anew each time."""
    ending = threading.Event()
    shouter.api.post("sys/mounts/secret", {"type": "kv"}).expect(204)
    token = shouter.api.token_for("voice", 'path "t/*" { capabilities = ["create", "update"] }')

    def change():
        n = 0
        while not ending.is_set():
            n += 1
            shouter.api.post(f"secret/{n % 7}", {"n": n}).expect(204)
            shouter.api.policy("voice", f'path "t/*" {{ capabilities = ["create", "update"] }} path "x{n}" {{ policy = "read" }}')
            shouter.api.rotate()

    changer = threading.Thread(target=change)
    changer.start()
    block = b"".join(b"%029d\n" % n for n in range(2000))
    ends = []

    def stream(query):
        with shouter.connect() as c:
            for _ in range(3):
                a, got = talk(c, opening(shouter, token=token, query=query) + in_chunks(block[:600] if query else block, 997))
                ends.append(a.status == 200 and got == (block[:600] if query else block))

    streams = [threading.Thread(target=stream, args=(b"?allow=2" if n % 2 else b"",)) for n in range(6)]
    for thread in streams:
        thread.start()
    for thread in streams:
        thread.join()
    ending.set()
    changer.join()
    assert ends == [True] * 18
    shouter.stop()


def test_stop_with_streams_open(shouter):
    """Those that do not end are cut after the grace; what they held is given back all the same."""
    with shouter.connect() as c, shouter.connect() as paused:
        begun(c, shouter)
        begun(paused, shouter, query=b"?allow=0")
        assert c.send(piece(b"a\n")).chunk() == b"A\n"
        shouter.process.send_signal(15)
        assert c.closed() and paused.closed()
        shouter.stop("BUSY")
    cut = "the connection ended before the stream did"
    assert sum(line.get("error") == cut for line in lines_of(shouter.audit)) == 2
