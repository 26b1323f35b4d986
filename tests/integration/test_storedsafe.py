"""The StoredSafe API: who may do what, vaults, members, users, what survives a restart, and what the audit shows."""
import http.client
import json
import os
import subprocess
import threading
import time

import pytest
from safe import ACTIVE, ADMIN, APIKEY, AUDIT, PASSPHRASE, READ, SECRET, WRITE, House, Safe, totp
from server import BUILD, SANITIZER_OPTIONS, DevServer

OWNER = READ | WRITE | ADMIN | ACTIVE
CHIEF_STATUS = READ | ADMIN | ACTIVE
OTHER_SECRET = "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U"


@pytest.fixture
def house(server):
    return House(server.api)


def new_vault(safe, name="a vault", **more):
    return safe.good("POST", "vault", {"vaultname": name, **more})["VAULT"][0]["id"]


def failed(answer, status, *parts):
    """A failure in this API's form, whose text has these parts."""
    body = answer.expect(status).body
    assert body["CALLINFO"]["status"] == "FAIL" and body["CALLINFO"]["errors"] == 1, answer
    assert len(body["ERRORCODES"]) == 1 and len(body["ERRORS"]) == 1, answer
    for part in parts:
        assert part in body["ERRORS"][0], answer
    return body


# Who may do what

NOBODY, ENDED, EXPIRED, INACTIVE = "nobody", "ended", "expired", "inactive"
STRANGER, READER, WRITER, KEEPER = "stranger", "reader", "writer", "keeper"  # members: Read, Write, Admin
MAKER, CHIEF, AUDITOR, FOUNDER = "maker", "chief", "auditor", "founder"  # capabilities Write, Admin, Audit; Write and member with Admin
LOGGED_IN = [STRANGER, READER, WRITER, KEEPER, MAKER, CHIEF, AUDITOR, FOUNDER]
NOT_LOGGED_IN = [NOBODY, ENDED, EXPIRED, INACTIVE]

# Sections 1.3 and 4 of the reference.  The bodies do no harm where the call is allowed: then it is refused for another reason.
MATRIX = [
    ("POST", "auth/check", {}, LOGGED_IN),
    ("GET", "auth/check", None, LOGGED_IN),
    ("GET", "vault", None, LOGGED_IN),
    ("POST", "vault", {}, [MAKER, FOUNDER]),
    ("GET", "vault/{vault}", None, [READER, WRITER, KEEPER, FOUNDER]),
    ("PUT", "vault/{vault}", {"policy": 999}, [KEEPER, FOUNDER]),
    ("GET", "vault/{vault}/members", None, [READER, WRITER, KEEPER, FOUNDER]),
    ("POST", "vault/{vault}/member/999", {"status": 1}, [KEEPER, FOUNDER]),
    ("PUT", "vault/{vault}/member/999", {"status": 1}, [KEEPER, FOUNDER]),
    ("DELETE", "vault/{vault}/member/999", None, [KEEPER, FOUNDER]),
    ("GET", "vault/999", None, []),
    ("PUT", "vault/999", {}, []),
    ("DELETE", "vault/999", None, []),
    ("GET", "vault/999/members", None, []),
    ("POST", "vault/999/member/1", {"status": 1}, []),
    ("GET", "user", None, [MAKER, CHIEF, FOUNDER]),
    ("GET", "user/1", None, [MAKER, CHIEF, FOUNDER]),
    ("GET", "user/search", None, [MAKER, CHIEF, FOUNDER]),
    ("POST", "user", {}, [CHIEF]),
    ("PUT", "user/1", {"status": "x"}, [CHIEF]),
    ("DELETE", "user/999", None, [CHIEF]),
    ("GET", "usercert", None, LOGGED_IN),
    ("GET", "usercert/999", None, [CHIEF]),
    ("POST", "usercert/999", {}, [CHIEF]),
    ("DELETE", "usercert/999", None, [CHIEF]),
    ("POST", "utils/get_mime_type", {}, LOGGED_IN),
    ("GET", "utils/statusvalues", None, LOGGED_IN),
    ("GET", "utils/policies", None, LOGGED_IN),
    ("POST", "utils/checkpolicy", {"passphrase": "x"}, LOGGED_IN),
    ("GET", "utils/version", None, LOGGED_IN),
    ("GET", "utils/pwgen", None, LOGGED_IN),
    ("DELETE", "vault/{vault}", None, [FOUNDER]),  # the last one: it is carried out
]


