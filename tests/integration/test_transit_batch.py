"""Batches: many items in one call, each answered by itself and in order; how errors are told; how many, and what a refused one costs."""
import itertools
import json
import random

import pytest
from server import DevServer
from transit import SYMMETRIC, Transit, b64, unb64, version_of

_mounts = itertools.count()


@pytest.fixture
def transit(dev_server):
    return Transit(dev_server.api, f"b{next(_mounts)}").mount()


def test_in_order_with_references(transit):
    transit.create("k")
    texts = [str(n).encode() * (n % 50) for n in range(300)]
    results = transit.batch("encrypt", "k", [{"plaintext": t, "reference": f"row {n}"} for n, t in enumerate(texts)])
    assert [r["reference"] for r in results] == [f"row {n}" for n in range(300)]
    assert all(r["key_version"] == version_of(r["ciphertext"]) == 1 for r in results)
    assert transit.rotate("k") == 2
    rewrapped = transit.batch("rewrap", "k", [{"ciphertext": r["ciphertext"], "reference": r["reference"]} for r in results])
    assert all(r["key_version"] == version_of(r["ciphertext"]) == 2 for r in rewrapped)
    assert [r["reference"] for r in rewrapped] == [r["reference"] for r in results]
    for made in (results, rewrapped):
        opened = transit.batch("decrypt", "k", [{"ciphertext": r["ciphertext"], "reference": r["reference"]} for r in made])
        assert [unb64(r["plaintext"]) for r in opened] == texts
        assert [r["reference"] for r in opened] == [r["reference"] for r in results]
    assert transit.counts("k") == {1: 300, 2: 300}
    assert transit.counts("k", "decryptions") == {1: 600, 2: 300}


def test_references_are_any_text(transit):
    transit.create("k")
    references = ["", "\"", "\\", "\n\t\0\x1f\x7f", "</script>", "\u00e4\u20ac\U0001f600", "x" * 5000, "\ud7ff\ue000\uffff", "null"]
    results = transit.batch("encrypt", "k", [{"plaintext": b"", "reference": r} for r in references])
    assert [r["reference"] for r in results] == references
    bad = transit.batch("decrypt", "k", [{"ciphertext": "x", "reference": r} for r in references], 400)
    assert [r["reference"] for r in bad] == references


def test_items_choose_their_version(transit):
    transit.create("k")
    for _ in range(4):
        transit.rotate("k")
    wanted = [0, 3, 5, 1, 0, 2, 3, 3, 5, "4"]
    results = transit.batch("encrypt", "k", [{"plaintext": b"x", "key_version": n} for n in wanted])
    assert [r["key_version"] for r in results] == [5, 3, 5, 1, 5, 2, 3, 3, 5, 4]
    assert transit.counts("k") == {1: 1, 2: 1, 3: 3, 4: 1, 5: 4}
    results = transit.batch("encrypt", "k", [{"plaintext": b"x", "key_version": n} for n in (6, -1, 1)], 400)
    assert ["error" in r for r in results] == [True, True, False]
    assert transit.counts("k")[1] == 2


def test_contexts_and_associated_data(transit):
    transit.create("k", derived=True)
    items = [{"plaintext": f"{n}".encode(), "context": f"c{n % 3}".encode(), **({"associated_data": f"a{n}".encode()} if n % 2 else {})} for n in range(30)]
    results = transit.batch("encrypt", "k", items)
    given = [{**item, "ciphertext": r["ciphertext"]} for item, r in zip(items, results)]
    assert [unb64(r["plaintext"]) for r in transit.batch("decrypt", "k", given)] == [i["plaintext"] for i in items]
    swapped = [{**a, "context": b["context"]} for a, b in zip(given, given[1:])]
    assert all("authentication failed" in r["error"] for r in transit.batch("decrypt", "k", swapped, 400))
    transit.refused("encrypt/k", "context should be set either in all", batch_input=[{"plaintext": "", "context": b64("c")}, {"plaintext": ""}])
    transit.refused("decrypt/k", "context should be set either in all", batch_input=[{"ciphertext": "x"}, {"ciphertext": "x", "context": b64("c")}])
    assert transit.counts("k") == {1: 30}


# Errors

GOOD, BAD = {"plaintext": b64("good")}, {"plaintext": "!"}


def codes(transit, items, **more):
    answer = transit.ask("encrypt/k", batch_input=items, **more)
    return answer.status, answer


