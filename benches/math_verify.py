#!/usr/bin/env python3
"""Differential check of the `math` scorer (`maspo-math`) against Math-Verify.

    python3 benches/math_verify.py            # writes benches/results/math-verify.md
    python3 benches/math_verify.py --check    # fails if a disagreement has no reason there

It installs the newest Math-Verify from PyPI into target/math-verify/venv, and gives both scorers
the same pairs of a gold answer and a model's output:
  golds          every gold answer of src/math/tests/math_500_golds.txt as its own output, in four
                 kinds of sentences;
  notation       the same in other notation;
  perturbations  each number larger by one, each sign turned, wrong ends, the negative: all wrong;
  cases          the pairs of src/math/tests/cases.txt in both directions;
  upstream       the pairs in Math-Verify's own tests, where its source distribution on PyPI has
                 them. They are read, not copied; Math-Verify is Apache-2.0, Copyright Hugging Face.

Every disagreement is listed in the results with the reason why ours is deliberate: that the data
set, or a golden case, says so, or else one of benches/results/math-verify-reasons.json. One without
a reason is listed as "undecided" and makes `--check` fail. The scorers are `cargo run -p maspo-math
--example decide` and `math_verify.verify(parse(gold), parse(output))`, with eight seconds for each
pair, so that a loaded machine does not turn right answers into wrong ones. Math-Verify's verdicts
are kept under target/math-verify.

Exit codes: 0 done, 1 unexplained disagreements or a scorer failed, 2 wrong usage.
"""

import argparse
import ast
import json
import pathlib
import re
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "math-verify"
TESTS = ROOT / "src" / "math" / "tests"
RESULTS = ROOT / "benches" / "results" / "math-verify.md"
REASONS = RESULTS.with_name("math-verify-reasons.json")

# The most characters of a gold answer or an output in the table.
LONGEST = 110

# Runs inside the environment of Math-Verify: lines of pairs in, lines of verdicts out.
WORKER = r'''
import json, sys
from math_verify import parse, verify
for line in sys.stdin:
    row = json.loads(line)
    try:
        gold, answer = (parse(row[text], parsing_timeout=8) for text in ("parsed_gold", "output"))
        equal = bool(verify(gold, answer, timeout_seconds=8))
        shown = str(answer[-1]) if answer else ""
    except Exception as error:
        equal, shown = False, f"error: {type(error).__name__}"
    print(json.dumps({"id": row["id"], "equal": equal, "answer": shown}), flush=True)
'''

SENTENCES = [
    "Thus the result is $\\boxed{%s}$.",
    "<answer>\\boxed{%s}</answer>",
    "Adding up, we get\n\n\\[\n\\boxed{%s}\n\\]",
    "**Final answer:** $%s$",
]

NOTATION = [
    lambda gold: gold.replace("\\frac", "\\dfrac"),
    lambda gold: gold.replace(" ", "\\, "),
    lambda gold: gold.replace("+", " + ").replace("-", " - ").replace(",", ", "),
    lambda gold: gold.replace("\\left", "").replace("\\right", ""),
]


def python():
    return WORK / "venv" / "bin" / "python"


def install():
    """Installs Math-Verify and fetches its source distribution; returns its version."""
    WORK.mkdir(parents=True, exist_ok=True)
    if not python().exists():
        subprocess.run([sys.executable, "-m", "venv", WORK / "venv"], check=True)
    pip = [python(), "-m", "pip", "--disable-pip-version-check", "-q"]
    have = subprocess.run([python(), "-c", "import math_verify"], capture_output=True)
    if have.returncode != 0:
        subprocess.run([*pip, "install", "math-verify", "wheel"], check=True)
    if not list((WORK / "sdist").glob("*.tar.gz")):
        # A failure only means that there are no upstream tests to compare with.
        subprocess.run([*pip, "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation",
                        "math-verify", "-d", WORK / "sdist"])
    shown = "import importlib.metadata as m; print(m.version('math-verify'))"
    return subprocess.run([python(), "-c", shown], check=True, capture_output=True, text=True).stdout.strip()