def test_access_matrix(house):
    status = {MAKER: WRITE, CHIEF: ADMIN, AUDITOR: AUDIT, FOUNDER: WRITE}
    callers = {name: house.session(name, READ | ACTIVE | status.get(name, 0)) for name in [*LOGGED_IN, ENDED, INACTIVE]}
    callers[NOBODY] = Safe(house.api)
    vault = new_vault(callers[FOUNDER])
    for name, level in {READER: 1, WRITER: 2, KEEPER: 4}.items():
        callers[FOUNDER].good("POST", f"vault/{vault}/member/{callers[name].id}", {"status": level})
    callers[ENDED].good("GET", "auth/logout")
    house.api.delete("auth/storedsafe/users/inactive").expect(200)
    house.api.post("auth/storedsafe/config", {"session_timeout": "1s"}).expect(204)
    callers[EXPIRED] = house.session(EXPIRED)
    house.api.post("auth/storedsafe/config", {"session_timeout": "1h"}).expect(204)
    time.sleep(1.1)
    for method, path, body, allowed in MATRIX:
        for name in NOT_LOGGED_IN + [c for c in LOGGED_IN if c not in allowed] + allowed:
            answer = callers[name].call(method, path.format(vault=vault), body)
            where = f"{name}: {answer}"
            if name in NOT_LOGGED_IN:
                assert answer.status == 401 and answer.body["ERRORCODES"] == {"1200": "Not logged in"}, where
            elif name in allowed:
                assert answer.status not in (401, 403), where
            else:
                assert answer.status == 403 and answer.body["CALLINFO"]["token"] == callers[name].token, where


def test_a_change_of_level_counts_at_once(house):
    owner, other = house.session("owner", OWNER), house.session("other")
    vault = new_vault(owner)
    at = f"vault/{vault}/member/{other.id}"
    failed(other.call("GET", f"vault/{vault}"), 403)
    owner.good("POST", at, {"status": 1})
    assert other.good("GET", f"vault/{vault}")["VAULT"][0]["statustext"] == "Read"
    failed(other.call("PUT", f"vault/{vault}", {"description": "mine"}), 403)
    owner.good("PUT", at, {"status": "4"})
    assert other.good("PUT", f"vault/{vault}", {"description": "mine"})["VAULT"][0]["description"] == "mine"
    owner.good("DELETE", at)
    failed(other.call("GET", f"vault/{vault}"), 403)
    assert other.good("GET", "vault")["VAULTS"] == []


def test_a_capability_is_no_way_into_a_vault(house):
    owner, chief = house.session("owner", OWNER), house.session("chief", OWNER)
    vault = new_vault(owner)
    for method, path in [("GET", f"vault/{vault}"), ("DELETE", f"vault/{vault}"), ("GET", f"vault/{vault}/members")]:
        failed(chief.call(method, path), 403, "permission denied")
    failed(chief.call("POST", "utils/checkpolicy", {"passphrase": "x", "vaultid": vault}), 403)


# Vaults and members

def test_a_vaults_life(house):
    owner = house.session("owner", OWNER)
    body = owner.good("POST", "vault", {"vaultname": "Ett valv åäö"})
    assert body["CALLINFO"]["message"] == "Vault created" and body["CALLINFO"]["handler"] == "VaultHandler"
    vault = body["VAULT"][0]
    assert vault == {"id": vault["id"], "groupname": "Ett valv åäö", "policy": "16", "description": "Ett valv åäö", "status": "4",
                     "statustext": "Admin"}
    at = f"vault/{vault['id']}"
    assert owner.good("GET", at)["VAULT"] == [vault]
    assert owner.good("GET", at)["OBJECTS"] == [] and owner.good("GET", at)["TEMPLATES"] == []
    body = owner.good("PUT", at, {"groupname": "Ett annat", "policy": "7"})
    assert body["CALLINFO"]["message"] == "Vault updated"
    changed = {**vault, "groupname": "Ett annat", "policy": "7"}
    assert body["VAULT"] == [changed] and owner.good("GET", "vault")["VAULTS"] == [changed]
    assert owner.good("POST", "utils/checkpolicy", {"passphrase": "x", "vaultid": vault["id"]})["CALLINFO"]["policy_id"] == 7
    assert owner.good("DELETE", at)["CALLINFO"]["message"] == "Vault deleted"
    failed(owner.call("GET", at), 403)
    assert owner.good("GET", "vault")["VAULTS"] == []
    assert new_vault(owner) != vault["id"]


