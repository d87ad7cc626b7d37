#!/usr/bin/env python3
"""Judges the reference solutions of code benchmarks by their own tests: how many are correct is the
highest score that a model can reach.

    benches/gold_ceilings.py DIR [--judge COMMAND]

DIR holds the sets that a user has, as JSON or JSON lines, under any names: MBPP (sanitized), with
`code` and `test_list`; HumanEval, with `canonical_solution` and `test`; HumanEval-ET, with
`test_list` or `test_case_list` beside the solution. COMMAND reads rows
{"id","output","tests","imports","entry_point"} and writes {"id","outcome"}; by default it is the
example of the sandbox's package. A set that is not in DIR is reported as not measured.

Exit code: 0 if every whole set reaches its known ceiling, 1 if one does not, 2 for a wrong call.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

JUDGE = "cargo run --release --quiet -p maspo-sandbox --example judge"

# The rows of the whole sets, and how many references pass under Python 3.11. One test of MBPP and
# twelve of HumanEval-ET fail on their own references.
CEILINGS = {"mbpp": (427, 426), "humaneval-et": (164, 152), "humaneval": (164, 164)}


def rows_of(path):
    """Returns the rows of a file, or None if it does not hold JSON objects."""
    text = path.read_text(encoding="utf-8")
    try:
        if text.lstrip().startswith("["):
            rows = json.loads(text)
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        return None
    return rows if rows and all(isinstance(row, dict) for row in rows) else None


def fenced(code):
    """Returns code as a model would write it."""
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}python\n{code}\n{fence}\n"


def set_of(row):
    """Returns the name of the set that a row belongs to, or None."""
    if "code" in row and "test_list" in row:
        return "mbpp"
    if "canonical_solution" in row and "entry_point" in row:
        return "humaneval-et" if "test_list" in row or "test_case_list" in row else "humaneval"
    return None


def task(number, row):
    """Returns a row for the judge."""
    identity = row.get("task_id", number)
    if "code" in row:
        imports = row.get("test_imports", [])
        return {"id": identity, "output": fenced(row["code"]), "tests": row["test_list"], "imports": imports}
    tests = row.get("test_list") or row.get("test_case_list") or [row["test"]]
    code = row["prompt"] + row["canonical_solution"]
    return {"id": identity, "output": fenced(code), "tests": tests, "entry_point": row["entry_point"]}


def judge(command, tasks):
    """Returns the outcome of each task, in order."""
    lines = "".join(json.dumps(one) + "\n" for one in tasks)
    done = subprocess.run(shlex.split(command), input=lines, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"error: {command} failed (see above)")
    return [json.loads(line) for line in done.stdout.splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--judge", default=JUDGE)
    arguments = parser.parse_args()
    if not arguments.dir.is_dir():
        parser.error(f"{arguments.dir} is no folder")
    measured, below = set(), False
    for path in sorted(arguments.dir.iterdir()):
        rows = rows_of(path) if path.suffix in (".json", ".jsonl") else None
        name = set_of(rows[0]) if rows else None
        if name is None:
            continue
        answers = judge(arguments.judge, [task(number, row) for number, row in enumerate(rows)])
        failed = [answer for answer in answers if answer["outcome"] != "correct"]
        correct = len(rows) - len(failed)
        whole, ceiling = CEILINGS[name]
        note = f"the known ceiling is {ceiling}/{whole}" if len(rows) == whole else f"a part of the set ({whole} rows)"
        print(f"{name}: {correct}/{len(rows)} references are correct; {note} ({path.name})")
        for answer in failed:
            print(f"  {answer['id']}: {answer['outcome']}: {answer.get('detail', '')}")
        measured.add(name)
        below |= len(rows) == whole and correct < ceiling
    for name in CEILINGS:
        if name not in measured:
            print(f"{name}: not measured")
    return int(below)


if __name__ == "__main__":
    sys.exit(main())
