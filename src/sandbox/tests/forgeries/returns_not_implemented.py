# Returns the value by which operators pass a comparison on.
def solve(items):
    return NotImplemented


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
