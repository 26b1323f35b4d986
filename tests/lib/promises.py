"""What a server has promised, and whether a server that was started again keeps it.

Everything a client can change is a register with a name and one value; None: not there.

    init            True
    term            number of the active term
    config          [max_operations, interval, enabled]
    mount PATH/     type
    kv PATH         the record's member "n"
    policy NAME     text
    token ID        True: usable
    key PATH        what KEY_SHOWN says of it, and the states of its versions
    cipher PATH TEXT  True: decrypts
    object PATH     of a key of a StoredSafe vault: what OBJECT_SHOWN says of it, and the states of its versions
    member PATH     of a StoredSafe vault: the level
"""
import itertools
import threading


class BrokenPromise(AssertionError):
    pass


class Promises:
    """Follows operations; of each register: what was acknowledged, and what it may be besides (sent, not answered)."""

    def __init__(self):
        self.sure, self.doubt, self.open = {}, {}, {}

    def begin(self, op, registers):
        self.open[op] = registers
        for name, value in registers.items():
            self.doubt.setdefault(name, []).append(value)

    def done(self, op):
        self.seen(self.open.pop(op))

    def refused(self, op):
        """The server said that it did not do it."""
        for name, value in self.open.pop(op).items():
            self.doubt[name].remove(value)

    def seen(self, registers):
        """What the server showed is as good as acknowledged."""
        for name, value in registers.items():
            self.sure[name], self.doubt[name] = value, []

    def mark(self, mark):
        """One of World's marks in a log."""
        if "begin" in mark:
            self.begin(mark["begin"], mark["registers"])
        elif "done" in mark:
            self.done(mark["done"])
        elif "refused" in mark:
            self.refused(mark["refused"])
        elif "seen" in mark:
            self.seen(mark["seen"])

    def allowed(self):
        """{register: values that it may have}."""
        names = {*self.sure, *self.doubt}
        return {name: [self.sure.get(name), *self.doubt.get(name, [])] for name in names}


def judge(allowed, observed):
    """Both by register; BrokenPromise when a value is none of those allowed."""
    for name, values in sorted(allowed.items()):
        if name in observed and observed[name] not in values:
            raise BrokenPromise(f"{name} is {observed[name]!r}, allowed: {values!r}")


class World:
    """A client that keeps account of what it was promised, and writes it to a log if there is one."""

    def __init__(self, server, log=None):
        self.server, self.log = server, log
        self.promises = Promises()
        self.lock = threading.Lock()
        self.ids = itertools.count()
        self.vaults, self.backup = {}, None  # of the StoredSafe API: by number; and of a key with two versions

    def note(self, **mark):
        with self.lock:
            if self.log:
                self.log.mark(**mark)
            self.promises.mark(mark)

    def op(self, registers, call, *good):
        """Do it; the answer.  One with another status than those that are good must mean: nothing was changed."""
        op = next(self.ids)
        self.note(begin=op, registers=registers)
        answer = call()
        self.note(**{"done" if answer.status in good else "refused": op})
        return answer

    @property
    def api(self):
        return self.server.api

    # Operations

    def init(self):
        """Five shares, any three open; remembered in the server's object."""
        answer = self.op({"init": True, "term": 1, "config": CONFIG_NEW}, lambda: self.server.api.put(
            "sys/init", {"secret_shares": 5, "secret_threshold": 3}, token=None), 200)
        if answer.status == 200:
            self.server.keys, self.server.threshold = answer.body["keys"], 3
            self.server.root_token = self.server.api.token = answer.body["root_token"]
        return answer

    def put(self, path, n, pad=""):
        return self.op({f"kv {path}": n}, lambda: self.api.post(path, {"n": n, "pad": pad}), 204)

    def delete(self, path):
        return self.op({f"kv {path}": None}, lambda: self.api.delete(path), 204)

    def rotate(self):
        return self.op({"term": self.promises.sure["term"] + 1}, lambda: self.api.post("sys/rotate"), 204)

    def config(self, max_operations, interval, enabled):
        body = {"max_operations": max_operations, "interval": interval, "enabled": enabled}
        return self.op({"config": list(body.values())}, lambda: self.api.post("sys/rotate/config", body), 204)

    def mount(self, path, kind="kv"):
        return self.op({f"mount {path}/": kind}, lambda: self.api.post(f"sys/mounts/{path}", {"type": kind}), 204)

    def unmount(self, path):
        """With everything below."""
        below = {name: None for name in self.promises.sure if name.startswith(f"kv {path}/")}
        return self.op({f"mount {path}/": None, **below}, lambda: self.api.delete(f"sys/mounts/{path}"), 204)

    def policy(self, name, text):
        return self.op({f"policy {name}": text}, lambda: self.api.put(f"sys/policies/acl/{name}", {"policy": text}), 204)

    def token(self, name, parent=None):
        return self.op({f"token {name}": True}, lambda: self.api.post(
            "auth/token/create", {"id": name, "policies": ["root"]}, token=parent or ""), 200)

    def revoke(self, name, *children):
        return self.op({f"token {token}": None for token in (name, *children)},
                       lambda: self.api.post("auth/token/revoke", {"token": name}), 204)

    # Named keys.  `then`: what is different afterwards.

    def make_key(self, path, **settings):
        return self.op({f"key {path}": {**KEY_NEW, **settings, "states": ["active"]}}, lambda: self.api.post(path, settings), 200)

    def change_key(self, path, what, body, then):
        return self.op({f"key {path}": {**self.promises.sure[f"key {path}"], **then}}, lambda: self.api.post(f"{path}/{what}", body), 200, 204)

    def rotate_key(self, path):
        key = self.promises.sure[f"key {path}"]
        then = {"latest_version": key["latest_version"] + 1, "states": [*("decrypt_only" if s == "active" else s for s in key["states"]), "active"]}
        return self.change_key(path, "rotate", None, then)

    def delete_key(self, path):
        below = {name: None for name in self.promises.sure if name.startswith(f"cipher {path} ")}
        return self.op({f"key {path}": None, **below}, lambda: self.api.delete(path), 204)

    def encrypt(self, path):
        """What it gives is promised from then on."""
        mount, name = path.split("/keys/")
        answer = self.api.post(f"{mount}/encrypt/{name}", {"plaintext": "dGV4dA=="}).expect(200)
        self.note(seen={f"cipher {path} {answer.data['ciphertext']}": True})
        return answer.data["ciphertext"]

    # Named keys of StoredSafe vaults, by their paths

    def make_object(self, path, **settings):
        return self.op({f"object {path}": {**OBJECT_NEW, **settings, "states": ["active"]}}, lambda: self.api.post(path, settings), 200)

    def change_object(self, path, what, body, then):
        return self.op({f"object {path}": {**self.promises.sure[f"object {path}"], **then}}, lambda: self.api.post(f"{path}/{what}", body), 200, 204)

    def delete_object(self, path):
        below = {name: None for name in self.promises.sure if name.startswith(f"cipher {path} ")}
        return self.op({f"object {path}": None, **below}, lambda: self.api.delete(path), 204)

    def member(self, method, path, level):
        body = None if level is None else {"status": level}
        headers = {"Content-Type": "application/merge-patch+json"}
        return self.op({f"member {path}": level}, lambda: self.api.request(method, path, body, headers=headers), 200)

    def settle(self):
        """Look at everything; what it shows must be allowed, and is promised from now on."""
        allowed = self.promises.allowed()
        observed = observe(self.server, allowed)
        judge(allowed, observed)
        self.note(seen=observed)
        return observed


