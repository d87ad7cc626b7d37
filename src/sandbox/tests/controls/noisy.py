# Does what is asked, and prints, recurses, starts threads and writes files of its own beside it.
import sys
import threading
from functools import lru_cache

sys.setrecursionlimit(5000)
print("loaded", file=sys.stderr)


@lru_cache(maxsize=None)
def depth(number):
    return 0 if number == 0 else 1 + depth(number - 1)


def solve(items):
    print("correct? wrong?", items)
    with open("notes.txt", "w") as file:
        file.write(str(items))
    assert open("notes.txt").read() == str(items) and depth(2000) == 2000
    result = []
    thread = threading.Thread(target=lambda: result.extend(sorted(items)))
    thread.start()
    thread.join()
    return result


mean = lambda items: sum(items) / len(items)


class Even:
    def __call__(self, number):
        return number % 2 == 0


is_even = Even()


def order(items):
    items[:] = sorted(items)


if __name__ == "__main__":
    raise SystemExit("not to be run")
