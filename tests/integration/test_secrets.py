"""Secrets stay where they belong: canaries are planted everywhere, then looked for on the disk, in the log, in the audit and in what a core dump would hold.

Keys belong into guarded memory and nowhere else; values, tokens and shares nowhere once their request is done.
"""
import base64
import http.client
import json
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import time

import keys
import memory
import pytest
import server as harness
from server import Server

NOBODY = 65534
ROTATIONS = 5
MARK = os.urandom(8).hex()  # at both ends of each canary: one thing to look for instead of many
CONFIG = """log_level = "trace"
audit "file" "main" {{ options {{ file_path = "{folder}/audit" }} }}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  tls_cert_file = "{folder}/cert.pem"
  tls_key_file = "{folder}/key.pem"
  {limit}
}}
"""
LIMIT = "max_request_size = 100000"


def canary(name):
    return f"{MARK}-{name}-{MARK}"


def make_certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                   check=True, capture_output=True)


class Planted:
    """A server after a load with rotations.  self.texts: {name: text} of the secrets that have no MARK: tokens and shares."""

    def __init__(self, folder):
        self.folder, self.tls_port = folder, harness.free_port()
        make_certificate(folder)
        self.server = Server(folder / "server", config=CONFIG.format(folder=folder, port=self.tls_port, limit=LIMIT),
                             listener=LIMIT, env={"KEYTURN_TEST_DUMPABLE": "1"})
        self.server.ready()
        self.texts = {"root token": self.server.root_token, "share": self.server.keys[0]}
        # a policy's text may be in memory, and nowhere else
        self.policy = f'# {os.urandom(12).hex()}\npath "secret/*" {{ capabilities = ["read", "create", "update"] }}\n'
        self.idle = []
        self.plant()
        self.keys = keys.of_store(self.server.data, bytes.fromhex(self.server.keys[0]))

    def plant(self):
        self.server.api.policy("planted", self.policy)
        self.values()
        for _ in range(ROTATIONS):
            self.server.api.rotate()
            self.values()
        self.tokens()
        self.strings()
        self.refused()
        self.in_pieces()
        self.by_tls()
        self.sealed()

    def values(self):
        """Small, large, nested, deep in an escaped string; written, read, listed, written over, deleted."""
        api = self.server.api
        api.post("secret/small", {"v": canary("small")}).expect(204)
        api.post("secret/large", {"v": canary("large") * 400, "list": [{"a": canary("nested")}] * 50}).expect(204)
        api.post("secret/escaped", {"v": f'"\\\u20ac{canary("escaped")}\n' * 9}).expect(204)
        api.post("cubbyhole/a", {"v": canary("cubbyhole")}).expect(204)
        for path in ("secret/small", "secret/large", "secret/escaped", "cubbyhole/a"):
            assert MARK.encode() in api.get(path).expect(200).raw
        api.list("secret").expect(200)
        api.delete("secret/escaped").expect(204)

    def tokens(self):
        """Made by the server or chosen by the caller; used, renewed, revoked, looked up; in both headers; and one that nobody has."""
        api = self.server.api
        for n in range(4):
            token = self.texts[f"token {n}"] = api.new_token("planted", ttl="1h", num_uses=9 if n == 3 else 0)
            api.get("secret/small", token=token).expect(200)
            api.get("secret/small", token=None, headers={"Authorization": f"Bearer {token}"}).expect(200)
            api.post("auth/token/lookup", {"token": token}).expect(200)
            api.post("auth/token/renew", {"token": token}).expect(200)
            api.post("sys/capabilities", {"token": token, "paths": ["secret/a"]}).expect(200)
        for n in range(2):
            api.post("auth/token/revoke", {"token": self.texts[f"token {n}"]}).expect(204)
            api.get("secret/small", token=self.texts[f"token {n}"]).expect(403)
        api.post("auth/token/create", {"id": canary("chosen"), "policies": ["planted"]}).expect(200)
        api.get("auth/token/lookup-self", token=canary("chosen")).expect(200)
        api.get("secret/small", token=canary("unknown")).expect(403)

    def strings(self):
        api = self.server.api
        api.post("sys/audit-hash/main", {"input": canary("audit-hash")}).expect(200)
        api.get(f"secret/small?note={canary('query')}").expect(200)

    def refused(self):
        """Bodies that are no JSON, that are too large, that nobody may send or that nobody wants."""
        api = self.server.api
        api.post("secret/a", raw=f'{{"v": "{canary("malformed")}"'.encode()).expect(400)
        api.post("secret/a", raw=json.dumps({"v": canary("too large") * 4000}).encode()).expect(413)
        api.post("secret/a", {"v": canary("denied")}, token=None).expect(403)
        api.post("nowhere/a", {"v": canary("no mount")}).expect(404)
        api.post("sys/unseal", {"key": canary("no share")}).expect(400)

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.server.port))
        sock.settimeout(60)
        return sock

    def write(self, coding, times=100):
        """The bytes of a write."""
        body = json.dumps({"v": canary(coding) * times})
        head = f"POST /v1/secret/{coding} HTTP/1.1\r\nHost: a\r\nX-Vault-Token: {self.server.root_token}\r\n"
        if coding == "chunked":
            chunks = "".join(f"{len(part):x}\r\n{part}\r\n" for part in (body[:1000], body[1000:]))
            return (head + f"Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").encode()
        return (head + f"Content-Length: {len(body)}\r\n\r\n{body}").encode()

    def in_pieces(self):
        """Clients that send piece by piece, that send several requests at once, that leave in the middle; and some that stay, idle."""
        for coding in ("chunked", "sized"):
            raw = self.write(coding)
            with self.connect() as sock:
                for at in range(0, len(raw), 700):
                    sock.sendall(raw[at : at + 700])
                assert b" 204 " in sock.recv(4096)
            with self.connect() as sock:
                sock.sendall(raw[:2000])
            self.idle.append(self.connect())
            self.idle[-1].sendall(raw * 3)
            got = b""
            while got.count(b" 204 ") < 3:
                got += self.idle[-1].recv(4096)

    def by_tls(self):
        context = ssl.create_default_context(cafile=self.folder / "cert.pem")
        client = http.client.HTTPSConnection("127.0.0.1", self.tls_port, timeout=60, context=context)
        headers = {"X-Vault-Token": self.server.root_token}
        client.request("POST", "/v1/secret/tls", json.dumps({"v": canary("by tls") * 100}), headers)
        assert client.getresponse().read() == b""
        client.request("GET", "/v1/secret/tls", headers=headers)
        assert MARK.encode() in client.getresponse().read()
        self.idle.append(client)

    def sealed(self):
        """Sealed, refused a wrong share, opened again."""
        self.server.seal()
        self.texts["wrong share"] = os.urandom(32).hex()
        self.server.api.post("sys/unseal", {"key": self.texts["wrong share"]}, token=None).expect(400)
        self.server.unseal()
        self.server.api.get("secret/small").expect(200)

    def private_key(self):
        """{name: bytes}: the server's key for TLS: a line of its file, and one of its two primes."""
        lines = (self.folder / "key.pem").read_text().splitlines()
        told = subprocess.run(["openssl", "rsa", "-in", self.folder / "key.pem", "-noout", "-text"], check=True, capture_output=True, text=True).stdout
        prime = bytes.fromhex(re.search(r"prime1:\s*00:([0-9a-f:\s]+?)prime2", told)[1].replace(":", "").replace(" ", "").replace("\n", ""))
        return {"TLS key's file": lines[10].encode(), "TLS key's prime": prime[:32], "TLS key's prime, little-endian": prime[::-1][:32]}

    def secrets(self):
        """{name: bytes}: everything that nobody may find in clear."""
        found = {f"canary {how}": spelt for how, spelt in memory.spellings(MARK.encode()).items()}
        for name, text in self.texts.items():
            found |= {f"{name} {how}": piece for how, piece in memory.pieces(text.encode()).items()}
            found[f"{name} base64"] = base64.b64encode(text.encode())[:16]
        return found

    def key_bytes(self):
        """{name: bytes}: every key of the store, as bytes and, of those that a share gives, as text."""
        found = {}
        for name, key in {**self.keys, "wrong share": bytes.fromhex(self.texts["wrong share"])}.items():
            found |= {f"{name} {how}": piece for how, piece in memory.pieces(key).items()}
        for name in ("KEK", "root key"):
            found |= {f"{name} {how}": spelt for how, spelt in memory.spellings(self.keys[name]).items()}
        return found

    def stop(self):
        for client in self.idle:
            client.close()
        self.server.close()


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    made = Planted(tmp_path_factory.mktemp("planted"))
    yield made
    made.stop()


