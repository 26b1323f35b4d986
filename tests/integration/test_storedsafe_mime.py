"""What kind of file begins with some bytes."""
import base64
import threading

import pytest
from safe import House, Safe
from server import Server
from test_storedsafe import failed

PATH = "utils/get_mime_type"


@pytest.fixture
def house(server):
    return House(server.api)


def asked(head, extension="bin", **more):
    return {"data": base64.b64encode(head).decode(), "extension": extension, **more}


def test_a_file(house):
    safe = house.session("someone")
    body = safe.good("POST", PATH, asked(b"%PDF-1.4\n1 0 obj", "pdf", size=204800))
    assert body["RESULT"] == {"mimetype": "application/pdf", "size": 204800, "max_file_size": 32 << 20}
    assert body["CALLINFO"]["handler"] == "UtilsHandler" and body["CALLINFO"]["general"] == [] and "result" not in body["CALLINFO"]
    assert body["DATA"] == {"data": "********", "extension": "pdf", "size": 204800, "token": safe.token}
    assert safe.good("POST", PATH, asked(b"%PDF-1.4\n1 0 obj"))["RESULT"] == {"mimetype": "application/pdf", "max_file_size": 32 << 20}


@pytest.mark.parametrize("head,extension,wanted", [
    (b"PK\3\4\24\0\0\0\10\0" + bytes(16) + b"\5\0\0\0a.txthello, hello, hello", ".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"a,b\n1,2\n", "CSV", "text/csv"), (b"a,b\n1,2\n", "x" * 25, "text/plain"), (b"", "txt", "application/x-empty"), (bytes(64), "", "application/octet-stream"),
])
def test_kinds(house, head, extension, wanted):
    assert house.session("someone").good("POST", PATH, asked(head, extension))["RESULT"]["mimetype"] == wanted


def test_a_file_that_is_too_large(house):
    safe = house.session("someone")
    assert safe.good("POST", PATH, asked(b"x", size=32 << 20))["CALLINFO"]["general"] == []
    assert "larger" in safe.good("POST", PATH, asked(b"x", size=str((32 << 20) + 1)))["CALLINFO"]["general"][0]


@pytest.mark.parametrize("body,part", [
    ({}, "extension is missing"), ({"extension": "x"}, "data is missing"), ({"data": ""}, "extension is missing"), (asked(b"x", "y" * 26), "25"),
    (asked(bytes(65)), "64"), (asked(bytes(100000)), "64"), ({"data": "x", "extension": "y"}, "base64"), ({"data": "eA", "extension": "y"}, "base64"),
    ({"data": 7, "extension": "y"}, "data"), ({"data": "", "extension": ["y"]}, "extension"), (asked(b"x", size=-1), "size"), (asked(b"x", size="large"), "size"),
    (asked(b"x", size=1 << 64), "size"),
])
def test_what_is_refused(house, body, part):
    failed(house.session("someone").call("POST", PATH, body), 400, part)


def test_only_for_users_who_logged_in(house):
    failed(Safe(house.api).call("POST", PATH, asked(b"x")), 401)
    house.api.post("storedsafe/utils/mime_type", asked(b"x", "txt")).expect(200)
    token = house.api.new_token("default", num_uses=1)
    house.api.post("storedsafe/utils/mime_type", asked(b"x", "txt"), token=token).expect(403)
    token = house.api.token_for("kinds", 'path "storedsafe/utils/*" { capabilities = ["update"] }')
    limited = house.api.post("auth/token/create", {"policies": ["kinds"], "num_uses": 1}).expect(200).body["auth"]["client_token"]
    for t in (token, limited):  # the second one on the writer
        assert house.api.post("storedsafe/utils/mime_type", asked(b"hello\n", "txt"), token=t).expect(200).data["result"]["mimetype"] == "text/plain"


def test_many_at_once_and_after_a_seal(server, house):
    safe, wrong = house.session("someone"), []

    def work():
        for head, extension, wanted in ((b"%PDF-1.4\n", "x", "application/pdf"), (b"a,b\n", "csv", "text/csv"), (b"hello\n", "", "text/plain")) * 10:
            got = safe.good("POST", PATH, asked(head, extension))["RESULT"]["mimetype"]
            if got != wanted:
                wrong.append((wanted, got))

    for _ in range(2):
        threads = [threading.Thread(target=work) for _ in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        server.seal()
        server.unseal()
    assert wrong == []


def test_the_largest_body_is_the_largest_file(folder):
    server = Server(folder / "small", listener="  max_request_size = 65536")
    try:
        safe = House(server.ready().api).session("someone")
        assert safe.good("POST", PATH, asked(b"x"))["RESULT"]["max_file_size"] == 65536
    finally:
        server.close()
