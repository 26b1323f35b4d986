"""Keys that were moved in and out leave no trace: not on the disk, not in log and audit, not in what a core dump would hold."""
import base64

import memory
import moving
import pytest
from moving import b64, material, new_key, read_backup, wrap
from server import Server

KINDS = ["aes256-gcm96", "hmac", "ed25519", "ecdsa-p256", "ecdsa-p521", "rsa-2048"]


def windows(text, n=32, step=97):
    """Pieces of a text, enough of them to find it wherever it begins."""
    return [text[at : at + n] for at in range(0, len(text) - n, step)] or [text]


class Moved:
    """A server through which a key of each kind went in every way."""

    def __init__(self, folder):
        self.folder = folder
        config = f'log_level = "trace"\naudit "file" "main" {{ options {{ file_path = "{folder}/audit" }} }}'
        self.server = Server(folder / "server", config=config, env={"KEYTURN_TEST_DUMPABLE": "1"}).ready()
        self.keys, self.texts, self.api = {}, {}, self.server.api
        self.api.post("sys/mounts/mv", {"type": "transit"}).expect(204)
        wrapping = moving.wrapping_key(self.api, "mv")
        self.api.post("mv/keys/to/import", {"type": "rsa-2048", "public_key": moving.public_pem(new_key("rsa-2048"))}).expect(204)
        for kind in KINDS:
            self.keys[kind] = new_key(kind, fresh=True)
            self.move(kind, wrapping)
        self.api.post("mv/encrypt/aes256-gcm96", {"plaintext": ""}).expect(200)

    def move(self, kind, wrapping):
        body = {"type": kind, "ciphertext": b64(wrap(wrapping, material(self.keys[kind]))), "exportable": True, "allow_plaintext_backup": True}
        self.api.post(f"mv/keys/{kind}/import", body).expect(204)
        self.api.post(f"mv/keys/{kind}/import_version", body).expect(204)
        self.api.post(f"mv/keys/{kind}-bad/import", {**body, "type": "ecdsa-p384"}).expect(400)
        call = {"a": "encryption-key", "h": "hmac-key"}.get(kind[0], "signing-key")
        for form in ("", "der", "pem", "raw"):
            self.api.get(f"mv/export/{call}/{kind}?format={form}").expect(200, 400)
        self.api.get(f"mv/byok-export/to/{kind}").expect(200)
        text = self.texts[kind] = self.api.get(f"mv/backup/{kind}").expect(200).data["backup"]
        self.api.post(f"mv/restore/{kind}-copy", {"backup": text}).expect(204)
        self.api.post("mv/restore", {"backup": text}).expect(400)
        self.api.post(f"mv/restore/{kind}-bad", {"backup": text[:-200]}).expect(400)

    def secret_bytes(self, kind):
        """The bytes that make the key."""
        key = self.keys[kind]
        if isinstance(key, bytes):
            return key
        if kind == "ed25519":
            return material(key)[-32:]
        number = key.private_numbers()
        number = number.private_value if kind.startswith("ecdsa") else number.d
        return number.to_bytes((number.bit_length() + 7) // 8, "big")

    def secrets(self):
        """{name: bytes} of what nobody may find: bytes, numbers, texts."""
        found = {}
        for kind in KINDS:
            raw = self.secret_bytes(kind)
            found |= {f"{kind} {how}": piece for how, piece in memory.pieces(raw[:64]).items()}
            found |= {f"{kind} {how}": piece[:40] for how, piece in memory.spellings(raw[:48]).items() if how.startswith("base64")}
            if kind.startswith(("ecdsa", "rsa")):
                digits = str(int.from_bytes(raw, "big")).encode()
                found |= {f"{kind} digits {n}": piece for n, piece in enumerate(windows(digits))}
            backup = self.texts[kind].encode()
            # where the text holds keys: not its first words, which are in every backup
            found |= {f"{kind} backup {n}": piece for n, piece in enumerate(windows(backup)) if b64(b"key")[:4].encode() not in piece and n > 0}
        return found


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    made = Moved(tmp_path_factory.mktemp("moved"))
    yield made
    made.server.close()


def test_the_right_things_are_looked_for(moved):
    """They are in what was sent and got, and the key that is in use is in guarded memory."""
    for kind in KINDS:
        key = read_backup(moved.texts[kind])["policy"]["keys"]["1"]
        whole = base64.b64decode(key["key"]) if key["key"] else (key["ec_d"] or key["rsa_key"]["D"]).to_bytes(len(moved.secret_bytes(kind)), "big")
        assert moved.secret_bytes(kind) in whole
    guarded = memory.Image(moved.server.process.pid, lambda mapping: "lo" in mapping.flags)
    assert guarded.find(moved.secret_bytes("aes256-gcm96")), "the key that has just encrypted is nowhere: is it looked for rightly?"


def test_memory_that_is_dumped(moved):
    image = memory.dumped(moved.server.process.pid)
    found = [f"{name}: {place}" for name, needle in moved.secrets().items() for place in image.find(needle)]
    assert not found, f"{len(found)} places:\n" + "\n".join(found[:20])


def test_files(moved):
    files = {path.name: path.read_bytes() for path in moved.server.data.iterdir()}
    files |= {"log": moved.server.stderr_file.read_bytes(), "audit": (moved.folder / "audit").read_bytes()}
    assert b"mv/restore" in files["audit"]
    found = [f"{name} in {place}" for place, raw in files.items() for name, needle in moved.secrets().items() if needle in raw]
    assert not found, "\n".join(found)
