"""The command line against a small server that answers from a table: what it sends, what it prints, how it ends."""
import http.server
import json
import os
import pty
import select
import signal
import socketserver
import ssl
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest
from server import BUILD, SANITIZER_OPTIONS

PROGRAM = Path(BUILD) / "keyturn"
SECRET = {"request_id": "00000000-0000-0000-0000-000000000001", "lease_id": "", "renewable": False, "lease_duration": 0, "data": None,
          "wrap_info": None, "warnings": None, "auth": None}
SEALED = {"type": "shamir", "initialized": True, "sealed": True, "t": 3, "n": 5, "progress": 1, "nonce": "abc", "recovery_seal": False,
          "version": "0.1.0", "commit_date": "", "migration": False, "storage_type": "lmdb"}
OPEN = {**SEALED, "sealed": False, "progress": 0, "nonce": "", "cluster_name": "keyturn-cluster", "cluster_id": "cid"}
AUTH = {"client_token": "s.new", "accessor": "acc", "policies": ["default", "p1"], "token_policies": ["default", "p1"], "metadata": None,
        "lease_duration": 2764800, "renewable": True, "entity_id": "", "token_type": "service", "orphan": False, "num_uses": 0}


def answer(**members):
    return 200, {**SECRET, **members}


def data(**members):
    return answer(data=members)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        self.server.requests.append({
            "method": self.command, "path": path, "query": query, "body": json.loads(body) if body else None,
            "token": self.headers.get("X-Vault-Token"), "headers": dict(self.headers)})
        found = self.server.answers.get((self.command, path + ("?" + query if query else "")))
        found = found or self.server.answers.get((self.command, path)) or (404, {"errors": [f'no handler for route "{path}"']})
        status, content = found
        content = b"" if content is None else content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        if status == 307:
            self.send_header("Location", "/v1/elsewhere")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_LIST = handle_one

    def log_message(self, *_):
        pass

    def address_string(self):
        return "peer"


