"""Certificates of users: who may see, register and remove them, in which forms they come, and whose they are."""
import base64
import http.client
import json
import subprocess
import threading
import time

import pytest
from certs import Cert
from safe import ACTIVE, ADMIN, READ, WRITE, House, Safe
from server import BUILD, SANITIZER_OPTIONS
from test_storedsafe import AUDITOR, CHIEF, LOGGED_IN, OWNER, failed

BOUNDARY = "a-boundary"


@pytest.fixture
def house(server):
    return House(server.api)


def form(*parts):
    """parts: (name, file name or None, bytes)."""
    body = b""
    for name, file, content in parts:
        more = f'; filename="{file}"' if file is not None else ""
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def send(safe, user, body, kind=f"multipart/form-data; boundary={BOUNDARY}", **more):
    return safe.call("POST", f"usercert/{user}", raw=body, headers={"Content-Type": kind}, **more)


def add(safe, user, cert):
    return send(safe, user, form(("user_cert", "card.pem", cert.pem))).expect(200).body["CALLINFO"]["certificate"]


def test_a_certificates_life(house):
    chief, user = house.session("chief", OWNER), house.session("holder")
    one, two = Cert("Holder One", unit=("Unit A", "Unit B")), Cert("Holder Two")
    for path in ("usercert", f"usercert/{user.id}"):
        failed(user.call("GET", path), 404, "no certificate")
    failed(chief.call("DELETE", f"usercert/{user.id}"), 404, "no certificate")
    assert one.shown["subject"] == {"C": "SE", "O": "Example AB", "OU": ["Unit A", "Unit B"], "CN": "Holder One"}
    answer = send(chief, user.id, form(("user_cert", "card.pem", one.pem)))
    assert answer.body["CALLINFO"]["handler"] == "UserCertHandler" and answer.body["CALLINFO"]["certificate"] == one.shown, answer
    assert answer.body["DATA"] == {"user_cert": "********", "token": chief.token}
    for safe, path in ((user, "usercert"), (user, f"usercert/{user.id}"), (user, "usercert/holder"), (chief, f"usercert/{user.id}")):
        assert safe.good("GET", path)["CALLINFO"]["certificate"] == one.shown
    failed(chief.call("GET", "usercert"), 404)
    assert add(chief, user.id, two) == two.shown  # instead of the one before
    assert user.good("GET", "usercert")["CALLINFO"]["certificate"] == two.shown
    assert add(chief, chief.id, one) == one.shown  # which is nobody's now
    chief.good("DELETE", f"usercert/{user.id}")
    failed(user.call("GET", "usercert"), 404, "no certificate")
    assert chief.good("GET", "usercert")["CALLINFO"]["certificate"] == one.shown


def test_who_may_do_what(house):
    status = {"maker": WRITE, CHIEF: ADMIN, AUDITOR: 8}
    callers = {name: house.session(name, READ | ACTIVE | status.get(name, 0)) for name in LOGGED_IN[:1] + [*status]}
    target, cert = house.user("target"), Cert("target")
    callers["nobody"] = Safe(house.api)
    for name, safe in callers.items():
        wanted = 401 if name == "nobody" else 403
        allowed = name == CHIEF
        for answer in (send(safe, target, form(("user_cert", "x", cert.pem))), safe.call("GET", f"usercert/{target}"),
                       safe.call("GET", "usercert/target"), safe.call("GET", "usercert/999"), safe.call("DELETE", f"usercert/{target}"),
                       safe.call("POST", "usercert/999", {"user_cert": "x"})):
            if allowed:
                assert answer.status in (200, 404), answer
            else:
                failed(answer, wanted)
        assert safe.call("GET", "usercert").status == (401 if name == "nobody" else 404)
    mine = callers["stranger"]
    failed(send(mine, mine.id, form(("user_cert", "x", cert.pem))), 403)
    failed(mine.call("DELETE", f"usercert/{mine.id}"), 403)
    failed(mine.call("GET", f"usercert/0{mine.id}"), 403)