def test_status_of_a_batch(transit):
    transit.create("k")
    assert codes(transit, [GOOD, GOOD])[0] == 200
    assert codes(transit, [GOOD, BAD])[0] == 400
    assert codes(transit, [BAD, BAD])[0] == 400
    for wanted in (200, 207, 202, 400, 418, "206"):
        assert codes(transit, [GOOD, BAD], partial_failure_response_code=wanted)[0] == int(wanted)
        assert codes(transit, [GOOD, GOOD], partial_failure_response_code=wanted)[0] == 200
        assert codes(transit, [BAD, BAD], partial_failure_response_code=wanted)[0] == 400
    for wanted in (0, -1, 600, 99, 1 << 40, "x", [200]):
        status, answer = codes(transit, [GOOD, BAD], partial_failure_response_code=wanted)
        assert status == 400
        assert "reverting to 400" in answer.body["warnings"][0], wanted
        assert version_of(answer.data["batch_results"][0]["ciphertext"]) == 1


def test_an_error_does_not_disturb_the_others(transit):
    transit.create("k")
    cipher = transit.encrypt("k", b"text")
    changed = cipher[:-6] + ("AAAA" if cipher[-6:-2] != "AAAA" else "BBBB") + cipher[-2:]
    bad = {"x": "no prefix", "vault:v1": "wrong number of fields", "vault:vx:AA": "version number could not be decoded", "vault:v1:AAAA": "invalid ciphertext length",
           "vault:v1:!": "could not decode base64", "vault:v2:AAAA": "too new", "vault:v-1:AAAA": "too old", changed: "message authentication failed", "": "missing ciphertext"}
    items = [item for text in bad for item in ({"ciphertext": cipher}, {"ciphertext": text, "reference": "bad"})]
    for operation in ("decrypt", "rewrap"):
        results = transit.batch(operation, "k", items, 400 if operation == "decrypt" else 200)
        for n, why in enumerate(bad.values()):
            good, wrong = results[2 * n], results[2 * n + 1]
            assert "error" not in good and good["reference"] == ""
            assert why in wrong["error"] and wrong["reference"] == "bad" and not wrong.get("plaintext")
    encrypted = transit.batch("encrypt", "k", [{"plaintext": b"a"}, {"plaintext": "QQ=A"}, {"plaintext": b"b", "associated_data": "!"}, {"plaintext": b"c"}], 400)
    assert ["error" in r for r in encrypted] == [False, True, True, False]
    assert encrypted[1]["error"] == "illegal base64 data at input byte 2"
    assert [transit.decrypt("k", encrypted[n]["ciphertext"]) for n in (0, 3)] == [b"a", b"c"]
    assert transit.counts("k") == {1: 1 + len(bad) + 2}


WHOLE = [  # what is wrong with the whole batch
    ("no", "must be an array"), ({}, "must be an array"), (5, "must be an array"), (True, "must be an array"), ([], "missing batch input"),
    ([{}], "missing plaintext"), ([{"plaintext": ""}, {}], "[1]"), ([{"plaintext": None}], "missing plaintext"), ([{"plaintext": 5}], "must be a string"),
    ([{"plaintext": ["x"]}], "must be a string"), ([5], "must be an object"), (["x"], "must be an object"), ([None], "must be an object"), ([[]], "must be an object"),
    ([{"plaintext": "", "key_version": "x"}], "must be an integer"), ([{"plaintext": "", "key_version": 1.5}], "must be an integer"),
    ([{"plaintext": "", "key_version": {}}], "must be an integer"), ([{"plaintext": "", "key_version": ""}], "must be an integer"),
    ([{"plaintext": "", "key_version": "1e0"}], "must be an integer"), ([{"plaintext": "", "key_version": "-"}], "must be an integer"), ([{"plaintext": "", "context": 1}], "must be a string"),
    ([{"plaintext": "", "reference": 1}], "must be a string"), ([{"plaintext": "", "associated_data": {}}], "must be a string"),
]


@pytest.mark.parametrize("batch,why", WHOLE, ids=[json.dumps(b) for b, _ in WHOLE])
def test_a_malformed_batch(transit, batch, why):
    transit.create("k")
    transit.refused("encrypt/k", why, batch_input=batch)
    transit.refused("encrypt/new", why, batch_input=batch)
    assert not transit.exists("new")
    transit.ask("decrypt/k", batch_input=batch).expect(400)
    transit.ask("rewrap/k", batch_input=batch).expect(200, 400)  # a batch of objects without a ciphertext is one of items in error
    assert transit.counts("k") == {1: 0}


