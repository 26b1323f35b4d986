"""Keys that the reference made, in its backups, and what it did with them: restored here, each ciphertext decrypts, each signature and MAC verifies."""
import json
from pathlib import Path

import pytest

KEYS = json.loads((Path(__file__).parent / "fixtures" / "transit.json").read_text())
# What a case's operation is called here, and how its answer says that all is well.
CALLS = {
    "decrypt": ("decrypt", lambda case, data: data["plaintext"] == case["plaintext"]),
    "verify": ("verify", lambda case, data: data["valid"] is True),
    "verify-hmac": ("verify", lambda case, data: data["valid"] is True),
}


def cases():
    for key in KEYS:
        for number, case in enumerate(key["cases"]):
            yield pytest.param(key, case, id=f"{key['name']}-{number}-{case['op']}")


@pytest.fixture(scope="module")
def restored(dev_server):
    """All keys, restored into one mount."""
    api = dev_server.api
    api.post("sys/mounts/fixtures", {"type": "transit"}).expect(204)
    for key in KEYS:
        api.post("fixtures/restore", {"backup": key["backup"]}).expect(204)
    return api


def test_all_cases_are_there():
    assert sum(len(key["cases"]) for key in KEYS) == 183


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key["name"])
def test_restored(restored, key):
    data = restored.get(f"fixtures/keys/{key['name']}").expect(200).data
    assert (data["type"], data["latest_version"], data["restore_info"]["version"]) == (key["type"], 3, 3)
    assert data["exportable"] and data["allow_plaintext_backup"] and not data["imported_key"]


@pytest.mark.parametrize("key, case", cases())
def test_case(restored, key, case):
    call, good = CALLS[case["op"]]
    body = {name: value for name, value in case.items() if name not in ("op", "plaintext")}
    data = restored.post(f"fixtures/{call}/{key['name']}", body).expect(200).data
    assert good(case, data), data
