# Never returns from a call.
def solve(items):
    while True:
        pass


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
