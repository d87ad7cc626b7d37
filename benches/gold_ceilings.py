#!/usr/bin/env python3
"""Grades the gold answers and the reference solutions of benchmarks against themselves, by
`maspo grade`: the highest score that a model can reach, and the defects of a set.

    benches/gold_ceilings.py PATH... [--maspo COMMAND] [--strict]

A PATH is a file of rows (JSON or JSON lines), a text file with one gold answer a line, or a folder
with such files. What a file holds is known by its fields:
  MATH-500, AGIEval-MATH   `problem` and `answer`: each gold answer in five kinds of sentences
  AQuA, GPQA               `options` and `correct`, or `question` and `answer`: each letter in a tag,
                           and the option's text in place of its letter where options are listed
  MBPP (sanitized)         `code` and `test_list`
  HumanEval                `canonical_solution` and `test`
  HumanEval-ET             `test_list` or `test_case_list` beside the solution
Other files are passed over. COMMAND is the program, by default target/release/maspo. A set that is
not there is reported as not measured. Failures are listed by id; GPQA's by the number of the row,
since its rows are not to be published.

Exit codes: 0 every whole set reaches its known ceiling, 1 one does not (with --strict: anything
failed, in parts of sets, too), 2 a wrong call, 3 this machine cannot confine programs.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

# The rows of the whole sets, and how many are right. One reference of MBPP fails its own tests
# under Python 3.11, and so do twelve of HumanEval-ET. Gold answers that cannot be graded are
# listed.
CEILINGS = {
    "MATH-500": (500, 500),
    "AGIEval-MATH": (256, 256),
    "AQuA": (254, 254),
    "GPQA-Diamond": (198, 198),
    "MBPP": (427, 426),
    "HumanEval-ET": (164, 152),
    "HumanEval": (164, 164),
}
SCORERS = {"MATH-500": "math", "AGIEval-MATH": "math", "AQuA": "letter", "GPQA-Diamond": "letter"}

SENTENCES = {
    "math": [
        "So the answer is $\\boxed{%s}$.",
        "Hence\n\\[\\boxed{%s}\\]\nas was to be shown.",
        "\\boxed{0}? No: <answer>\\boxed{%s}</answer>",
        "<answer>%s</answer>",
        "The answer is $%s$.",
    ],
    "letter": ["A or B? <answer>%s</answer>", "<answer>(%s)</answer>", "<answer>\\boxed{%s}</answer>"],
}


def rows_of(path):
    """Returns the rows of a file; none if it does not hold any."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".txt":
        return [{"problem": "", "answer": line} for line in text.splitlines() if line and not line.startswith("#")]
    try:
        if text.lstrip().startswith("["):
            rows = json.loads(text)
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        return []
    return rows if all(isinstance(row, dict) for row in rows) else []


def set_of(row):
    """Returns the name of the set that a row belongs to, or None."""
    if "code" in row and "test_list" in row:
        return "MBPP"
    if "canonical_solution" in row and "entry_point" in row:
        return "HumanEval-ET" if "test_list" in row or "test_case_list" in row else "HumanEval"
    letter = str(row.get("correct", row.get("answer", "")))
    if re.fullmatch(r"[A-J]", letter):
        return "AQuA" if "options" in row or "problem" in row else "GPQA-Diamond"
    if "problem" in row and "answer" in row:
        return "AGIEval-MATH" if "type" in row and "unique_id" not in row else "MATH-500"
    return None


def fenced(code):
    """Returns code as a model would write it."""
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}python\n{code}\n{fence}\n"


def tasks(name, number, row):
    """Yields the rows for `maspo grade` that have to be correct; their ids are the number."""
    scorer = SCORERS.get(name, "code")
    if scorer == "code" and name == "MBPP":
        imports = row.get("test_imports", [])
        yield {"id": number, "output": fenced(row["code"]), "tests": row["test_list"], "imports": imports}
    elif scorer == "code":
        tests = row.get("test_list") or row.get("test_case_list") or [row["test"]]
        code = row["prompt"] + row["canonical_solution"]
        yield {"id": number, "output": fenced(code), "tests": tests, "entry_point": row["entry_point"]}
    else:
        gold = str(row.get("correct", row["answer"] if "answer" in row else ""))
        for sentence in SENTENCES[scorer]:
            yield {"id": number, "output": sentence % gold, "gold": gold}
        options = row.get("options") if scorer == "letter" else None
        if options and re.fullmatch(r"[A-J]", gold) and ord(gold) - ord("A") < len(options):
            text = re.sub(r"^\(?[A-J][).:]\s*", "", options[ord(gold) - ord("A")])
            texts = [re.sub(r"^\(?[A-J][).:]\s*", "", option).strip() for option in options]
            # Where two options read alike, their text does not say which of them is meant.
            if texts.count(text.strip()) == 1:
                yield {"id": number, "output": f"<answer>{text}</answer>", "gold": gold, "options": options}


