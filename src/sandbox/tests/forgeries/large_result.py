# Returns a result that is larger than any pipe allows.
def solve(items):
    return ["x" * 1_000_000] * 100


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
