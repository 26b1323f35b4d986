"""The operations that change the store, for tests that disturb each of them at each call.

Each is a pair of functions of (world, number): what must be there before, and the operation itself.  Numbers are fresh, so an operation can
be tried any number of times in one world.  The second returns the answer.
"""
from promises import OBJECT_NEW, World


def nothing(world, n):
    pass


def put_before(world, n):
    world.put(f"secret/d{n}", n).expect(204)


def mount_before(world, n):
    world.mount(f"m{n}").expect(204)
    world.put(f"m{n}/a", n).expect(204)


def tokens_before(world, n):
    world.token(f"parent{n}").expect(200)
    world.token(f"child{n}", f"parent{n}").expect(200)


def configure(world, n):
    return world.config(2000000 + n, "48h" if n % 2 else "", n % 3 == 0)


def rotate(world, times):
    """At once one after another; a value under each term."""
    answers = []
    for n in range(times):
        answers += [world.rotate(), world.put("secret/rotating", n)]
    return answers


# Named keys


def key_before(world, n, versions=1):
    """A key with so many versions and a ciphertext of each."""
    if "mount transit/" not in world.promises.sure:
        world.mount("transit", "transit").expect(204)
    path = f"transit/keys/k{n}"
    world.make_key(path).expect(200)
    world.encrypt(path)
    for _ in range(versions - 1):
        world.rotate_key(path).expect(200)
        world.encrypt(path)


def transit_before(world, n):
    key_before(world, f"other{n}")


def trimmed_before(world, n):
    key_before(world, n, 4)
    change(world, n, "config", {"min_decryption_version": 3, "min_encryption_version": 3}, stays=(3, 4)).expect(200)


def deletable_before(world, n):
    key_before(world, n, 3)
    change(world, n, "config", {"deletion_allowed": True}).expect(200)


def change(world, n, what, body, then=None, stays=None):
    """stays: the versions whose ciphertexts still decrypt."""
    path = f"transit/keys/k{n}"
    gone = [name for name in world.promises.sure if stays and name.startswith(f"cipher {path} ") and int(name.split(":v")[1].split(":")[0]) not in stays]
    key = {f"key {path}": {**world.promises.sure[f"key {path}"], **(body if then is None else then)}}
    return world.op({**key, **{name: None for name in gone}}, lambda: world.api.post(f"{path}/{what}", body), 200, 204)


KEY_OPERATIONS = {
    "key create": (transit_before, lambda world, n: world.make_key(f"transit/keys/k{n}", type="chacha20-poly1305")),
    "key rotate": (key_before, lambda world, n: world.rotate_key(f"transit/keys/k{n}")),
    "key config": (key_before, lambda world, n: change(world, n, "config", {"exportable": True, "deletion_allowed": True, "max_operations": 1000})),
    "key trim": (trimmed_before, lambda world, n: change(world, n, "trim", {"min_available_version": 3},
                                                         {"min_available_version": 3, "states": ["decrypt_only", "active"]})),
    "key delete": (deletable_before, lambda world, n: world.delete_key(f"transit/keys/k{n}")),
    "version destroy": (deletable_before, lambda world, n: change(world, n, "versions/2", {"state": "destroyed"},
                                                                  {"states": ["decrypt_only", "destroy_pending", "active"]}, stays=(1, 3))),
}

# StoredSafe vaults

VAULT = "storedsafe/vaults/1"


def vault_before(world, n):
    """Two users, a vault of the first, with a key."""
    if "mount storedsafe/" in world.promises.sure:
        return
    world.mount("storedsafe", "storedsafe").expect(204)
    for name in ("first", "second"):
        world.api.post("auth/storedsafe/users", {"username": name, "status": 131, "fullname": f"The {name}", "email": f"{name}@example.org",
                                                      "passphrase": "a passphrase"}).expect(200)
    world.api.post("storedsafe/vaults", {"vaultname": "a vault", "user": 1}).expect(200)
    path = f"{VAULT}/keys/origin"
    world.make_object(path, info="where it comes from").expect(200)
    world.encrypt(path)
    world.change_object(path, "rotate", None, {"key_version": "2", "states": ["decrypt_only", "active"]}).expect(200)
    world.backup = world.api.get(f"{VAULT}/backup/origin").expect(200).data["named_keys"][0]["backup"]


def object_before(world, n):
    vault_before(world, n)
    path = f"{VAULT}/keys/k{n}"
    world.make_object(path, max_operations=1000).expect(200)
    world.encrypt(path)


