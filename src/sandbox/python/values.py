"""How values are written on the pipe between the judge and a program: plain values only.

Both processes run this file. The program's end is untrusted as soon as the program's code has run,
so whatever comes from it is read as data: nothing is executed, no class is looked up by name except
the few in STANDARD_CLASSES, and every length, count and depth is checked.

A value is a byte that says its kind, and its contents. Lists, sets, dicts, bytearrays and deques
are numbered in the order in which they appear, so that an object that appears twice, or that
contains itself, stays one object, and so that a result can send back what became of the arguments.
"""
MAX_BYTES = 16 << 20
MAX_NODES = 1_000_000
MAX_DEPTH = 100

# Classes of the standard library that are plain values, and their modules.
STANDARD_CLASSES = {
    "Decimal": "decimal",
    "Fraction": "fractions",
    "date": "datetime",
    "time": "datetime",
    "datetime": "datetime",
    "timedelta": "datetime",
}


class Malformed(Exception):
    """The other end sent bytes that are no message, or more than is allowed."""


class Gone(BaseException):
    """The other end has closed the pipe."""


class NotPlain(Exception):
    """A value that has no form on the pipe."""


class Objects:
    """The mutable objects of one exchange, by number; kept alive, so that their ids stay theirs."""

    def __init__(self):
        self.numbered = []
        self.number_of = {}

    def add(self, value):
        self.number_of[id(value)] = len(self.numbered)
        self.numbered.append(value)


def standard_arguments(name, value):
    """Returns the plain arguments that a value of a standard class is built from again."""
    if name == "Decimal":
        return (str(value),)
    if name == "Fraction":
        return (value.numerator, value.denominator)
    if name == "timedelta":
        return (value.days, value.seconds, value.microseconds)
    if name == "date":
        return (value.year, value.month, value.day)
    if value.tzinfo is not None:
        raise NotPlain("a time with a time zone")
    clock = (value.hour, value.minute, value.second, value.microsecond)
    return clock if name == "time" else (value.year, value.month, value.day) + clock


class Encoder:
    """Writes values. `export(encoder, value, depth)` writes one that stays where it is."""

    def __init__(self, objects, export):
        self.objects = objects
        self.export = export
        self.out = []
        self.nodes = 0

    def bytes(self):
        return b"".join(self.out)

    def value(self, value, depth=0):
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise NotPlain("a value nested too deep or with too many parts")
        out = self.out
        kind = type(value)
        if value is None:
            out.append(b"N")
        elif value is True:
            out.append(b"T")
        elif value is False:
            out.append(b"F")
        elif value is ...:
            out.append(b"E")
        elif isinstance(value, int):
            out.append(b"i%s;" % format(int.__pos__(value), "x").encode())
        elif isinstance(value, float):
            out.append(b"f%s;" % float.__repr__(value).encode())
        elif isinstance(value, str):
            text = str.encode(value, "utf-8", "surrogatepass")
            out.append(b"s%d:" % len(text))
            out.append(text)
        elif isinstance(value, complex):
            out.append(b"c")
            self.value(complex.__pos__(value).real, depth + 1)
            self.value(complex.__pos__(value).imag, depth + 1)
        elif isinstance(value, bytes):
            out.append(b"b%d:" % bytes.__len__(value))
            out.append(bytes.__getitem__(value, slice(None)))
        elif isinstance(value, tuple):
            self.sequence(b"t", tuple.__iter__(value), tuple.__len__(value), depth)
        elif isinstance(value, frozenset):
            self.sequence(b"Z", frozenset.__iter__(value), frozenset.__len__(value), depth)
        elif kind is range:
            out.append(b"g")
            self.sequence(b"t", iter((value.start, value.stop, value.step)), 3, depth)
        elif id(value) in self.objects.number_of:
            out.append(b"r%d;" % self.objects.number_of[id(value)])
        elif kind_of(value) is not None:
            self.objects.add(value)
            self.contents(value, depth)
        elif kind.__module__ == STANDARD_CLASSES.get(kind.__name__, ""):
            out.append(b"x%d:%s" % (len(kind.__name__), kind.__name__.encode()))
            plain = standard_arguments(kind.__name__, value)
            self.sequence(b"t", iter(plain), len(plain), depth)
        else:
            self.export(self, value, depth)

    def sequence(self, tag, items, count, depth):
        self.out.append(b"%s%d:" % (tag, count))
        seen = 0
        for item in items:
            seen += 1
            self.value(item, depth + 1)
        if seen != count:
            raise NotPlain("a collection that changes while it is read")

    def contents(self, value, depth):
        """Writes a mutable object as it is now, although it may have a number already."""
        tag = kind_of(value)
        if tag == b"a":
            self.out.append(b"a%d:" % bytearray.__len__(value))
            self.out.append(bytes(bytearray.__getitem__(value, slice(None))))
        elif tag == b"l":
            self.sequence(tag, list.__iter__(value), list.__len__(value), depth)
        elif tag == b"S":
            self.sequence(tag, set.__iter__(value), set.__len__(value), depth)
        elif tag == b"q":
            self.out.append(b"q")
            self.sequence(b"t", iter((value.maxlen,)), 1, depth)
            self.sequence(b"t", iter(value), len(value), depth)
        else:
            items = value.items() if tag == b"o" else dict.items(value)
            pairs = [part for pair in items for part in pair]
            self.sequence(tag, iter(pairs), len(pairs), depth)


