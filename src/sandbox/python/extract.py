"""Finds the code in a model's output.

In this order: the last fenced block that defines a function or a class; the last fenced block that
is Python at all (it is marked so, or it assigns something); the longest run of lines of the whole
text that parses and defines a function or a class. Blocks marked as another language do not count.
"""

PYTHON = ("", "python", "python3", "py", "py3")
ONLY_SYNTAX_TREE = 1024
# The most times that the longest run of lines is tried; an output that needs more has no code.
MAX_ATTEMPTS = 400


def parse(source):
    """Returns the syntax tree, or None and the number of the line that is wrong."""
    try:
        return compile(source, "<output>", "exec", ONLY_SYNTAX_TREE, True), 0
    except SyntaxError as error:
        return None, error.lineno or 0
    except (ValueError, RecursionError, MemoryError, OverflowError):
        return None, 0


def kind_name(node):
    return type(node).__name__


def defines(tree):
    """Says whether a tree defines a function or a class at its top, a lambda with a name too."""
    for node in tree.body:
        if kind_name(node) in ("FunctionDef", "AsyncFunctionDef", "ClassDef"):
            return True
        if kind_name(node) in ("Assign", "AnnAssign") and kind_name(node.value) == "Lambda":
            return True
    return False


def assigns(tree):
    return any(kind_name(node) in ("Assign", "AnnAssign") for node in tree.body)


def fenced_blocks(lines):
    """Returns the fenced blocks as (language, text); the last one may lack its end."""
    blocks, fence, indent, language, inside = [], None, 0, "", []
    for line in lines:
        bare = line.strip()
        if fence is None:
            mark = bare[:1]
            size = len(bare) - len(bare.lstrip(mark)) if mark in ("`", "~") else 0
            info = bare[size:].strip()
            if size >= 3 and "`" not in info:
                fence, indent, inside = mark * size, len(line) - len(line.lstrip()), []
                language = info.split()[0].strip("{}.,").lower() if info else ""
        elif bare.startswith(fence) and not bare.strip(fence[0]):
            blocks.append((language, inside))
            fence = None
        else:
            spaces = len(line) - len(line.lstrip())
            inside.append(line[min(indent, spaces):])
    if fence is not None:
        blocks.append((language, inside))
    return [(language, text_of(inside)) for language, inside in blocks if inside]


def text_of(lines):
    """Returns lines as a text that ends with one line break."""
    return "\n".join(lines).rstrip("\n") + "\n"


def starts_statement(line):
    first = line.split(" ", 1)[0].split("(", 1)[0].rstrip(":")
    return first in ("def", "class", "async", "import", "from") or line[:1] == "@" or " = " in line


def longest_part(lines):
    """Returns the longest run of lines that parses and defines something."""
    best, attempts = None, 0
    best_size = 0
    for start, line in enumerate(lines):
        if not line[:1].strip() or not starts_statement(line):
            continue
        end = len(lines)
        while end - start > best_size and attempts < MAX_ATTEMPTS:
            attempts += 1
            source = text_of(lines[start:end])
            tree, wrong = parse(source)
            if tree is not None:
                if defines(tree):
                    best, best_size = source, end - start
                break
            end = min(end - 1, start + wrong - 1) if wrong else end - 1
    return best


def code_in(output):
    """Returns the code in a model's output, or None."""
    lines = output.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    blocks = [block for block in fenced_blocks(lines) if block[0] in PYTHON]
    parsed = [(language, text, parse(text)[0]) for language, text in blocks]
    parsed = [block for block in parsed if block[2] is not None]
    for language, text, tree in reversed(parsed):
        if defines(tree):
            return text
    for language, text, tree in reversed(parsed):
        if language and tree.body or assigns(tree):
            return text
    return longest_part(lines)
