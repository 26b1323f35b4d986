"""What a store really holds and what a server really encrypted, found without asking the server."""
import array
import subprocess
import sys
from collections import Counter


def encryptions(file):
    """{term: encryptions} that a server built with -Dtest_hooks=true noted in KEYTURN_TEST_COUNT_FILE:
    little-endian u64 numbers, the term is the index."""
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return {}
    numbers = array.array("Q", raw[: len(raw) // 8 * 8])
    if sys.byteorder == "big":
        numbers.byteswap()
    return {term: number for term, number in enumerate(numbers) if number}


def dump(folder):
    """(key, value) of each record in a stopped server's LMDB store, as bytes."""
    out = subprocess.run(["mdb_dump", str(folder)], check=True, capture_output=True, text=True).stdout
    lines = iter(out.splitlines())
    for line in lines:
        if line == "HEADER=END":
            break
    for line in lines:
        if line == "DATA=END":
            return
        yield bytes.fromhex(line), bytes.fromhex(next(lines))
    raise AssertionError("mdb_dump's output ends early")


def records(folder):
    """{term: records}: the first four bytes of a value are its term.  Records below core/ are under no term."""
    found = Counter()
    for key, value in dump(folder):
        if not key.startswith(b"core/"):
            found[int.from_bytes(value[:4], "big")] += 1
    return dict(found)
