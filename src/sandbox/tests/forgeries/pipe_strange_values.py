# Sends references, counts, classes and functions that do not exist.
import os

VALUES = (
    b"r7;", b"r-1;", b"H0;", b"H99;", b"h99999999;", b"l99999999:", b"l-1:", b"x4:evalt1:s1:1", b"x2:ost0:",
    b"i;", b"i-;", b"f;", b"s9:x", b"d1:N", b"S1:l0:", b"gt3:i0;i1;i0;", b"x7:Decimalt1:s1:x", b"", b"?", b"q", b"I",
)
turn = iter(VALUES * 50)


def solve(items):
    answer = b"=" + next(turn)
    os.write(3, b"%08x" % len(answer) + answer)
    return items


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