def look(wanted, where):
    """Fails with all that is found; where: {name: bytes}."""
    found = [f"{name} in {place}" for place, raw in where.items() for name, needle in wanted.items() if needle in raw]
    assert not found, "\n".join(found)


# --- files


def test_the_store_holds_no_plaintext(planted):
    files = {path.name: path.read_bytes() for path in planted.server.data.iterdir()}
    assert {"data.mdb", "slots.0", "slots.1"} <= set(files)
    slots = {name: key for name, key in planted.key_bytes().items() if name.startswith("slot secret")}
    others = {name: key for name, key in planted.key_bytes().items() if name not in slots}
    look({**planted.secrets(), **others, "policy": planted.policy[2:26].encode()}, files)
    # that is where they belong: the keys that are looked for are the right ones
    assert all(slot in files["slots.0"] for slot in slots.values())
    look(slots, {"data.mdb": files["data.mdb"]})


def test_log_and_audit_hold_no_secret(planted):
    files = {"log": planted.server.stderr_file.read_bytes(), "audit": (planted.folder / "audit").read_bytes()}
    assert b"rotated: term" in files["log"] and b"secret/small" in files["audit"]
    look({**planted.secrets(), **planted.key_bytes(), "policy": planted.policy[2:26].encode()}, files)


# --- memory


