"""Logging in with a smart card: a real TLS client certificate on a listener that asks for one."""
import http.client
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
from certs import Cert, client_context
from client import Api
from cryptography.x509.oid import ExtendedKeyUsageOID
from safe import APIKEY, PASSPHRASE, SECRET, House, Safe, totp
from server import free_port
from test_storedsafe import failed

LISTENER = """listener "tcp" {{
  address = "127.0.0.1:{port}"
  tls_cert_file = "{folder}/server.pem"
  tls_key_file = "{folder}/server.key"
  {more}
}}
"""


class Hall:
    """A server that listens without TLS, for the operator, and for cards: more: lines of that listener."""

    def __init__(self, new_server, folder, more):
        self.cert = Cert("localhost", address="127.0.0.1", usage=ExtendedKeyUsageOID.SERVER_AUTH)
        self.cert.write(folder, "server")
        self.port = free_port()
        self.server = new_server(config=LISTENER.format(folder=folder, port=self.port, more=more)).ready()
        self.house = House(self.server.api)

    def register(self, user, cert):
        self.house.api.post(f"auth/storedsafe/users/{user}/certificate", {"user_cert": cert.pem.decode()}).expect(200)

    def user(self, name, cert):
        user = self.house.user(name)
        self.register(user, cert)
        return user

    def api(self, shown=None, version=None):
        return Api("127.0.0.1", self.port, context=client_context(self.cert, shown, version))

    def safe(self, shown=None, version=None):
        return Safe(self.api(shown, version))

    def refuses(self, shown=None, version=None):
        """The handshake fails; with TLS 1.3 the client is told at its first read."""
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.BadStatusLine)):
            self.safe(shown, version).call("GET", "authinfo/logintypes")


@pytest.fixture
def hall(new_server, folder):
    return Hall(new_server, folder, 'tls_client_certificate = "request"')


def attempt(username, passphrase=PASSPHRASE, apikey=APIKEY, logintype="smartcard"):
    return {"username": username, "passphrase": passphrase, "apikey": apikey, "logintype": logintype}


def log_in(safe, username, **more):
    info = safe.good("POST", "auth", attempt(username, **more), token=None)["CALLINFO"]
    safe.token, safe.id = info["token"], int(info["userid"])
    return safe


def refused(safe, username, part="the log-in failed", **more):
    failed(safe.call("POST", "auth", attempt(username, **more)), 401, part)


def who(safe):
    """What the server says whose certificate it is; None: nobody's."""
    answer = safe.call("GET", "authinfo/smartcard")
    if answer.status == 401:
        failed(answer, 401, "no valid certificate")
        return None
    info = answer.expect(200).body["CALLINFO"]
    assert info["handler"] == "AuthInfoHandler" and "token" not in info
    return info["username"], info["subject"]


def test_a_card_opens_a_session(hall):
    card = Cert("Eva", unit=("a", "b"))
    user = hall.user("evaeva", card)
    safe = hall.safe(card)
    for logintype in ("smartcard", "smc_rest"):
        assert log_in(safe, "evaeva", logintype=logintype).id == user
        safe.good("GET", "vault")
    assert Safe(hall.server.api, safe.token).good("GET", "usercert")["CALLINFO"]["certificate"] == card.shown
    hall.safe().good("GET", "vault", token=safe.token)  # a session is not bound to the card
    assert who(safe) == ("evaeva", card.shown["subject"])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls(hall, version):
    card, other = Cert("Eva"), Cert("Other")
    hall.user("evaeva", card)
    log_in(hall.safe(card, version), "evaeva")
    refused(hall.safe(other, version), "evaeva")
    refused(hall.safe(None, version), "evaeva")


def test_what_is_no_card_of_the_users(hall):
    eva, other, nobodys = Cert("Eva"), Cert("Other"), Cert("Eva")
    hall.user("evaeva", eva)
    hall.user("other", other)
    for shown, whose in ((other, "other"), (nobodys, None), (None, None)):
        safe = hall.safe(shown)
        refused(safe, "evaeva")
        assert (who(safe) or [None])[0] == whose
    refused(hall.safe(eva), "other")
    refused(hall.safe(eva), "nobody")
    refused(Safe(hall.server.api), "evaeva")  # a listener that asks nobody
    assert who(Safe(hall.server.api)) is None
    log_in(hall.safe(eva), "evaeva")


