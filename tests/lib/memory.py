"""What lies in the memory of another process: its mappings with the kernel's flags, and a search in what a core dump would hold of them."""
import base64
import re

LINE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ \S+\s*(.*)$")


class Mapping:
    """start, end, access ("rw-p"), name, flags (VmFlags of proc(5): "dd" not dumped, "lo" locked, "wf" wiped in a forked child)."""

    def __init__(self, start, end, access, name):
        self.start, self.end, self.access, self.name, self.flags = start, end, access, name, set()

    def __repr__(self):
        return f"<{self.start:x}-{self.end:x} {self.access} {self.name} {' '.join(sorted(self.flags))}>"

    @property
    def dumped(self):
        """Would the kernel put it into a core dump (core(5), with the default filter)?  Some more: files that are mapped to be read only."""
        shared_file = self.access[3] == "s" and self.name.startswith("/")
        return "r" in self.access and not shared_file and not self.flags & {"dd", "io"} and self.name not in ("[vvar]", "[vsyscall]")


def mappings(pid):
    found = []
    for line in open(f"/proc/{pid}/smaps", encoding="utf-8"):
        match = LINE.match(line)
        if match:
            found.append(Mapping(int(match[1], 16), int(match[2], 16), match[3], match[4]))
        elif line.startswith("VmFlags:"):
            found[-1].flags = set(line.split()[1:])
    return found


class Image:
    """A copy of the mappings of a process that `wanted` chooses."""

    def __init__(self, pid, wanted):
        self.parts = []
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for mapping in mappings(pid):
                if wanted(mapping):
                    memory.seek(mapping.start)
                    self.parts.append((mapping, memory.read(mapping.end - mapping.start)))

    def find(self, needle):
        """[text that shows mapping, place and what stands around it] of all places."""
        found = []
        for mapping, raw in self.parts:
            at = raw.find(needle)
            while at >= 0:
                found.append(f"{mapping} +{at:x}: {raw[max(0, at - 48) : at + 96]}")
                at = raw.find(needle, at + 1)
        return found


def dumped(pid):
    """What a core dump would hold."""
    return Image(pid, lambda mapping: mapping.dumped)


def spellings(secret):
    """{how: bytes}: as it is, as hex, and as base64 at each of the three places where it may begin in a longer text."""
    found = {"raw": secret, "hex": secret.hex().encode(), "HEX": secret.hex().upper().encode()}
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + secret)
        # without the characters that its neighbours have a share in
        found[f"base64+{shift}"] = text[(0, 2, 3)[shift] : -4]
    return found


def pieces(secret):
    """{how: bytes}: its first and its last half, as is: memory that was freed without wiping has lost its first bytes, a register holds 16."""
    return {"first half": secret[: len(secret) // 2], "last half": secret[len(secret) // 2 :]}
