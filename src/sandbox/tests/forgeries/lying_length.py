# Returns an object whose length and items do not agree.
class Lying:
    def __len__(self):
        return 3

    def __iter__(self):
        return iter([1, 2, 3, 3])

    def __getitem__(self, at):
        return [1, 2, 3][at]


def solve(items):
    return Lying()


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
