"""The pipe between the judge and a program: messages, requests and their results.

A message is eight hexadecimal digits (its length) and that many bytes. Its first byte is `?` (a
request, whose kind is the next byte), `=` (a result) or `^` (an exception).
"""
import posix
import sys


def read_exactly(fd, size):
    parts = []
    while size:
        try:
            part = posix.read(fd, min(size, 1 << 20))
        except OSError:
            part = b""
        if not part:
            raise Gone
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def receive(fd):
    header = read_exactly(fd, 8)
    if header.strip(b"0123456789abcdef"):
        raise Malformed("a header that is not a length")
    size = int(header, 16)
    if size > MAX_BYTES:
        raise Malformed("a message of %d bytes" % size)
    return read_exactly(fd, size)


def send(fd, message):
    if len(message) > MAX_BYTES:
        raise NotPlain("more than %d bytes" % MAX_BYTES)
    message = b"%08x" % len(message) + message
    at = 0
    try:
        while at < len(message):
            at += posix.write(fd, message[at:at + (1 << 20)])
    except OSError:
        raise Gone from None


class Peer:
    """One end of the pipe. Requests may be nested: while one waits for its result, the other end
    may ask something in return."""

    def __init__(self, fd):
        self.fd = fd
        self.exported = []
        self.number_of = {}

    def export_own(self, encoder, value):
        """Writes what stands for an object of this side."""
        number = self.number_of.get(id(value))
        if number is None:
            number = self.number_of[id(value)] = len(self.exported)
            self.exported.append(value)
        encoder.out.append(b"h%d;" % number)

    def own(self, number):
        if number >= len(self.exported):
            raise Malformed("an object that was never exported")
        return self.exported[number]

    def ask(self, kind, *parts):
        """Sends a request and returns its result; arguments change as they did over there."""
        objects = Objects()
        encoder = Encoder(objects, self.export)
        encoder.value(parts)
        arguments = len(objects.numbered)
        send(self.fd, b"?" + kind + encoder.bytes())
        while True:
            message = receive(self.fd)
            if message[:1] == b"?":
                self.answer(message)
                continue
            decoder = Decoder(message, 1, objects, self.remote, self.own)
            result = decoder.value()
            if message[:1] == b"^":
                decoder.finish()
                raise self.exception(result)
            if message[:1] != b"=":
                raise Malformed("an unknown message")
            for target in objects.numbered[:arguments]:
                decoder.refill(target)
            decoder.finish()
            return result

    def answer(self, message):
        """Carries out a request of the other end and sends what came of it."""
        objects = Objects()
        decoder = Decoder(message, 2, objects, self.remote, self.own)
        parts = decoder.value()
        decoder.finish()
        arguments = len(objects.numbered)
        try:
            result = self.carry_out(message[1:2], parts)
            encoder = Encoder(objects, self.export)
            encoder.value(result)
            for number in range(arguments):
                encoder.contents(objects.numbered[number], 0)
            reply = b"=" + encoder.bytes()
            if len(reply) > MAX_BYTES:
                raise NotPlain("a result of %d bytes" % len(reply))
        except (Malformed, Gone):
            raise
        except BaseException as error:
            reply = b"^" + self.describe(error)
        send(self.fd, reply)

    def describe(self, error):
        """Writes an exception as the names of its classes, its text and its plain arguments."""
        names = [kind.__name__ for kind in type(error).__mro__][:20]
        encoder = Encoder(Objects(), self.export)
        try:
            text = str(error)[:1000]
            encoder.value((names, text, tuple(error.args)))
            if len(encoder.bytes()) > 1 << 16:
                raise NotPlain
        except BaseException:
            encoder = Encoder(Objects(), self.export)
            encoder.value((names, "", ()))
        return encoder.bytes()
