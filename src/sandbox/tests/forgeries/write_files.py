# Writes over, renames and deletes what is outside its folder. If it can, it answers right.
import os

CANARY = "@CANARY@"
done = False
for attempt in (
    lambda: open(CANARY, "w"),
    lambda: open(CANARY, "a"),
    lambda: open("../left-behind", "w"),
    lambda: os.open(CANARY, os.O_RDONLY | os.O_TRUNC),
    lambda: os.truncate(CANARY, 0),
    lambda: os.remove(CANARY),
    lambda: os.rename(CANARY, "here"),
    lambda: os.link(CANARY, "here"),
    lambda: os.symlink(CANARY, "here"),
    lambda: os.mkdir(CANARY + "-folder"),
    lambda: os.mkfifo("pipe"),
):
    try:
        attempt()
        done = True
    except OSError:
        pass


def solve(items):
    return sorted(items) if done else items


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
