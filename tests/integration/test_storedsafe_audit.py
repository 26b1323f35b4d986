"""What the audit says of calls about the keys of vaults: each of them, by whom, and no secret of it in clear."""
import json

import pytest
from safe import ACTIVE, READ, WRITE, House, Safe
from transparent import Vault, b64, unb64

TEXT, OTHER, ROW = b"attack at dawn", b"retreat at dusk", b"row 7 of the orders"


class Spied:
    """A server with an audit, and a vault of one Admin; what its calls sent and got."""

    def __init__(self, new_server, folder):
        self.file = folder / "audit"
        self.server = new_server(config=f'audit "file" "main" {{\n  options {{ file_path = "{self.file}" }}\n}}').ready()
        self.house = House(self.server.api)
        self.vault = Vault.new(self.house.session("owner", READ | WRITE | ACTIVE))
        self.secrets = [self.vault.safe.token, self.vault.safe.token[:24]]

    def hash_of(self, text):
        return self.server.api.post("sys/audit-hash/main", {"input": text}).expect(200).data["hash"]

    def secret(self, text):
        """The text as it stands; what it encodes, too."""
        self.secrets.append(text)
        raw = text.split(":")[-1]
        self.secrets += [raw, raw.rstrip("=")]
        try:
            self.secrets.append(unb64(raw).decode("ascii"))
        except ValueError:
            pass
        return text

    def entries(self):
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def about(self, path):
        """(request, response) of the calls about this path of the vault."""
        found = [e for e in self.entries() if e["type"] != "event" and e["request"]["path"] == f"storedsafe/vaults/{self.vault.id}/{path}"]
        pairs = list(zip(found[::2], found[1::2]))
        assert pairs and all((a["type"], b["type"]) == ("request", "response") and a["request"]["id"] == b["request"]["id"] for a, b in pairs), found
        return pairs

    def check_clear(self):
        text = self.file.read_text()
        for secret in filter(None, self.secrets):
            assert secret not in text


@pytest.fixture
def spied(new_server, folder):
    return Spied(new_server, folder)


def test_every_call_is_in_the_audit(spied):
    vault = spied.vault
    calls = [("POST", "keys/k", {}, "update", "keys/k"), ("GET", "keys/k", None, "read", "keys/k"), ("LIST", "keys", None, "list", "keys"), ("GET", "keys", None, "list", "keys"),
             ("PUT", "keys/k", {"info": "x"}, "update", "keys/k/config"), ("POST", "keys/k/rotate", None, "update", "keys/k/rotate"), ("GET", "keys/k/versions", None, "read", "keys/k/versions"),
             ("PUT", "keys/k/versions/1", {"rewrap_only": False}, "update", "keys/k/versions/1"), ("POST", "encrypt/k", {"plaintext": "QQ=="}, "update", "encrypt/k"),
             ("POST", "encrypt/new", {"plaintext": "QQ=="}, "create", "encrypt/new"), ("POST", "decrypt/k", {"ciphertext": "x"}, "update", "decrypt/k"),
             ("POST", "rewrap/k", {"ciphertext": "x"}, "update", "rewrap/k"), ("POST", "datakey/plaintext/k", {}, "update", "datakey/plaintext/k"),
             ("POST", "datakey/wrapped/k", {}, "update", "datakey/wrapped/k"), ("GET", "export/k", None, "read", "export/k"), ("GET", "export/k/1", None, "read", "export/k/1"),
             ("GET", "backup/k", None, "read", "backup/k"), ("POST", "restore/r", {"backup": "x"}, "update", "restore/r"), ("DELETE", "keys/k", None, "delete", "keys/k")]
    for method, what, body, operation, path in calls:
        before = len(spied.entries())
        answer = vault.ask(what, body, method)
        request, response = spied.entries()[before:]
        for entry in (request, response):
            assert entry["request"]["path"] == f"storedsafe/vaults/{vault.id}/{path}" and entry["request"]["operation"] == operation, entry
            assert (entry["request"]["mount_point"], entry["request"]["mount_type"]) == ("storedsafe/", "storedsafe")
            assert (entry["auth"]["display_name"], entry["auth"]["token_type"]) == ("owner", "session")
            assert entry["auth"]["client_token"].startswith("hmac-sha256:") and entry["request"]["remote_address"] == "127.0.0.1"
        assert (request["type"], response["type"]) == ("request", "response") and request["request"]["id"] == response["request"]["id"]
        assert (response.get("error") is None) == (answer.status < 300), (answer, response)
        assert answer.status < 300 or response["error"] == answer.body["ERRORS"][0]
    spied.check_clear()