def test_a_card_alone_is_not_enough(hall):
    card = Cert("Eva")
    hall.user("evaeva", card)
    safe = hall.safe(card)
    refused(safe, "evaeva", passphrase="wrong")
    refused(safe, "evaeva", apikey="wrong-key")
    failed(safe.call("POST", "auth", {"username": "evaeva", "apikey": APIKEY, "logintype": "smartcard"}), 400, "passphrase")
    failed(safe.call("POST", "auth", {"username": "evaeva", "passphrase": PASSPHRASE, "logintype": "smartcard"}), 400, "apikey")
    failed(safe.call("POST", "auth", attempt("evaeva", logintype="card")), 400, "logintype")
    failed(safe.call("POST", "auth", attempt("evaeva", logintype="totp")), 400, "otp is missing")
    log_in(safe, "evaeva")


def test_the_same_lock_out(hall):
    card = Cert("Eva")
    hall.user("evaeva", card)
    safe = hall.safe(card)
    for name in ("evaeva", "nobody"):
        for _ in range(5):
            refused(hall.safe(), name)
        refused(safe, name, part="too many failed log-ins")
    deadline = time.monotonic() + 60
    while safe.call("POST", "auth", attempt("evaeva")).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_code_still_does_where_a_card_is_asked_for(hall):
    hall.house.user("evaeva")
    body = {**attempt("evaeva", logintype="totp"), "otp": totp(SECRET)}
    Safe(hall.api()).good("POST", "auth", body, token=None)
    Safe(hall.api(Cert("Whatever"))).call("POST", "auth", body).expect(401)  # the code was taken


def test_cards_come_and_go(hall):
    one, two = Cert("One"), Cert("Two")
    user = hall.user("evaeva", one)
    safe_one, safe_two = hall.safe(one), hall.safe(two)
    log_in(safe_one, "evaeva")
    hall.register(user, two)
    refused(safe_one, "evaeva")  # on a connection that was opened with it
    log_in(safe_two, "evaeva")
    assert (who(safe_one), who(safe_two)[0]) == (None, "evaeva")
    hall.house.api.delete(f"auth/storedsafe/users/{user}/certificate").expect(204)
    refused(safe_two, "evaeva")
    hall.register(user, two)
    hall.house.api.delete(f"auth/storedsafe/users/{user}").expect(200)
    refused(safe_two, "evaeva")
    assert who(safe_two) is None


def test_times_of_a_card(hall):
    early, short = Cert("Early", begins=1), Cert("Short", ends=6 / 86400)
    hall.user("early", early)
    hall.user("short", short)
    safe = hall.safe(short)
    log_in(safe, "short")
    refused(hall.safe(early), "early")
    assert who(hall.safe(early)) is None
    deadline = time.monotonic() + 60
    while safe.call("POST", "auth", attempt("short")).status == 200:  # the connection stays; its certificate does not
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert who(safe) is None
    refused(hall.safe(short), "short")


def test_login_types_tell(hall, new_server):
    types = hall.house.api
    assert Safe(types).good("GET", "authinfo/logintypes")["CALLINFO"]["enabled_login_types"] == [["totp", "yubikey_otp", "smartcard"]]
    other = new_server("other").ready()
    assert Safe(other.api).good("GET", "authinfo/logintypes")["CALLINFO"]["enabled_login_types"] == [["totp", "yubikey_otp"]]


def test_require(new_server, folder):
    hall = Hall(new_server, folder, 'tls_client_certificate = "require"')
    card = Cert("Eva")
    hall.user("evaeva", card)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        hall.refuses(None, version)
        log_in(hall.safe(card, version), "evaeva")
        assert who(hall.safe(Cert("Stranger"), version)) is None


@pytest.mark.parametrize("word", ["request", "require"])
def test_authorities(new_server, folder, word):
    authority, other = Cert("Authority", authority=True), Cert("Authority", authority=True)
    authority.write(folder, "clients")
    hall = Hall(new_server, folder, f'tls_client_certificate = "{word}"\n  tls_client_ca_file = "{folder}/clients.pem"')
    card = Cert("Eva", issuer=authority)
    hall.user("evaeva", card)
    log_in(hall.safe(card), "evaeva")
    assert who(hall.safe(Cert("Eva", issuer=authority))) is None  # good, but nobody's
    own = Cert("Eva")
    hall.register("evaeva", own)
    strangers = [own, Cert("Eva", issuer=other), Cert("Eva", issuer=authority, ends=-1 / 86400), Cert("Eva", issuer=authority, begins=1),
                 Cert("Eva", issuer=authority, usage=ExtendedKeyUsageOID.SERVER_AUTH), Cert("Eva", issuer=card)]
    for stranger in strangers:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            hall.refuses(stranger, version)
    if word == "request":
        assert who(hall.safe()) is None
    else:
        hall.refuses()
    hall.register("evaeva", card)
    other.write(folder, "clients")  # read anew on SIGHUP
    hall.server.process.send_signal(signal.SIGHUP)
    deadline, mine = time.monotonic() + 60, Cert("Eva", issuer=other)
    while True:
        try:
            assert who(hall.safe(mine)) is None
            break
        except (ssl.SSLError, ConnectionError, http.client.BadStatusLine):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    hall.refuses(card)


