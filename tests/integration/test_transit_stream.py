"""Streams of transit by HTTP, and the command that rewraps a file through one: order, errors in their places, counts, limits, rights that end, going on after an interruption."""
import http.client
import itertools
import json
import os
import subprocess

import pytest
from server import BUILD, SANITIZER_OPTIONS
from transit import Transit, b64, unb64, version_of

_mounts = itertools.count()


@pytest.fixture
def transit(dev_server):
    return Transit(dev_server.api, f"s{next(_mounts)}").mount()


def lines_of(items):
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


def stream(transit, what, items, raw=None):
    """The answer's lines to these items (or this text), each decoded."""
    body = lines_of(items) if raw is None else raw
    answer = transit.api.request("POST", f"{transit.path}/{what}", raw=body, headers={"Content-Type": "application/x-ndjson"}).expect(200)
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.raw.decode().splitlines()]


def test_there_and_back(transit):
    transit.create("k")
    texts = [os.urandom(n % 70) for n in range(3000)]
    sealed = stream(transit, "encrypt-stream/k", [{"plaintext": b64(t), "reference": f"row {n}"} for n, t in enumerate(texts)])
    assert [line["reference"] for line in sealed] == [f"row {n}" for n in range(3000)]
    assert {line["key_version"] for line in sealed} == {1}
    transit.rotate("k")
    moved = stream(transit, "rewrap-stream/k", [{"ciphertext": line["ciphertext"], "reference": line["reference"]} for line in sealed])
    assert all(line["rewrapped"] is True and line["key_version"] == version_of(line["ciphertext"]) == 2 for line in moved)
    again = stream(transit, "rewrap-stream/k", [{"ciphertext": line["ciphertext"]} for line in moved])
    assert [line["ciphertext"] for line in again] == [line["ciphertext"] for line in moved]
    assert all(line["rewrapped"] is False and line["key_version"] == 2 and "reference" not in line for line in again)
    for made in (sealed, moved):
        opened = stream(transit, "decrypt-stream/k", [{"ciphertext": line["ciphertext"], "reference": line["reference"]} for line in made])
        assert [unb64(line["plaintext"]) for line in opened] == texts
        assert [line["reference"] for line in opened] == [line["reference"] for line in sealed]
    assert transit.counts("k") == {1: 3000, 2: 3000}
    assert transit.counts("k", "decryptions") == {1: 6000, 2: 6000}


def test_contexts_and_associated_data(transit):
    transit.create("d", derived=True)
    rows = [{"plaintext": b64(f"{n}"), "context": b64(f"c{n % 3}"), "associated_data": b64(f"a{n % 5}")} for n in range(60)]
    sealed = stream(transit, "encrypt-stream/d", rows)
    transit.rotate("d")
    more = [{"context": row["context"], "associated_data": row["associated_data"]} for row in rows]
    moved = stream(transit, "rewrap-stream/d", [{"ciphertext": line["ciphertext"], **m} for line, m in zip(sealed, more)])
    opened = stream(transit, "decrypt-stream/d", [{"ciphertext": line["ciphertext"], **m} for line, m in zip(moved, more)])
    assert [unb64(line["plaintext"]).decode() for line in opened] == [f"{n}" for n in range(60)]
    swapped = stream(transit, "decrypt-stream/d", [{"ciphertext": line["ciphertext"], **m} for line, m in zip(moved, more[1:] + more[:1])])
    assert all("authentication failed" in line["error"] for line in swapped)


def test_lines_that_name_a_version(transit):
    """Older ones need uses of their own; one that is used up is an error in its place and does not hold up the others."""
    transit.create("k", max_operations=400)
    for _ in range(3):
        transit.rotate("k")
    wanted = [n % 5 for n in range(1500)]  # 0: the latest
    lines = stream(transit, "encrypt-stream/k", [{"plaintext": "", "key_version": n} for n in wanted])
    made = {}
    for n, line in zip(wanted, lines):
        if "error" in line:
            assert n and "used up" in line["error"] and made[n] == 400
        else:
            version = line["key_version"]
            assert version == n or (n == 0 and version >= 4)
            made[version] = made.get(version, 0) + 1
    assert {n: made[n] for n in (1, 2, 3)} == {1: 300, 2: 300, 3: 300} and sum(made.values()) + sum("error" in line for line in lines) == 1500
    assert transit.counts("k") == {n: made.get(n, 0) for n in transit.versions("k")}
    lines = stream(transit, "rewrap-stream/k", [{"ciphertext": transit.encrypt("k"), "key_version": 1}] * 150)
    assert [line.get("key_version") for line in lines] == [1] * 100 + [None] * 50
    assert all("used up" in line["error"] for line in lines[100:])
    assert transit.counts("k")[1] == 400
    assert stream(transit, "encrypt-stream/k", [{"plaintext": "", "key_version": n} for n in (1, 9, -1, 2)])[3]["key_version"] == 2


