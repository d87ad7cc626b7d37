# Does what is asked, with subclasses of plain types.
import enum


class Numbers(list):
    """A list that knows its mean."""

    def mean(self):
        return sum(self) / len(self)


class Answer(enum.IntEnum):
    NO = 0
    YES = 1


def solve(items):
    return Numbers(sorted(items))


def mean(items):
    return Numbers(items).mean()


def is_even(number):
    return Answer.NO if number % 2 else Answer.YES


def order(items):
    items.sort(key=lambda item: item)