@pytest.mark.parametrize("body,part", [
    ({}, "vaultname"), ({"vaultname": ""}, "vaultname"), ({"vaultname": "x" * 129}, "128"), ({"vaultname": "a\nb"}, "control"),
    ({"vaultname": "x", "policy": 3}, "no policy 3"), ({"vaultname": "x", "policy": "seven"}, "policy"),
    ({"vaultname": "x", "policy": -1}, "policy"), ({"vaultname": "x", "description": "y" * 1025}, "1024"), ({"vaultname": ["x"]}, "vaultname"),
])
def test_what_is_no_vault(house, body, part):
    owner = house.session("owner", OWNER)
    failed(owner.call("POST", "vault", body), 400, part)
    assert owner.good("GET", "vault")["VAULTS"] == []


def test_members_as_they_are_told(house):
    owner, other = house.session("owner", OWNER), house.session("other")
    vault = new_vault(owner)
    assert owner.good("POST", f"vault/{vault}/member/{other.id}", {"status": 2})["CALLINFO"]["message"] == "User added"
    assert owner.good("PUT", f"vault/{vault}/member/{other.id}", {"status": 1})["CALLINFO"]["message"] == "User updated"
    info = other.good("GET", f"vault/{vault}/members")["CALLINFO"]
    assert info["handler"] == "VaultmembersHandler"
    assert info["vaultmembers"] == [
        {"id": str(owner.id), "username": "owner", "fullname": "User owner", "email": "owner@example.org", "status": str(OWNER), "groupstatus": "4"},
        {"id": str(other.id), "username": "other", "fullname": "User other", "email": "other@example.org", "status": "129", "groupstatus": "1"}]
    assert owner.good("DELETE", f"vault/{vault}/member/{other.id}")["CALLINFO"]["message"] == "User removed from vault"
    assert len(owner.good("GET", f"vault/{vault}/members")["CALLINFO"]["vaultmembers"]) == 1


def test_refused_changes_of_members(house):
    owner, other = house.session("owner", OWNER), house.session("other")
    gone = house.user("gone!")
    house.api.delete(f"auth/storedsafe/users/{gone}").expect(200)
    vault = new_vault(owner)
    at = f"vault/{vault}/member/"
    failed(owner.call("POST", f"{at}{other.id}", {}), 400, "status is missing")
    for status in (0, 3, 5, 8, "Admin", [4]):
        failed(owner.call("POST", f"{at}{other.id}", {"status": status}), 400, "status")
    for user in ("999", "0", "x", "4294967297", "-1"):
        failed(owner.call("POST", at + user, {"status": 1}), 404, "no such user")
    failed(owner.call("POST", f"{at}{gone}", {"status": 1}), 400, "not active")
    failed(owner.call("PUT", f"{at}{other.id}", {"status": 1}), 404, "no member")
    failed(owner.call("DELETE", f"{at}{other.id}"), 404, "no member")
    owner.good("POST", f"{at}{other.id}", {"status": 1})
    failed(owner.call("POST", f"{at}{other.id}", {"status": 4}), 409, "already")
    assert other.good("GET", f"vault/{vault}")["VAULT"][0]["status"] == "1"


def test_the_last_admin_stays(house):
    owner, other = house.session("owner", OWNER), house.session("other")
    vault = new_vault(owner)
    mine, its = f"vault/{vault}/member/{owner.id}", f"vault/{vault}/member/{other.id}"
    owner.good("POST", its, {"status": 2})
    failed(owner.call("DELETE", mine), 400, "last Admin")
    failed(owner.call("PUT", mine, {"status": 2}), 400, "last Admin")
    owner.good("PUT", mine, {"status": 4})
    owner.good("PUT", its, {"status": 4})
    owner.good("PUT", mine, {"status": 2})
    failed(other.call("DELETE", its), 400, "last Admin")
    failed(owner.call("DELETE", f"vault/{vault}"), 403)