def test_what_is_wrong_with_a_line_is_said_in_its_place(transit):
    transit.create("k")
    good = transit.encrypt("k", b"x")
    bad = [b"", b"nonsense", b"[]", b"null", b"\"text\"", b"{}", b"{\"ciphertext\":1}", b"{\"ciphertext\":\"\"}", b"{\"ciphertext\":\"vault:v9:AAAA\"}",
           b"{\"ciphertext\":\"x\",\"reference\":\"r\"}", b"{\"ciphertext\":\"vault:v1:!\"}", b"{" * 50, b"\xff\xfe", b"{\"a\":1,\"a\":2}"]
    ok = json.dumps({"ciphertext": good}).encode()
    lines = stream(transit, "decrypt-stream/k", None, raw=b"\n".join(part for line in bad for part in (line, ok)))
    assert len(lines) == 2 * len(bad) - 1  # a blank line has no answer
    assert all(unb64(line["plaintext"]) == b"x" for line in lines[0::2])
    assert all(line["error"] and "plaintext" not in line for line in lines[1::2])
    assert [line.get("reference") for line in lines if "no prefix" in line.get("error", "")] == ["r"]
    # line ends as on other systems, none at the end, only blank ones
    assert len(stream(transit, "decrypt-stream/k", None, raw=ok + b"\r\n" + ok)) == 2
    assert stream(transit, "decrypt-stream/k", None, raw=b"\n\r\n  \n") == []
    assert stream(transit, "encrypt-stream/k", [{"plaintext": ""}, {"reference": "r"}])[1] == {"error": "missing plaintext to encrypt", "reference": "r"}
    assert transit.counts("k") == {1: 2}


def test_what_cannot_begin(transit):
    transit.create("k")
    transit.create("rsa", type="rsa-2048")
    for what, text in [("rewrap-stream/no", "not found"), ("rewrap-stream/rsa", "symmetric")]:
        answer = transit.api.request("POST", f"{transit.path}/{what}", raw=b"{}\n", headers={"Content-Type": "application/x-ndjson"}).expect(400)
        assert text in answer.errors
    token = transit.api.token_for("rewrapper", f'path "{transit.path}/rewrap-stream/k" {{ capabilities = ["update"] }}')
    transit.api.request("POST", f"{transit.path}/decrypt-stream/k", raw=b"{}\n", token=token).expect(403)
    transit.api.request("POST", f"{transit.path}/rewrap-stream/k", raw=b"\n", token=token).expect(200)
    transit.api.request("POST", f"{transit.path}/rewrap-stream/k", raw=b"\n", token=None).expect(403)


@pytest.mark.parametrize("limit, rows", [(1, 7), (3, 10), (100, 1000)])
def test_a_limit_is_never_passed(transit, limit, rows):
    transit.create("k", max_operations=limit)
    sealed = stream(transit, "encrypt-stream/k", [{"plaintext": b64(f"{n}")} for n in range(rows)])
    assert [transit.decrypt("k", line["ciphertext"]).decode() for line in sealed[:20]] == [f"{n}" for n in range(min(rows, 20))]
    counts = transit.counts("k")
    assert sum(counts.values()) == rows and max(counts.values()) <= limit


def test_rights_that_end_end_the_stream(transit):
    transit.create("k")
    token = transit.api.token_for("ends", f'path "{transit.path}/encrypt-stream/k" {{ capabilities = ["update"] }}')
    connection = http.client.HTTPConnection(transit.api.host, transit.api.port, timeout=60)
    connection.putrequest("POST", f"/v1/{transit.path}/encrypt-stream/k")
    for name, value in [("X-Vault-Token", token), ("Transfer-Encoding", "chunked"), ("Content-Type", "application/x-ndjson")]:
        connection.putheader(name, value)
    connection.endheaders()
    line = lines_of([{"plaintext": b64("x")}])

    def send():
        connection.send(b"%x\r\n%s\r\n" % (len(line), line))

    send()
    answer = connection.getresponse()
    assert answer.status == 200
    assert json.loads(answer.readline())["key_version"] == 1
    transit.api.post("auth/token/revoke", {"token": token}).expect(204)
    send()
    assert json.loads(answer.readline()) == {"stream_error": "permission denied"}
    assert answer.read() == b""
    connection.close()
    assert transit.counts("k") == {1: 1}


