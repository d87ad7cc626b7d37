"""The judge: it evaluates the tests' own code, with stand-ins for the program's functions.

It runs in a process of its own, started afresh for each program. A stand-in calls the program's
process over the pipe and returns a plain value, so every comparison of a test is one of plain
values by this interpreter. What the program sends can be a value or an exception, never code.
"""

SUPERVISOR = 3
PROGRAM = 4
PR_SET_DUMPABLE = 4

# Modules that a test may use without importing them, because the program would have imported them.
MODULES = (
    "collections", "copy", "datetime", "functools", "heapq", "itertools", "math", "operator", "random", "re",
    "statistics", "string",
)


class Stopped(BaseException):
    """The program ended its call by an exception that no test may take for an answer."""


class Standin:
    """Stands for an object of the program's that is not plain: a function, a class, an instance, a
    generator. It is equal to itself only, and what it gives are plain values or further stand-ins;
    operators are not passed on, so no method of the program's decides a comparison."""

    __slots__ = ("_peer", "_number", "_known")

    def __init__(self, peer, number):
        object.__setattr__(self, "_peer", peer)
        object.__setattr__(self, "_number", number)
        object.__setattr__(self, "_known", None)

    def __call__(self, *arguments, **named):
        self._peer.calls += 1
        return self._peer.ask(b"C", self, arguments, named)

    def __getattr__(self, name):
        if name.startswith("_") and name not in ("__name__", "__doc__"):
            raise AttributeError(name)
        return self._peer.ask(b"G", self, name)

    def __setattr__(self, name, value):
        if name.startswith("_"):
            raise AttributeError(name)
        self._peer.ask(b"A", self, name, value)

    def _items(self):
        """Returns the items. They are read once between two calls of the program, so that length,
        order and contents agree with each other."""
        if self._known is None or self._known[0] != self._peer.epoch:
            items = self._peer.ask(b"I", self)
            if type(items) is not list:
                raise TypeError("items that are no list")
            object.__setattr__(self, "_known", (self._peer.epoch, items))
        return self._known[1]

    def __iter__(self):
        return iter(self._items())

    def __next__(self):
        return self._peer.ask(b"X", self)

    def __len__(self):
        try:
            return len(self._items())
        except TypeError:
            return self._peer.ask(b"N", self)

    def __contains__(self, item):
        return item in self._items()

    def __getitem__(self, at):
        return self._items()[at]

    def __str__(self):
        return str(self._peer.ask(b"S", self))

    def __bool__(self):
        return self._peer.ask(b"B", self) is True


class Tests(Peer):
    """The judge's end of the pipe."""

    def __init__(self, fd):
        Peer.__init__(self, fd)
        self.standins = {}
        self.calls = 0
        self.fault = None
        self.unsupported = None
        # Counts the requests that may change an object; what was read before is read again.
        self.epoch = 0

    def remote(self, number):
        if number not in self.standins:
            self.standins[number] = Standin(self, number)
        return self.standins[number]

    def export(self, encoder, value, depth):
        """Writes a value of the tests that is not plain: a stand-in, an iterator (as the items that
        it gives), a function (which the program can call back)."""
        if type(value) is Standin:
            encoder.out.append(b"H%d;" % value._number)
        elif hasattr(value, "__next__"):
            items = []
            for item in value:
                items.append(item)
                if len(items) > MAX_NODES:
                    raise NotPlain("an iterator without an end")
            encoder.sequence(b"I", iter(items), len(items), depth)
        elif callable(value):
            self.export_own(encoder, value)
        else:
            raise NotPlain("a value of type %s" % type(value).__name__)

    def ask(self, kind, *parts):
        if self.fault:
            raise Stopped(self.fault)
        if kind not in (b"I", b"B", b"N", b"S"):
            self.epoch += 1
        try:
            return Peer.ask(self, kind, *parts)
        except StopIteration:
            if kind == b"X":
                raise
            raise RuntimeError("StopIteration") from None
        except Gone:
            self.fault = "the program's process ended during a call"
        except Malformed as error:
            self.fault = "the program wrote %s to the pipe" % error
        except NotPlain as error:
            self.unsupported = str(error)
            raise TypeError(str(error)) from None
        raise Stopped(self.fault)

    def carry_out(self, kind, parts):
        """Calls a function of the test that the program was given."""
        if kind != b"C" or type(parts) is not tuple or len(parts) != 3:
            raise Malformed("an unknown request")
        target, arguments, named = parts
        if type(arguments) is not tuple or type(named) is not dict or not any(target is own for own in self.exported):
            raise Malformed("a call of no function")
        return target(*arguments, **named)

    def exception(self, described):
        """Returns the exception that a test sees: a standard one of the same name, or the next
        standard one above it. Those that end loops or processes become others."""
        if type(described) is not tuple or len(described) != 3:
            return Malformed("an exception that cannot be read")
        names, text, arguments = described
        if type(names) is not list or type(arguments) is not tuple:
            return Malformed("an exception that cannot be read")
        for name in names:
            if name == "StopIteration":
                return StopIteration()
            kind = EXCEPTIONS.get(name) if type(name) is str else None
            if kind is not None:
                try:
                    return kind(*arguments)
                except Exception:
                    return RuntimeError(text)
        return Stopped("%s: %s" % (names[0] if names else "an exception", text))


