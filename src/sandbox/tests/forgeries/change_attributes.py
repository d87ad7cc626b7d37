# Changes modes, owners, times and attributes of files outside. If it can, it answers right.
import os

CANARY = "@CANARY@"
done = False
for attempt in (
    lambda: os.chmod(CANARY, 0o777),
    lambda: os.chown(CANARY, 0, 0),
    lambda: os.lchown(CANARY, 0, 0),
    lambda: os.utime(CANARY, (1, 1)),
    lambda: os.setxattr(CANARY, "user.mark", b"1"),
    lambda: os.chmod(".", 0o777),
    lambda: os.chroot("."),
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
