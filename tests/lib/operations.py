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
