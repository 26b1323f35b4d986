"""The vendor's own client, the PyPI package `storedsafe`, unchanged, over TLS: log-in, vaults, members, users, their certificates, utils; and `transparent`, for which it has no
calls, by the library that it stands on, with its token."""
import random
import subprocess
import textwrap

import clients
import pytest
from certs import Cert
from cryptography.x509.oid import ExtendedKeyUsageOID
from safe import ACTIVE, ADMIN, APIKEY, PASSPHRASE, READ, SECRET, WRITE, House, totp
from server import Server, free_port

# Runs in the client's Python; arguments: host, CA file, API key, username, passphrase, code, id of another user, file with a certificate.
SCRIPT = textwrap.dedent("""
    import sys
    from storedsafe import StoredSafe
    host, ca, apikey, username, passphrase, code, other, cert = sys.argv[1:]
    api = StoredSafe(host, apikey, verify=ca)

    def good(answer, status=200):
        assert answer.status_code == status, (answer.status_code, answer.text)
        body = answer.json()
        assert body["CALLINFO"]["status"] == "SUCCESS" and not body["CALLINFO"]["errors"], body
        return body

    info = good(api.login_totp(username, passphrase, code))["CALLINFO"]
    assert info["username"] == username and api.token == info["token"]
    good(api.check())
    vault = good(api.create_vault(vaultname="By the client", policy=7, description="d"))["VAULT"][0]["id"]
    assert [v["id"] for v in good(api.list_vaults())["VAULTS"]] == [vault]
    assert good(api.vault_objects(vault))["OBJECTS"] == []
    good(api.edit_vault(vault, vaultname="Renamed"))
    good(api.add_vault_member(vault, other, 2))
    good(api.edit_vault_member(vault, other, 1))
    members = good(api.vault_members(vault))["CALLINFO"]["vaultmembers"]
    assert [m["groupstatus"] for m in members] == ["4", "1"], members
    good(api.remove_vault_member(vault, other))
    refused = api.remove_vault_member(vault, info["userid"])
    assert refused.status_code == 400 and refused.json()["CALLINFO"]["status"] == "FAIL", refused.text
    good(api.delete_vault(vault))
    made = good(api.create_user(username="by-client", status=[0, 7], fullname="By Client", email="c@example.org", passphrase="x"), 201)
    user = made["CALLINFO"]["user"][0]["id"]
    assert good(api.get_user(user))["CALLINFO"]["users"][0]["username"] == "by-client"
    assert len(good(api.list_users())["CALLINFO"]["users"]) == 3
    assert len(good(api.list_users("by-cl"))["CALLINFO"]["users"]) == 1
    good(api.edit_user(user, fullname="Edited Name"))
    shown = good(api.set_user_certificate(user, cert))["CALLINFO"]["certificate"]
    assert shown["subject"]["CN"] == "By Client" and shown == good(api.get_user_certificate(user))["CALLINFO"]["certificate"]
    good(api.remove_user_certificate(user))
    assert api.get_user_certificate(user).status_code == 404
    good(api.delete_user(user))
    assert good(api.status_values())["CALLINFO"]["statusbits"]["userbits"]["Active"] == 7
    assert len(good(api.password_policies())["CALLINFO"]["policies"]) == 4
    assert good(api.get_mime_type(cert))["RESULT"]["mimetype"] == "application/x-pem-file"
    assert good(api.version())["CALLINFO"]["version"]
    assert len(good(api.generate_password(type="pin", length=8))["CALLINFO"]["passphrase"]) == 8
    assert good(api.logout())["CALLINFO"]["logout"] == "Bye bye"
    assert api.check().json()["ERRORCODES"] == {"1200": "Not logged in"}
    print("all of it")
""")

