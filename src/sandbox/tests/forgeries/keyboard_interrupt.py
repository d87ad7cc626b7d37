# Raises what a user's Ctrl-C raises.
def solve(items):
    raise KeyboardInterrupt


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
