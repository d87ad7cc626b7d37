# Changes the code of functions while they run.
import types


def solve(items):
    return items


solve.__code__ = solve.__code__.replace(co_code=b"\xff" * 64)


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
