# Calls itself without an end.
def solve(items):
    return solve(items)


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
