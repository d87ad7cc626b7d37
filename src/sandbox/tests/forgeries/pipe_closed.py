# Closes everything that it has open.
import os


def solve(items):
    os.closerange(0, 1024)
    return items


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
