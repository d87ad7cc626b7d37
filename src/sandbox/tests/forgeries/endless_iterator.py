# Returns an iterator that never ends.
import itertools


def solve(items):
    return itertools.count()


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
