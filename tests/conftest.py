"""Fixtures: each server is a real process in a temporary folder, and must stop cleanly when its test ends."""
import faulthandler
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from server import DevServer, Server
from toy import Toy

# A test that takes longer hangs: it fails, and the stacks of all its threads are in its output.  @pytest.mark.limit(SECONDS) gives more.
LIMIT_S = 300


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    marker = item.get_closest_marker("limit")
    seconds = marker.args[0] if marker else LIMIT_S

    def hangs(*_):
        faulthandler.dump_traceback(sys.__stderr__, all_threads=True)
        raise TimeoutError(f"the test takes longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def folder():
    """A short path (socket names have 107 bytes), removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="keyturn-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def new_server(folder):
    """new_server(name, **options): a server that is not started yet."""
    made = []

    def make(name="server", **options):
        made.append(Server(folder / name, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def server(new_server):
    """A server on LMDB with one share, open, kv at secret/."""
    return new_server().ready()


@pytest.fixture
def api(server):
    return server.api


@pytest.fixture(scope="module")
def dev_server(tmp_path_factory):
    """A development server for all tests of a file."""
    server = DevServer(tmp_path_factory.mktemp("dev"))
    server.start()
    yield server
    server.close()


@pytest.fixture
def new_toy():
    """new_toy(*arguments): a toy server (toy.py), on a TCP port unless tcp is False."""
    made = []

    def make(*args, tcp=True):
        made.append(Toy(*(["-tcp", "127.0.0.1:0"] if tcp else []), *args))
        return made[-1]

    yield make
    for toy in made:
        toy.close()
