# Fills the pipe and never reads from it.
import os


def solve(items):
    while True:
        os.write(3, b"=" * 65536)


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
