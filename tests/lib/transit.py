"""What tests ask of a transit mount, by name; each call fails the test when the server refuses, unless it says otherwise."""
import base64

SYMMETRIC = ["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305", "xaes-256-gcm"]
# Bytes of nonce and tag around a plaintext.
OVERHEAD = {"aes128-gcm96": 28, "aes256-gcm96": 28, "chacha20-poly1305": 28, "xchacha20-poly1305": 40, "xaes-256-gcm": 40}
USES_BLOCK = 1 << 16  # uses reserved at once: docs/formats.md


def b64(data):
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def unb64(text):
    return base64.b64decode(text, validate=True)


def with_base64(members):
    """What callers give as bytes goes as base64."""
    return {name: b64(value) if isinstance(value, bytes) else value for name, value in members.items()}


class Transit:
    def __init__(self, api, path="transit"):
        self.api, self.path = api, path

    def mount(self):
        self.api.post(f"sys/mounts/{self.path}", {"type": "transit"}).expect(204)
        return self

    def ask(self, what, **members):
        """POST; the answer, whatever it is."""
        return self.api.post(f"{self.path}/{what}", with_base64(members))

    def refused(self, what, text, **members):
        """It must be the caller's mistake, and the answer must say `text`."""
        answer = self.ask(what, **members).expect(400)
        assert text in answer.errors, answer
        return answer

    # Keys

    def create(self, name, **settings):
        return self.ask(f"keys/{name}", **settings).expect(200).data

    def read(self, name):
        return self.api.get(f"{self.path}/keys/{name}").expect(200).data

    def exists(self, name):
        return self.api.get(f"{self.path}/keys/{name}").expect(200, 404).status == 200

    def names(self):
        answer = self.api.list(f"{self.path}/keys").expect(200, 404)
        return answer.data["keys"] if answer.status == 200 else []

    def config(self, name, **settings):
        return self.ask(f"keys/{name}/config", **settings).expect(200).data

    def rotate(self, name):
        """The new version."""
        return self.ask(f"keys/{name}/rotate").expect(200).data["latest_version"]

    def trim(self, name, version):
        return self.ask(f"keys/{name}/trim", min_available_version=version).expect(200).data

    def delete(self, name):
        self.config(name, deletion_allowed=True)
        self.api.delete(f"{self.path}/keys/{name}").expect(204)

    def versions(self, name):
        """{number: {...}}, page by page."""
        found, after = {}, 0
        while True:
            data = self.api.get(f"{self.path}/keys/{name}/versions?after={after}&limit=1000").expect(200).data
            assert data["keys"] == sorted(data["versions"], key=int)
            found.update((int(number), version) for number, version in data["versions"].items())
            if not data["keys"]:
                return found
            after = int(data["keys"][-1])

    def set_version(self, name, number, **members):
        return self.ask(f"keys/{name}/versions/{number}", **members).expect(200, 204)

    def counts(self, name, what="encryptions"):
        return {number: version[what] for number, version in self.versions(name).items()}

    # Items

    def encrypt(self, name, plaintext=b"", **more):
        return self.ask(f"encrypt/{name}", plaintext=plaintext, **more).expect(200).data["ciphertext"]

    def decrypt(self, name, ciphertext, **more):
        return unb64(self.ask(f"decrypt/{name}", ciphertext=ciphertext, **more).expect(200).data["plaintext"])

    def rewrap(self, name, ciphertext, **more):
        return self.ask(f"rewrap/{name}", ciphertext=ciphertext, **more).expect(200).data["ciphertext"]

    def batch(self, operation, name, items, *statuses, **more):
        """The results of a batch that must be answered with one of these statuses (200 unless told)."""
        answer = self.ask(f"{operation}/{name}", batch_input=[with_base64(item) for item in items], **more)
        return answer.expect(*(statuses or (200,))).data["batch_results"]


def version_of(ciphertext):
    prefix, version, rest = ciphertext.split(":")
    assert prefix == "vault" and version[0] == "v" and unb64(rest)
    return int(version[1:])
