# Goes on whatever is raised in it.
def solve(items):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
