# Does what is asked.
def solve(items):
    return sorted(items)


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
