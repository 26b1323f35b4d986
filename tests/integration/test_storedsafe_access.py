"""Who may do what with the named keys of a vault: every call of `transparent` by everybody, against a table written from section 3 of the reference."""
import itertools
import time

import pytest
from safe import ACTIVE, ADMIN, AUDIT, READ, WRITE, House, Safe
from server import DevServer

OWNER = READ | WRITE | ACTIVE
TEXT = "YXR0YWNrIGF0IGRhd24="
GONE = "999999"  # a vault that there is not
DENIED = "permission denied"

# Levels of a member, and who has which
LEVELS = {"Read": 1, "Write": 2, "Admin": 4}
MEMBERS = {"reader": "Read", "writer": "Write", "keeper": "Admin"}
# No members: with capabilities, of another vault, no longer
OUTSIDERS = {"stranger": 0, "maker": WRITE, "chief": ADMIN, "auditor": AUDIT, "neighbour": WRITE, "removed": 0}
NOT_LOGGED_IN = ["nobody", "ended", "expired", "inactive", "nonsense"]

# Section 3.1, and the second order of each path (T3); what is ours beyond it is below.  "new": there is no such key before, "k": there is; {cipher}, {backup}: made of k.
METHODS = [
    ("POST", "transparent/{vault}/keys/new", {}, "Write", 201),
    ("GET", "transparent/{vault}/keys/k", None, "Read", 200),
    ("LIST", "transparent/{vault}/keys", None, "Read", 200),
    ("GET", "transparent/{vault}/keys", None, "Read", 200),
    ("DELETE", "transparent/{vault}/keys/k", None, "Write", 200),
    ("POST", "transparent/{vault}/keys/k/rotate", None, "Write", 201),
    ("POST", "transparent/{vault}/encrypt/k", {"plaintext": TEXT}, "Read", 200),
    ("POST", "transparent/encrypt/{vault}/k", {"plaintext": TEXT}, "Read", 200),
    ("POST", "transparent/{vault}/encrypt/new", {"plaintext": TEXT}, "Write", 200),
    ("POST", "transparent/encrypt/{vault}/new", {"plaintext": TEXT}, "Write", 200),
    ("POST", "transparent/{vault}/decrypt/k", {"ciphertext": "{cipher}"}, "Read", 200),
    ("POST", "transparent/decrypt/{vault}/k", {"ciphertext": "{cipher}"}, "Read", 200),
    ("POST", "transparent/rewrap/{vault}/k", {"ciphertext": "{cipher}", "to_version": "1"}, "Read", 200),
    ("POST", "transparent/{vault}/rewrap/k", {"ciphertext": "{cipher}", "to_version": "1"}, "Read", 200),
    ("POST", "transparent/{vault}/datakey/wrapped/k", {}, "Read", 200),
    ("POST", "transparent/datakey/{vault}/wrapped/k", {}, "Read", 200),
    ("POST", "transparent/{vault}/datakey/plaintext/k", {}, "Write", 200),
    ("POST", "transparent/datakey/{vault}/plaintext/k", {}, "Write", 200),
    ("GET", "transparent/export/{vault}/k", None, "Admin", 200),
    ("GET", "transparent/export/{vault}/k/1", None, "Admin", 200),
    ("GET", "transparent/{vault}/export/k", None, "Admin", 200),
    ("GET", "transparent/{vault}/export/k/1", None, "Admin", 200),
    ("GET", "transparent/backup/{vault}/k", None, "Admin", 200),
    ("GET", "transparent/{vault}/backup/k", None, "Admin", 200),
    ("POST", "transparent/restore/{vault}/new", {"backup": "{backup}"}, "Write", 200),
    ("POST", "transparent/{vault}/restore/new", {"backup": "{backup}"}, "Write", 200),
]
OURS = [
    ("PUT", "transparent/{vault}/keys/k", {"info": "x"}, "Write", 200),
    ("GET", "transparent/{vault}/keys/k/versions", None, "Read", 200),
    ("PUT", "transparent/{vault}/keys/k/versions/1", {"rewrap_only": False}, "Admin", 200),
    ("POST", "transparent/{vault}/keys/k/versions/1", {"rewrap_only": False}, "Admin", 200),
    ("POST", "transparent/{vault}/encrypt/k", {"batch": [{"plaintext": TEXT}]}, "Read", 200),
    ("POST", "transparent/{vault}/encrypt/new", {"batch": [{"plaintext": TEXT}]}, "Write", 200),
    ("POST", "transparent/{vault}/decrypt/k", {"batch": [{"ciphertext": "{cipher}"}]}, "Read", 200),
    ("POST", "transparent/rewrap/{vault}/k", {"batch": [{"ciphertext": "{cipher}"}]}, "Read", 200),
]


