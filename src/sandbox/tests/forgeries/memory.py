# Asks for more memory than there is.
def solve(items):
    return [bytearray(1 << 30) for _ in range(64)]


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
