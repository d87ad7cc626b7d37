# Writes one file without an end.
def solve(items):
    with open("file", "wb") as file:
        for _ in range(300):
            file.write(b"x" * (1 << 20))


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
