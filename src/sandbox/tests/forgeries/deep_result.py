# Returns a list nested deeper than comparisons can follow.
def solve(items):
    result = []
    for _ in range(100_000):
        result = [result]
    return result


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