CONFIG_NEW = [3865470566, "", True]
KEY_SHOWN = ["type", "latest_version", "min_decryption_version", "min_encryption_version", "min_available_version", "deletion_allowed", "exportable", "max_operations"]
KEY_NEW = dict(zip(KEY_SHOWN, ["aes256-gcm96", 1, 1, 0, 0, False, False, 0]))


def observe_key(api, path):
    answer = api.get(path).expect(200, 404)
    if answer.status == 404:
        return None
    versions = api.get(f"{path}/versions").expect(200).data["versions"]
    return {**{name: answer.data[name] for name in KEY_SHOWN}, "states": [versions[n]["state"] for n in sorted(versions, key=int)]}


def observe_cipher(api, path, text):
    mount, name = path.split("/keys/")
    answer = api.post(f"{mount}/decrypt/{name}", {"ciphertext": text}).expect(200, 400, 404)
    return True if answer.status == 200 and answer.data["plaintext"] == "dGV4dA==" else None


OBJECT_SHOWN = ["type", "key_version", "allow_export", "allow_backup", "allow_delete", "info", "max_operations"]
OBJECT_NEW = dict(zip(OBJECT_SHOWN, ["aes128-gcm96", "1", True, True, True, "", 1 << 32]))


def observe_object(api, path):
    answer = api.get(path).expect(200, 404)
    keys, name = path.rsplit("/", 1)
    listed = api.list(keys).expect(200).data["key_info"].get(name)
    if answer.status == 404:
        assert listed is None, listed
        return None
    found = {name: answer.data[name] for name in OBJECT_SHOWN}
    assert listed and found == {name: listed[name] for name in OBJECT_SHOWN}, f"{listed}, {answer}"
    versions = api.get(f"{path}/versions").expect(200).data["versions"]
    return {**found, "states": [versions[n]["state"] for n in sorted(versions, key=int)]}


def observe_member(api, path):
    members, user = path.rsplit("/", 1)
    found = [int(m["groupstatus"]) for m in api.list(members).expect(200).data["vaultmembers"] if m["id"] == user]
    return found[0] if found else None


def observe(server, names):
    """The registers of these names as an open server shows them."""
    api, found = server.api, {"init": True}
    found["term"] = api.term()
    data = api.get("sys/rotate/config").expect(200).data
    found["config"] = [data["max_operations"], data["interval"], data["enabled"]]
    mounts = api.get("sys/mounts").expect(200).data
    for name in names:
        what, _, rest = name.partition(" ")
        if what == "mount":
            found[name] = mounts[rest]["type"] if rest in mounts else None
        elif what == "kv":
            answer = api.get(rest).expect(200, 404)
            found[name] = answer.data["n"] if answer.status == 200 else None
        elif what == "policy":
            answer = api.get(f"sys/policies/acl/{rest}").expect(200, 404)
            found[name] = answer.data["policy"] if answer.status == 200 else None
        elif what == "token":
            answer = api.get("auth/token/lookup-self", token=rest).expect(200, 403)
            found[name] = True if answer.status == 200 else None
        elif what == "key":
            found[name] = observe_key(api, rest)
        elif what == "cipher":
            found[name] = observe_cipher(api, *rest.split(" "))
        elif what == "object":
            found[name] = observe_object(api, rest)
        elif what == "member":
            found[name] = observe_member(api, rest)
    return found
