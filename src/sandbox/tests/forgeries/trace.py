# Traces every later call, and hooks every audited event.
import sys


def trace(frame, event, argument):
    frame.f_trace_opcodes = True
    return trace


sys.settrace(trace)
sys.setprofile(lambda *arguments: None)
sys.addaudithook(lambda name, arguments: None)


def solve(items):
    return items


def mean(items):
    return sum(items) / len(items)


def is_even(number):
    return number % 2 == 0


def order(items):
    items.sort()
