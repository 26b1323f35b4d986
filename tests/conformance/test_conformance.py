"""The recorded conversations, one case a scenario."""
import json
from pathlib import Path

import pytest
import replay
from server import Server

HERE = Path(__file__).parent

# Scenarios that must pass; None means all of the file's.
VAULT = {
    "rotation": None,
    "policies": None,
    "kv": ["kv v1"],
    "transit": None,
    "system": [
        "health and seal-status need no token",
        "requests nobody can route",
        "malformed bodies",
        "mounts: refused",
        "capabilities",
        "cubbyhole is per token",
    ],
    "tokens": [
        "token: create and look up",
        "token: renew",
        "token: uses run out",
        "token: children die with the parent",
        "token: no privilege gained",
        "token: accepted spellings",
        "token: refused requests say so",
    ],
}
VAULT_FRESH = ["init", "unseal", "unseal-wrong"]

# Where a recorded error holds one of these, ours must too: clients look at them.
FIXED_TEXTS = [
    "permission denied",
    "Vault is sealed",
    "no handler for route",
    "max_operations must be in the range [1000000,3865470566]",
    "interval must be greater or equal to 24h0m0s",
    "bad token",
    "lease is not renewable",
    "unsupported operation",
    "unsupported path",
    "invalid ciphertext",
    "missing 'context' for key derivation",
    "disallowed by policy (too old)",
    "encryption key not found",
    "deletion is not allowed for this key",
    "illegal base64 data at input byte",
]

FRESH_LISTENER = "  disable_unauthed_rekey_endpoints = false\n  disable_unauthed_generate_root_endpoints = false"


def load(file):
    return json.loads((HERE / file).read_text())


def chosen():
    for name, names in VAULT.items():
        scenarios = {s["name"]: s for s in load(f"vault/{name}.json")}
        for scenario in names or scenarios:
            yield pytest.param(scenarios[scenario], id=scenario)


def texts(answer):
    return " ".join(answer.get("errors") or []) if isinstance(answer, dict) else ""


def play(server, token, scenario, monkeypatch):
    """Replay it; fail with every difference, and with every fixed text that is missing."""
    missing, call = [], replay.call

    def watched(addr, step, *rest):
        status, got = call(addr, step, *rest)
        recorded, ours = texts(step.get("want")), texts(got)
        lost = [text for text in FIXED_TEXTS if text in recorded and text not in ours]
        missing.extend(f"{step['do']} {step['path']}: no text {text!r} in {got}" for text in lost)
        return status, got

    monkeypatch.setattr(replay, "call", watched)
    bad = replay.run(f"http://127.0.0.1:{server.port}", token, scenario, False, False)
    assert bad + missing == [], "\n" + "\n".join(bad + missing)


@pytest.mark.parametrize("scenario", chosen())
def test_vault(dev_server, scenario, monkeypatch):
    play(dev_server, "root", scenario, monkeypatch)


@pytest.mark.parametrize("scenario", [pytest.param(s, id=s["name"]) for s in load("storedsafe/storedsafe.json")])
def test_storedsafe(dev_server, scenario, monkeypatch):
    play(dev_server, "root", scenario, monkeypatch)


@pytest.mark.parametrize("name", VAULT_FRESH)
def test_vault_fresh(folder, name, monkeypatch):
    server = Server(folder, storage="inmem", listener=FRESH_LISTENER).start()
    try:
        for scenario in load(f"vault-fresh/{name}.json"):
            play(server, "", scenario, monkeypatch)
    finally:
        server.close()


def test_a_difference_is_seen():
    """The comparison itself: what must not match does not."""
    assert list(replay.differ({"a": "<num>"}, {"a": "1"}))
    assert list(replay.differ({"a": 1}, {}))
    assert list(replay.differ(["<set>", 1, 2], [1]))
    assert list(replay.differ(True, 1))
    assert list(replay.differ({"<only>": {"a": 1}}, {"a": 1, "b": 2})) and list(replay.differ({"<only>": {"a": 1, "b": 2}}, {"a": 1}))
    for text in ("storedsafe:v1:QQ=", "storedsafe:v2:QQ==", "storedsafe:v1:QUE=", "vault:v1:QQ==", "", None, 1):
        assert list(replay.differ("<safe v1 1>", text)), text
    assert list(replay.differ("<bytes 2>", "QQ==")) and list(replay.differ("<bytes>", "Q")) and list(replay.differ("<not a>", "a"))
    assert not list(replay.differ({"<only>": {"s": "<safe v1 1>", "b": "<bytes>", "n": "<not a>"}}, {"s": "storedsafe:v1:QQ==", "b": "QQ==", "n": "b"}))
    assert not list(replay.differ({"a": "<any>", "t": "<time>"}, {"a": None, "t": "2026-01-02T03:04:05.1Z", "more": 1}))
