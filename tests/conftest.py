"""Fixtures: each server is a real process in a temporary folder, and must stop cleanly when its test ends."""
import shutil
import tempfile
from pathlib import Path

import pytest
from server import DevServer, Server


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
