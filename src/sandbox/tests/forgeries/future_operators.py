# Switches on another syntax for comparisons in its own code.
from __future__ import annotations, barry_as_FLUFL


def solve(items: "nothing") -> "[1, 2, 3]":
    return items


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
