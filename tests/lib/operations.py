"""The operations that change the store, for tests that disturb each of them at each call.

Each is a pair of functions of (world, number): what must be there before, and the operation itself.  Numbers are fresh, so an operation can
be tried any number of times in one world.  The second returns the answer.
"""
from promises import World


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