def test_what_stands_beside_a_batch_does_not_count(transit):
    transit.create("k")
    results = transit.batch("encrypt", "k", [{"plaintext": b"a", "odd": [1]}], plaintext="!", context="!", key_version="x", reference=5)
    assert transit.decrypt("k", results[0]["ciphertext"]) == b"a"
    assert transit.ask("encrypt/k", batch_input=None, plaintext=b"b").expect(200).data["key_version"] == 1


# Batches are what single calls are


@pytest.mark.parametrize("kind", SYMMETRIC)
def test_equal_to_single_calls(transit, kind):
    """Byte by byte, with a convergent key; and the same errors."""
    transit.create("k", type=kind, derived=True, convergent_encryption=True)
    transit.rotate("k")
    dice = random.Random(kind)
    items = []
    for _ in range(60):
        items.append({"plaintext": dice.choice([dice.randbytes(dice.randrange(40)), "!", "QQ=A"]), "context": dice.choice([b"a", b"b", b"a", "?"]),
                      "associated_data": dice.choice([b"", b"x", b"y", "QR=="]), "key_version": dice.choice([0, 1, 2, 3, -1])})
    results = transit.batch("encrypt", "k", items, 400)
    given = []
    for item, result in zip(items, results):
        single = transit.ask("encrypt/k", **item)
        if "error" in result:
            assert single.status == 400 and single.errors == result["error"]
        else:
            assert single.data == {n: result[n] for n in ("ciphertext", "key_version")}
            given.append({**{n: item[n] for n in ("context", "associated_data")}, "ciphertext": result["ciphertext"]})
    assert given
    for operation in ("decrypt", "rewrap"):
        for item, result in zip(given, transit.batch(operation, "k", given)):
            single = transit.ask(f"{operation}/k", **item).expect(200).data
            assert single == {n: result[n] for n in single}


# How many

MOST = 50000


def test_ten_thousand(transit):
    transit.create("k")
    items = [{"plaintext": b64(f"{n}"), "reference": str(n)} for n in range(10000)]
    results = transit.batch("encrypt", "k", items)
    assert [r["reference"] for r in results] == [i["reference"] for i in items]
    assert len({r["ciphertext"][:26] for r in results}) == 10000  # with a nonce each
    opened = transit.batch("decrypt", "k", [{"ciphertext": r["ciphertext"]} for r in results])
    assert [r["plaintext"] for r in opened] == [i["plaintext"] for i in items]
    assert transit.counts("k") == {1: 10000}


def test_as_many_as_there_may_be(transit):
    transit.create("k")
    raw = b'{"batch_input":[' + b",".join([b'{"plaintext":""}'] * MOST) + b"]}"
    answer = transit.api.request("POST", f"{transit.path}/encrypt/k", raw=raw).expect(200)
    assert len(answer.data["batch_results"]) == MOST
    raw = b'{"batch_input":[' + b",".join([b'{"plaintext":""}'] * (MOST + 1)) + b"]}"
    answer = transit.api.request("POST", f"{transit.path}/encrypt/k", raw=raw).expect(400)
    assert "has 50001 items, of at most 50000" in answer.errors
    assert transit.counts("k") == {1: MOST}


def resident_kb(server):
    status = open(f"/proc/{server.process.pid}/status").read()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def test_a_refused_batch_costs_no_memory(folder):
    """Beside that of its text, which is given back: many of them grow nothing.  (The sanitizer is told to keep nothing that was freed.)"""
    server = DevServer(folder, env={"ASAN_OPTIONS": "abort_on_error=0:exitcode=86:detect_leaks=1:quarantine_size_mb=0:thread_local_quarantine_size_kb=0"})
    server.start()
    try:
        transit = Transit(server.api).mount()
        transit.create("k")
        raw = b'{"batch_input":[' + b",".join([b'{"plaintext":"QUJD"}'] * (MOST + 1)) + b"]}"

        def refused(times):
            for _ in range(times):
                transit.api.request("POST", "transit/encrypt/k", raw=raw).expect(400)

        refused(20)
        before = resident_kb(server)
        refused(60)
        assert resident_kb(server) - before < 16 << 10
    finally:
        server.close()