class Fake(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def __init__(self, address):
        self.answers, self.requests = {}, []
        super().__init__(address, Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def on(self, method, path, status=204, content=None):
        self.answers[method, "/v1/" + path] = (status, content)
        return self

    def only(self):
        """The one request that came."""
        assert len(self.requests) == 1, self.requests
        return self.requests[0]


class UnixFake(Fake):
    address_family = socketserver.socket.AF_UNIX

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "unix", 0


@pytest.fixture
def running():
    """Start a server's thread; all are stopped afterwards."""
    started = []

    def start(server):
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def fake(running):
    return running(Fake(("127.0.0.1", 0)))


class Said:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout.decode(), done.stderr.decode()
        assert "Sanitizer" not in self.err and "runtime error" not in self.err, self.err

    def expect(self, code, out=None, err=None):
        assert self.code == code, (self.code, self.out, self.err)
        for wanted, text in ((out, self.out), (err, self.err)):
            assert wanted is None or (text == "" if wanted == "" else wanted in text), text
        return self

    def json(self):
        return json.loads(self.out)


def environment(home, address=None, token="s.root", **more):
    env = {"PATH": os.environ["PATH"], "HOME": str(home), **SANITIZER_OPTIONS, **more}
    if address:
        env["VAULT_ADDR"] = address
    if token:
        env["VAULT_TOKEN"] = token
    return env


@pytest.fixture
def cli(fake, folder):
    """cli("read", "x", stdin=b"", **environment): run the program against the fake server."""
    def run(*args, stdin=b"", address=fake.url, token="s.root", **env):
        return Said(subprocess.run([PROGRAM, *args], input=stdin, capture_output=True, check=False, timeout=60, cwd=folder,
                                   env=environment(folder, address, token, **env)))
    return run


# The frame: help, version, wrong use

def test_without_a_command(cli):
    said = cli().expect(2, out="")
    assert "operator unseal" in said.err and "server" in said.err


@pytest.mark.parametrize("args", [["-h"], ["help"], ["--help"]])
def test_help(cli, args):
    said = cli(*args).expect(0, err="")
    assert "token create" in said.out


@pytest.mark.parametrize("args,word", [
    (["operator", "-h"], "operator key-status"), (["policy", "--help"], "policy write"), (["kv", "put", "-h"], "-cas=N"),
    (["read", "-help"], "Usage: keyturn read [FLAGS] PATH"), (["operator", "init", "-h"], "-key-shares=N")])
def test_help_of_a_command(cli, fake, args, word):
    cli(*args).expect(0, out=word, err="")
    assert fake.requests == []


@pytest.mark.parametrize("args", [["version"], ["-version"], ["--version"]])
def test_version(cli, args):
    assert cli(*args).expect(0, err="").out.startswith("Keyturn v")


@pytest.mark.parametrize("args", [
    ["nosuch"], ["operator"], ["operator", "nosuch"], ["read"], ["read", "-nosuch", "a"], ["read", "a", "-field=x"],
    ["read", "-format=xml", "a"], ["read", "-address"], ["write", "a"], ["write", "a", "novalue"], ["delete", "a", "b"],
    ["operator", "init", "-key-shares=many"], ["operator", "unseal", "a", "b"], ["operator", "unseal"], ["operator", "unseal", "-"],
    ["policy", "write", "a"], ["token", "revoke"], ["token", "revoke", "-self", "t"], ["token", "lookup", "-accessor"],
    ["token", "create", "-metadata=x"], ["kv", "put", "a"], ["kv", "delete", "-versions=a", "k"], ["login"], ["login", "-method=ldap"],
    ["read", "-address=ftp://x", "a"], ["read", "-address=nothing", "a"], ["read", "-token=a b", "a"]])
def test_wrong_use_is_2_and_sends_nothing(cli, fake, args):
    said = cli(*args).expect(2, out="")
    assert said.err != ""
    assert fake.requests == []


def test_server_runs_the_keyturnd_beside_it(folder):
    program = folder / "keyturn"
    program.write_bytes(PROGRAM.read_bytes())
    program.chmod(0o755)
    other = folder / "path"
    other.mkdir()
    (other / "keyturnd").write_text("#!/bin/sh\necho wrong\n")
    (other / "keyturnd").chmod(0o755)
    env = {"PATH": f"{other}:{os.environ['PATH']}", "HOME": str(folder)}
    done = subprocess.run([program, "server", "-dev"], capture_output=True, check=False, env=env, timeout=60)
    assert done.returncode == 1 and b"keyturnd" in done.stderr and b"wrong" not in done.stdout
    (folder / "keyturnd").write_text("#!/bin/sh\necho $$ \"$@\"\nexit 7\n")
    (folder / "keyturnd").chmod(0o755)
    with subprocess.Popen([program, "server", "-dev", "-x=a b"], stdout=subprocess.PIPE, env=env) as process:
        assert process.stdout.read().decode() == f"{process.pid} -dev -x=a b\n"
    assert process.returncode == 7


# Where to and with what

def test_addresses_and_tokens_nearest_name_wins(cli, fake):
    fake.on("GET", "x", *data(a="b"))
    nowhere = "http://127.0.0.1:1"
    cli("read", "x", address=nowhere, BAO_ADDR=nowhere, KEYTURN_ADDR=fake.url, BAO_TOKEN="s.bao").expect(0)
    cli("read", "x", address=nowhere, BAO_ADDR=fake.url, KEYTURN_TOKEN="s.key", BAO_TOKEN="s.bao").expect(0)
    cli("read", "-address", fake.url, "--token=s.flag", "x", address=nowhere, KEYTURN_TOKEN="s.key").expect(0)
    cli("read", "x", address=fake.url + "/", token="").expect(0)
    assert [r["token"] for r in fake.requests] == ["s.bao", "s.key", "s.flag", None]
    assert fake.requests[0]["headers"]["X-Vault-Request"] == "true"


def test_unreachable_is_1(cli):
    cli("read", "x", address="http://127.0.0.1:1").expect(1, out="", err="GET http://127.0.0.1:1/v1/x")
    cli("status", address="http://127.0.0.1:1").expect(1, out="")


def test_default_address_is_tls_on_loopback(cli):
    cli("status", address=None).expect(1, err="https://127.0.0.1:8200/v1/sys/seal-status")


@pytest.fixture
def secure(running, folder):
    """A server with TLS, for "localhost" only; its certificate is folder/cert.pem."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    server = Fake(("127.0.0.1", 0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return running(server).on("GET", "sys/seal-status", 200, OPEN)


def test_certificates_are_checked(cli, secure):
    port = secure.server_address[1]
    name, number = f"https://localhost:{port}", f"https://127.0.0.1:{port}"
    cli("status", address=name).expect(1, out="", err="certificate")
    cli("status", address=number, VAULT_CACERT="cert.pem").expect(1, out="")
    cli("status", address=name, VAULT_CACERT="nosuch.pem").expect(1, out="")
    assert secure.requests == []
    cli("status", address=name, VAULT_CACERT="cert.pem").expect(0)
    cli("status", "-ca-cert=cert.pem", address=name, VAULT_CACERT="nosuch.pem").expect(0)


def test_certificates_can_go_unchecked(cli, secure):
    number = f"https://127.0.0.1:{secure.server_address[1]}"
    cli("status", "-tls-skip-verify", address=number).expect(0)
    cli("status", address=number, VAULT_SKIP_VERIFY="true").expect(0)
    cli("status", address=number, VAULT_SKIP_VERIFY="true", KEYTURN_SKIP_VERIFY="false").expect(1)
    cli("status", "-tls-skip-verify=false", address=number, VAULT_SKIP_VERIFY="1").expect(1)
    cli("status", address=number, VAULT_SKIP_VERIFY="perhaps").expect(2)
    assert len(secure.requests) == 2


def test_unix_socket(cli, running, folder):
    path = folder / "k.sock"
    server = running(UnixFake(str(path)))
    server.on("GET", "sys/seal-status", 200, OPEN)
    cli("status", address=f"unix://{path}").expect(0, out="shamir")
    assert server.only()["headers"]["Host"] == "localhost"


def test_a_proxy_is_not_asked_for_loopback(cli, fake):
    fake.on("GET", "x", *data(a="b"))
    cli("read", "x", http_proxy="http://127.0.0.1:1", ALL_PROXY="http://127.0.0.1:1").expect(0)


def test_redirects_are_not_followed(cli, fake):
    fake.on("GET", "x", 307).on("GET", "elsewhere", *data(a="b"))
    cli("read", "x").expect(1, out="", err="Code: 307")
    fake.only()


def test_paths_are_escaped(cli, fake):
    cli("read", "/a b/ü?c#d%2e").expect(1)
    assert fake.only()["path"] == "/v1/a%20b/%C3%BC%3Fc%23d%252e"


def test_dots_are_not_removed(cli, fake):
    cli("read", "a/../b").expect(1)
    assert fake.only()["path"] == "/v1/a/../b"


# read, write, list, delete

def test_read_prints_a_table(cli, fake):
    fake.on("GET", "secret/a", *answer(lease_duration=2764800, data={"zip": "z", "n": 2, "deep": {"y": [1, 2]}, "none": None}))
    assert cli("read", "secret/a").expect(0, err="").out == (
        "Key                 Value\n"
        "---                 -----\n"
        "refresh_interval    768h\n"
        "deep                map[y:[1 2]]\n"
        "n                   2\n"
        "none                <nil>\n"
        "zip                 z\n")
    sent = fake.only()
    assert (sent["method"], sent["body"], sent["token"]) == ("GET", None, "s.root")


def test_read_with_parameters(cli, fake):
    fake.on("GET", "sys/rotate/terms", *data(keys=[]))
    cli("read", "sys/rotate/terms", "after=3", "limit=a b").expect(0)
    assert fake.only()["query"] == "after=3&limit=a%20b"


def test_json_is_the_whole_answer(cli, fake):
    fake.on("GET", "a", *answer(data={"big": 18446744073709551616, "nul": "a\0b"}, warnings=["w"]))
    said = cli("read", "-format=json", "a").expect(0, err="")
    assert said.json() == {**SECRET, "data": {"big": 18446744073709551616.0, "nul": "a\0b"}, "warnings": ["w"]}
    assert cli("read", "a", VAULT_FORMAT="json").expect(0).out == said.out


def test_yaml(cli, fake):
    fake.on("GET", "a", *data(x="yes", l=["one", {"k": "v"}], e={}))
    said = cli("read", "-format=yaml", "a").expect(0)
    assert 'data:\n  x: "yes"\n  l:\n    - one\n    -\n      k: v\n  e: {}\n' in said.out


def test_field_is_printed_raw(cli, fake):
    fake.on("GET", "a", *data(s="line\nend", n=7, o={"k": [1]}))
    assert cli("read", "-field=s", "a").expect(0).out == "line\nend"
    assert cli("read", "-field=n", "a").expect(0).out == "7\n"
    assert json.loads(cli("read", "-field=o", "a").expect(0).out) == {"k": [1]}
    assert cli("read", "-field=s", "-format=json", "a").expect(0).out == '"line\\nend"\n'
    cli("read", "-field=none", "a").expect(1, out="", err='"none" is not in the answer')


def test_control_characters_cannot_steer_the_terminal(cli, fake):
    fake.on("GET", "a", *data(x="\x1b]0;title\x07")).on("GET", "b", 400, {"errors": ["\x1b[2J"]})
    cli("read", "a").expect(0, out="\\x1b]0;title\\x07")
    cli("read", "b").expect(1, err="* \\x1b[2J")


def test_refusals(cli, fake):
    fake.on("GET", "a", 403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}).on("POST", "a", 400, {"errors": ["one", "two"]})
    assert cli("read", "a").expect(1, out="").err.startswith(
        f"Error making API request.\n\nURL: GET {fake.url}/v1/a\nCode: 403. Errors:\n\n* 1 error occurred:\n\t* permission denied")
    cli("write", "a", "k=v").expect(1, out="", err="Code: 400. Errors:\n\n* one\n* two\n")
    cli("read", "-format=json", "a").expect(1, out="")


def test_not_found(cli, fake):
    fake.on("GET", "a", 404, {"errors": []}).on("LIST", "a", 404, {"errors": []})
    cli("read", "a").expect(1, out="", err="No value found at a")
    cli("list", "a").expect(1, out="", err="No value found at a")


@pytest.mark.parametrize("status,content", [(200, b"<html>"), (200, b'{"data": '), (502, b"<html>bad gateway</html>"), (500, b"")])
def test_answers_that_are_none(cli, fake, status, content):
    fake.on("GET", "a", status, content)
    said = cli("read", "a").expect(1, out="")
    assert f"{fake.url}/v1/a" in said.err


def test_warnings_go_to_standard_error(cli, fake):
    fake.on("GET", "a", *answer(data={"k": "v"}, warnings=["old\x1b"]))
    said = cli("read", "a").expect(0, err="* old\\x1b\n")
    assert "old" not in said.out


def test_write(cli, fake, folder):
    (folder / "file").write_text("from a file\n")
    (folder / "all.json").write_text('{"n": 1, "o": {"p": [true]}}')
    fake.on("POST", "a")
    cli("write", "a", "k=v", "e=", "eq=a=b", "f=@file", "at=\\@x", "twice=1", "twice=2").expect(0, out="Success! Data written to: a")
    cli("write", "a", "k=-", stdin=b"from stdin").expect(0)
    cli("write", "a", "@all.json").expect(0)
    cli("write", "a", "-", stdin=b'{"x": null}').expect(0)
    cli("write", "-f", "a").expect(0)
    cli("write", "-force", "a").expect(0)
    assert [r["body"] for r in fake.requests] == [
        {"k": "v", "e": "", "eq": "a=b", "f": "from a file\n", "at": "@x", "twice": ["1", "2"]}, {"k": "from stdin"},
        {"n": 1, "o": {"p": [True]}}, {"x": None}, {}, {}]
    assert fake.requests[0]["headers"]["Content-Type"] == "application/json"


def test_write_prints_what_comes_back(cli, fake):
    fake.on("POST", "transit/encrypt/k", *data(ciphertext="vault:v1:abc"))
    cli("write", "transit/encrypt/k", "plaintext=YQ==").expect(0, out="ciphertext    vault:v1:abc\n")
    assert cli("write", "-field=ciphertext", "transit/encrypt/k", "plaintext=YQ==").expect(0).out == "vault:v1:abc"


def test_write_from_a_missing_file_is_1(cli, fake):
    cli("write", "a", "k=@nosuch").expect(1, err="nosuch")
    cli("write", "a", "@nosuch.json").expect(1, err="nosuch.json")
    assert fake.requests == []


def test_list(cli, fake):
    fake.on("LIST", "k/", *data(keys=["a/", "d"]))
    assert cli("list", "k/").expect(0).out == "Keys\n----\na/\nd\n"
    assert cli("list", "-format=json", "k/").expect(0).json()["data"] == {"keys": ["a/", "d"]}


def test_delete(cli, fake):
    fake.on("DELETE", "k/a")
    cli("delete", "k/a").expect(0, out="Success! Data deleted (if it existed) at: k/a")
    assert fake.only()["method"] == "DELETE"


def test_full_disk_is_1(fake, folder):
    fake.on("GET", "a", *data(k="v"))
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PROGRAM, "read", "a"], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60,
                              env=environment(folder, fake.url))
    assert done.returncode == 1 and b"standard output" in done.stderr


# status and operator

def test_status(cli, fake):
    fake.on("GET", "sys/seal-status", 200, OPEN)
    assert cli("status").expect(0).out == (
        "Key             Value\n"
        "---             -----\n"
        "Seal Type       shamir\n"
        "Initialized     true\n"
        "Sealed          false\n"
        "Total Shares    5\n"
        "Threshold       3\n"
        "Version         0.1.0\n"
        "Storage Type    lmdb\n"
        "Cluster Name    keyturn-cluster\n"
        "Cluster ID      cid\n")
    fake.on("GET", "sys/seal-status", 200, SEALED)
    cli("status").expect(2, out="Unseal Progress    1/3\nUnseal Nonce       abc\n")
    assert cli("status", "-format=json").expect(2).json() == SEALED
    fake.on("GET", "sys/seal-status", 500, {"errors": ["x"]})
    cli("status").expect(1, out="")
    cli("status", "-nosuch").expect(2, out="", err="unknown flag")


INIT = {"keys": ["aa", "bb"], "keys_base64": ["qg==", "uw=="], "root_token": "s.root"}


def test_init(cli, fake):
    fake.on("POST", "sys/init", 200, INIT)
    said = cli("operator", "init", "-key-shares=2", "-key-threshold", "2", token="").expect(0)
    assert said.out.startswith("Unseal Key 1: qg==\nUnseal Key 2: uw==\n\nInitial Root Token: s.root\n")
    assert fake.only()["body"] == {"secret_shares": 2, "secret_threshold": 2}
    whole = cli("operator", "init", "-format=json").expect(0).json()
    assert {k: whole[k] for k in INIT} == INIT
    assert whole["unseal_keys_b64"] == INIT["keys_base64"] and whole["unseal_keys_hex"] == INIT["keys"]
    assert (whole["unseal_shares"], whole["unseal_threshold"]) == (5, 3)
    assert fake.requests[1]["body"] == {"secret_shares": 5, "secret_threshold": 3}
    fake.on("POST", "sys/init", 400, {"errors": ["Vault is already initialized"]})
    cli("operator", "init").expect(1, out="", err="already initialized")


def test_init_status(cli, fake):
    fake.on("GET", "sys/init", 200, {"initialized": True})
    cli("operator", "init", "-status").expect(0)
    fake.on("GET", "sys/init", 200, {"initialized": False})
    cli("operator", "init", "-status").expect(2)
    assert {r["method"] for r in fake.requests} == {"GET"}


def test_unseal(cli, fake):
    fake.on("POST", "sys/unseal", 200, SEALED)
    cli("operator", "unseal", "c2hhcmU=").expect(0, out="Unseal Progress    1/3")
    cli("operator", "unseal", "-", stdin=b"c2hhcmU=\n").expect(0)
    cli("operator", "unseal", "-reset").expect(0)
    assert [r["body"] for r in fake.requests] == [{"key": "c2hhcmU="}, {"key": "c2hhcmU="}, {"reset": True}]
    fake.on("POST", "sys/unseal", 400, {"errors": ["'key' must be a valid hex or base64 string"]})
    cli("operator", "unseal", "zz").expect(1, out="", err="valid hex")


def test_seal(cli, fake):
    fake.on("POST", "sys/seal")
    cli("operator", "seal").expect(0, out="Success!")
    sent = fake.only()
    assert sent["body"] is None and sent["headers"]["Content-Length"] == "0"


KEY = data(term=2, install_time="2026-01-02T03:04:05Z", encryptions=7)
KEY_TABLE = "Key Term            2\nInstall Time        2026-01-02T03:04:05Z\nEncryption Count    7\n"


def test_rotate(cli, fake):
    fake.on("POST", "sys/rotate").on("GET", "sys/key-status", *KEY)
    assert cli("operator", "rotate").expect(0).out == "Success! Rotated key\n\n" + KEY_TABLE
    assert cli("operator", "rotate", "-format=json").expect(0).json()["data"]["term"] == 2
    assert [r["method"] for r in fake.requests] == ["POST", "GET"] * 2
    fake.on("GET", "sys/key-status", 403, {"errors": ["permission denied"]})
    cli("operator", "rotate").expect(0, out="Success! Rotated key", err="")
    fake.on("POST", "sys/rotate", 403, {"errors": ["permission denied"]})
    cli("operator", "rotate").expect(1, out="", err="* permission denied")


def test_key_status(cli, fake):
    fake.on("GET", "sys/key-status", *KEY)
    assert cli("operator", "key-status").expect(0).out == KEY_TABLE
    assert cli("operator", "key-status", "-field=term").expect(0).out == "2\n"


def term(number, state="decrypt_only"):
    return {"state": state, "install_time": f"T{number}", "retire_time": "", "encryptions": 10 * number, "records": number, "cause": "manual"}


def test_terms(cli, fake):
    fake.on("GET", "sys/rotate/terms", *data(active_term=10, keys=["2", "10"], terms={"10": term(10, "active"), "2": term(2)}))
    assert cli("operator", "terms").expect(0).out == (
        "Term    State           Install Time    Encryptions    Records    Cause\n"
        "----    -----           ------------    -----------    -------    -----\n"
        "2       decrypt_only    T2              20             2          manual\n"
        "10      active          T10             100            10         manual\n")
    assert fake.only()["query"] == "limit=1000"


def test_terms_of_many_pages(cli, fake):
    pages = {"limit=1000": range(1, 1001), "limit=1000&after=1000": range(1001, 2001), "limit=1000&after=2000": range(2001, 2004)}
    for query, numbers in pages.items():
        fake.on("GET", f"sys/rotate/terms?{query}", *data(active_term=2003, keys=list(numbers), terms={str(n): term(n) for n in numbers}))
    lines = cli("operator", "terms").expect(0).out.splitlines()
    assert [int(line.split()[0]) for line in lines[2:]] == list(range(1, 2004))
    whole = cli("operator", "terms", "-format=json").expect(0).json()
    assert len(whole["data"]["keys"]) == len(whole["data"]["terms"]) == 2003


# policy, token, secrets, login

def test_policies(cli, fake, folder):
    (folder / "p.hcl").write_text('path "a" { capabilities = ["read"] }\n')
    fake.on("LIST", "sys/policies/acl", *data(keys=["default", "root"])).on("PUT", "sys/policies/acl/p")
    fake.on("GET", "sys/policies/acl/p", *data(name="p", policy='path "a" {}\n')).on("DELETE", "sys/policies/acl/p")
    fake.on("GET", "sys/policies/acl/none", 404, {"errors": []})
    assert cli("policy", "list").expect(0).out == "default\nroot\n"
    assert cli("policy", "read", "p").expect(0).out == 'path "a" {}\n'
    cli("policy", "read", "none").expect(1, out="", err="no policy named: none")
    cli("policy", "write", "p", "p.hcl").expect(0, out="Success! Uploaded policy: p")
    cli("policy", "write", "p", "-", stdin=b"text").expect(0)
    cli("policy", "write", "p", "nosuch.hcl").expect(1, err="nosuch.hcl")
    cli("policy", "delete", "p").expect(0, out="Success! Deleted policy: p")
    assert [r["body"] for r in fake.requests if r["method"] == "PUT"] == [{"policy": 'path "a" { capabilities = ["read"] }\n'}, {"policy": "text"}]


def test_token_create(cli, fake):
    fake.on("POST", "auth/token/create", *answer(auth=AUTH)).on("POST", "auth/token/create-orphan", *answer(auth=AUTH))
    fake.on("POST", "auth/token/create/role", *answer(auth=AUTH))
    assert cli("token", "create", "-policy=p1", "-policy=p2", "-ttl=1h", "-metadata=who=me", "-metadata=a=b=c", "-use-limit=3",
               "-renewable=false", "-no-default-policy", "-display-name=n", "-type=service").expect(0).out == (
        "Key                  Value\n"
        "---                  -----\n"
        "token                s.new\n"
        "token_accessor       acc\n"
        "token_duration       768h\n"
        "token_renewable      true\n"
        'token_policies       ["default" "p1"]\n'
        "identity_policies    []\n"
        'policies             ["default" "p1"]\n')
    assert fake.only()["body"] == {
        "policies": ["p1", "p2"], "ttl": "1h", "meta": {"who": "me", "a": "b=c"}, "num_uses": 3, "renewable": False,
        "no_default_policy": True, "display_name": "n", "type": "service"}
    assert cli("token", "create", "-orphan", "-field=token").expect(0).out == "s.new"
    cli("token", "create", "-role=role").expect(0)
    assert [r["path"] for r in fake.requests[1:]] == ["/v1/auth/token/create-orphan", "/v1/auth/token/create/role"]


def test_token_lookup_renew_revoke(cli, fake):
    for path in ("lookup", "lookup-accessor", "renew", "renew-accessor", "renew-self"):
        fake.on("POST", f"auth/token/{path}", *data(id="s.x"))
    for path in ("revoke", "revoke-accessor", "revoke-self"):
        fake.on("POST", f"auth/token/{path}")
    fake.on("GET", "auth/token/lookup-self", *data(id="s.root"))
    for args, stdin in ((["lookup"], b""), (["lookup", "s.x"], b""), (["lookup", "-"], b"s.x\n"), (["lookup", "-accessor", "acc"], b""),
                        (["renew"], b""), (["renew", "-increment=1h", "s.x"], b""), (["renew", "-accessor", "acc"], b""),
                        (["revoke", "-self"], b""), (["revoke", "s.x"], b""), (["revoke", "-accessor", "acc"], b"")):
        cli("token", *args, stdin=stdin).expect(0)
    assert [(r["path"].removeprefix("/v1/auth/token/"), r["body"]) for r in fake.requests] == [
        ("lookup-self", None), ("lookup", {"token": "s.x"}), ("lookup", {"token": "s.x"}), ("lookup-accessor", {"accessor": "acc"}),
        ("renew-self", {}), ("renew", {"token": "s.x", "increment": "1h"}), ("renew-accessor", {"accessor": "acc"}),
        ("revoke-self", None), ("revoke", {"token": "s.x"}), ("revoke-accessor", {"accessor": "acc"})]


def test_token_capabilities(cli, fake):
    fake.on("POST", "sys/capabilities-self", *data(capabilities=["root"])).on("POST", "sys/capabilities", *data(capabilities=["list", "read"]))
    assert cli("token", "capabilities", "a/b").expect(0).out == "root\n"
    assert cli("token", "capabilities", "s.x", "a/b").expect(0).out == "list, read\n"
    assert [r["body"] for r in fake.requests] == [{"path": "a/b"}, {"token": "s.x", "path": "a/b"}]


def test_secrets(cli, fake):
    fake.on("GET", "sys/mounts", *data(**{"sys/": {"type": "system", "accessor": "a1", "description": "d"},
                                          "kv/": {"type": "kv", "accessor": "a2", "description": ""}}))
    fake.on("POST", "sys/mounts/kv").on("POST", "sys/mounts/my/kv").on("DELETE", "sys/mounts/kv").on("POST", "sys/mounts/kv/tune")
    assert cli("secrets", "list").expect(0).out == (
        "Path    Type      Accessor    Description\n"
        "----    ----      --------    -----------\n"
        "sys/    system    a1          d\n"
        "kv/     kv        a2          n/a\n")
    cli("secrets", "enable", "kv").expect(0, out="Success! Enabled the kv secrets engine at: kv/")
    cli("secrets", "enable", "-path=/my/kv/", "-description=d e", "-version=2", "kv").expect(0, out="at: my/kv/")
    cli("secrets", "tune", "-description=x", "-max-lease-ttl=1h", "kv/").expect(0)
    cli("secrets", "disable", "kv/").expect(0, out="Success! Disabled")
    assert [(r["method"], r["path"], r["body"]) for r in fake.requests[1:]] == [
        ("POST", "/v1/sys/mounts/kv", {"type": "kv"}),
        ("POST", "/v1/sys/mounts/my/kv", {"type": "kv", "description": "d e", "options": {"version": "2"}}),
        ("POST", "/v1/sys/mounts/kv/tune", {"description": "x", "max_lease_ttl": "1h"}), ("DELETE", "/v1/sys/mounts/kv", None)]


LOOKUP = data(id="s.mine", accessor="acc", ttl=3600, renewable=True, policies=["default"])


def test_login_keeps_the_token(cli, fake, folder):
    fake.on("GET", "auth/token/lookup-self", *LOOKUP).on("GET", "x", *data(a="b"))
    file = folder / ".keyturn-token"
    file.write_text("s.old")
    file.chmod(0o644)
    cli("login", "-", stdin=b"s.mine\n", token="s.other").expect(0, out="token_duration       1h")
    assert file.read_text() == "s.mine" and stat.S_IMODE(file.stat().st_mode) == 0o600
    cli("read", "x", token="").expect(0)
    assert [r["token"] for r in fake.requests] == ["s.mine", "s.mine"]
    assert [p.name for p in folder.iterdir()] == [".keyturn-token"]


def test_login_spellings(cli, fake, folder):
    fake.on("GET", "auth/token/lookup-self", *LOOKUP)
    cli("login", "-no-store", "-no-print", "s.mine", token="").expect(0, out="")
    cli("login", "-no-store", "token=s.mine", token="").expect(0, out="s.mine")
    assert cli("login", "-method=token", "-no-store", "-field=token", "s.mine").expect(0).out == "s.mine"
    assert {r["token"] for r in fake.requests} == {"s.mine"} and list(folder.iterdir()) == []


def test_login_refused_keeps_nothing(cli, fake, folder):
    fake.on("GET", "auth/token/lookup-self", 403, {"errors": ["permission denied"]})
    cli("login", "s.bad").expect(1, out="", err="permission denied")
    assert list(folder.iterdir()) == []


def test_vault_token_file_is_the_fallback(cli, fake, folder):
    fake.on("GET", "x", *data(a="b"))
    (folder / ".vault-token").write_text("s.vault\n")
    cli("read", "x", token="").expect(0)
    (folder / ".keyturn-token").write_text("s.ours\n")
    cli("read", "x", token="").expect(0)
    assert [r["token"] for r in fake.requests] == ["s.vault", "s.ours"]


# kv

META = {"created_time": "T", "custom_metadata": None, "deletion_time": "", "destroyed": False, "version": 2}


def versioned(fake):
    return fake.on("GET", "sys/internal/ui/mounts/my/kv/a", *data(path="my/kv/", type="kv", options={"version": "2"}))


def test_kv_version_1(cli, fake):
    fake.on("GET", "sys/internal/ui/mounts/secret/a", *data(path="secret/", type="kv", options=None))
    fake.on("GET", "secret/a", *answer(lease_duration=60, data={"k": "v"})).on("POST", "secret/a").on("DELETE", "secret/a")
    fake.on("LIST", "secret/a", *data(keys=["b"]))
    assert cli("kv", "get", "secret/a").expect(0).out == "====== Data ======\nKey    Value\n---    -----\nk      v\n"
    assert cli("kv", "get", "-field=k", "-mount=secret/", "a").expect(0).out == "v"
    cli("kv", "put", "secret/a", "k=v").expect(0, out="Success! Data written to: secret/a")
    assert fake.requests[-1]["body"] == {"k": "v"}
    assert cli("kv", "list", "secret/a").expect(0).out == "Keys\n----\nb\n"
    cli("kv", "delete", "secret/a").expect(0, out="Success! Data deleted")
    cli("kv", "get", "-version=1", "secret/a").expect(2, err="no versions")


def test_kv_version_2(cli, fake):
    versioned(fake)
    fake.on("GET", "my/kv/data/a", *data(data={"x": "2", "data": "inner"}, metadata=META)).on("POST", "my/kv/data/a", *data(**META))
    fake.on("LIST", "my/kv/metadata/a", *data(keys=["b/"])).on("DELETE", "my/kv/data/a").on("POST", "my/kv/delete/a")
    assert cli("kv", "get", "my/kv/a").expect(0).out == (
        "====== Secret Path ======\nmy/kv/data/a\n\n"
        "====== Metadata ======\n"
        "Key                Value\n"
        "---                -----\n"
        "created_time       T\n"
        "custom_metadata    <nil>\n"
        "deletion_time      n/a\n"
        "destroyed          false\n"
        "version            2\n\n"
        "====== Data ======\n"
        "Key     Value\n"
        "---     -----\n"
        "data    inner\n"
        "x       2\n")
    assert cli("kv", "get", "-field=x", "my/kv/a").expect(0).out == "2"
    assert cli("kv", "get", "-field=data", "my/kv/a").expect(0).out == "inner"
    cli("kv", "get", "-version=1", "my/kv/a").expect(0)
    assert fake.requests[-1]["query"] == "version=1"
    cli("kv", "put", "-cas=0", "my/kv/a", "k=v").expect(0, out="version            2")
    assert fake.requests[-1]["body"] == {"data": {"k": "v"}, "options": {"cas": 0}}
    cli("kv", "put", "-mount=my/kv", "a", "k=v").expect(0)
    assert fake.requests[-1]["body"] == {"data": {"k": "v"}}
    cli("kv", "list", "my/kv/a").expect(0, out="b/")
    cli("kv", "delete", "my/kv/a").expect(0)
    cli("kv", "delete", "-versions=1,3", "my/kv/a").expect(0)
    assert fake.requests[-1]["body"] == {"versions": [1, 3]}


def test_kv_of_a_server_that_does_not_tell(cli, fake):
    fake.on("GET", "secret/a", *data(k="v"))
    cli("kv", "get", "secret/a").expect(0, out="k      v")
    fake.on("GET", "sys/internal/ui/mounts/secret/a", 403, {"errors": ["permission denied"]})
    cli("kv", "get", "secret/a").expect(1, out="", err="permission denied")


def test_kv_deleted_version(cli, fake):
    versioned(fake).on("GET", "my/kv/data/a", 404, {**SECRET, "data": {"data": None, "metadata": META}})
    cli("kv", "get", "my/kv/a").expect(1, out="====== Metadata ======", err="No value found at my/kv/data/a")
    cli("kv", "get", "-field=x", "my/kv/a").expect(1, out="")


# Secrets

class Terminal:
    """The program on a terminal of its own; `shown` is what it wrote there."""

    def __init__(self, args, env):
        self.shown = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
                signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may ignore them
            os.execve(PROGRAM, [str(PROGRAM), *args], env)

    def read_until(self, word):
        deadline = time.monotonic() + 60
        while word not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    self.shown += os.read(self.fd, 4096)
                except OSError:
                    assert word in self.shown, self.shown

    def end(self):
        while True:
            try:
                self.shown += os.read(self.fd, 4096)
            except OSError:
                break
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_keys_are_asked_for_without_echo(fake, folder):
    fake.on("POST", "sys/unseal", 200, OPEN)
    terminal = Terminal(["operator", "unseal"], environment(folder, fake.url))
    terminal.read_until(b"Unseal Key (will be hidden): ")
    os.write(terminal.fd, b"attack-at-dawn\n")
    assert terminal.end() == 0
    assert b"attack" not in terminal.shown and b"Seal Type" in terminal.shown
    assert fake.only()["body"] == {"key": "attack-at-dawn"}


def test_an_interrupt_at_the_question_ends_it(fake, folder):
    terminal = Terminal(["login"], environment(folder, fake.url))
    terminal.read_until(b"Token (will be hidden): ")
    os.write(terminal.fd, b"s.half\x03")
    assert terminal.end() == -signal.SIGINT
    assert fake.requests == []


def test_secrets_leave_the_list_of_processes(folder, running):
    release = threading.Event()
    seen = {}

    class Slow(Fake):
        pass

    fake = running(Slow(("127.0.0.1", 0)))

    class Waiting(dict):
        def get(self, key, otherwise=None):
            seen["asked"] = True
            release.wait(60)
            return (200, OPEN)

    fake.answers = Waiting()
    with subprocess.Popen([PROGRAM, "operator", "unseal", "-token=s.hidden", "share-one"], stdout=subprocess.DEVNULL,
                          env=environment(folder, fake.url)) as process:
        deadline = time.monotonic() + 60
        while "asked" not in seen:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.005)
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        release.set()
    assert process.returncode == 0
    assert b"unseal" in line and b"share-one" not in line and b"hidden" not in line
    assert fake.only()["body"] == {"key": "share-one"} and fake.only()["token"] == "s.hidden"
