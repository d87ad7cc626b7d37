#!/usr/bin/env python3
"""Reads what `maspo eval --junit` writes with `junitparser`, and checks it by an XML Schema.

    scripts/peers/junit.py --maspo target/debug/maspo [--schema junit-10.xsd]

It needs `pip install junitparser lxml` (written with 5.0 and 6.1). The schema is not in this
repository; Jenkins' xunit plugin has it (github.com/jenkinsci/xunit-plugin, the file junit-10.xsd).
Exit codes: 0 everything holds, 1 something does not, 2 a package is missing.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

try:
    import junitparser
    from lxml import etree
except ImportError as missing:
    print(f"junit: {missing}", file=sys.stderr)
    sys.exit(2)

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = os.path.join(HERE, "..", "..", "configs", "triage.toml")


def check(what, holds):
    print(f"{'ok    ' if holds else 'FAILED'} {what}")
    if not holds:
        sys.exit(1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--maspo", required=True)
    parser.add_argument("--schema")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "eval.xml")
        run = subprocess.run([options.maspo, "eval", CONFIG, "--set", "data.test.limit=50", "--json", "--junit", path,
                              "--fail-below", "0.99"], capture_output=True, text=True)
        check("the gate fails", run.returncode == 1)
        report = json.loads(run.stdout)
        suites = {suite.name: suite for suite in junitparser.JUnitXml.fromfile(path)}
        cases = list(suites["triage.test"])
        check("a test for every case", [case.name for case in cases] == [item["id"] for item in report["items"]])
        check("failed where the answer is not right", [bool(case.result) for case in cases]
              == [item["outcome"] != "correct" for item in report["items"]])
        check("a test for the gate", [bool(case.result) for case in suites["triage.gates"]] == [True])
        if options.schema:
            schema = etree.XMLSchema(etree.parse(options.schema))
            check("valid by the schema", schema.validate(etree.parse(path)))


if __name__ == "__main__":
    main()
