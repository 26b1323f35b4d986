"""The StoredSafe API as the tests speak it: users who log in with a one-time code, and calls with the token of a session."""
import base64
import hashlib
import hmac
import struct
import time

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SECRET = base64.b32encode(b"12345678901234567890").decode()
PASSPHRASE = "correct horse battery"
APIKEY = "the-api-key-of-the-tests"
# Bits of a user's status
READ, WRITE, ADMIN, AUDIT, ACTIVE = 1, 2, 4, 8, 128


def totp(secret, at=None):
    """RFC 6238: HMAC-SHA-1, 30 s, six digits."""
    counter = struct.pack(">Q", int(time.time() if at is None else at) // 30)
    mac = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    place = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[place:place + 4])[0] & 0x7FFFFFFF) % 1000000:06}"


class Safe:
    """One caller; token: of its session, None before it logged in."""

    def __init__(self, api, token=None):
        self.api, self.token, self.id = api, token, None

    def call(self, method, path, body=None, token="", **more):
        headers = dict(more.pop("headers", {}))
        token = self.token if token == "" else token
        if token:
            headers["X-Http-Token"] = token
        return self.api.request(method, "/api/1.0/" + path, body, token=None, headers=headers, **more)

    def good(self, method, path, body=None, **more):
        """The answer's whole body; it must be a success."""
        answer = self.call(method, path, body, **more).expect(200, 201)
        assert answer.body["CALLINFO"]["status"] == "SUCCESS", answer
        return answer.body

    def log_in(self, username, secret=SECRET, passphrase=PASSPHRASE, apikey=APIKEY):
        body = {"username": username, "passphrase": passphrase, "otp": totp(secret), "apikey": apikey, "logintype": "totp"}
        info = self.good("POST", "auth", body, token=None)["CALLINFO"]
        self.token, self.id = info["token"], int(info["userid"])
        return self


class House:
    """What an operator sets up: the mount, an API key, users with the same passphrase and secrets of their own."""

    def __init__(self, api):
        self.api = api
        if api.get("sys/mounts/storedsafe").status != 200:
            api.post("sys/mounts/storedsafe", {"type": "storedsafe"}).expect(204)
        api.post("auth/storedsafe/apikeys/tests", {"apikey": APIKEY}).expect(200)

    def user(self, username, status=READ | ACTIVE):
        """A new user, who is not logged in; its id."""
        body = {"username": username, "status": status, "fullname": f"User {username}", "email": f"{username}@example.org",
                "passphrase": PASSPHRASE}
        made = self.api.post("auth/storedsafe/users", body).expect(200).data
        self.api.post(f"auth/storedsafe/users/{username}/otp", {"type": "totp", "secret": SECRET}).expect(200)
        return int(made["id"])

    def session(self, username, status=READ | ACTIVE):
        self.user(username, status)
        return Safe(self.api).log_in(username)


class Device:
    """A Yubico device: each press gives the next code.  The layout is Yubico's: private id, counter, time, use, random, CRC-16 (ISO 13239), one block of AES-128."""

    def __init__(self, public_id, key=bytes(range(16)), private_id=b"prvate"):
        self.public_id, self.key, self.private_id, self.presses = public_id, key, private_id, 0

    def register(self, api, user):
        api.post(f"auth/storedsafe/users/{user}/otp", {"type": "yubikey", "public_id": self.public_id, "key": self.key.hex(),
                                                       "private_id": self.private_id.hex()}).expect(204)

    def press(self):
        self.presses += 1
        block = self.private_id + struct.pack("<HHBBH", 1 + self.presses // 256, 7, 7, self.presses % 256, 4711)
        crc = 0xFFFF
        for byte in block:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
        cipher = Cipher(algorithms.AES(self.key), modes.ECB()).encryptor()
        sealed = cipher.update(block + struct.pack("<H", crc ^ 0xFFFF)) + cipher.finalize()
        return self.public_id + "".join("cbdefghijklnrtuv"[digit] for byte in sealed for digit in (byte >> 4, byte & 15))
