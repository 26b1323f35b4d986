"""Servers for the tests of the wire, and clients that read their answers strictly.

Toy: its upper floor is a toy (tests/unit/http/toy_server.c).  StreamServer: all of the server, with an engine that shouts (tests/unit/core/stream_server.c).
"""
import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

from client import Api

ROOT = Path(__file__).resolve().parents[2]
TOY = ROOT / os.environ.get("KEYTURN_BUILD", "build-asan") / "tests/unit/http/toy_server"
WAIT_S = 30
HEAD = b"Host: a\r\n"


class Toy:
    """One toy server.  Stopping it checks its exit status, that it forgot every exchange, and that no sanitizer complained."""

    program = TOY

    def __init__(self, *args):
        env = {**os.environ, "ASAN_OPTIONS": "halt_on_error=1:abort_on_error=1:detect_leaks=1",
               "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1", "TSAN_OPTIONS": "halt_on_error=1"}
        self.process = subprocess.Popen([self.program, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        self.addresses, self.stderr, self.told = [], "", {}
        self.reader = threading.Thread(target=self.read_stderr)
        self.reader.start()
        while (line := self.line()) != "ready":
            assert " " in line, f"{line!r} {self.process.wait()} {self.stderr}"
            name, text = line.split(" ", 1)
            if name == "listening":
                self.addresses.append(text)
            else:
                self.told[name] = text

    def read_stderr(self):
        for line in self.process.stderr:
            self.stderr += line

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def connect(self, which=0):
        address = self.addresses[which]
        if address.startswith("/"):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(WAIT_S)
            s.connect(address)
        else:
            host, port = address.rsplit(":", 1)
            s = socket.create_connection((host.strip("[]"), int(port)), WAIT_S)
        return Client(s)

    def end(self, status):
        """Stops it; the numbers of its last line."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        last = self.process.stdout.read().strip().split("\n")[-1]
        assert self.process.wait(WAIT_S) == 0, self.stderr
        self.reader.join()
        assert "Sanitizer" not in self.stderr and "runtime error" not in self.stderr, self.stderr
        assert last.startswith(f"stopped {status} "), last
        return dict(re.findall(r"(\w+)=(\d+)", last))

    def stop(self, status="OK"):
        counts = self.end(status)
        assert (counts["connections"], counts["states"], counts["turned"]) == ("0", "0", "1"), counts
        return counts

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()


class StreamServer(Toy):
    """Open, with the engine at t/.  Stopping it checks that each stream came to one end."""
    program = TOY.parents[1] / "core/stream_server"

    def __init__(self, loops, audit_file, *args):
        super().__init__(loops, audit_file, *args)
        host, port = self.addresses[0].rsplit(":", 1)
        self.api = Api(host, int(port), self.told["root"])

    def stop(self, status="OK"):
        counts = self.end(status)
        assert counts["begun"] == counts["ended"] and counts["dirt"] == "0", counts
        return counts


class Answer:
    def __init__(self, status, reason, headers, body):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body

    @property
    def text(self):
        return self.body.decode()

    @property
    def closes(self):
        return self.headers.get("connection") == "close"


class Client:
    """A raw socket and what came from it; reads answers strictly."""

    def __init__(self, s):
        self.s, self.buffer = s, b""

    def send(self, *parts):
        for part in parts:
            self.s.sendall(part)
        return self

    def more(self):
        data = self.s.recv(1 << 16)
        if not data:
            raise EOFError(f"closed; in the buffer: {self.buffer[:200]!r}")
        self.buffer += data

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(mark, 1)
        return head

    def read(self, head_only=False):
        """An answer; of one that goes out in chunks, only the head: see chunk()."""
        lines = self.until(b"\r\n\r\n").decode("ascii").split("\r\n")
        version, status, reason = lines[0].split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {}
        for line in lines[1:]:
            name, value = line.split(": ", 1)
            assert name.lower() not in headers
            headers[name.lower()] = value
        status = int(status)
        if status == 100:
            return Answer(status, reason, headers, b"")
        assert headers["cache-control"] == "no-store"
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers["date"])
        if "transfer-encoding" in headers:
            assert headers["transfer-encoding"] == "chunked" and "content-length" not in headers
            return Answer(status, reason, headers, None)
        assert ("content-length" in headers) == (status not in (204, 304))
        n = 0 if head_only else int(headers.get("content-length", 0))
        parts, have = [self.buffer], len(self.buffer)
        while have < n:
            data = self.s.recv(1 << 20)
            assert data
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self.buffer = whole[n:]
        return Answer(status, reason, headers, whole[:n])

    def chunk(self):
        """The next chunk of an answer; b"" is its end."""
        size = self.until(b"\r\n")
        assert re.fullmatch(rb"0|[1-9a-f][0-9a-f]*", size), size
        n = int(size, 16)
        while len(self.buffer) < n + 2:
            self.more()
        data, end, self.buffer = self.buffer[:n], self.buffer[n:n + 2], self.buffer[n + 2:]
        assert end == b"\r\n"
        return data

    def chunks(self):
        """All of an answer that goes out in chunks, to its end."""
        return b"".join(iter(self.chunk, b""))

    def ask(self, data, **more):
        return self.send(data).read(**more)

    def get(self, target="/echo", method="GET", **more):
        return self.ask(f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), **more)

    def post(self, body, target="/body"):
        return self.ask(f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def closed(self):
        """The server closes, and nothing more came."""
        try:
            data = self.s.recv(1)
        except ConnectionResetError:
            return True
        return data == b"" and self.buffer == b""

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def send_anyway(c, data):
    """The server may have closed."""
    try:
        c.send(data)
    except OSError:
        pass
