# Crashes its interpreter.
import ctypes


def solve(items):
    return ctypes.string_at(0)


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