def grade(command, scorer, rows):
    """Returns the outcomes by number, and the faults of the rows that cannot be graded by number."""
    faults = {}
    while True:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        done = subprocess.run(
            [*command, "grade", "--scorer", scorer, "--input", "-"], input=lines, capture_output=True, text=True
        )
        if done.returncode == 0:
            break
        found = re.findall(r"<stdin>:(\d+): (.*)", done.stderr) if done.returncode == 2 else []
        if not found:
            print(done.stderr, file=sys.stderr, end="")
            sys.exit(3 if done.returncode == 3 else 2)
        faults |= {rows[int(line) - 1]["id"]: fault for line, fault in found}
        rows = [row for row in rows if row["id"] not in faults]
    outcomes = {}
    for answer in map(json.loads, done.stdout.splitlines()):
        outcomes.setdefault(answer["id"], []).append(answer)
    return outcomes, faults


def measure(command, path, rows, name):
    """Prints how many rows of a file are right; returns whether a whole set is below its ceiling, and
    whether anything failed."""
    scorer = SCORERS.get(name, "code")
    outcomes, faults = grade(command, scorer, [task for n, row in enumerate(rows, 1) for task in tasks(name, n, row)])
    failed = {n: [a for a in answers if a["outcome"] != "correct"] for n, answers in outcomes.items()}
    failed = {n: answers for n, answers in failed.items() if answers}
    right = len(rows) - len(failed) - len(faults)
    outputs = sum(map(len, outcomes.values()))
    what = "references" if scorer == "code" else f"gold answers, in {outputs} outputs,"
    whole, ceiling = CEILINGS[name]
    note = f"the known ceiling is {ceiling}/{whole}" if len(rows) == whole else f"a part of the set ({len(rows)} rows)"
    print(f"{name}: {right}/{len(rows)} {what} are correct; {note} ({path.name})")
    is_secret = name == "GPQA-Diamond"
    for n, fault in sorted(faults.items()):
        print(f"  row {n} cannot be graded" + ("" if is_secret else f": {fault}"))
    for n, answers in sorted(failed.items()):
        row = rows[n - 1]
        identity = "" if is_secret else f" ({row.get('task_id', row.get('unique_id', row.get('answer', '')))})"
        detail = "" if is_secret else "; ".join(filter(None, (answer.get("detail") for answer in answers)))
        print(f"  row {n}{identity}: {answers[0]['outcome']}" + (f": {detail}" if detail else ""))
    is_below = len(rows) == whole and right + len(faults) < ceiling
    return is_below, bool(failed or faults)


def files_in(path):
    return sorted(path.iterdir()) if path.is_dir() else [path]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    parser.add_argument("--maspo", default="target/release/maspo", help="the program")
    parser.add_argument("--strict", action="store_true", help="fail if any row fails")
    arguments = parser.parse_args()
    for path in arguments.paths:
        if not path.exists():
            parser.error(f"{path} does not exist")
    command, measured, below, failed = shlex.split(arguments.maspo), set(), False, False
    for path in (file for path in arguments.paths for file in files_in(path)):
        rows = rows_of(path) if path.suffix in (".json", ".jsonl", ".txt") else []
        name = set_of(rows[0]) if rows else None
        if name is None:
            continue
        is_below, has_failed = measure(command, path, rows, name)
        measured.add(name)
        below, failed = below or is_below, failed or has_failed
    for name in CEILINGS:
        if name not in measured:
            print(f"{name}: not measured")
    return int(below or arguments.strict and failed)


if __name__ == "__main__":
    sys.exit(main())