# The command

def rewrap_file(transit, *arguments, key="k"):
    env = {**os.environ, **SANITIZER_OPTIONS, "VAULT_ADDR": f"http://{transit.api.host}:{transit.api.port}", "VAULT_TOKEN": transit.api.token}
    return subprocess.run([f"{BUILD}/keyturn", "transit", "rewrap-file", f"-mount={transit.path}", *([f"-key={key}"] if key else []), *map(str, arguments)],
                          env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def rows(transit, tmp_path):
    """A key with a file of 500 ciphertexts, of which the first 50 are current, and blank lines in between."""
    transit.create("k")
    old = transit.batch("encrypt", "k", [{"plaintext": f"{n}".encode()} for n in range(450)])
    transit.rotate("k")
    new = transit.batch("encrypt", "k", [{"plaintext": f"new {n}".encode()} for n in range(50)])
    file = tmp_path / "in"
    file.write_text("".join(json.dumps({"ciphertext": r["ciphertext"], "reference": str(n)}) + "\n" * (1 + n % 2) for n, r in enumerate(new + old)))
    return file


def check_output(transit, out):
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["reference"] for line in lines] == [str(n) for n in range(500)]
    assert [line["rewrapped"] for line in lines] == [False] * 50 + [True] * 450
    opened = transit.batch("decrypt", "k", [{"ciphertext": line["ciphertext"]} for line in lines])
    assert [unb64(r["plaintext"]).decode() for r in opened] == [f"new {n}" for n in range(50)] + [f"{n}" for n in range(450)]


def test_a_file(transit, rows, tmp_path):
    done = rewrap_file(transit, rows, tmp_path / "out")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "500 rows: 450 rewrapped, 50 current already, 0 failed\n")
    check_output(transit, tmp_path / "out")
    again = rewrap_file(transit, rows, tmp_path / "out")
    assert again.returncode == 0 and again.stdout == "0 rows: 0 rewrapped, 0 current already, 0 failed (500 were done before)\n"


@pytest.mark.parametrize("cut", [0, 1, 100, 5000, -1, -20])
def test_going_on(transit, rows, tmp_path, cut):
    """What an interrupted run left, cut anywhere."""
    assert rewrap_file(transit, rows, tmp_path / "whole").returncode == 0
    out = tmp_path / "out"
    out.write_bytes((tmp_path / "whole").read_bytes()[:cut])
    kept = out.read_bytes().count(b"\n")
    done = rewrap_file(transit, rows, out)
    assert done.returncode == 0 and f"({kept} were done before)" in done.stdout or kept == 0
    check_output(transit, out)


def test_lines_that_fail(transit, rows, tmp_path):
    rows.write_text("nonsense\n" + rows.read_text())
    done = rewrap_file(transit, rows, tmp_path / "out")
    assert done.returncode == 1
    assert "501 rows: 450 rewrapped, 50 current already, 1 failed" in done.stdout and "1 rows could not be rewrapped" in done.stderr
    assert "not a JSON object" in (tmp_path / "out").read_text().splitlines()[0]


def test_what_cannot_be(transit, rows, tmp_path):
    assert rewrap_file(transit, rows, tmp_path / "out", key=None).returncode == 2
    refused = rewrap_file(transit, rows, tmp_path / "out", key="other")
    assert refused.returncode == 1 and "encryption key not found" in refused.stderr
    assert (tmp_path / "out").read_bytes() == b""
    assert "No such file" in rewrap_file(transit, tmp_path / "none", tmp_path / "out").stderr
    same = rewrap_file(transit, rows, rows)
    assert same.returncode == 2 and "the same file" in same.stderr
    (tmp_path / "other").write_text("{}\n" * 501)
    more = rewrap_file(transit, rows, tmp_path / "other")
    assert more.returncode == 2 and "more rows than the input" in more.stderr
    check = rows.read_text()
    assert rewrap_file(transit, rows, tmp_path / "out").returncode == 0 and rows.read_text() == check
