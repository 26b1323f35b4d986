"""What tests that kill a server under load have in common: the count of what was acknowledged, and clients that run until the server is gone."""
import http.client
import threading
import time

from transit import USES_BLOCK

GONE = (OSError, http.client.HTTPException)


class Tally:
    """Ciphertexts acknowledged, by key and version, and how many more there may be.  keys: {name: what one of its versions may do, or None}."""

    def __init__(self, keys):
        self.keys = keys
        self.acknowledged = {name: {} for name in keys}
        self.waiting = {name: 0 for name in keys}  # sent, not answered: by all clients
        self.spare = {name: {} for name in keys}  # by version: what kills may have added
        self.shown = {name: {} for name in keys}
        self.lock = threading.Lock()

    def sent(self, name, items):
        with self.lock:
            self.waiting[name] += items

    def made(self, name, versions):
        with self.lock:
            self.waiting[name] -= len(versions)
            for version in versions:
                self.acknowledged[name][version] = self.acknowledged[name].get(version, 0) + 1

    def check(self, counts_of):
        """After a kill; counts_of(name): {version: encryptions}.  The versions that there are now may each have been given two blocks and all that was in doubt; but
        those that were not the latest any more when the server was started last have not changed."""
        for name, most in self.keys.items():
            shown, spare = counts_of(name), self.spare[name]
            for version, count in shown.items():
                least = self.acknowledged[name].get(version, 0)
                spare[version] = spare.get(version, 0) + self.waiting[name] + 2 * USES_BLOCK
                assert least <= count <= least + spare[version], f"{name} {version}: counted {count}, acknowledged {least}, spare {spare[version]}"
                assert most is None or count <= most, f"{name} {version} was used {count} times"
            assert set(self.acknowledged[name]) <= set(shown)
            settled = [version for version in self.shown[name] if version < max(self.shown[name])]
            assert all(shown[version] == self.shown[name][version] for version in settled)
            self.shown[name] = shown
            self.waiting[name] = 0


def run_until_killed(server, runs, dice):
    """All functions at once, until a random moment; each goes on until the server is GONE, and one that saw something wrong fails the test."""
    wrong = []

    def guarded(run):
        try:
            while True:
                run()
        except GONE:
            pass
        except AssertionError as error:
            wrong.append(error)

    threads = [threading.Thread(target=guarded, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    time.sleep(dice.uniform(0.02, 0.6))
    server.kill()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]