def test_two_admins_cannot_remove_each_other_at_once(house):
    a, b = house.session("admin-a", OWNER), house.session("admin-b", OWNER)
    for _ in range(10):
        vault = new_vault(a)
        a.good("POST", f"vault/{vault}/member/{b.id}", {"status": 4})
        answers = []
        threads = [threading.Thread(target=lambda s=s, o=o: answers.append(s.call("DELETE", f"vault/{vault}/member/{o.id}").status))
                   for s, o in ((a, b), (b, a))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert sorted(answers) in ([200, 400], [200, 403]), answers
        left = [s for s in (a, b) if s.call("GET", f"vault/{vault}").status == 200]
        assert len(left) == 1 and left[0].good("GET", f"vault/{vault}")["VAULT"][0]["status"] == "4"


# Users

def user_body(**more):
    return {"username": "newcomer", "status": [0, 1, 7], "fullname": "New Comer", "email": "new@example.org", "passphrase": PASSPHRASE, **more}


def test_a_users_life(house):
    chief = house.session("chief", OWNER)
    answer = chief.call("POST", "user", user_body(totp=True)).expect(201).body
    info = answer["CALLINFO"]
    assert info["handler"] == "UserHandler" and info["calculated_status"] == 131 and info["user_created"] == "New Comer"
    entry = {"id": info["id"], "status": "131", "username": "newcomer", "fullname": "New Comer", "email": "new@example.org", "otpprefix": "",
             "fingerprint": ""}
    assert info["user"] == [entry]
    assert chief.good("GET", f"user/{info['id']}")["CALLINFO"]["users"] == [entry]
    assert chief.good("GET", "user/NEWCOM")["CALLINFO"]["users"] == [entry]
    assert entry in chief.good("GET", "user?searchstring=example.org")["CALLINFO"]["users"]
    user = Safe(house.api).log_in("newcomer", secret=info["totp_secret"])
    assert user.id == int(info["id"])
    edited = chief.good("PUT", f"user/{user.id}", {"status": 129, "fullname": "Other Name"})["CALLINFO"]
    assert edited["calculated_status"] == 129 and edited["user"][0]["fullname"] == "Other Name"
    assert "totp_secret" not in edited
    failed(user.call("GET", "user"), 403)  # Write is gone
    chief.good("PUT", f"user/{user.id}", {"username": "renamed"})
    assert user.good("GET", "vault")["VAULTS"] == []
    assert chief.good("DELETE", f"user/{user.id}")["CALLINFO"]["calculated_status"] == 1
    failed(user.call("GET", "vault"), 401)
    chief.good("PUT", f"user/{user.id}", {"status": [0, 7]})
    failed(user.call("GET", "vault"), 401)  # that session is over for good


def test_who_only_writes_sees_less_of_users(house):
    maker = house.session("maker", READ | WRITE | ACTIVE)
    for entry in maker.good("GET", "user")["CALLINFO"]["users"]:
        assert set(entry) == {"id", "fullname", "email"}
    assert maker.good("GET", "user/User%20maker")["CALLINFO"]["users"][0]["id"] == str(maker.id)
    failed(maker.call("GET", "user/999"), 404, "no such user")


@pytest.mark.parametrize("change,part", [
    ({"username": "four"}, "5 to 32"), ({"username": "x" * 33}, "5 to 32"), ({"username": "12345"}, "number"), ({"username": None}, "username"),
    ({"fullname": "x"}, "5 to 64"), ({"email": "x"}, "5 to 128"), ({"email": "a\tb@c.d"}, "email"), ({"passphrase": ""}, "passphrase"),
    ({"passphrase": None}, "passphrase"), ({"passphrase": "x" * 1025}, "passphrase"), ({"status": None}, "status"), ({"status": [5]}, "status"),
    ({"status": [32]}, "status"), ({"status": ["x"]}, "status"), ({"status": 1 << 31}, "status"), ({"status": -1}, "status"),
    ({"yubikey": "c" * 44}, "yubikey"), ({"totp": "maybe"}, "totp"),
])
def test_what_is_no_user(house, change, part):
    chief = house.session("chief", OWNER)
    failed(chief.call("POST", "user", user_body(**change)), 400, part)
    assert len(chief.good("GET", "user")["CALLINFO"]["users"]) == 1


def test_a_username_is_one_users(house):
    chief = house.session("chief", OWNER)
    first = chief.call("POST", "user", user_body()).expect(201).body["CALLINFO"]["id"]
    failed(chief.call("POST", "user", user_body()), 409, "already")
    failed(chief.call("PUT", f"user/{first}", {"username": "chief"}), 409, "already")


def test_devices_are_assigned_by_their_prefix(house):
    chief = house.session("chief", OWNER)
    one, two = house.user("user-one"), house.user("user-two")
    device = {"type": "yubikey", "public_id": "cccccccbcdef", "key": "00" * 16, "private_id": "01" * 6}
    house.api.post(f"auth/storedsafe/users/{one}/otp", device).expect(204)
    house.api.post(f"auth/storedsafe/users/{two}/otp", device).expect(400)
    failed(chief.call("PUT", f"user/{two}", {"otpprefix": "cccccccbcdef"}), 409, "another user")
    failed(chief.call("PUT", f"user/{two}", {"otpprefix": "cccccccccccc"}), 400, "registered")
    failed(chief.call("PUT", f"user/{two}", {"otpprefix": "nonsense"}), 400, "ModHex")
    house.api.delete(f"auth/storedsafe/users/{one}/otp?type=yubikey&public_id=cccccccbcdef").expect(204)
    assert chief.good("PUT", f"user/{two}", {"otpprefix": "cccccccbcdef"})["CALLINFO"]["user"][0]["otpprefix"] == "cccccccbcdef"
    house.api.delete(f"auth/storedsafe/users/{one}/otp?type=yubikey&public_id=cccccccbcdef").expect(404)


# Sessions

def test_a_passphrase_that_was_changed(house):
    user = house.user("someone")
    house.api.post(f"auth/storedsafe/users/{user}", {"passphrase": "another one"}).expect(200)
    old = {"username": "someone", "passphrase": PASSPHRASE, "otp": "000000", "apikey": APIKEY, "logintype": "totp"}
    failed(Safe(house.api).call("POST", "auth", old), 401, "the log-in failed")
    Safe(house.api).log_in("someone", passphrase="another one")


def test_an_api_key_that_was_revoked(house):
    house.user("someone")
    assert house.api.list("auth/storedsafe/apikeys").expect(200).data["keys"] == ["tests"]
    house.api.delete("auth/storedsafe/apikeys/tests").expect(204)
    house.api.delete("auth/storedsafe/apikeys/tests").expect(404)
    attempt = {"username": "someone", "passphrase": PASSPHRASE, "otp": totp(SECRET), "apikey": APIKEY, "logintype": "totp"}
    failed(Safe(house.api).call("POST", "auth", attempt), 401, "the log-in failed")


def test_a_code_is_good_once_in_a_crowd(house):
    house.user("someone")
    attempt = {"username": "someone", "passphrase": PASSPHRASE, "otp": totp(SECRET), "apikey": APIKEY, "logintype": "totp"}
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(Safe(house.api).call("POST", "auth", attempt).status)) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(answers) == [200, 401, 401, 401]


