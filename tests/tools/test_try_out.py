"""The server to try out: what it prints works as printed, and it finds its data again."""
import os
import re
import signal
import socket
import subprocess
import threading

import pytest
from server import BUILD, ROOT, SANITIZER_OPTIONS, free_port

TOOL = ROOT / "tools" / "try-out"
ENV = {**os.environ, **SANITIZER_OPTIONS, "KEYTURN_BUILD": str(BUILD), "PYTHONUNBUFFERED": "1"}


class TryOut:
    def __init__(self, port, folder):
        self.text = ""
        self.process = subprocess.Popen([TOOL, str(port), folder], env=ENV, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        watchdog = threading.Timer(120, self.process.kill)
        watchdog.start()
        for line in self.process.stdout:
            self.text += line
            if line.startswith("Ctrl-C"):
                break
        watchdog.cancel()

    def commands(self):
        """The lines that a reader would copy, without their comments."""
        return [line.split("#")[0].strip() for line in self.text.splitlines() if line.startswith("  ")]

    def stop(self):
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        self.text += self.process.communicate(timeout=120)[0]
        assert self.process.returncode == 0, self.text


@pytest.fixture
def start(folder):
    started = []

    def make(port):
        started.append(TryOut(port, folder / "run"))
        return started[-1]

    yield make
    for each in started:
        if each.process.poll() is None:
            each.stop()


def shell(*commands):
    done = subprocess.run(["sh", "-ec", "\n".join(commands)], cwd=ROOT, env=ENV, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done
    return done.stdout


def test_the_printed_commands_work(start, folder):
    first = start(free_port())
    export, write, rotate, read = first.commands()
    assert "trying out only" in first.text
    shell(export, write)
    shell(export, rotate)
    assert "world" in shell(export, read)
    first.stop()

    second = start(free_port())
    assert "trying out only" not in second.text
    export, _, _, read = second.commands()
    assert "world" in shell(export, read)
    second.stop()

    run = folder / "run"
    assert run.stat().st_mode & 0o777 == 0o700
    assert {f.stat().st_mode & 0o777 for f in run.iterdir() if f.is_file()} == {0o600}


def test_the_port_is_taken_by_a_server(start, folder):
    port = free_port()
    start(port)
    second = subprocess.run([TOOL, str(port), folder / "other"], env=ENV, text=True, capture_output=True, timeout=120, check=False)
    assert second.returncode != 0
    assert re.search(rf"Port {port} is taken.*KEYTURN_PORT", second.stderr)


def test_the_port_is_taken_by_something_else(folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run([TOOL, str(port), folder / "run"], env=ENV, text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode != 0
    assert re.search(rf"Port {port} is taken.*KEYTURN_PORT", done.stderr)


def test_a_lost_key_is_told(start, folder):
    start(free_port()).stop()
    (folder / "run" / "unseal-key").unlink()
    second = start(free_port())
    assert second.process.wait(120) != 0
    assert re.search(r"unseal-key is gone.*Remove", second.text)