def golds():
    lines = (TESTS / "math_500_golds.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def reordered(gold):
    """Returns a tuple or a list of solutions in the reverse order, or None for other answers."""
    inner = re.fullmatch(r"(?:\\left)?\(?([^()]*?),([^()]*?)(?:\\right)?\)?", gold.replace(" ", ""))
    if inner is None or re.search(r"\d,\d{3}\b", gold) or any(part in gold for part in ("matrix", "{", "[", "]")):
        return None
    items = re.sub(r"[() ]", "", gold.replace("\\left", "").replace("\\right", "")).split(",")
    joined = ",".join(reversed(items))
    return f"({joined})" if "(" in gold else joined


def perturbed(gold):
    """Yields wrong answers that look like the gold one."""
    for number in re.finditer(r"\d+", gold):
        for changed in {int(number.group()) + 1, abs(int(number.group()) - 1)}:
            yield gold[: number.start()] + str(changed) + gold[number.end():]
    if "(" in gold and reordered(gold):
        yield reordered(gold)
    for sign in re.finditer(r"[+-]", gold):
        turned = {"+": "-", "-": "+"}[sign.group()]
        yield gold[: sign.start()] + turned + gold[sign.end():]
    if gold.startswith("(") and gold.endswith("]"):
        for ends in ("[)", "()", "[]"):
            yield ends[0] + gold[1:-1] + ends[1]
    if gold != "0" and not any(part in gold for part in ("text", "matrix", "=")):
        yield f"-({gold})"


def cases():
    """Yields the golden cases in both directions."""
    for line in (TESTS / "cases.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            for sign, equal in ((" ≡ ", True), (" ≢ ", False)):
                if sign in line:
                    one, other = line.split(sign, 1)
                    yield one, other, equal
                    yield other, one, equal


def upstream():
    """Yields (gold, output, expected) from calls and parameters in Math-Verify's own tests."""
    for archive in sorted((WORK / "sdist").glob("*.tar.gz"))[-1:]:
        with tarfile.open(archive) as files:
            for member in files.getmembers():
                name = pathlib.PurePosixPath(member.name).name
                if name.startswith("test_") and name.endswith(".py"):
                    yield from upstream_file(files.extractfile(member).read().decode())


def upstream_file(source):
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.Tuple, ast.List)) or len(node.elts) not in (3, 4):
            continue
        try:
            row = ast.literal_eval(node)
        except ValueError:
            continue
        texts, verdicts = [x for x in row if isinstance(x, str)], [x for x in row if x in (0, 1, True, False)]
        if len(texts) == 2 and len(verdicts) == 1 and all(isinstance(x, str) for x in row[:2]):
            yield row[0], row[1], bool(verdicts[0])


