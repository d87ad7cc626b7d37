# Returns a number of millions of digits.
def solve(items):
    return 1 << 50_000_000


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
