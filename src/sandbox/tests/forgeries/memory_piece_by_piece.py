# Fills memory with small objects.
def solve(items):
    kept = []
    while True:
        kept.append([None] * 1000)


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