EXCEPTIONS = {
    name: kind
    for name, kind in vars(sys.modules["builtins"]).items()
    if isinstance(kind, type) and issubclass(kind, Exception) and not name.startswith("Stop")
}


def names_in(trees):
    """Returns the names that trees read, in order, and the set of those that they bind."""
    read, bound = {}, set()
    nodes = list(trees)
    while nodes:
        node = nodes.pop()
        kind = kind_name(node)
        if kind == "Name":
            if kind_name(node.ctx) == "Load":
                read[node.id] = True
            else:
                bound.add(node.id)
        elif kind in ("FunctionDef", "AsyncFunctionDef", "ClassDef", "ExceptHandler"):
            bound.add(node.name)
        elif kind == "arg":
            bound.add(node.arg)
        elif kind == "alias":
            bound.add((node.asname or node.name).split(".")[0])
        for field in node._fields:
            child = getattr(node, field, None)
            children = child if type(child) is list else [child]
            nodes.extend(part for part in children if hasattr(part, "_fields"))
    return list(read), bound


def has_check(trees):
    return any(kind_name(node) == "FunctionDef" and node.name == "check" for tree in trees for node in tree.body)


def missing(name):
    def absent(*arguments, **named):
        raise NameError("name '%s' is not defined" % name)
    return absent


def short(error):
    if type(error) is Stopped:
        return str(error)[:300]
    try:
        text = str(error)[:300]
    except BaseException:
        text = ""
    return type(error).__name__ + (": " + text if text else "")


def judge(output, tests, imports, entry_point, subject):
    """Returns the outcome and what led to it."""
    code = code_in(output)
    if code is None:
        return "unparsable", "no Python code in the output"
    report(b"parsed", "")
    trees = []
    for number, test in enumerate(tests, 1):
        tree, line = parse(test)
        if tree is None:
            return "refused", "test %d is not Python (line %d)" % (number, line)
        trees.append(tree)
    space = {"__name__": "tests", "__builtins__": sys.modules["builtins"]}
    for source in imports:
        try:
            exec(compile(source, "<imports>", "exec", 0, True), space)
        except BaseException as error:
            return "refused", "the tests' imports failed: " + short(error)
    read, bound = names_in(trees)
    asked = [name for name in (entry_point, subject) if name]
    builtin = vars(sys.modules["builtins"])
    for name in read:
        if name in bound or name in space or name in builtin or name in asked:
            continue
        if name in MODULES:
            space[name] = __import__(name)
        else:
            asked.append(name)

    peer = Tests(PROGRAM)
    try:
        found = peer.ask(b"L", code, imports, asked)
    except BaseException as error:
        return "wrong", "the program failed when it was loaded: " + short(error)
    if type(found) is not list or any(type(pair) is not tuple or len(pair) != 2 for pair in found):
        return "wrong", "the program wrote an answer that cannot be read"
    defined = {name: value for name, value in found if type(name) is str and name in asked}
    for name in asked:
        if name in defined:
            space[name] = defined[name]
        elif name in (entry_point, subject):
            space[name] = missing(name)
    number = 0
    try:
        for number, tree in enumerate(trees, 1):
            exec(compile(tree, "<test>", "exec", 0, True), space)
        if entry_point and has_check(trees):
            space["check"](space[entry_point])
    except BaseException as error:
        if peer.unsupported:
            return "refused", "test %d: a value of the test has no form on the pipe: %s" % (number, peer.unsupported)
        return "wrong", "test %d of %d failed: %s" % (number, len(trees), short(error))
    if peer.fault:
        return "wrong", peer.fault
    if not peer.calls:
        return "refused", "no test calls the program"
    return "correct", ""


def report(outcome, detail):
    text = detail.encode("utf-8", "backslashreplace")[:4000]
    send(SUPERVISOR, outcome + b"\n" + text)


def undumpable():
    """Takes this process's memory out of the reach of others of the same user. The sandbox's own
    rules forbid that reach too, so an interpreter without ctypes goes on."""
    try:
        import _ctypes
        prctl = _ctypes.dlsym(_ctypes.dlopen(None, 2), "prctl")
        _ctypes.call_function(prctl, (PR_SET_DUMPABLE, 0, 0, 0, 0))
    except Exception:
        pass


def main():
    posix.environ.clear()
    posix.unsetenv(b"PYTHONHASHSEED")
    if sys.path and sys.path[0] not in ("", None) and not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    undumpable()
    sys.setrecursionlimit(4000)
    request = Decoder(receive(SUPERVISOR), 0, Objects(), None, None).value()
    if len(request) == 1:
        code = code_in(request[0])
        send(SUPERVISOR, b"none\n" if code is None else b"code\n" + code.encode("utf-8", "surrogatepass"))
    else:
        outcome, detail = judge(*request)
        report(outcome.encode(), detail)
    posix._exit(0)


main()