# Arguments: host, CA file, API key, username, passphrase, code, id and name of another user with the same passphrase and code.
KEYS_SCRIPT = textwrap.dedent("""
    import base64, sys
    import requests
    from storedsafe import StoredSafe
    host, ca, apikey, username, passphrase, code, other, other_name = sys.argv[1:]
    api, second = StoredSafe(host, apikey, verify=ca), StoredSafe(host, apikey, verify=ca)

    def call(method, path, body=None, status=200, by=api):
        answer = requests.request(method, f"https://{host}/api/1.0/transparent/{path}", json=body, headers={"X-Http-Token": by.token}, verify=ca)
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        found = answer.json()
        info = found["CALLINFO"]
        assert info["handler"] == "EncryptionHandler" and info["token"] == by.token and answer.headers["Content-Type"] == "application/json; charset=UTF-8", found
        assert info["status"] == ("SUCCESS" if status < 300 else "FAIL") and info["errors"] == (status >= 300), found
        return found if status < 300 else found["ERRORS"][0]

    api.login_totp(username, passphrase, code)
    second.login_totp(other_name, passphrase, code)
    vault = api.create_vault(vaultname="With keys").json()["VAULT"][0]["id"]
    assert api.add_vault_member(vault, other, 1).status_code == 200
    text = base64.b64encode(bytes(range(256))).decode()

    for kind in ("aes128-gcm96", "aes256-gcm96", "aes128-ofb", "aes256-ofb"):
        made = call("POST", f"{vault}/keys/{kind}", {"type": kind, "info": "by requests"}, 201)["CALLINFO"]
        assert made["key_version"] == "1" and made["name"] == kind
        sealed = call("POST", f"{vault}/encrypt/{kind}", {"plaintext": text}, by=second)["CALLINFO"]
        assert sealed["ciphertext"].startswith("storedsafe:v1:") and sealed["key_version"] == "1"
        assert call("POST", f"{vault}/decrypt/{kind}", {"ciphertext": sealed["ciphertext"]}, by=second)["CALLINFO"]["plaintext"] == text
        assert call("POST", f"{vault}/keys/{kind}/rotate", status=201)["CALLINFO"]["key_version"] == "2"
        lifted = call("POST", f"rewrap/{vault}/{kind}", {"ciphertext": sealed["ciphertext"], "to_version": "2"}, by=second)["CALLINFO"]
        assert lifted["key_version"] == "2" and call("POST", f"{vault}/decrypt/{kind}", {"ciphertext": lifted["ciphertext"]})["CALLINFO"]["plaintext"] == text
        data = call("POST", f"{vault}/datakey/plaintext/{kind}", {"bits": 128})["CALLINFO"]
        assert len(base64.b64decode(data["plaintext"])) == 16
        assert call("POST", f"{vault}/decrypt/{kind}", {"ciphertext": data["ciphertext"]})["CALLINFO"]["plaintext"] == data["plaintext"]
        assert "plaintext" not in call("POST", f"{vault}/datakey/wrapped/{kind}", by=second)["CALLINFO"]
        assert len(base64.b64decode(call("GET", f"export/{vault}/{kind}/1")["KEYS"][0]["key"])) == (16 if "128" in kind else 32)
        backup = call("GET", f"backup/{vault}/{kind}")["KEYS"][0]["backup"]
        call("DELETE", f"{vault}/keys/{kind}")
        assert call("POST", f"{vault}/decrypt/{kind}", {"ciphertext": sealed["ciphertext"]}, 404) == "there is no such key in this vault"
        call("POST", f"restore/{vault}/{kind}", {"backup": backup})
        assert call("POST", f"{vault}/decrypt/{kind}", {"ciphertext": sealed["ciphertext"]}, by=second)["CALLINFO"]["plaintext"] == text
        read = call("GET", f"{vault}/keys/{kind}", by=second)
        assert read["CALLINFO"]["version"] == "2" and read["KEYS"][0]["info"] == "by requests" and read["KEYS"][0]["type"] == kind

    assert len(call("LIST", f"{vault}/keys", by=second)["KEYS"]) == len(call("GET", f"{vault}/keys", by=second)["KEYS"]) == 4
    assert call("POST", f"{vault}/keys/another", {}, 403, by=second) == call("POST", f"{vault}/encrypt/another", {"plaintext": text}, 403, by=second) == "permission denied"
    refused = api.delete_vault(vault)
    assert refused.status_code == 400 and "empty" in refused.json()["ERRORS"][0], refused.text
    api.remove_vault_member(vault, other)
    assert call("GET", f"{vault}/keys", status=403, by=second) == "permission denied"
    for key in call("GET", f"{vault}/keys")["KEYS"]:
        call("DELETE", f"{vault}/keys/{key['name']}")
    assert api.delete_vault(vault).status_code == 200
    api.logout()
    gone = requests.get(f"https://{host}/api/1.0/transparent/{vault}/keys", headers={"X-Http-Token": api.token or "x"}, verify=ca)
    assert gone.status_code == 401 and gone.json()["ERRORCODES"] == {"1200": "Not logged in"}
    print("all of it")
""")