class Scene:
    """A vault with a key, and everybody who may come by."""

    def __init__(self, house):
        self.house = house
        self.owner = house.session("owner", OWNER)
        self.vault = self.new_vault(self.owner)
        self.names = itertools.count()
        self.members = {name: self.member(name, level) for name, level in MEMBERS.items()}
        self.outsiders = {name: house.session(name, READ | ACTIVE | bits) for name, bits in OUTSIDERS.items()}
        self.new_vault(self.outsiders["neighbour"])
        self.set_level("POST", self.outsiders["removed"], "Admin")
        self.owner.good("DELETE", f"vault/{self.vault}/member/{self.outsiders['removed'].id}")
        self.callers = {**self.members, **self.outsiders, **self.without_session()}

    def new_vault(self, safe):
        return safe.good("POST", "vault", {"vaultname": "a vault"})["VAULT"][0]["id"]

    def set_level(self, method, safe, level):
        self.owner.good(method, f"vault/{self.vault}/member/{safe.id}", {"status": LEVELS[level]})

    def member(self, name, level):
        safe = self.house.session(name)
        self.set_level("POST", safe, level)
        return safe

    def without_session(self):
        """All but nobody might do everything, were they logged in."""
        found = {"nobody": Safe(self.house.api), "nonsense": Safe(self.house.api, "x" * 56), "ended": self.member("ended", "Admin"), "inactive": self.member("inactive", "Admin")}
        found["ended"].good("GET", "auth/logout")
        self.house.api.delete("auth/storedsafe/users/inactive").expect(200)
        self.house.api.post("auth/storedsafe/config", {"session_timeout": "1s"}).expect(204)
        found["expired"] = self.house.session("expired")
        self.house.api.post("auth/storedsafe/config", {"session_timeout": "1h"}).expect(204)
        self.set_level("POST", found["expired"], "Admin")
        time.sleep(1.1)
        return found

    def key(self, **flags):
        """A new key of the vault, with a ciphertext and a backup of it (None where its flags forbid one)."""
        name = f"k{next(self.names)}"
        at = f"transparent/{self.vault}"
        self.owner.good("POST", f"{at}/keys/{name}", flags)
        cipher = self.owner.good("POST", f"{at}/encrypt/{name}", {"plaintext": TEXT})["CALLINFO"]["ciphertext"]
        backup = self.owner.good("GET", f"{at}/backup/{name}")["KEYS"][0]["backup"] if flags.get("allow_backup", True) else None
        return name, cipher, backup

    def shown(self):
        """All keys of the vault, and what is counted of them."""
        keys = self.owner.good("LIST", f"transparent/{self.vault}/keys")["KEYS"]
        return keys, [self.owner.good("GET", f"transparent/{self.vault}/keys/{key['name']}/versions")["CALLINFO"]["versions"] for key in keys]

    def ask(self, caller, row, key, vault=None, name=None):
        """The row's call about this key; name: another one."""
        method, path, body, _, _ = row
        there, cipher, backup = key
        path = path.format(vault=vault or self.vault)
        new = f"n{next(self.names)}"
        segments = [{"k": name or there, "new": name or new}.get(segment, segment) for segment in path.split("/")]
        return self.callers[caller].call(method, "/".join(segments), filled(body, cipher, backup))


def filled(body, cipher, backup):
    if isinstance(body, dict):
        return {name: filled(value, cipher, backup) for name, value in body.items()}
    if isinstance(body, list):
        return [filled(value, cipher, backup) for value in body]
    return {"{cipher}": cipher, "{backup}": backup}.get(body, body) if isinstance(body, str) else body


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    server = DevServer(tmp_path_factory.mktemp("access"))
    server.start()
    yield Scene(House(server.api))
    server.close()


def check_refused(scene, caller, answer, text=DENIED):
    body, where = answer.body, f"{caller}: {answer}"
    assert body["CALLINFO"]["status"] == "FAIL" and body["CALLINFO"]["handler"] == "EncryptionHandler" and body["CALLINFO"]["errors"] == 1, where
    assert not {"KEYS", "VAULT", "VAULTS"} & set(body) and not {"plaintext", "ciphertext", "key_version", "objectid"} & set(body["CALLINFO"]), where
    if caller in NOT_LOGGED_IN:
        assert answer.status == 401 and body["ERRORCODES"] == {"1200": "Not logged in"} and "token" not in body["CALLINFO"], where
    else:
        assert answer.status == 403 and body["ERRORCODES"] == {"2000": "Errormessages exists"}, where
        assert len(body["ERRORS"]) == 1 and text in body["ERRORS"][0] and body["CALLINFO"]["token"] == scene.callers[caller].token, where


