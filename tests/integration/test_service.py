"""A good service: starting, readiness, signals, files, clear complaints."""
import os
import re
import signal
import socket
import threading
import time

import pytest
from server import Readiness


@pytest.fixture
def readiness(folder):
    made = Readiness(folder)
    yield made
    made.close()


def ends(server, code):
    """It must end by itself with this status; returns what it said."""
    server.launch()
    server.wait_end(code)
    return server.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly(server, number):
    server.api.post("secret/a", {"v": 1}).expect(204)
    server.process.send_signal(number)
    server.wait_end(0)


def test_stops_cleanly_when_sealed_or_new(new_server):
    server = new_server().start()
    server.stop()
    server.start()
    server.init(3, 2)
    server.stop()
    server.start()
    server.unseal()
    server.seal()
    server.stop()


def test_stopping_finishes_what_it_has(server):
    """Requests under way when SIGTERM comes are answered well or not at all, and what was answered is kept."""
    stored, lock, running = [], threading.Lock(), True

    def write(me):
        n = 0
        while running:
            try:
                answer = server.api.post(f"secret/{me}/{n}", {"n": n})
            except Exception:
                return
            assert answer.status in (204, 503), answer
            if answer.status == 204:
                with lock:
                    stored.append((me, n))
            n += 1

    threads = [threading.Thread(target=write, args=(me,)) for me in range(6)]
    for thread in threads:
        thread.start()
    while len(stored) < 100:
        assert any(thread.is_alive() for thread in threads), "all clients failed"
        time.sleep(0.01)
    server.stop()
    running = False
    for thread in threads:
        thread.join()
    server.start()
    server.unseal()
    for me, n in stored:
        assert server.api.get(f"secret/{me}/{n}").expect(200).data == {"n": n}


def test_tells_when_it_is_ready(new_server, readiness):
    server = new_server(env=readiness.env())
    server.launch()
    assert "READY=1" in readiness.receive()
    server.api.get("sys/seal-status", token=None).expect(200)
    server.process.send_signal(signal.SIGHUP)
    said = readiness.receive()
    while "READY=1" not in said:
        assert any(line.startswith(("RELOADING=1", "STATUS=", "MONOTONIC_USEC=")) for line in said)
        said = readiness.receive()
    server.process.send_signal(signal.SIGTERM)
    while "STOPPING=1" not in readiness.receive():
        pass
    server.wait_end(0)


def test_a_bad_notify_socket_does_no_harm(new_server, folder):
    server = new_server(env={"NOTIFY_SOCKET": str(folder / "nobody")}).start()
    server.stop()


def test_says_where_it_listens(server):
    assert re.search(rf"\blistening address=127\.0\.0\.1:{server.port}\b", server.log())


def test_any_port(new_server):
    """Port 0: the log tells which one it became."""
    server = new_server()
    server.config_file.write_text(server.config_file.read_text().replace(f":{server.port}", ":0"))
    server.launch()
    deadline = time.monotonic() + 60
    while not (found := re.search(r"\blistening address=127\.0\.0\.1:(\d+)", server.log())):
        assert time.monotonic() < deadline and server.process.poll() is None, server.log()
        time.sleep(0.01)
    server.api.port = int(found[1])
    server.wait_ready()


def test_sighup_changes_nothing_else(server):
    server.api.post("secret/a", {"v": 1}).expect(204)
    for _ in range(5):
        server.process.send_signal(signal.SIGHUP)
        assert server.api.get("secret/a").expect(200).data == {"v": 1}


def test_sighup_with_a_broken_configuration(server):
    """It complains and goes on with the old one."""
    server.config_file.write_text("listener {")
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 60
    while "keyturn.hcl" not in server.log():
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.02)
    server.api.get("sys/mounts").expect(200)


def test_files_are_private(server):
    """Even under an open umask."""
    assert server.data.stat().st_mode & 0o777 == 0o700
    files = [file for file in server.data.rglob("*") if file.is_file()]
    assert {"slots.0", "slots.1"} <= {file.name for file in files}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_an_open_data_folder_is_refused(new_server):
    server = new_server()
    server.data.mkdir(mode=0o755)
    os.chmod(server.data, 0o755)
    assert str(server.data) in ends(server, 1)


def test_one_server_a_folder(server, new_server):
    second = new_server("second")
    second.config_file.write_text(second.config_file.read_text().replace(str(second.data), str(server.data)))
    said = ends(second, 1)
    assert str(server.data) in said and re.search(r"in use|another|already", said)
    server.api.get("sys/mounts").expect(200)


def test_a_taken_port(new_server):
    server = new_server()
    with socket.socket() as other:
        other.bind(("127.0.0.1", server.port))
        other.listen()
        said = ends(server, 1)
    assert f"127.0.0.1:{server.port}" in said and re.search(r"in use", said)


@pytest.mark.parametrize("text,line", [
    ("nosuch = 1", 1), ('storage "inmem" {}\nstorage', 2), ('storage "nosuch" {}', 1), ('\n\nlog_level = "loud"', 3),
    ('storage "inmem" {}\nlistener "tcp" {\n  nosuch = 1\n}', 3), ('storage "lmdb" { }', 1), ('max_lease_ttl = "soon"', 1),
    ('storage "inmem" {\n', 2), ('{"storage": {"inmem": {}},\n "nosuch": 1}', 2),
    ('storage "inmem" {}\nlistener "tcp" {\n  address = "nowhere"\n}', 3)])
def test_configuration_errors_name_the_line(new_server, text, line):
    server = new_server()
    server.config_file.write_text(text)
    assert f"{server.config_file}:{line}" in ends(server, 1)


def test_no_configuration_file(new_server):
    server = new_server()
    server.config_file.unlink()
    assert str(server.config_file) in ends(server, 1)


def test_lenient(new_server):
    server = new_server(config="nosuch = 1")
    server.arguments.append("-config-lenient")
    server.start()
    assert "nosuch" in server.log()


def test_configuration_as_json_and_as_folder(new_server, folder):
    server = new_server()
    parts = folder / "parts"
    parts.mkdir()
    (parts / "a.json").write_text('{"storage": {"inmem": {}}, "disable_mlock": true}')
    (parts / "b.hcl").write_text(f'listener "tcp" {{\n address = "127.0.0.1:{server.port}"\n tls_disable = true\n}}')
    server.arguments = ["server", f"-config={parts}"]
    server.start()
    assert "disable_mlock" in server.log()


@pytest.mark.parametrize("flags", [["-nosuch"], ["-config"], [], ["-dev", "extra"], ["-dev-root-token-id=x"]])
def test_wrong_use(new_server, flags):
    server = new_server()
    server.arguments = ["server", *flags]
    server.launch()
    code = server.process.wait(60)
    server.process = None
    assert code in (1, 2) and server.log() != ""


def test_no_secret_in_the_log(server):
    token = server.api.new_token("default")
    server.api.post("secret/a", {"v": "attack-at-dawn"}).expect(204)
    server.api.get("secret/a", token="nonsense-token").expect(403)
    server.seal()
    server.unseal()
    for secret in (token, "attack-at-dawn", "nonsense-token", server.root_token, *server.keys):
        assert secret not in server.log()


def test_no_core_no_dump(server):
    """Nobody but root may look into it, and it leaves no core."""
    limits = open(f"/proc/{server.process.pid}/limits").read()
    assert re.search(r"Max core file size +0 +0 ", limits)