@pytest.mark.parametrize("flag", ["-tls1_2", "-tls1_3"])
def test_no_session_is_resumed(hall, folder, flag):
    """The server gives away nothing that a later connection could go on with: so none lacks its certificate, or has one that was not shown in it."""
    card = Cert("Eva")
    hall.user("evaeva", card)
    cert, key = card.write(folder, "card")
    session = folder / "session"
    request = b"GET /api/1.0/authinfo/smartcard HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    told = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{hall.port}", flag, "-ign_eof", "-cert", cert, "-key", key, "-sess_out", session],
                          input=request, capture_output=True, check=False).stdout
    assert b"HTTP/1.1 200" in told and b'"username":"evaeva"' in told, told
    assert not session.exists() and b"TLS session ticket:" not in told, told


def test_a_huge_key_and_a_long_chain_are_refused(hall, folder):
    huge, chain = folder / "huge.pem", folder / "chain.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:8200", "-pkeyopt", "rsa_keygen_primes:5", "-nodes", "-subj", "/CN=Huge", "-days", "2",
                    "-keyout", folder / "huge.key", "-out", huge], check=True, capture_output=True)
    card = Cert("Eva")
    hall.user("evaeva", card)
    _, key = card.write(folder, "card")
    chain.write_bytes(card.pem + b"".join(Cert("x" * 60, unit=["y" * 60] * 30, authority=True).pem for _ in range(6)))
    for cert, its in ((huge, folder / "huge.key"), (chain, key)):
        context = client_context(hall.cert)
        context.load_cert_chain(cert, its)
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.BadStatusLine)):
            Safe(Api("127.0.0.1", hall.port, context=context)).call("GET", "authinfo/logintypes")
    log_in(hall.safe(card), "evaeva")


def test_clients_that_leave_while_they_log_in(hall):
    card = Cert("Eva")
    hall.user("evaeva", card)
    context = client_context(hall.cert, card)
    body = b'{"username":"nobody","passphrase":"p","apikey":"k","logintype":"smartcard"}'

    def leave():
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", hall.port)) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
                tls.sendall(b"POST /api/1.0/auth HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    threads = [threading.Thread(target=leave) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    log_in(hall.safe(card), "evaeva")


def test_a_crowd_of_cards_on_kept_connections(hall):
    cards = {f"user-{i}": Cert(f"User {i}") for i in range(6)}
    for name, card in cards.items():
        hall.user(name, card)
    wrong = []

    def work(name, card):
        safe = hall.safe(card)
        for _ in range(10):
            if who(safe)[0] != name:
                wrong.append(name)
        log_in(safe, name)

    threads = [threading.Thread(target=work, args=item) for item in cards.items()]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_no_header_is_a_certificate(hall):
    card = Cert("Eva")
    hall.user("evaeva", card)
    pem = "".join(card.pem.decode().splitlines()[1:-1])
    headers = {"X-SSL-Client-Cert": pem, "X-Client-Cert": pem, "Ssl-Client-Cert": pem}
    failed(hall.safe().call("GET", "authinfo/smartcard", headers=headers), 401)
    failed(Safe(hall.server.api).call("POST", "auth", {**attempt("evaeva"), "certificate": card.pem.decode(), "user_cert": card.pem.decode()}, headers=headers), 401)


@pytest.mark.parametrize("lines,part", [
    ('tls_client_certificate = "always"', '"none", "request" or "require"'), ('tls_client_certificate = "request"\n  tls_disable = true', "exclude each other"),
    ('tls_client_certificate = "request"\n  tls_client_ca_file = "/nowhere.pem"', "/nowhere.pem"),
])
def test_configurations_that_are_refused(new_server, folder, lines, part):
    Cert("localhost", address="127.0.0.1").write(folder, "server")
    server = new_server(config=LISTENER.format(folder=folder, port=free_port(), more=lines))
    server.launch()
    server.wait_end(1)
    assert part in server.log()
