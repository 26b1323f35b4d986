"""Starts and stops real servers: `keyturn server` of the build that KEYTURN_BUILD names (default build-asan)."""
import fcntl
import itertools
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from client import Api

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("KEYTURN_BUILD", "build-asan")
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "abort_on_error=0:exitcode=86:detect_leaks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:exitcode=86:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=0:exitcode=86",
}
REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|MUST\(|\bmust_fail\b")
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60

# A port is ours while its byte of this file is locked: until this process ends.  So test runs beside each other do not meet.
_taken = open(Path(tempfile.gettempdir()) / f"keyturn-test-ports-{os.geteuid()}", "ab")
# Each pytest worker begins in a stretch of its own.
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_ports = itertools.count(_worker * 2000 + random.randrange(1000))


def free_port():
    """A port below the ephemeral range on which nobody listens.  (Port 0 will not do: the server shares its ports
    among its loops, so two servers could be given the same one.)"""
    while True:
        port = 20000 + next(_ports) % 12000
        try:
            fcntl.lockf(_taken, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Server:
    """One server in a folder of its own.

    config: further lines of its configuration; listener: further lines of its listener block; storage: "lmdb" or
    "inmem"; prefix: a command to run it under; env: added to its environment.
    """

    def __init__(self, folder, config="", listener="", storage="lmdb", prefix=(), env=None, build=None):
        self.folder, self.prefix, self.env = Path(folder), list(prefix), dict(env or {})
        self.program = Path(build or BUILD) / "keyturn"
        self.data = self.folder / "data"
        self.stderr_file = self.folder / "stderr"
        self.config_file = self.folder / "keyturn.hcl"
        self.port = free_port()
        self.process = None
        self.keys, self.root_token = [], None
        self.folder.mkdir(parents=True, exist_ok=True)
        where = f'path = "{self.data}"' if storage == "lmdb" else ""
        self.config_file.write_text(
            f'storage "{storage}" {{ {where} }}\n'
            f'listener "tcp" {{\n  address = "127.0.0.1:{self.port}"\n  tls_disable = true\n{listener}\n}}\n{config}\n')
        self.arguments = ["server", f"-config={self.config_file}"]
        self.api = Api("127.0.0.1", self.port)

    # Life

    def launch(self, **popen):
        """Start the process and return at once; popen: further arguments of subprocess.Popen."""
        assert self.process is None, "it runs already"
        with open(self.stderr_file, "ab") as stderr:
            popen = {"stdin": subprocess.DEVNULL, "stdout": stderr, "stderr": stderr, "cwd": self.folder, **popen}
            self.process = subprocess.Popen([*self.prefix, self.program, *self.arguments],
                                            env={**os.environ, **SANITIZER_OPTIONS, **self.env}, **popen)
        self.api = Api("127.0.0.1", self.port, self.root_token)
        return self

    def wait_ready(self):
        """Until it answers; fails with its log when it ends instead."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.api.get("sys/seal-status", token=None).expect(200)
                return self
            except OSError:
                assert self.process.poll() is None, f"the server ended with {self.process.poll()}:\n{self.log()}"
                assert time.monotonic() < deadline, f"the server does not answer:\n{self.log()}"
                time.sleep(0.005)

    def start(self, **popen):
        return self.launch(**popen).wait_ready()

    def stop(self):
        """SIGTERM; it must end with 0 and without a sanitizer's report."""
        self.process.send_signal(signal.SIGTERM)
        self.wait_end(0)

    def kill(self):
        """SIGKILL: what a crash leaves behind."""
        self.process.kill()
        self.wait_end(-signal.SIGKILL)

    def wait_end(self, code):
        process, self.process = self.process, None
        try:
            ended = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the server does not stop:\n{self.log()}") from None
        self.check_log()
        assert ended == code, f"exit status {ended}, wanted {code}:\n{self.log()}"

    def restart(self):
        """Stop cleanly, start again, unseal."""
        self.stop()
        self.start()
        self.unseal()

    def close(self):
        if self.process is not None:
            self.stop()

    def log(self):
        return self.stderr_file.read_text(errors="replace") if self.stderr_file.exists() else ""

    def check_log(self):
        found = REPORT.search(self.log())
        assert not found, f"the server reported {found[0]!r}:\n{self.log()[-8000:]}"

    # Seal

    def init(self, shares=1, threshold=1):
        body = {"secret_shares": shares, "secret_threshold": threshold}
        answer = self.api.put("sys/init", body, token=None).expect(200).body
        self.keys, self.threshold, self.root_token = answer["keys"], threshold, answer["root_token"]
        self.api.token = self.root_token
        return answer

    def unseal(self, keys=None):
        """Hand in these shares, or as many of its own as are needed; it must be open then."""
        for key in keys or self.keys[: self.threshold]:
            answer = self.api.post("sys/unseal", {"key": key}, token=None).expect(200)
        assert answer.body["sealed"] is False, answer
        return self

    def seal(self):
        self.api.post("sys/seal").expect(204)

    def ready(self, **popen):
        """Started, initialised with one share, open, kv at secret/."""
        self.start(**popen)
        self.init()
        self.unseal()
        self.api.post("sys/mounts/secret", {"type": "kv"}).expect(204)
        return self


class DevServer(Server):
    """`keyturn server -dev`: in memory, open, root token "root", kv at secret/."""

    def __init__(self, folder, *flags, **more):
        super().__init__(folder, storage="inmem", **more)
        self.root_token = "root"
        self.arguments = ["server", "-dev", "-dev-root-token-id=root", f"-dev-listen-address=127.0.0.1:{self.port}", *flags]

    def wait_ready(self):
        """It answers before it has opened and mounted."""
        super().wait_ready()
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.api.get("sys/mounts/secret").status != 200:
            assert time.monotonic() < deadline, f"there is no secret/:\n{self.log()}"
            time.sleep(0.005)
        return self


class Readiness:
    """The socket that NOTIFY_SOCKET names, as a service manager holds it."""

    def __init__(self, folder):
        self.path = str(Path(folder) / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(START_TIMEOUT_S)

    def env(self):
        return {"NOTIFY_SOCKET": self.path}

    def receive(self):
        """The next message's lines."""
        return self.socket.recv(4096).decode().split("\n")

    def close(self):
        self.socket.close()