def pairs():
    """Returns rows with id, set, gold, output and, where it is known, the right verdict."""
    rows = []

    def add(kind, gold, output, expected, parsed_gold=None):
        rows.append({"id": len(rows), "set": kind, "gold": gold, "output": output, "expected": expected,
                     "parsed_gold": parsed_gold or f"${gold}$", "find_gold": parsed_gold is not None})

    for gold in golds():
        for sentence in SENTENCES:
            add("golds", gold, sentence % gold, True)
        for change in NOTATION:
            if change(gold) != gold:
                add("notation", gold, SENTENCES[0] % change(gold), True)
        if reordered(gold) and "(" not in gold:
            add("notation", gold, SENTENCES[0] % reordered(gold), True)
        for wrong in perturbed(gold):
            add("perturbations", gold, SENTENCES[0] % wrong, False)
    for gold, answer, equal in cases():
        add("cases", gold, SENTENCES[0] % answer.strip("$"), equal)
    for gold, output, equal in upstream():
        # Our golds are bare answers; theirs may stand in a sentence, where they are found as
        # answers are.
        add("upstream", gold, output, equal, gold)
    return rows


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def answers(command, rows, **kwargs):
    done = subprocess.run(command, input=lines(rows), capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{done.stderr[-2000:]}")
    return {row["id"]: row for row in map(json.loads, done.stdout.splitlines())}


def ours(rows):
    command = ["cargo", "run", "-q", "-p", "maspo-math", "--example", "decide"]
    return answers(command, rows, cwd=ROOT)


def theirs(rows, version):
    """Returns Math-Verify's verdicts. They are kept in a file, so that a run that was cut off goes on."""
    path = WORK / f"verdicts-{version}.jsonl"
    known = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            known[row["parsed_gold"], row["output"]] = row
    fresh = list({(row["parsed_gold"], row["output"]): row for row in rows}.items())
    fresh = [row for key, row in fresh if key not in known]
    if fresh:
        command = [str(python()), "-c", WORKER]
        given = WORK / "given.jsonl"
        given.write_text(lines(fresh), encoding="utf-8")
        with (
            path.open("a", encoding="utf-8") as kept,
            given.open(encoding="utf-8") as pairs_given,
            subprocess.Popen(command, stdin=pairs_given, stdout=subprocess.PIPE, text=True) as worker,
        ):
            for row, line in zip(fresh, worker.stdout, strict=False):
                verdict = json.loads(line) | {"parsed_gold": row["parsed_gold"], "output": row["output"]}
                known[row["parsed_gold"], row["output"]] = verdict
                kept.write(json.dumps(verdict) + "\n")
                kept.flush()
        if worker.returncode != 0:
            sys.exit(f"Math-Verify failed with exit code {worker.returncode}")
    return {row["id"]: known[row["parsed_gold"], row["output"]] for row in rows}


def shown(text):
    """Returns a text on one line, and of a long one its end, where the answer is."""
    text = " ".join(str(text).split())
    return text if len(text) <= LONGEST else "… " + text[2 - LONGEST:]


def cell(text):
    text = shown(text).replace("|", "\\|").replace("`", "'")
    return f"`{text}`" if text else ""


def reasons():
    """Returns the reasons that are checked in, by gold and output as they are shown."""
    if not REASONS.exists():
        return {}
    known = {}
    for entry in json.loads(REASONS.read_text(encoding="utf-8")):
        known |= {(gold, output): entry["reason"] for gold, output in entry["pairs"]}
    return known


def reason(row, own, known):
    found = known.get((shown(row["gold"]), shown(row["output"])))
    if found:
        return found
    # What the golden cases and the data set itself say is right needs no other argument.
    if row["set"] != "upstream" and own["equal"] == row["expected"]:
        return "ours is right: " + ("equal by the convention" if row["expected"] else "a wrong answer")
    return "undecided"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the results that are there")
    options = parser.parse_args()
    version, rows, known = install(), pairs(), reasons()
    own, other = ours(rows), theirs(rows, version)
    table, counts = [], {}
    for row in rows:
        mine, their = own[row["id"]], other.get(row["id"], {"equal": False, "answer": "error: no verdict"})
        count = counts.setdefault(row["set"], [0, 0, 0, 0])
        count[0] += 1
        count[1] += mine["equal"] == their["equal"]
        count[2] += mine["equal"] == row["expected"]
        count[3] += their["equal"] == row["expected"]
        if mine["equal"] != their["equal"]:
            table.append((row, mine, their, reason(row, mine, known)))
    write(version, counts, table)
    open_rows = [row for row in table if row[3] == "undecided"]
    for row, mine, their, _ in open_rows:
        print(f"undecided: {row['set']}: {row['gold']!r} and {row['output']!r}: ours {mine['equal']}, "
              f"Math-Verify {their['equal']}", file=sys.stderr)
    print(f"{len(rows)} pairs, {len(table)} disagreements, {len(open_rows)} undecided", file=sys.stderr)
    return 1 if options.check and open_rows else 0


def write(version, counts, table):
    text = [
        "# The `math` scorer beside Math-Verify",
        "",
        f"Written by `python3 benches/math_verify.py` with Math-Verify {version}, which is Apache-2.0,",
        "Copyright Hugging Face. Rows of the set `upstream` quote inputs of its tests by that licence.",
        "",
        "Expected verdicts are those of the data set (a gold answer is right, a perturbed one is wrong),",
        "of `src/math/tests/cases.txt`, or, for `upstream`, of Math-Verify's own tests.",
        "",
        "| set | pairs | agree | ours as expected | Math-Verify as expected |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind, (total, agree, mine, their) in counts.items():
        text.append(f"| {kind} | {total} | {agree} | {mine} | {their} |")
    text += ["", "## Disagreements", "", "| set | gold | output | ours | Math-Verify | reason |"]
    text += ["| --- | --- | --- | --- | --- | --- |"]
    word = {True: "equal", False: "different"}
    for row, mine, their, why in table:
        cells = [row["set"], cell(row["gold"]), cell(row["output"]), word[mine["equal"]], word[their["equal"]], why]
        text.append("| " + " | ".join(cells) + " |")
    RESULTS.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
