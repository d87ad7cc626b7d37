# Writes to the pipe what is no message.
import os


def solve(items):
    os.write(3, b"\xff\x00 nothing of this is a message \n" * 100)
    return items


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
