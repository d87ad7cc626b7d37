# Raises the exception by which tests fail.
def solve(items):
    raise AssertionError("correct")


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