def test_one_user_has_a_certificate(house):
    chief = house.session("chief", OWNER)
    a, b, cert = house.user("user-a"), house.user("user-b"), Cert("Shared")
    assert add(chief, a, cert) == add(chief, a, cert)
    failed(send(chief, b, form(("user_cert", "x", cert.pem))), 409, "another user")
    failed(chief.call("GET", f"usercert/{b}"), 404)
    house.api.delete(f"auth/storedsafe/users/{a}").expect(200)
    failed(send(chief, b, form(("user_cert", "x", cert.der))), 409, "another user")  # deactivated users keep theirs
    chief.good("DELETE", f"usercert/{a}")
    add(chief, b, cert)


@pytest.mark.parametrize("make", [
    lambda c: form(("user_cert", "card.pem", c.pem)), lambda c: form(("user_cert", "card.der", c.der)), lambda c: form(("anything", "x", c.der)),
    lambda c: form(("user_cert", None, c.pem)), lambda c: form(("cert", None, c.pem)), lambda c: form(("token", None, b"x"), ("cert", None, c.der)),
    lambda c: form(("comment", None, "åäö".encode()), ("user_cert", "x", b"text around it\n" + c.pem + b"it\n")),
    lambda c: json.dumps({"user_cert": c.pem.decode()}).encode(), lambda c: json.dumps({"user_cert": base64.b64encode(c.der).decode()}).encode(),
])
def test_forms_that_are_taken(house, make):
    chief, cert = house.session("chief", OWNER), Cert("Any Form")
    body = make(cert)
    kind = "application/json" if body[:1] == b"{" else f"multipart/form-data; boundary={BOUNDARY}"
    assert send(chief, chief.id, body, kind).expect(200).body["CALLINFO"]["certificate"] == cert.shown


def test_the_token_may_be_a_part(house):
    chief, cert = house.session("chief", OWNER), Cert("Token")
    body = form(("token", None, chief.token.encode()), ("user_cert", "x", cert.pem))
    assert send(chief, chief.id, body, token=None).expect(200).body["DATA"] == {"user_cert": "********", "token": chief.token}
    failed(send(chief, chief.id, form(("token", None, b"x" * 56), ("user_cert", "x", cert.pem)), token=None), 401)


# Made when the test runs: certificates are other ones each time, and the names of tests must not be.
REFUSED = [
    ("empty", lambda: b"", "user_cert is missing"), ("no form", lambda: b"hello", "does not begin"),
    ("empty file", lambda: form(("user_cert", "x", b"")), "user_cert is missing"), ("text", lambda: form(("user_cert", "x", b"hello")), "no certificate"),
    ("token alone", lambda: form(("token", None, b"x")), "no file"), ("two files", lambda: form(("a", "x", b"1"), ("b", "y", b"2")), "more than one"),
    ("two fields", lambda: form(("a", None, b"1"), ("b", None, b"2")), "more than one"),
    ("file and field", lambda: form(("user_cert", None, b"1"), ("b", "y", b"2")), "more than one"),
    ("no UTF-8", lambda: form(("comment", None, b"\xff"), ("user_cert", "x", b"1")), "UTF-8"),
    ("many parts", lambda: form(*[(str(i), None, b"") for i in range(17)]), "parts"),
    ("key", lambda: form(("user_cert", "x", Cert("k").key_pem)), "no certificate"),
    ("chain", lambda: form(("user_cert", "x", Cert("a").pem + Cert("b").pem)), "more than one"),
    ("expired", lambda: form(("user_cert", "x", Cert("old", begins=-3, ends=-1).pem)), "expired"),
    ("large", lambda: form(("user_cert", "x", b"0\x82" + b"x" * 16384)), "16384"),
    ("cut", lambda: form(("user_cert", "x", Cert("cut").der[:-1])), "no certificate"),
    ("longer", lambda: form(("user_cert", "x", Cert("long").der + b"\0")), "no certificate"),
]


@pytest.mark.parametrize("make,part", [pytest.param(make, part, id=name) for name, make, part in REFUSED])
def test_forms_that_are_refused(house, make, part):
    chief = house.session("chief", OWNER)
    failed(send(chief, chief.id, make()), 400, part)
    failed(chief.call("GET", "usercert"), 404)


def test_forms_elsewhere_are_no_forms(house):
    body = form(("username", "x", b"eva"))
    failed(Safe(house.api).call("POST", "auth", raw=body, headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}), 400, "no JSON")


