# Raises what closes a generator.
def solve(items):
    raise GeneratorExit


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