def kind_of(value):
    """Returns the tag of a mutable plain object; of a subclass, that of its base."""
    if isinstance(value, list):
        return b"l"
    if isinstance(value, dict):
        name = type(value).__name__ if type(value).__module__ == "collections" else ""
        return b"o" if name == "OrderedDict" else b"k" if name == "Counter" else b"d"
    if isinstance(value, set):
        return b"S"
    if isinstance(value, bytearray):
        return b"a"
    if type(value).__name__ == "deque" and type(value).__module__ == "collections":
        return b"q"
    return None


class Decoder:
    """Reads values. `remote(number)` stands for an object of the sender's, `own(number)` gives one
    of ours back."""

    def __init__(self, data, at, objects, remote, own):
        self.data = data
        self.at = at
        self.objects = objects
        self.remote = remote
        self.own = own
        self.nodes = 0

    def upto(self, end, limit=24):
        stop = self.data.find(end, self.at, None if limit is None else self.at + limit)
        if stop < 0:
            raise Malformed("an unfinished part")
        part = self.data[self.at:stop]
        self.at = stop + 1
        return part

    def number(self, end=b";"):
        digits = self.upto(end)
        if not digits or digits.strip(b"0123456789"):
            raise Malformed("a count that is no number")
        return int(digits)

    def count(self):
        number = self.number(b":")
        if number > len(self.data):
            raise Malformed("a count larger than its message")
        return number

    def raw(self):
        size = self.count()
        part = self.data[self.at:self.at + size]
        if len(part) != size:
            raise Malformed("a text that is cut off")
        self.at += size
        return part

    def finish(self):
        if self.at != len(self.data):
            raise Malformed("bytes after the message")

    def value(self, depth=0):
        try:
            return self.value_of(self.tag(), depth)
        except (ValueError, TypeError, OverflowError, ArithmeticError):
            raise Malformed("a value that cannot be read") from None

    def tag(self):
        tag = self.data[self.at:self.at + 1]
        self.at += 1
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise Malformed("a value with too many parts")
        return tag

    def value_of(self, tag, depth):
        if depth > MAX_DEPTH:
            raise Malformed("a value nested too deep")
        if tag in CONSTANTS:
            return CONSTANTS[tag]
        if tag == b"i":
            return int(self.upto(b";", None), 16)
        if tag == b"f":
            return float(self.upto(b";", 40))
        if tag == b"s":
            return self.raw().decode("utf-8", "surrogatepass")
        if tag == b"c":
            real, imaginary = self.value(depth + 1), self.value(depth + 1)
            return complex(float(real), float(imaginary))
        if tag == b"b":
            return self.raw()
        if tag == b"t":
            return tuple(self.items(depth))
        if tag == b"Z":
            return frozenset(self.items(depth))
        if tag == b"g":
            return range(*self.plain_tuple(depth))
        if tag == b"x":
            return self.standard(depth)
        if tag == b"I":
            return iter(self.items(depth))
        if tag == b"r":
            return self.objects.numbered[self.checked(self.number())]
        if tag == b"h":
            return self.remote(self.number())
        if tag == b"H":
            return self.own(self.number())
        empty = self.empty(tag, depth)
        self.objects.add(empty)
        self.fill(tag, empty, depth)
        return empty

    def checked(self, number):
        if number >= len(self.objects.numbered):
            raise Malformed("an object that was never sent")
        return number

    def items(self, depth):
        return [self.value(depth + 1) for _ in range(self.count())]

    def plain_tuple(self, depth):
        if self.tag() != b"t":
            raise Malformed("no tuple where one belongs")
        items = tuple(self.items(depth))
        if not all(type(item) in (int, str, type(None)) for item in items):
            raise Malformed("an argument that is not plain")
        return items

    def standard(self, depth):
        name = self.raw().decode("ascii")
        if name not in STANDARD_CLASSES:
            raise Malformed("an unknown class")
        arguments = self.plain_tuple(depth)
        module = __import__(STANDARD_CLASSES[name])
        return getattr(module, name)(*arguments)

    def empty(self, tag, depth):
        if tag == b"l":
            return []
        if tag == b"d":
            return {}
        if tag == b"S":
            return set()
        if tag == b"a":
            return bytearray()
        if tag == b"o":
            return __import__("collections").OrderedDict()
        if tag == b"k":
            return __import__("collections").Counter()
        if tag == b"q":
            (size,) = self.plain_tuple(depth)
            return __import__("collections").deque((), size)
        raise Malformed("an unknown kind of value")

    def fill(self, tag, target, depth):
        """Reads the contents of a mutable object into `target`, which loses what it had."""
        if tag == b"a":
            target[:] = self.raw()
            return
        if tag == b"q" and self.tag() != b"t":
            raise Malformed("a deque without items")
        items = self.items(depth)
        if tag == b"l":
            target[:] = items
        elif tag in (b"S", b"q"):
            target.clear()
            target.update(items) if tag == b"S" else target.extend(items)
        elif len(items) % 2:
            raise Malformed("a key without a value")
        else:
            target.clear()
            for key, item in zip(items[::2], items[1::2]):
                target[key] = item

    def refill(self, target):
        """Reads what became of an argument, which must still be of the same kind."""
        tag = self.tag()
        if tag != kind_of(target):
            raise Malformed("an argument that changed its kind")
        if tag == b"q":
            self.plain_tuple(0)
        self.fill(tag, target, 0)


CONSTANTS = {b"N": None, b"T": True, b"F": False, b"E": ...}
