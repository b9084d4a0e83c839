"""What one line of a log says: how a case ended, and what it changed."""
import re

RINGS, PAGE = 0x304000, 0x1000
STACKS = {"s": 0xC00, "p": 0x800, "t": 0xE00}
_CHANGE = re.compile(r"^([A-Za-z]\d?)([+-])([0-9A-F]+)=([0-9A-F,]+)$")


class Record:
    """`vector`, `fields` by name as text, `words`: (region, offset) to value."""

    def __init__(self, text):
        self.fields, self.words = {}, {}
        for word in text.split():
            if change := _CHANGE.match(word):
                region, sign, offset, values = change.groups()
                at = int(offset, 16) * (1 if sign == "+" else -1)
                for index, value in enumerate(values.split(",")):
                    self.words[region, at + 4 * index] = int(value, 16)
            else:
                name, value = word.split("=", 1)
                self.fields[name] = value

    @property
    def vector(self):
        return int(self.fields["v"], 16)

    @vector.setter
    def vector(self, value):
        self.fields["v"] = f"{value:X}"

    def __eq__(self, other):
        return self.fields == other.fields and self.words == other.words

    @property
    def top(self):
        """ESP as the handler begins."""
        return int(self.fields.get("sp", "0:0").split(":")[1], 16)

    def byte_place(self, distance):
        """Where the byte lies that is `distance` above ESP as the handler begins: (word's place, byte in it), or None."""
        ring, offset = divmod(self.top + distance - RINGS, PAGE)
        for name, base in STACKS.items():
            place = f"{name}{ring}", (offset - base) & ~3
            if place in self.words:
                return place, (offset - base) & 3
        return None

    def byte_at(self, place):
        return self.words[place[0]] >> 8 * place[1] & 0xFF

    def set_byte(self, place, value):
        self.words[place[0]] = self.words[place[0]] & ~(0xFF << 8 * place[1]) | value << 8 * place[1]


def parse_log(text):
    """The log's groups in order: name to {key: the rest of the line}, and whether the log is complete."""
    groups, cases, complete = {}, None, False
    for line in text.replace("\r", "").splitlines():
        if line.startswith("# end"):
            complete = True
            break
        if line.startswith("# "):
            cases = groups.setdefault(line[2:], {})
        elif cases is not None and " v=" in line:
            key, rest = line.split(" ", 1)
            cases[key] = rest
    return groups, complete
