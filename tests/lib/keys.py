"""The keys of a stopped or running server's store, computed from an unseal key and the files as docs/formats.md says, without the server."""
import ctypes
import ctypes.util
import hashlib
import hmac

import counts

_crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
for _name in ("EVP_CIPHER_CTX_new", "EVP_aes_256_gcm"):
    getattr(_crypto, _name).restype = ctypes.c_void_p


def open_gcm(key, nonce, aad, sealed):
    """The plaintext of ciphertext and tag; ValueError when the tag is wrong."""
    context = ctypes.c_void_p(_crypto.EVP_CIPHER_CTX_new())
    plain, n = ctypes.create_string_buffer(len(sealed)), ctypes.c_int()
    text, tag = sealed[:-16], sealed[-16:]
    good = (_crypto.EVP_DecryptInit_ex(context, ctypes.c_void_p(_crypto.EVP_aes_256_gcm()), None, key, nonce) == 1
            and _crypto.EVP_DecryptUpdate(context, None, ctypes.byref(n), aad, len(aad)) == 1
            and _crypto.EVP_DecryptUpdate(context, plain, ctypes.byref(n), text, len(text)) == 1
            and _crypto.EVP_CIPHER_CTX_ctrl(context, 0x11, 16, tag) == 1  # EVP_CTRL_AEAD_SET_TAG
            and _crypto.EVP_DecryptFinal_ex(context, ctypes.byref(ctypes.create_string_buffer(16)), ctypes.byref(n)) == 1)
    _crypto.EVP_CIPHER_CTX_free(context)
    if not good:
        raise ValueError("the tag is wrong")
    return plain.raw[: len(text)]


def hkdf(key, salt, info):
    """32 bytes (RFC 5869): one block of the expansion."""
    extracted = hmac.digest(salt or bytes(32), key, hashlib.sha256)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)


def of_store(folder, kek):
    """{name: 32 bytes}: every key of the store whose only share is the KEK, and every slot secret."""
    records = dict(counts.dump(folder))
    slots = (folder / "slots.0").read_bytes()
    root = records[b"core/root"]
    found = {"KEK": kek, "root key": open_gcm(kek, root[5:17], b"core/root" + root[:5], root[17:])}
    found["term-wrapping key"] = wrap = hkdf(found["root key"], b"", b"keyturn term wrapping v1")
    found["metadata key"] = hkdf(found["root key"], b"", b"keyturn metadata hash v1")
    for path, record in sorted(records.items()):
        if not path.startswith(b"core/term/"):
            continue
        term = int(path[-8:], 16)
        found[f"slot secret {term}"] = slot = slots[512 * term + 32 : 512 * term + 64]
        found[f"wrapping key {term}"] = wrapping = hkdf(wrap, slot, b"keyturn term key v1")
        found[f"term key {term}"] = open_gcm(wrapping, record[27:39], path + record[:27], record[39:])
    token_salt = records[b"sys/token/salt"]
    key = found[f"term key {int.from_bytes(token_salt[:4], 'big')}"]
    found["salt of the tokens"] = open_gcm(key, token_salt[5:17], b"sys/token/salt", token_salt[17:])
    return found
