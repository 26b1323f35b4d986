"""What moves key material in and out, done by another library: wrapping for import, and reading backups."""
import base64
import json
import os
import secrets

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

HASHES = {"SHA1": hashes.SHA1, "SHA224": hashes.SHA224, "SHA256": hashes.SHA256, "SHA384": hashes.SHA384, "SHA512": hashes.SHA512}
SYMMETRIC = {"aes128-gcm96": 16, "aes256-gcm96": 32, "chacha20-poly1305": 32, "xchacha20-poly1305": 32, "xaes-256-gcm": 32, "hmac": 48}
CURVES = {"ecdsa-p256": ec.SECP256R1, "ecdsa-p384": ec.SECP384R1, "ecdsa-p521": ec.SECP521R1}
ASYMMETRIC = ["ed25519", *CURVES, "rsa-2048", "rsa-3072", "rsa-4096"]
TYPES = [*SYMMETRIC, *ASYMMETRIC]
_rsa = {}


def b64(raw):
    return base64.b64encode(raw).decode()


def new_key(kind, fresh=False):
    """A private key of this type: bytes, or an object of the library.  RSA keys are made once, unless fresh."""
    if kind in SYMMETRIC:
        return secrets.token_bytes(SYMMETRIC[kind])
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind in CURVES:
        return ec.generate_private_key(CURVES[kind]())
    if fresh or kind not in _rsa:
        _rsa[kind] = rsa.generate_private_key(65537, int(kind[4:]))
    return _rsa[kind]


def material(key):
    """What is wrapped: the bytes, or PKCS#8."""
    if isinstance(key, bytes):
        return key
    return key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def wrapping_key(api, mount):
    pem = api.get(f"{mount}/wrapping_key").expect(200).data["public_key"]
    return serialization.load_pem_public_key(pem.encode())


def wrap(to, raw, hash_function="SHA256"):
    """The ciphertext of import: RSA-OAEP and AES-KWP."""
    between, h = os.urandom(32), HASHES[hash_function]
    sealed = to.encrypt(between, padding.OAEP(padding.MGF1(h()), h(), None))
    return sealed + keywrap.aes_key_wrap_with_padding(between, raw)


def unwrap(private_key, blob, hash_function="SHA256"):
    n, h = private_key.key_size // 8, HASHES[hash_function]
    between = private_key.decrypt(blob[:n], padding.OAEP(padding.MGF1(h()), h(), None))
    return keywrap.aes_key_unwrap_with_padding(between, blob[n:])


def read_backup(text):
    return json.loads(base64.b64decode(text, validate=True))


def write_backup(backup):
    return b64(json.dumps(backup).encode())
