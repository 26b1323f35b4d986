"""A Python of its own for clients that are not Debian packages: tests/venv, made when it is first needed, from tests/clients.txt."""
import fcntl
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
FOLDER, LIST = TESTS / "venv", TESTS / "clients.txt"


def python():
    """Its interpreter.  Test runs beside each other make it once; a list that changed makes it anew."""
    done = FOLDER / "made-from"
    FOLDER.mkdir(exist_ok=True)
    with open(FOLDER / "lock", "w", encoding="utf-8") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != LIST.read_text():
            subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
            subprocess.run([FOLDER / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", LIST], check=True)
            done.write_text(LIST.read_text())
    return FOLDER / "bin/python"