def test_keys_lie_in_guarded_memory_only(planted):
    pid = planted.server.process.pid
    image = memory.dumped(pid)
    for name, key in {**planted.key_bytes(), **planted.private_key()}.items():
        assert not image.find(key), (name, image.find(key))
    guarded = memory.Image(pid, lambda mapping: "lo" in mapping.flags)
    for name in ("KEK", "root key", "term-wrapping key", *(f"term key {n}" for n in range(1, ROTATIONS + 2))):
        assert guarded.find(planted.keys[name]), f"{name} is nowhere: is it looked for rightly?"


def test_guarded_memory_is_marked(planted):
    """Locked, not dumped, wiped in forked children, with a page before and behind that nobody can touch."""
    found = memory.mappings(planted.server.process.pid)
    guarded = [n for n, mapping in enumerate(found) if "lo" in mapping.flags]
    assert guarded
    for n in guarded:
        assert {"dd", "wf"} <= found[n].flags, found[n]
        assert found[n - 1].end == found[n].start and found[n - 1].access == "---p", (found[n - 1], found[n])
        assert found[n + 1].start == found[n].end and found[n + 1].access == "---p", (found[n], found[n + 1])


def test_nothing_is_left_of_requests(planted):
    image = memory.dumped(planted.server.process.pid)
    assert image.find(planted.policy[2:26].encode()), "what may be there is not found: are the right places searched?"
    found = [f"{name}: {place}" for name, needle in planted.secrets().items() for place in image.find(needle)]
    assert not found, f"{len(found)} places:\n" + "\n".join(found[:20])


def test_a_request_under_way_is_seen(planted):
    """The other way round: the search finds what is there, and then it goes."""
    pid, half = planted.server.process.pid, planted.write("sized", 20)[:-10]
    with planted.connect() as sock:
        sock.sendall(half)
        deadline = time.monotonic() + 60
        while not memory.dumped(pid).find(MARK.encode()):
            assert time.monotonic() < deadline, "a body that waits for its end is nowhere"
    test_nothing_is_left_of_requests(planted)


# --- the process


def drop_privilege():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def hand_over(server):
    """Its folder to the user whom it will run as."""
    if os.geteuid() == 0:
        for path in (server.folder.parent, server.folder, server.config_file):
            os.chown(path, NOBODY, NOBODY)


def owner(server):
    """Whose the process's own files are: of root, when it is undumpable (proc(5))."""
    return os.stat(f"/proc/{server.process.pid}/maps").st_uid


def test_the_process_cannot_be_dumped(new_server):
    server = new_server()
    hand_over(server)
    server.start(preexec_fn=drop_privilege)
    assert owner(server) == 0
    with open(f"/proc/{server.process.pid}/limits", encoding="ascii") as limits:
        assert re.search(r"^Max core file size +0 +0 ", limits.read(), re.MULTILINE)
    server.process.send_signal(signal.SIGABRT)
    _, status = os.waitpid(server.process.pid, 0)
    assert os.WTERMSIG(status) == signal.SIGABRT and not os.WCOREDUMP(status)
    server.process = None


def test_the_hook_for_this_file_makes_it_dumpable(new_server):
    server = new_server(env={"KEYTURN_TEST_DUMPABLE": "1"})
    hand_over(server)
    server.start(preexec_fn=drop_privilege)
    assert owner(server) == (NOBODY if os.geteuid() == 0 else os.geteuid())
    server.stop()


def test_no_lockable_memory_is_refused(new_server):
    def limited():
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (64 << 10, 64 << 10))
        drop_privilege()

    server = new_server()
    hand_over(server)
    server.launch(preexec_fn=limited)
    server.wait_end(1)
    assert "RLIMIT_MEMLOCK is 64 KiB" in server.log() and "CAP_IPC_LOCK" in server.log()
    assert not server.data.exists()


def test_a_release_has_no_hooks():
    subprocess.run([harness.ROOT / "dev", "build", "release"], check=True, capture_output=True)
    for name in ("keyturnd", "keyturn"):
        assert b"KEYTURN_TEST_" not in (harness.ROOT / "build" / name).read_bytes()
    assert b"KEYTURN_TEST_" in (harness.BUILD / "keyturnd").read_bytes()