def test_two_users_at_once_and_one_certificate(house):
    chief, cert = house.session("chief", OWNER), Cert("Wanted")
    users = [house.user(f"user-{i}") for i in range(6)]
    answers = {}
    threads = [threading.Thread(target=lambda u=u: answers.setdefault(u, send(chief, u, form(("user_cert", "x", cert.pem))).status)) for u in users]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(answers.values()) == [200] + [409] * 5
    for user, status in answers.items():
        assert chief.call("GET", f"usercert/{user}").status == (200 if status == 200 else 404)


def test_what_was_answered_survives_a_kill(server, house):
    chief, done = house.session("chief", OWNER), {}
    users, certs = [house.user(f"user-{i}") for i in range(4)], [Cert(f"c{i}") for i in range(4)]

    def work():
        for i in range(400):
            user, cert = users[i % 4], certs[(i // 4 + i) % 4]
            try:
                answer = send(chief, user, form(("user_cert", "x", cert.pem)))
                if answer.status == 409:
                    continue
                done[user] = answer.expect(200).body["CALLINFO"]["certificate"]
                if i % 3 == 0:
                    chief.good("DELETE", f"usercert/{user}")
                    done[user] = None
            except (OSError, http.client.HTTPException):
                done[user] = "unknown"
                return

    thread = threading.Thread(target=work)
    thread.start()
    while len(done) < 4 and thread.is_alive():
        time.sleep(0.001)
    server.kill()
    thread.join()
    server.start()
    server.unseal()
    held = []
    for user in users:
        answer = chief.call("GET", f"usercert/{user}").expect(200, 404)
        shown = answer.body["CALLINFO"].get("certificate")
        held += [shown["fingerprint"]] if shown else []
        assert done.get(user) in (shown, "unknown"), (user, done, shown)
    assert len(set(held)) == len(held)
    for cert, user in zip(certs, [house.user(f"later-{i}") for i in range(4)]):  # the index agrees with the records
        assert send(chief, user, form(("user_cert", "x", cert.pem))).status == (409 if cert.shown["fingerprint"] in held else 200)


def test_certificates_survive_a_restart_and_are_not_in_the_clear(server, house):
    chief, cert = house.session("chief", OWNER), Cert("Survivor of Restarts")
    add(chief, chief.id, cert)
    server.restart()
    assert chief.good("GET", "usercert")["CALLINFO"]["certificate"] == cert.shown
    stored = (server.data / "data.mdb").read_bytes() if (server.data / "data.mdb").exists() else b"".join(
        f.read_bytes() for f in server.data.rglob("*") if f.is_file())
    assert b"sys/login/cert" in stored
    assert b"Survivor" not in stored and cert.shown["fingerprint"].encode() not in stored


def test_the_operator(server, house, folder):
    user, cert = house.user("holder"), Cert("By Hand")
    pem, der = folder / "card.pem", folder / "card.der"
    pem.write_bytes(cert.pem)
    der.write_bytes(cert.der)

    def cli(*arguments, code=0):
        env = {**SANITIZER_OPTIONS, "PATH": "/usr/bin", "HOME": str(folder), "KEYTURN_ADDR": f"http://127.0.0.1:{server.port}", "KEYTURN_TOKEN": server.root_token}
        done = subprocess.run([BUILD / "keyturn", "storedsafe", "user", "cert", *arguments], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done
        return done.stdout + done.stderr

    assert "Code: 404" in cli("holder", code=1)
    for file in (pem, der):
        assert cert.shown["fingerprint"] in cli("holder", str(file))
    assert json.loads(cli("-format=json", str(user)))["data"]["certificate"] == cert.shown
    assert house.api.get(f"auth/storedsafe/users/{user}/certificate").expect(200).data["certificate"] == cert.shown
    assert "takes no file" in cli("-remove", "holder", str(pem), code=2)
    assert "no certificate" in cli("holder", "/dev/null", code=1)
    assert "Success" in cli("-remove", "holder")
    house.api.get(f"auth/storedsafe/users/{user}/certificate").expect(404)
    house.api.get("auth/storedsafe/certificate").expect(400)
    house.api.post(f"auth/storedsafe/users/{user}/certificate", {}).expect(400)
    token = house.api.token_for("cards", 'path "auth/storedsafe/users/+/certificate" { capabilities = ["read"] }')
    house.api.get(f"auth/storedsafe/users/{user}/certificate", token=token).expect(404)
    house.api.post(f"auth/storedsafe/users/{user}/certificate", {"user_cert": "x"}, token=token).expect(403)
