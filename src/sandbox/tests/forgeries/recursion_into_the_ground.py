# Calls itself until its stack is used up.
import sys

sys.setrecursionlimit(10**9)


def solve(items):
    return sorted(items, key=lambda item: solve(items))


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
