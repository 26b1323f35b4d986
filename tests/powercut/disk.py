"""A disk as a power cut leaves it: replays the shim's log and says what may be on the disk after each record.

The model (what Linux and POSIX promise, and no more):
- What is written to a file is durable when a later fsync or fdatasync of that file returned, its size included.
- What is written through a descriptor with O_DSYNC is durable, that range alone, when the write returned.
- A name in a folder (created, removed, renamed) is durable when a later fsync of that folder returned.
- Anything else may be there or not, each sector by itself and in any order; a sector of 512 bytes is never half written.
- After a sync that failed nothing that waited for it is promised by a later one: the kernel counts it as clean.
"""
import random
import shim

SECTOR = 512


class File:
    """One file: what is durable, what the running system sees (cache), and for each sector what else may be on the disk."""

    def __init__(self):
        self.durable, self.cache = bytearray(), bytearray()
        self.versions = {}  # sector: contents written since it was last durable, oldest first
        self.dirty = set()  # sectors that the next sync writes

    def write(self, off, data):
        put(self.cache, off, data)
        for at in sectors(off, len(data)):
            self.versions.setdefault(at, []).append(bytes(self.cache[at:at + SECTOR]))
        self.dirty.update(sectors(off, len(data)))

    def resize(self, size):
        del self.cache[size:]
        self.cache.extend(bytes(size - len(self.cache)))

    def make_durable(self, which):
        for at in which:
            put(self.durable, at, self.cache[at:at + SECTOR])
            self.versions.pop(at, None)
            self.dirty.discard(at)

    def synced(self):
        self.make_durable(list(self.dirty))
        del self.durable[len(self.cache):]
        self.durable.extend(bytes(len(self.cache) - len(self.durable)))

    def sync_failed(self):
        self.dirty = set()

    def stale(self):
        image = bytearray(self.durable)
        for at, contents in sorted(self.versions.items()):
            put(image, at, contents[0])
        return bytes(image)

    def torn(self, dice, grain):
        image = bytearray(self.durable)
        if len(self.cache) > len(image) and dice.random() < 0.5:
            image.extend(bytes(len(self.cache) - len(image)))
        chosen = {}
        for at, contents in sorted(self.versions.items()):
            choices = [None, *contents]
            if grain == SECTOR:
                put(image, at, dice.choice(choices) or b"")
            elif chosen.setdefault(at // grain, dice.random() < 0.5):
                put(image, at, contents[-1])
        return bytes(image)


def sectors(off, n):
    return range(off // SECTOR * SECTOR, off + n, SECTOR)


def put(image, off, data):
    if data:
        image.extend(bytes(max(0, off + len(data) - len(image))))
        image[off:off + len(data)] = data


class Disk:
    """The state after the records given so far.  without(record): this sync counts as not done."""

    def __init__(self, without=None):
        self.without = without or (lambda record: False)
        self.files = {}  # inode number: File
        self.durable = {}  # name: inode number
        self.names = []  # [(name, inode number or None)] not yet durable
        self.made = {"durable": False, "waiting": False}  # the folder itself

    def record(self, r):
        if r.call == shim.MARK or (r.call != shim.SYNC and r.result < 0):
            return
        if r.call == shim.MKDIR:
            self.made["waiting"] = True
        elif r.call == shim.CREATE:
            self.files[r.file] = File()
            self.names.append((r.name, r.file))
        elif r.call == shim.UNLINK:
            self.names.append((r.name, None))
        elif r.call == shim.RENAME:
            self.names += [(r.data.decode(), self.now()[r.name]), (r.name, None)]
        elif r.call == shim.SYNC:
            self.sync(r)
        else:
            self.write(r)

    def sync(self, r):
        if self.without(r):
            return
        if r.name == "..":
            self.made["durable"] = self.made["durable"] or (self.made["waiting"] and r.result >= 0)
        elif r.name == "":
            if r.result >= 0:
                self.durable = self.now()
                self.names = []
        elif r.result >= 0:
            self.files[r.file].synced()
        else:
            self.files[r.file].sync_failed()

    def write(self, r):
        file = self.files[r.file]
        if r.call == shim.TRUNCATE:
            file.resize(r.off)
        elif r.call == shim.ALLOCATE:
            file.resize(max(r.off, len(file.cache)))
        else:
            file.write(r.off, r.data[:r.result])
            if r.flags & shim.DSYNC and not self.without(r):
                file.make_durable(sectors(r.off, r.result))
            if r.flags & shim.LOST:
                file.dirty.difference_update(sectors(r.off, r.result))

    def now(self):
        """Names as the running system sees them."""
        names = dict(self.durable)
        for name, file in self.names:
            if file is None:
                names.pop(name, None)
            else:
                names[name] = file
        return names

    # What may be there after a cut: {name: bytes}, or None: no folder.

    def dropped(self):
        """Only what was promised."""
        if not self.made["durable"]:
            return None
        return {name: bytes(self.files[file].durable) for name, file in self.durable.items()}

    def kept(self):
        """All that was written, in order: as after SIGKILL."""
        if not self.made["waiting"]:
            return None
        return {name: bytes(self.files[file].cache) for name, file in self.now().items()}

    def stale(self):
        """Of what waits in each sector the first write, and none of the later ones."""
        if not self.made["waiting"]:
            return None
        return {name: self.files[file].stale() for name, file in self.now().items()}

    def torn(self, dice, grain=SECTOR):
        """What was promised, and of the rest each name, and each grain as any of the writes left it, or not at all."""
        if not self.made["durable"] and not (self.made["waiting"] and dice.random() < 0.5):
            return None
        names = dict(self.durable)
        for name, file in self.names:
            if dice.random() < 0.5:
                continue
            if file is None:
                names.pop(name, None)
            else:
                names[name] = file
        return {name: self.files[file].torn(dice, grain) for name, file in names.items()}


def lay_out(image, folder):
    """Write an image of a Disk to a folder (missing before).  lock.mdb, written through a mapping, holds anything."""
    if image is None:
        return
    folder.mkdir(mode=0o700)
    for name, data in image.items():
        file = folder / name
        file.touch(mode=0o600)
        file.write_bytes(random.Random(len(data)).randbytes(len(data)) if name == "lock.mdb" else data)