# Arguments: address (of port 8443), CA file, API key, username, passphrase, certificate, key.
CARD_SCRIPT = textwrap.dedent("""
    import sys
    from storedsafe import StoredSafe
    host, ca, apikey, username, passphrase, cert, key = sys.argv[1:]
    api = StoredSafe(host, apikey, verify=ca)
    info = api.login_smartcard(username, passphrase, cert, key).json()["CALLINFO"]
    assert info["status"] == "SUCCESS" and info["username"] == username and api.token == info["token"], info
    assert StoredSafe(host, apikey, verify=ca).login_smartcard(username, "wrong", cert, key).status_code == 401
    print("all of it")
""")

LISTENER = """listener "tcp" {{
  address = "{address}:{port}"
  tls_cert_file = "{folder}/cert.pem"
  tls_key_file = "{folder}/key.pem"
}}
"""


@pytest.fixture
def tls_server(folder):
    """Plain HTTP for the operator, TLS for the client."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                   check=True, capture_output=True)
    server = Server(folder / "server", config=LISTENER.format(folder=folder, address="127.0.0.1", port=(port := free_port())))
    server.tls_port = port
    yield server.ready()
    server.close()


def test_the_vendors_client(tls_server, folder):
    house = House(tls_server.api)
    house.user("client", READ | WRITE | ADMIN | ACTIVE)
    other = house.user("other")
    cert, _ = Cert("By Client").write(folder, "card")
    script = folder / "drive.py"
    script.write_text(SCRIPT)
    done = subprocess.run([clients.python(), script, f"127.0.0.1:{tls_server.tls_port}", folder / "cert.pem", APIKEY, "client", PASSPHRASE,
                           totp(SECRET), str(other), cert], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin"})
    assert (done.returncode, done.stdout) == (0, "all of it\n"), done.stdout + done.stderr


def test_keys_with_the_token_of_the_vendors_client(tls_server, folder):
    house = House(tls_server.api)
    house.user("client", READ | WRITE | ACTIVE)
    other = house.user("other")
    script = folder / "drive.py"
    script.write_text(KEYS_SCRIPT)
    done = subprocess.run([clients.python(), script, f"127.0.0.1:{tls_server.tls_port}", folder / "cert.pem", APIKEY, "client", PASSPHRASE,
                           totp(SECRET), str(other), "other"], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin"})
    assert (done.returncode, done.stdout) == (0, "all of it\n"), done.stdout + done.stderr


def test_the_vendors_client_with_a_smart_card(folder):
    """It knows no port but 8443, so the address is one of the many of this machine."""
    address = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
    ca, _ = Cert("safe", address=address, usage=ExtendedKeyUsageOID.SERVER_AUTH).write(folder, "server")
    card = Cert("Card Holder")
    cert, key = card.write(folder, "card")
    more = LISTENER.format(folder=folder, address=address, port=8443).replace("/cert.pem", "/server.pem").replace("/key.pem", "/server.key")
    server = Server(folder / "server", config=more.replace("\n}", '\n  tls_client_certificate = "request"\n}'))
    try:
        house = House(server.ready().api)
        house.user("holder")
        house.api.post("auth/storedsafe/users/holder/certificate", {"user_cert": card.pem.decode()}).expect(200)
        script = folder / "drive.py"
        script.write_text(CARD_SCRIPT)
        done = subprocess.run([clients.python(), script, address, ca, APIKEY, "holder", PASSPHRASE, cert, key], capture_output=True, text=True, check=False,
                              env={"PATH": "/usr/bin"})
        assert (done.returncode, done.stdout) == (0, "all of it\n"), done.stdout + done.stderr
    finally:
        server.close()
