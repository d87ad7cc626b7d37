# Returns functions and classes, which are true in a condition.
def solve(items):
    return solve


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
