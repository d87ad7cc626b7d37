# Returns a list that contains itself.
def solve(items):
    items.append(items)
    return items


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