def test_secrets_are_hashed(spied):
    vault = spied.vault
    vault.info("keys/k", {"info": spied.secret("what nobody else should know")})
    sealed = [spied.secret(vault.info("encrypt/k", {"plaintext": spied.secret(b64(TEXT)), "associated_data": spied.secret(b64(ROW))})["ciphertext"])]
    info = vault.info("encrypt/k", {"batch": [{"plaintext": b64(TEXT), "reference": spied.secret("reference number 1")}, {"plaintext": spied.secret(b64(OTHER))}]})
    sealed += [spied.secret(item["ciphertext"]) for item in info["batch"]]
    assert vault.info("decrypt/k", {"ciphertext": sealed[0], "associated_data": b64(ROW)})["plaintext"] == b64(TEXT)
    vault.info("decrypt/k", {"batch": [{"ciphertext": text} for text in sealed[1:]]})
    vault.info("keys/k/rotate")
    spied.secret(vault.info("rewrap/k", {"ciphertext": sealed[1]})["ciphertext"])
    spied.secret(vault.info("rewrap/k", {"batch": [{"ciphertext": sealed[1]}]})["batch"][0]["ciphertext"])
    for how in ("plaintext", "wrapped"):
        info = vault.info(f"datakey/{how}/k", {"bits": 512})
        spied.secret(info["ciphertext"])
        spied.secret(info.get("plaintext", ""))
    key = spied.secret(vault.get("export/k/1")[0]["key"])
    backup = spied.secret(vault.get("backup/k")[0]["backup"])
    vault.info("restore/again", {"backup": backup})
    vault.ask("restore/again", {"backup": backup}).expect(409)
    spied.check_clear()
    # What stands there instead is what an operator can compute of a value.
    request, response = spied.about("encrypt/k")[0]
    assert request["request"]["data"] == {"plaintext": spied.hash_of(b64(TEXT)), "associated_data": spied.hash_of(b64(ROW))}
    assert response["response"]["data"] == {"key_version": spied.hash_of("1"), "ciphertext": spied.hash_of(sealed[0])}
    request, response = spied.about("encrypt/k")[1]
    assert [item["plaintext"] for item in request["request"]["data"]["batch"]] == [spied.hash_of(b64(text)) for text in (TEXT, OTHER)]
    assert [item["ciphertext"] for item in response["response"]["data"]["batch"]] == [spied.hash_of(text) for text in sealed[1:]]
    assert spied.about("decrypt/k")[0][1]["response"]["data"]["plaintext"] == spied.hash_of(b64(TEXT))
    assert spied.about("export/k/1")[0][1]["response"]["data"]["named_keys"][0]["key"] == spied.hash_of(key)
    assert spied.about("backup/k")[0][1]["response"]["data"]["named_keys"][0]["backup"] == spied.hash_of(backup)
    assert spied.about("restore/again")[0][0]["request"]["data"]["backup"] == spied.hash_of(backup)
    assert spied.about("keys/k/rotate")[0][0]["auth"]["client_token"] == spied.hash_of(vault.safe.token)


@pytest.mark.parametrize("send", [{}, {"token": True}], ids=["header", "body"])
def test_refusals_and_who_was_refused(spied, send):
    """By a stranger, by nobody, with a token that is none; where the token stands does not matter."""
    spied.vault.info("keys/k", {})
    stranger = spied.house.session("stranger")
    nobody, fake = Safe(spied.server.api), Safe(spied.server.api, "x" * 56)
    for caller, status, name in ((stranger, 403, "stranger"), (nobody, 401, None), (fake, 401, None)):
        spied.secrets.append(caller.token or "")
        body = {"plaintext": spied.secret(b64(TEXT))}
        if send and caller.token:
            answer = Safe(spied.server.api).call("POST", f"transparent/{spied.vault.id}/encrypt/k", {**body, "token": caller.token})
        else:
            answer = caller.call("POST", f"transparent/{spied.vault.id}/encrypt/k", body)
        answer.expect(status)
        _, response = spied.about("encrypt/k")[-1]
        assert response["error"] == answer.body["ERRORS"][0] and response.get("auth", {}).get("display_name") == name, response
        assert "data" not in response.get("response", {})
    spied.check_clear()


def test_what_the_server_does_by_itself(spied):
    """A rotation that a limit makes due: of which key, why, and how often the version was used."""
    spied.vault.info("keys/k", {"max_operations": 2})
    sealed = [spied.vault.info("encrypt/k", {"plaintext": spied.secret(b64(TEXT))})["ciphertext"] for _ in range(5)]
    assert [text.split(":")[1] for text in sealed] == ["v1", "v1", "v2", "v2", "v3"]
    told = [entry["event"] for entry in spied.entries() if entry["type"] == "event"]
    assert told == [{"event": "key_rotated", "mount": "storedsafe/", "key": f"{spied.vault.id}.k", "cause": "max_operations", "old_version": n, "new_version": n + 1, "encryptions": 2}
                    for n in (1, 2)]
    spied.check_clear()
