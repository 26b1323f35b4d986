"""The shim between a server and the kernel (tests/powercut/shim.h): its log, and the control page that makes calls fail or die."""
import functools
import json
import mmap
import os
import struct
import subprocess

import server as harness

# Calls, as in shim.h.
CREATE, OPEN, WRITE, TRUNCATE, ALLOCATE, SYNC, MKDIR, UNLINK, RENAME, MARK = range(1, 11)
DSYNC, LOST = 1, 2
DSYNC_WRITE = 11  # among the calls to be hit: writes that are durable when they return
CHANGES = [WRITE, SYNC, TRUNCATE, ALLOCATE, CREATE, MKDIR, UNLINK, RENAME]

# What happens to a call.
DIE_BEFORE, DIE_AFTER, DIE_HALF, FAIL_BEFORE, FAIL_AFTER, FAIL_HALF, SHORT = range(1, 8)

COUNTERS = 64
RECORD = struct.Struct("=IBBHQQQq")
CONTROL = struct.Struct("=9I16s")


def library():
    return harness.BUILD / "tests" / "powercut" / "powercut_shim.so"


@functools.cache
def preload():
    """What LD_PRELOAD must say: a sanitizer's own library has to come first."""
    told = subprocess.run(["ldd", harness.BUILD / "keyturnd"], check=True, capture_output=True, text=True).stdout
    found = [line.split()[2] for line in told.splitlines() if "libasan" in line or "libtsan" in line]
    return " ".join([*found, str(library())])


class Record:
    """One call, or one mark of the test (then `mark` holds what it said)."""

    __slots__ = ("call", "flags", "name", "file", "off", "data", "result", "counts", "mark")

    def __init__(self, raw):
        _, self.call, self.flags, name_n, self.file, self.off, data_n, self.result = RECORD.unpack_from(raw)
        at = RECORD.size
        self.name = raw[at:at + name_n].decode()
        at += name_n
        self.data = raw[at:at + data_n]
        self.counts = raw[at + data_n:]
        self.mark = json.loads(self.data) if self.call == MARK else None

    def kind(self):
        """How the tests speak of it: "sync data.mdb", "dsync data.mdb", "write slots.0", "sync folder", "sync parent"."""
        what = {WRITE: "dsync" if self.flags & DSYNC else "write", SYNC: "sync", CREATE: "create", MKDIR: "mkdir",
                TRUNCATE: "truncate", ALLOCATE: "allocate", UNLINK: "unlink", RENAME: "rename"}[self.call]
        return f"{what} {({'': 'folder', '..': 'parent'}).get(self.name, self.name)}"

    def __repr__(self):
        return f"<{self.mark or self.kind()} {self.off}+{len(self.data)} = {self.result}>"


class Log:
    """The file that the shim and the test append to: one order for what was done and what was answered."""

    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def mark(self, **what):
        data = json.dumps(what).encode()
        n = RECORD.size + len(data) + 8 * COUNTERS
        raw = RECORD.pack(n, MARK, 0, 0, 0, 0, len(data), 0) + data + bytes(8 * COUNTERS)
        assert os.write(self.fd, raw) == n

    def read(self):
        raw = self.path.read_bytes()
        at, found = 0, []
        while at < len(raw):
            n = RECORD.unpack_from(raw, at)[0]
            found.append(Record(raw[at:at + n]))
            at += n
        return found

    def close(self):
        os.close(self.fd)


class Control:
    """The page that says what happens to which call."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(CONTROL.size))
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), CONTROL.size)

    def _set(self, armed, *rest):
        self.page[0:4] = bytes(4)
        self.page[4:CONTROL.size] = struct.pack("=8I16s", *rest)
        self.page[0:4] = struct.pack("=I", armed)

    def arm(self, action, at, error=0, forever=False, calls=CHANGES, then=0, only=""):
        """From now on the at-th call (from 1) of these kinds, and if forever all after it, get this action; so many calls
        of any kind that come then are refused.  only: calls on names that do not begin so are let through."""
        self._set(1, action, at, forever, error, 0, 0, sum(1 << call for call in calls), then, only.encode())

    def count(self, calls=CHANGES):
        """From now on only count."""
        self.arm(0, 0, calls=calls)

    def off(self):
        """Back to normal; returns (calls since arming, calls that were hit)."""
        self.page[0:4] = bytes(4)
        return CONTROL.unpack(self.page[:])[5:7]

    def fired(self):
        return CONTROL.unpack(self.page[:])[6]


def environment(server, log=None, control=None, counts=None):
    """Have this server (not yet started) run under the shim."""
    server.env["LD_PRELOAD"] = preload()
    server.env["KEYTURN_SHIM_FOLDER"] = str(server.data)
    if log:
        server.env["KEYTURN_SHIM_LOG"] = str(log.path)
    if control:
        server.env["KEYTURN_SHIM_CONTROL"] = str(control.path)
    if counts:
        if not counts.exists():
            counts.write_bytes(bytes(65536 * 8))
        server.env["KEYTURN_SHIM_COUNTS"] = server.env["KEYTURN_TEST_COUNT_FILE"] = str(counts)
    return server
