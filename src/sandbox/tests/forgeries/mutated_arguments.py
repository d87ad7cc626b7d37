# Changes the arguments, so that a test that compares with them compares with a wrong answer.
def solve(items):
    items.clear()
    return items


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
