# Computes without an end inside one instruction of the interpreter, where no exception arrives.
def solve(items):
    return pow(3, 10**9) % 7


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