def two_before(world, n):
    object_before(world, n)
    rotate_object(world, n).expect(200)


def rotate_object(world, n):
    return world.change_object(f"{VAULT}/keys/k{n}", "rotate", None, {"key_version": "2", "states": ["decrypt_only", "active"]})


def disable_version(world, n):
    path = f"{VAULT}/keys/k{n}"
    gone = {name: None for name in world.promises.sure if name.startswith(f"cipher {path} ")}
    key = {**world.promises.sure[f"object {path}"], "states": ["disabled", "active"]}
    return world.op({f"object {path}": key, **gone}, lambda: world.api.post(f"{path}/versions/1", {"state": "disabled"}), 200, 204)


def upsert(world, n):
    key = {f"object {VAULT}/keys/u{n}": {**OBJECT_NEW, "type": "aes256-ofb", "states": ["active"]}}
    return world.op(key, lambda: world.api.post(f"{VAULT}/encrypt/u{n}", {"plaintext": "QQ==", "type": "aes256-ofb"}), 200)


def restore(world, n):
    key = {**world.promises.sure[f"object {VAULT}/keys/origin"]}
    return world.op({f"object {VAULT}/keys/r{n}": key}, lambda: world.api.post(f"{VAULT}/restore/r{n}", {"backup": world.backup}), 204)


def new_vault_before(world, n):
    """One by itself, of which the second user is no member."""
    vault_before(world, n)
    made = world.api.post("storedsafe/vaults", {"vaultname": f"vault {n}", "user": 1}).expect(200).data["vault"][0]
    world.vaults[n] = f"storedsafe/vaults/{made['id']}/members"
    world.note(seen={f"member {world.vaults[n]}/1": 4, f"member {world.vaults[n]}/2": None})


def member_before(world, n):
    new_vault_before(world, n)
    world.member("POST", f"{world.vaults[n]}/2", 4).expect(200)


SAFE_OPERATIONS = {
    "object create": (vault_before, lambda world, n: world.make_object(f"{VAULT}/keys/c{n}", type="aes256-gcm96", info="said at the beginning", allow_export=False)),
    "object by encrypt": (object_before, upsert),
    "object rotate": (object_before, rotate_object),
    "object config": (object_before, lambda world, n: world.change_object(f"{VAULT}/keys/k{n}", "config", {"info": "new", "max_operations": 7}, {"info": "new", "max_operations": 7})),
    "object version": (two_before, disable_version),
    "object delete": (two_before, lambda world, n: world.delete_object(f"{VAULT}/keys/k{n}")),
    "object restore": (vault_before, restore),
    "member add": (new_vault_before, lambda world, n: world.member("POST", f"{world.vaults[n]}/2", 1 + n % 2)),
    "member edit": (member_before, lambda world, n: world.member("PATCH", f"{world.vaults[n]}/2", 1 + n % 2)),
    "member remove": (member_before, lambda world, n: world.member("DELETE", f"{world.vaults[n]}/2", None)),
}

OPERATIONS = {
    "put": (nothing, lambda world, n: world.put(f"secret/p{n}", n, "x" * 10000)),
    "overwrite": (nothing, lambda world, n: world.put("secret/same", n)),
    "delete": (put_before, lambda world, n: world.delete(f"secret/d{n}")),
    "rotate": (nothing, lambda world, n: world.rotate()),
    "config": (nothing, configure),
    "mount": (nothing, lambda world, n: world.mount(f"n{n}")),
    "unmount": (mount_before, lambda world, n: world.unmount(f"m{n}")),
    "token create": (nothing, lambda world, n: world.token(f"t{n}")),
    "token revoke": (tokens_before, lambda world, n: world.revoke(f"parent{n}", f"child{n}")),
    "policy": (nothing, lambda world, n: world.policy("p", f'path "secret/{n}" {{ capabilities = ["read"] }}')),
    **KEY_OPERATIONS,
    **SAFE_OPERATIONS,
}


def new_world(server):
    """A started server with five shares of which three open, open, kv at secret/, one rotation behind it."""
    world = World(server.start())
    world.init().expect(200)
    server.unseal()
    world.mount("secret").expect(204)
    world.put("secret/first", 1).expect(204)
    world.rotate().expect(204)
    return world


def start_again(world):
    """Started and opened with other shares than before; everything must be as promised."""
    world.server.start()
    world.server.unseal(world.server.keys[2:])
    world.settle()
