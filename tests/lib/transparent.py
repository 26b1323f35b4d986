"""Named keys of StoredSafe vaults as the tests reach them, and their ciphertexts as others make and open them."""
import base64
import os

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import OFB

# Bytes of the key, the IV and the tag: section 3.2 of the reference.
TYPES = {"aes128-gcm96": (16, 12, 16), "aes256-gcm96": (32, 12, 16), "aes128-ofb": (16, 16, 0), "aes256-ofb": (32, 16, 0)}
PREFIX = "storedsafe:v"
UNREADABLE = "the ciphertext cannot be decrypted under this key"
NO_KEY = "there is no such key in this vault"


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    return base64.b64decode(text, validate=True)


def has_tag(kind):
    return TYPES[kind][2] > 0


def seal(kind, key, version, text, data=b""):
    """A ciphertext that somebody else made."""
    iv = os.urandom(TYPES[kind][1])
    sealed = AESGCM(key).encrypt(iv, text, data) if has_tag(kind) else Cipher(AES(key), OFB(iv)).encryptor().update(text)
    return f"{PREFIX}{version}:{b64(iv + sealed)}"


def unseal(kind, key, ciphertext, data=b""):
    """What somebody else reads; the version that it names."""
    name, version, rest = ciphertext.split(":")
    assert name == "storedsafe" and version[0] == "v"
    raw, n = unb64(rest), TYPES[kind][1]
    text = AESGCM(key).decrypt(raw[:n], raw[n:], data) if has_tag(kind) else Cipher(AES(key), OFB(raw[:n])).decryptor().update(raw[n:])
    return text, int(version[1:])


class Vault:
    """Calls about one vault by one of its members."""

    def __init__(self, safe, vault):
        self.safe, self.id = safe, vault

    @classmethod
    def new(cls, safe, name="a vault"):
        return cls(safe, safe.good("POST", "vault", {"vaultname": name})["VAULT"][0]["id"])

    def of(self, api):
        """The same, of a server that was started again."""
        return type(self)(type(self.safe)(api, self.safe.token), self.id)

    def ask(self, what, body=None, method="POST"):
        """The answer, whatever it is."""
        return self.safe.call(method, f"transparent/{self.id}/{what}", body)

    def info(self, what, body=None, method="POST"):
        """CALLINFO of what must succeed."""
        return self.safe.good(method, f"transparent/{self.id}/{what}", body)["CALLINFO"]

    def get(self, what):
        return self.safe.good("GET", f"transparent/{self.id}/{what}")["KEYS"]

    def entry(self, name):
        """None: there is no such key."""
        answer = self.ask(f"keys/{name}", method="GET").expect(200, 404)
        return answer.body["KEYS"][0] if answer.status == 200 else None

    def entries(self):
        return {key["name"]: key for key in self.safe.good("LIST", f"transparent/{self.id}/keys")["KEYS"]}

    def versions(self, name):
        """{number: {...}}, page by page."""
        found, after = {}, 0
        while page := self.info(f"keys/{name}/versions?after={after}&limit=1000", method="GET")["versions"]:
            found.update((int(n), version) for n, version in page.items())
            assert max(found) > after
            after = max(found)
        return found

    def counts(self, name):
        return {n: version["encryptions"] for n, version in self.versions(name).items()}

    def members(self):
        """{user id: level}"""
        return {m["id"]: int(m["groupstatus"]) for m in self.safe.good("GET", f"vault/{self.id}/members")["CALLINFO"]["vaultmembers"]}