def may(caller, level):
    return caller in MEMBERS and LEVELS[MEMBERS[caller]] >= LEVELS[level]


@pytest.mark.parametrize("row", METHODS + OURS, ids=lambda row: f"{row[0]} {row[1]}{' of many' if 'batch' in (row[2] or {}) else ''}")
def test_access(scene, row):
    """Whoever may not, changes nothing and is told nothing; whoever may, does it."""
    key = scene.key()
    before = scene.shown()
    for caller in scene.callers:
        if not may(caller, row[3]):
            check_refused(scene, caller, scene.ask(caller, row, key))
    assert scene.shown() == before
    for caller in MEMBERS:
        if may(caller, row[3]):
            answer = scene.ask(caller, row, scene.key())
            assert answer.status == row[4] and answer.body["CALLINFO"]["status"] == "SUCCESS", f"{caller}: {answer}"


@pytest.mark.parametrize("row", METHODS + OURS, ids=lambda row: f"{row[0]} {row[1]}{' of many' if 'batch' in (row[2] or {}) else ''}")
def test_what_is_not_there(scene, row):
    """A vault that is not there is one that nobody is a member of; that a key is missing is told to those who might use it (T27)."""
    key = scene.key()
    for caller in scene.callers:
        check_refused(scene, caller, scene.ask(caller, row, key, vault=GONE))
    if "k" not in row[1].split("/"):
        return
    for caller in scene.callers:
        answer = scene.ask(caller, row, key, name="missing")
        makes = "encrypt" in row[1]
        if not may(caller, row[3]) or (makes and not may(caller, "Write")):
            check_refused(scene, caller, answer)
        elif makes:
            answer.expect(200)
            scene.owner.good("DELETE", f"transparent/{scene.vault}/keys/missing")
        else:
            answer.expect(404)
            assert answer.body["ERRORS"] == ["there is no such key in this vault"], answer


# Section 3.16: the flag, the calls that it rules, the level that they need besides, and what is said of the flag.
FLAGS = [
    ("allow_delete", "DELETE", "transparent/{vault}/keys/k", "Write"),
    ("allow_export", "GET", "transparent/export/{vault}/k", "Admin"),
    ("allow_export", "GET", "transparent/{vault}/export/k/1", "Admin"),
    ("allow_backup", "GET", "transparent/backup/{vault}/k", "Admin"),
    ("allow_backup", "GET", "transparent/{vault}/backup/k", "Admin"),
]


@pytest.mark.parametrize("combination", itertools.product([True, False], repeat=3), ids=lambda c: "".join("-+"[flag] for flag in c))
def test_flags(scene, combination):
    """Each combination of flags, by each member: both the flag and the level are needed."""
    flags = dict(zip(["allow_export", "allow_backup", "allow_delete"], combination))
    for flag, method, path, level in FLAGS:
        for caller in scene.callers:
            key = scene.key(**flags)
            answer = scene.ask(caller, (method, path, None, level, 200), key)
            if not may(caller, level):
                check_refused(scene, caller, answer)
            elif not flags[flag]:
                check_refused(scene, caller, answer, flag)
            else:
                answer.expect(200)


def test_a_change_of_level_counts_at_once(scene):
    safe, key = scene.member("riser", "Read"), scene.key()
    scene.callers = {**scene.callers, "riser": safe}

    def allowed():
        """The highest level whose calls it may make."""
        wanted = [("Read", METHODS[1]), ("Write", METHODS[5]), ("Admin", METHODS[18])]
        good = [level for level, row in wanted if scene.ask("riser", row, key).status in (200, 201)]
        assert good == list(LEVELS)[:len(good)]
        return good[-1] if good else None

    assert allowed() == "Read"
    for level in ["Write", "Admin", "Read", "Admin", "Write"]:
        scene.set_level("PUT", safe, level)
        assert allowed() == level
    scene.owner.good("DELETE", f"vault/{scene.vault}/member/{safe.id}")
    assert allowed() is None
    del scene.callers["riser"]


def test_a_members_capabilities_add_nothing(scene):
    """A reader who is an administrator of the server stays a reader."""
    chief, key = scene.outsiders["chief"], scene.key()
    scene.set_level("POST", chief, "Read")
    for row in METHODS + OURS:
        if row[3] == "Read":
            scene.ask("chief", row, key).expect(row[4])
        else:
            check_refused(scene, "chief", scene.ask("chief", row, key))
    scene.owner.good("DELETE", f"vault/{scene.vault}/member/{chief.id}")