def test_fifty_callers_at_the_change_of_a_token(house):
    config = "auth/storedsafe/config"
    house.api.post(config, {"token_rotation": "1s", "token_grace": "1s"}).expect(204)
    safe = house.session("someone")
    old, deadline = safe.token, time.monotonic() + 60
    while (new := safe.good("POST", "auth/check", {})["CALLINFO"]["token"]) == old:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    house.api.post(config, {"token_rotation": "1h", "token_grace": "1h"}).expect(204)
    told, start = [], threading.Barrier(50)

    def caller(token):
        mine = Safe(house.api, token)
        start.wait()
        for _ in range(5):
            told.append(mine.good("GET", "vault")["CALLINFO"]["token"])

    threads = [threading.Thread(target=caller, args=(new if i % 2 else old,)) for i in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(told) == 250 and set(told) <= {old, new}
    assert safe.good("GET", "vault")["CALLINFO"]["token"] == new


def test_fifty_callers_and_the_grace_of_the_old_token(house):
    """All that hold the old token are told the same successor; they work on while nobody uses it, however long, and then for the grace."""
    config, grace = "auth/storedsafe/config", 2
    house.api.post(config, {"token_rotation": f"{grace}s", "token_grace": f"{grace}s"}).expect(204)
    old = house.session("someone").token
    time.sleep(grace + 0.1)
    told, used, over, wrong = [], [], [], []
    steps = [threading.Barrier(50, timeout=120) for _ in range(2)]

    def until_it_is_over(mine, deadline):
        while (answer := mine.call("GET", "vault")).status == 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        over.append(time.time())
        failed(answer, 401, "not logged in")

    def caller(moves_on):
        mine = Safe(house.api, old)
        steps[0].wait()
        told.append(mine.good("GET", "vault")["CALLINFO"]["token"])
        steps[1].wait()
        deadline = time.monotonic() + 60
        while not moves_on and not used:  # longer than the grace
            assert mine.good("GET", "vault")["CALLINFO"]["token"] == told[0] and time.monotonic() < deadline
        if not moves_on:
            return until_it_is_over(mine, deadline)
        mine.token = told[-1]
        time.sleep(grace + 1)
        used.append(time.time())
        while len(over) < 25:
            mine.good("GET", "vault")
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def guarded(moves_on):
        try:
            caller(moves_on)
        except Exception as error:  # noqa: BLE001: told below, on the test's thread
            wrong.append(error)
            over.append(None)

    threads = [threading.Thread(target=guarded, args=(i % 2 == 0,)) for i in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if wrong:
        raise wrong[0]
    assert len(told) == 50 and len(set(told)) == 1 and told[0] != old
    assert len(over) == 25 and min(over) >= min(used) + grace
    failed(Safe(house.api, old).call("GET", "vault"), 401, "not logged in")
    Safe(house.api, told[0]).good("GET", "vault")


def test_everything_survives_a_restart_and_a_seal(server, house):
    owner, other = house.session("owner", OWNER), house.session("other")
    vault = new_vault(owner)
    owner.good("POST", f"vault/{vault}/member/{other.id}", {"status": 1})
    before = owner.good("GET", f"vault/{vault}/members")["CALLINFO"]["vaultmembers"]
    server.restart()
    assert owner.good("GET", f"vault/{vault}/members")["CALLINFO"]["vaultmembers"] == before
    other.good("GET", f"vault/{vault}")
    server.seal()
    failed(owner.call("GET", "vault"), 503, "sealed")
    failed(owner.call("GET", "authinfo/logintypes", token=None), 503, "sealed")
    server.unseal()
    other.good("GET", f"vault/{vault}")
    house.session("newcomer")


def test_what_was_answered_survives_a_kill(server, house):
    owner = house.session("owner", OWNER)
    users = [house.user(f"user-{i}") for i in range(8)]
    vault, done = new_vault(owner), []

    def add():
        for user in users:
            try:
                owner.good("POST", f"vault/{vault}/member/{user}", {"status": 2})
            except (OSError, http.client.HTTPException):
                return  # the server is gone
            done.append(user)

    thread = threading.Thread(target=add)
    thread.start()
    while len(done) < 3 and thread.is_alive():
        time.sleep(0.001)
    server.kill()
    thread.join()
    server.start()
    server.unseal()
    there = [int(m["id"]) for m in owner.good("GET", f"vault/{vault}/members")["CALLINFO"]["vaultmembers"]]
    assert set(done) <= set(there) and len(there) - len(done) in (1, 2)


def test_uninitialised(new_server):
    server = new_server()
    server.start()
    failed(Safe(server.api).call("GET", "authinfo/logintypes"), 503)
    failed(Safe(server.api).call("POST", "auth", {"username": "x"}), 503)


# The operator

def test_an_operator_sees_vaults_and_members(house):
    owner = house.session("owner", OWNER)
    vault = new_vault(owner, "seen")
    assert house.api.list("storedsafe/vaults").expect(200).data["keys"] == [vault]
    assert house.api.get(f"storedsafe/vaults/{vault}").expect(200).data["vault"][0]["groupname"] == "seen"
    assert house.api.list(f"storedsafe/vaults/{vault}/members").expect(200).data["vaultmembers"][0]["username"] == "owner"
    made = house.api.post("storedsafe/vaults", {"vaultname": "given", "user": owner.id}).expect(200).data["vault"][0]
    assert owner.good("GET", f"vault/{made['id']}")["VAULT"][0]["status"] == "4"
    house.api.post("storedsafe/vaults", {"vaultname": "nobody's"}).expect(400)


def test_policies_bound_an_operator(house):
    owner = house.session("owner", OWNER)
    vault = new_vault(owner)
    token = house.api.token_for("seer", f'path "storedsafe/vaults/{vault}" {{ capabilities = ["read"] }}')
    house.api.get(f"storedsafe/vaults/{vault}", token=token).expect(200)
    house.api.list(f"storedsafe/vaults/{vault}/members", token=token).expect(403)
    house.api.list("auth/storedsafe/users", token=token).expect(403)
    house.api.post("auth/storedsafe/apikeys/x", token=token).expect(403)


def test_a_session_reaches_nothing_of_the_operator(house):
    owner = house.session("owner", OWNER)
    for path in ("sys/mounts", "secret/a", "auth/token/lookup-self", "auth/storedsafe/config", "storedsafe/vaults?list=true"):
        house.api.get(path, token=owner.token).expect(403)


def test_secrets_are_hashed_in_the_audit(new_server, folder):
    server = new_server(config=f'audit "file" "main" {{\n  options {{ file_path = "{folder / "audit"}" }}\n}}').ready()
    house = House(server.api)
    owner = house.session("owner", OWNER)
    new_vault(owner, "named-in-the-body")
    code = totp(SECRET)
    Safe(server.api).call("POST", "auth", {"username": "owner", "keys": f"{PASSPHRASE}{APIKEY}{'c' * 44}"}).expect(401)
    text = (folder / "audit").read_text()
    for secret in (PASSPHRASE, APIKEY, SECRET, f'"{code}"', owner.token, owner.token[:24], "named-in-the-body", "c" * 44):
        assert secret not in text
    lines = [json.loads(line) for line in text.splitlines()]
    vault = [line for line in lines if line["request"]["path"] == "storedsafe/vaults"]
    assert [line["type"] for line in vault] == ["request", "response"]
    for line in vault:
        assert line["auth"]["display_name"] == "owner" and line["auth"]["token_type"] == "session"
        assert line["auth"]["client_token"].startswith("hmac-sha256:") and line["request"]["mount_type"] == "storedsafe"
    refused = [line for line in lines if line["request"]["path"] == "auth/storedsafe/login" and line.get("error")]
    assert [line["error"] for line in refused] == ["the log-in failed"]


def test_a_developers_server_has_a_user(new_server):
    server = DevServer(new_server().folder / "dev", env={"KEYTURN_DEV_STOREDSAFE": f"developer:pass:word:{APIKEY}:{SECRET}"})
    try:
        server.start()
        safe = Safe(server.api).log_in("developer", passphrase="pass:word")
        assert new_vault(safe) == "1"
    finally:
        server.close()


# The command line

def keyturn(server, *arguments, stdin="", want=0):
    """What `keyturn` prints, with the root token; in JSON where it can."""
    env = {**os.environ, **SANITIZER_OPTIONS, "KEYTURN_ADDR": f"http://127.0.0.1:{server.port}", "KEYTURN_TOKEN": server.root_token}
    done = subprocess.run([BUILD / "keyturn", *arguments], env=env, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == want, done.stdout + done.stderr
    return done.stdout if want == 0 else done.stderr


def test_the_operators_commands(server):
    keyturn(server, "secrets", "enable", "storedsafe")
    apikey = keyturn(server, "storedsafe", "apikey", "create", "-field=apikey", "scripts").strip()
    assert "scripts" in keyturn(server, "storedsafe", "apikey", "list")
    made = json.loads(keyturn(server, "storedsafe", "user", "create", "-format=json", "-admin", "-write", "-totp", "-fullname=The First",
                              "-email=first@example.org", "first", "-", stdin=PASSPHRASE + "\n"))["data"]
    assert made["calculated_status"] == 135
    first = Safe(server.api).log_in("first", secret=made["totp_secret"], apikey=apikey)
    new_vault(first)
    assert "first@example.org" in keyturn(server, "storedsafe", "user", "list")
    keyturn(server, "storedsafe", "user", "create", "-fullname=Second One", "-email=second@example.org", "second", PASSPHRASE)
    keyturn(server, "storedsafe", "user", "edit", "-status=131", "-passphrase", "second", "another one")
    secret = keyturn(server, "storedsafe", "user", "otp", "-field=secret", "second").strip()
    second = Safe(server.api).log_in("second", secret=secret, passphrase="another one", apikey=apikey)
    new_vault(second)
    assert "Registered" in keyturn(server, "storedsafe", "user", "otp", "-yubikey=cccccccbcdef", "second", "00" * 16, "01" * 6)
    keyturn(server, "storedsafe", "user", "deactivate", "second")
    failed(second.call("GET", "vault"), 401)
    keyturn(server, "storedsafe", "apikey", "revoke", "scripts")
    assert "404" in keyturn(server, "storedsafe", "apikey", "revoke", "scripts", want=1)


@pytest.mark.parametrize("arguments,part", [
    (["user", "create", "someone", "x"], "-fullname and -email"), (["user", "edit", "someone"], "nothing to change"),
    (["user", "edit", "-email=a@b.c", "someone", "x"], "-passphrase"), (["user", "otp", "someone", "00"], "-yubikey"),
    (["apikey", "create"], "too few"), (["user", "edit", "-status=x", "someone"], "whole number"), (["user"], "Usage"), ([], "Usage"),
])
def test_wrong_use_of_the_commands(server, arguments, part):
    assert part in keyturn(server, "storedsafe", *arguments, want=2)


# Utils

def test_passphrases_at_random(house):
    user = house.session("someone")

    def made(query=""):
        info = user.good("GET", f"utils/pwgen{query}")["CALLINFO"]
        return info["passphrase"], info["length"], info["type"]

    text, length, kind = made()
    assert (len(text), length, kind) == (40, 40, "secure") and made()[0] != text
    assert made("?type=pin&length=6")[1:] == (6, "pin") and made("?type=bytes&length=16")[1:] == (16, "bytes")
    assert len(made("?type=bytes&length=16")[0]) == 32
    assert made("?type=pronouncable&length=20")[1:] == (20, "pronounceable")
    assert len(made("?type=opie")[0].split(" ")) == 12
    assert len(made("?type=diceword&words=7&delimeter=%20")[0].split(" ")) == 7
    assert made("?policyid=7&length=14")[1] == 14
    for query, part in [("type=x", "type"), ("length=0", "length"), ("length=x", "length"), ("length=-1", "range"), ("length=1025", "1024"),
                        ("policyid=99", "policy"), ("policyid=7&length=5", "14"), ("type=pin&policyid=7", "secure"),
                        ("type=diceword&language=sv_SE", "en_US"), ("type=diceword&max_char=2", "too few")]:
        failed(user.call("GET", f"utils/pwgen?{query}"), 400, part)


def test_a_session_ends_with_what_it_was_begun_with(house):
    """Another passphrase, another secret, deactivation: what was logged in before is over, for good; other changes end nothing."""
    chief, user = house.session("chief", CHIEF_STATUS), house.session("person")
    path = f"user/{user.id}"
    user.good("GET", "vault")
    chief.good("PUT", path, {"fullname": "Another Name"})
    chief.good("PUT", path, {"status": [0, 1, 7]})
    user.good("GET", "vault")
    chief.good("DELETE", path)
    failed(user.call("GET", "vault"), 401)
    chief.good("PUT", path, {"status": [0, 7]})
    failed(user.call("GET", "vault"), 401)
    house.api.post("auth/storedsafe/users/person/otp", {"type": "totp", "secret": SECRET}).expect(200)  # which forgets the step
    user.log_in("person")
    chief.good("PUT", path, {"passphrase": "quite another passphrase"})
    failed(user.call("GET", "vault"), 401)
    house.api.post("auth/storedsafe/users/person/otp", {"type": "totp", "secret": OTHER_SECRET}).expect(200)
    user.log_in("person", secret=OTHER_SECRET, passphrase="quite another passphrase")
    house.api.post("auth/storedsafe/users/person/otp", {"type": "totp", "secret": SECRET}).expect(200)
    failed(user.call("GET", "vault"), 401)
    chief.good("GET", "vault")
