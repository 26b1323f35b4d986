"""Everything at once: clients of every kind while terms rotate, policies and mounts come and go, the server is sealed and opened and told to reload.

The builds with a sanitizer are the judges: what they see ends up in the server's log, which the harness reads.  Beside that each answer must be one of
those that can be, and what was acknowledged must be there at the end.
"""
import http.client
import itertools
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time

import server as harness

SECONDS = float(os.environ.get("KEYTURN_LOAD_S", "5"))
ROUNDS = 3  # of each client, however long that takes
PATIENCE_S = 240
CONFIG = """loops = 4
audit "file" "main" {{ options {{ file_path = "{folder}/audit" }} }}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  tls_cert_file = "{folder}/cert.pem"
  tls_key_file = "{folder}/key.pem"
}}
"""
READ_ONLY = 'path "secret/*" { capabilities = ["read", "list"] }'
READ_WRITE = 'path "secret/*" { capabilities = ["read", "list", "create", "update", "delete"] }'


class Load:
    """Clients, each a function of (self, me, round) that is called again and again on a thread of its own."""

    def __init__(self, server, tls_port):
        self.server, self.api, self.tls_port = server, server.api, tls_port
        self.stored = {}  # path: number that was acknowledged last
        self.ending, self.lock = threading.Event(), threading.Lock()
        self.rounds, self.failed = {}, []

    def ask(self, method, path, *good, **more):
        """An answer with one of these statuses, or 503: sealed at the moment."""
        return self.api.request(method, path, **more).expect(503, *good)

    # Clients

    def write(self, me, n):
        path = f"secret/{me}/{n % 20}"
        if self.ask("POST", path, 204, body={"n": n}).status == 204:
            self.stored[path] = n
        answer = self.ask("GET", path, 200, 404)
        if answer.status == 200 and path in self.stored:
            assert answer.data == {"n": self.stored[path]}
        if n % 7 == 6:
            self.ask("LIST", f"secret/{me}", 200, 404)

    def read(self, me, n):
        """What others write; things that everybody may ask."""
        self.ask("GET", f"secret/writer-0/{n % 20}", 200, 404)
        self.api.get("sys/health", token=None).expect(200, 503)
        self.api.get("sys/seal-status", token=None).expect(200)
        self.ask("GET", "sys/mounts", 200)
        self.ask("GET", "sys/metrics?format=prometheus", 200)
        self.ask("GET", "sys/rotate/terms?limit=5", 200)

    def tokens(self, me, n):
        """One with a child and few uses: made, used, renewed, revoked."""
        made = self.ask("POST", "auth/token/create", 200, body={"policies": ["changing"], "ttl": "1h", "num_uses": 3 * (n % 2)})
        if made.status != 200:
            return
        token = made.body["auth"]["client_token"]
        for _ in range(4):
            self.ask("GET", f"secret/writer-0/{n % 20}", 200, 403, 404, token=token)
        self.ask("POST", "secret/by-policy", 204, 403, body={"n": n}, token=token)
        self.ask("POST", "auth/token/renew", 200, 400, 403, body={"token": token})
        self.ask("POST", "auth/token/create", 200, 400, 403, body={"ttl": "1h"}, token=token)
        self.ask("POST", "cubbyhole/a", 204, 403, body={"n": n}, token=token)
        if self.ask("POST", "auth/token/revoke", 204, 400, body={"token": token}).status != 503:
            self.ask("GET", "auth/token/lookup-self", 403, token=token)

    def policies(self, me, n):
        self.ask("PUT", "sys/policies/acl/changing", 204, body={"policy": READ_WRITE if n % 2 else READ_ONLY})
        self.ask("PUT", f"sys/policies/acl/passing{n % 3}", 204, body={"policy": READ_ONLY})
        self.ask("DELETE", f"sys/policies/acl/passing{n % 3}", 204)

    def mounts(self, me, n):
        """With something in it, so that there is something to purge."""
        path = f"mount{n}"
        if self.ask("POST", f"sys/mounts/{path}", 204, body={"type": "kv"}).status == 204:
            for i in range(5):
                self.ask("POST", f"{path}/{i}", 204, body={"n": n})
            while self.ask("DELETE", f"sys/mounts/{path}", 204).status != 204:
                time.sleep(0.01)

    def encrypt(self, me, n):
        """Under a key that all use, by ones, batches and streams; what was answered decrypts."""
        made = []
        if n % 3 == 0:
            answer = self.ask("POST", "transit/encrypt/shared", 200, body={"batch_input": [{"plaintext": "QQ==", "key_version": i % 2} for i in range(20)]})
            made = answer.data["batch_results"] if answer.status == 200 else []
        elif n % 3 == 1:
            answer = self.ask("POST", "transit/encrypt/shared", 200, body={"plaintext": "QQ=="})
            made = [answer.data] if answer.status == 200 else []
        else:
            lines = self.ask("POST", "transit/encrypt-stream/shared", 200, raw=b'{"plaintext":"QQ=="}\n' * 500, headers={"Content-Type": "application/x-ndjson"})
            made = [json.loads(line) for line in lines.raw.splitlines()][:10] if lines.status == 200 else []
            self.api.drop()  # one that sealing ended early is closed by the server, too, and it has told its headers before
        for result in made:
            if "stream_error" not in result:
                answer = self.ask("POST", "transit/decrypt/shared", 200, body={"ciphertext": result["ciphertext"]})
                assert answer.status == 503 or answer.data["plaintext"] == "QQ=="
        self.ask("GET", "transit/keys/shared/versions?limit=5", 200)

    def keys(self, me, n):
        """A key of its own comes and goes; the shared one rotates, and its settings change."""
        key = f"transit/keys/{me}-{n % 3}"
        self.ask("POST", key, 200, body={"auto_rotate_period": "1h"})
        self.ask("POST", f"transit/encrypt/{me}-{n % 3}", 200, body={"plaintext": "QQ=="})
        self.ask("POST", "transit/keys/shared/rotate", 200)
        self.ask("POST", "transit/keys/shared/config", 200, body={"max_operations": 100000 + n})
        self.ask("POST", f"{key}/config", 200, 400, body={"deletion_allowed": True})
        self.ask("DELETE", key, 204, 400)

    def rotate(self, me, n):
        self.ask("POST", "sys/rotate", 204)
        self.ask("POST", "sys/rotate/config", 204, body={"max_operations": 1000000 + n, "interval": "48h" if n % 2 else ""})
        time.sleep(0.005)

    def seal(self, me, n):
        time.sleep(0.3)
        self.server.seal()
        self.server.unseal()

    def reload(self, me, n):
        self.server.process.send_signal(signal.SIGHUP)
        time.sleep(0.05)

    def leave(self, me, n):
        """Without waiting for the answer, or in the middle of a request."""
        body = json.dumps({"v": "x" * 5000})
        raw = f"POST /v1/secret/left HTTP/1.1\r\nHost: a\r\nX-Vault-Token: {self.server.root_token}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as sock:
            sock.sendall(raw if n % 2 else raw[:300])
        time.sleep(0.01)

    def by_tls(self, me, n):
        """New connections, while the certificate is read again."""
        context = ssl.create_default_context(cafile=self.server.folder.parent / "cert.pem")
        client = http.client.HTTPSConnection("127.0.0.1", self.tls_port, timeout=60, context=context)
        client.request("GET", "/v1/secret/writer-0/1", headers={"X-Vault-Token": self.server.root_token})
        assert client.getresponse().status in (200, 404, 503)
        client.close()

    # The whole

    def run_client(self, me, client):
        try:
            for n in itertools.count():
                if self.ending.is_set():
                    return
                client(self, me, n)
                self.rounds[me] = n + 1
        except BaseException as error:
            self.failed.append(f"{me}, round {self.rounds.get(me, 0)}: {error!r}")
            self.ending.set()

    def run(self, clients):
        """clients: {name: function}."""
        threads = [threading.Thread(target=self.run_client, args=item) for item in clients.items()]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        while not self.ending.wait(0.1):
            spent = time.monotonic() - begun
            if spent >= SECONDS and all(self.rounds.get(me, 0) >= ROUNDS for me in clients):
                break
            if spent > PATIENCE_S:
                self.failed.append(f"some do not get on: {self.rounds}")
                break
        self.ending.set()
        for thread in threads:
            thread.join()
        assert not self.failed, "\n".join(self.failed)


CLIENTS = {
    **{f"writer-{i}": Load.write for i in range(3)},
    **{f"reader-{i}": Load.read for i in range(2)},
    **{f"tokens-{i}": Load.tokens for i in range(2)},
    **{f"encrypt-{i}": Load.encrypt for i in range(3)},
    "keys": Load.keys, "policies": Load.policies, "mounts": Load.mounts, "rotate": Load.rotate, "seal": Load.seal, "reload": Load.reload,
    "leave": Load.leave, "by tls": Load.by_tls,
}


def test_everything_at_once(new_server, folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    tls_port = harness.free_port()
    server = new_server(config=CONFIG.format(folder=folder, port=tls_port)).ready()
    server.api.post("sys/mounts/transit", {"type": "transit"}).expect(204)
    server.api.post("transit/keys/shared").expect(200)
    load = Load(server, tls_port)
    load.run(CLIENTS)
    for path, n in load.stored.items():
        assert server.api.get(path).expect(200).data == {"n": n}
    server.restart()
    for path, n in load.stored.items():
        assert server.api.get(path).expect(200).data == {"n": n}
    server.stop()
