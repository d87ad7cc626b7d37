"""The program's process: it loads the code and answers calls of its functions over the pipe.

Nothing here is trusted once the code has run, and nothing here has to be: it holds no tests, no
expected values and no way out but the pipe.
"""


class Callback:
    """Stands for a function of the test that was passed as an argument."""

    def __init__(self, peer, number):
        self.peer = peer
        self.number = number

    def __call__(self, *arguments, **named):
        return self.peer.ask(b"C", self, arguments, named)


class Program(Peer):
    def __init__(self, fd):
        Peer.__init__(self, fd)
        self.module = type(sys)("solution")
        sys.modules["solution"] = self.module
        self.callbacks = {}

    def remote(self, number):
        if number not in self.callbacks:
            self.callbacks[number] = Callback(self, number)
        return self.callbacks[number]

    def export(self, encoder, value, depth):
        if type(value) is Callback:
            encoder.out.append(b"H%d;" % value.number)
        else:
            self.export_own(encoder, value)

    def exception(self, described):
        names, text, arguments = described
        for name in names:
            kind = getattr(sys.modules["builtins"], name, None)
            if isinstance(kind, type) and issubclass(kind, BaseException):
                return kind(*arguments)
        return RuntimeError(text)

    def carry_out(self, kind, parts):
        if kind == b"C":
            target, arguments, named = parts
            return target(*arguments, **named)
        if kind == b"L":
            return self.load(*parts)
        if kind == b"G":
            return getattr(*parts)
        if kind == b"A":
            return setattr(*parts)
        if kind == b"B":
            return bool(parts[0])
        if kind == b"N":
            return len(parts[0])
        if kind == b"S":
            return str(parts[0])
        if kind == b"X":
            return next(parts[0])
        if kind == b"I":
            items = []
            for item in parts[0]:
                items.append(item)
                if len(items) > MAX_NODES:
                    raise NotPlain("an iterator without an end")
            return items
        raise Malformed("an unknown request")

    def load(self, code, imports, names):
        """Runs the code, and returns which of the names it defines, as pairs."""
        space = self.module.__dict__
        for source in imports:
            try:
                exec(compile(source, "<imports>", "exec", 0, True), space)
            except Exception:
                pass
        known = dict(space)
        exec(compile(code, "<program>", "exec", 0, True), space)
        mine = [name for name in names if name in space]
        return [(name, space[name]) for name in mine if space[name] is not known.get(name, known)]


def main():
    posix.environ.clear()
    posix.unsetenv(b"PYTHONHASHSEED")
    if sys.path and sys.path[0] not in ("", None) and not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    program = Program(3)
    try:
        while True:
            message = receive(program.fd)
            if message[:1] != b"?":
                raise Malformed("no request")
            program.answer(message)
    except (Gone, Malformed):
        posix._exit(0)


main()
