"""The disk fails under a user of the StoredSafe API: it is told in this API's form, nothing was changed that was not said, and what needs no disk goes on."""
import errno
import itertools

import pytest
import shim
from safe import ACTIVE, READ, WRITE, House
from transparent import Vault, b64

TEXT = b64(b"attack at dawn")


@pytest.fixture
def control(folder):
    return shim.Control(folder / "control")


@pytest.fixture
def vault(new_server, control):
    server = shim.environment(new_server(), control=control).ready()
    return Vault.new(House(server.api).session("owner", READ | WRITE | ACTIVE))


def told(answer):
    """A failure of the server's in this API's form; its text."""
    assert answer.status in (500, 503, 507), answer
    body = answer.body
    assert body["CALLINFO"]["status"] == "FAIL" and body["CALLINFO"]["errors"] == 1 and list(body["ERRORCODES"]) == ["2000"] and len(body["ERRORS"]) == 1, answer
    assert body["CALLINFO"]["handler"] == "EncryptionHandler" and "KEYS" not in body and body["PARAMS"] == [], answer
    return body["ERRORS"][0]


CHANGES = {
    "create": lambda vault, n, backup: vault.ask(f"keys/new{n}", {"info": "x"}),
    "by encrypt": lambda vault, n, backup: vault.ask(f"encrypt/new{n}", {"plaintext": TEXT}),
    "rotate": lambda vault, n, backup: vault.ask("keys/k/rotate"),
    "config": lambda vault, n, backup: vault.ask("keys/k", {"info": f"changed {n}"}, "PUT"),
    "version": lambda vault, n, backup: vault.ask("keys/k/versions/1", {"rewrap_only": n % 2 == 1}, "PUT"),
    "delete": lambda vault, n, backup: vault.ask(f"keys/old{n}", method="DELETE"),
    "restore": lambda vault, n, backup: vault.ask(f"restore/new{n}", {"backup": backup}),
    "backup": lambda vault, n, backup: vault.ask("backup/k", method="GET"),
}


def shown(vault):
    return vault.entries(), {n: (v["state"], v["rewrap_only"]) for n, v in vault.versions("k").items()}


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
@pytest.mark.parametrize("name", CHANGES)
def test_each_call_of_a_change_fails_once(control, vault, name, error):
    vault.info("keys/k", {})
    vault.info("keys/k/rotate")
    backup = vault.get("backup/k")[0]["backup"]
    for n in range(1, 40):
        vault.info(f"keys/old{n}", {})
    whole = 0
    for n in itertools.count(1):
        assert n < 40
        before = shown(vault)
        control.arm(shim.FAIL_BEFORE, n, error)
        answer = CHANGES[name](vault, n, backup)
        fired = control.off()[1]
        if answer.status not in (200, 201):
            assert fired
            told(answer)
            assert shown(vault) == before
            CHANGES[name](vault, n, backup).expect(200, 201)
        assert name == "backup" or shown(vault) != before
        whole = 0 if fired else whole + 1
        if whole == 3:
            assert n > 3, "it makes no calls"
            break
    assert vault.info("decrypt/k", {"ciphertext": vault.info("encrypt/k", {"plaintext": TEXT})["ciphertext"]})["plaintext"] == TEXT


def test_what_needs_no_disk_goes_on_while_it_is_full(control, vault):
    vault.info("keys/k", {"info": "stays"})
    sealed = vault.info("encrypt/k", {"plaintext": TEXT})["ciphertext"]
    before = shown(vault)
    control.arm(shim.FAIL_BEFORE, 1, errno.ENOSPC, forever=True)
    for n in range(1, 4):
        for name in ("create", "by encrypt", "rotate", "config"):
            assert "space" in told(CHANGES[name](vault, n, None))
        assert vault.info("decrypt/k", {"ciphertext": sealed})["plaintext"] == TEXT
        again = vault.info("rewrap/k", {"ciphertext": sealed})["ciphertext"]
        assert vault.info("decrypt/k", {"ciphertext": again})["plaintext"] == TEXT
        assert "plaintext" in vault.info("datakey/plaintext/k")
        vault.info("encrypt/k", {"batch": [{"plaintext": TEXT}] * 100})
        assert shown(vault) == before
        vault.get("export/k")
    control.off()
    for name in ("create", "by encrypt", "rotate", "config"):
        CHANGES[name](vault, 9 if name == "create" else 10, None).expect(200, 201)
    assert vault.counts("k")[1] == 1 + 3 * (1 + 1 + 100)


@pytest.mark.parametrize("name", CHANGES)
def test_sealed(vault, name):
    """Before and after it is opened again."""
    api = vault.safe.api
    vault.info("keys/k", {})
    vault.info("keys/old1", {})
    backup = vault.get("backup/k")[0]["backup"]
    api.post("sys/seal").expect(204)
    assert "sealed" in told(CHANGES[name](vault, 1, backup))
    assert "sealed" in told(vault.ask("decrypt/k", {"ciphertext": "storedsafe:v1:AAAA"})) and "sealed" in told(vault.ask("keys", method="LIST"))
