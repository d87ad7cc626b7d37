#!/usr/bin/env python3
"""Makes the data of configs/real-useragents.toml: user-agent strings that real crawlers and real browsers send.

    scripts/real-useragents.py [--check]      # needs npm and the network; --check compares instead of writing

Sources, fetched with `npm pack` and checked against their digests:

- bots: `crawler-user-agents` 1.60.0 (MIT, Copyright Martin Monperrus), whose `instances` are
  strings seen in server logs;
- browsers: `user-agents` 1.0.559, 1.1.32 and 2.1.198 (BSD-2-Clause, Copyright Intoli, LLC), strings
  of the visitors of web sites in 2020, 2022 and 2026.

Writes configs/real-useragents/: pool.jsonl (50 rows without labels), train.jsonl (100 labelled), test.jsonl (320
labelled), half bots and half browsers, and the licences of both packages. Rules:

- Two strings are near-duplicates if they are the same but for digits and versions. No two rows are near-duplicates, and
  of each crawler (one entry of the list) there is one string, so pool, train and test share none.
- Left out as no browser: strings that a pattern of crawler-user-agents matches, and the device presets of Chrome's
  developer tools, which scripts send. Left out as no bot: crawlers of the kinds `http-library` and
  `browser-automation`, whose strings are those of a library or of a whole browser.
- Left out: strings without a slash, which are a name only, that are not printable ASCII or longer than 200 characters.

Everything that is drawn is drawn by the SHA-256 of the string, so the files are the same on every machine.
"""

import argparse
import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

TO = Path(__file__).parents[1] / "configs/real-useragents"
PACKAGES = {
    "crawler-user-agents@1.60.0":
        "p8hKVsnZl3msolBhGW8s86V0tmmcuBSwhTXkzkegGQzTt0A/ysKDHKzek9fichfqL5qBEgDrR9CuGBU0Y7bDrg==",
    "user-agents@1.0.559": "HdAlNS3vDxOGMRwmv8or05xL96MV3CEwQhUSFTCRoOvTOEnWhTEBPAHRry/xZpVTTOtx77UHMal8YKcx6fs7Lg==",
    "user-agents@1.1.32": "HpNyHQFYTkcNUdYFuuUvQ+nvI/o2IBi/PyCrNpm3NhyVAGBJLcAhdvTaJY3oAcHH9qGdpkz1P2AZwGt7TtBtuQ==",
    "user-agents@2.1.198": "cpFqEfpW1DW7MZYfJaknK5mNJZBgUwfroY0y1jSVy8Y93T4pmP0wp5HhXTOqZUbUbFppp0fwCyfttG9rsl3vqw==",
}
SPLITS = {"test": 160, "train": 50, "pool": 25}  # rows of each class
LONGEST = 200
# Chrome's developer tools send these for the device that they pretend to be.
PRESET = re.compile(r"Build/(MRA58N|LRX21T|OPD[13])|\(iPhone;[^)]*\) AppleWebKit/[\d.]+ \(KHTML, like Gecko\) Chrome/")
NOT_BOTS = {"http-library", "browser-automation"}


def fetch(name, folder):
    """The opened archive of a package."""
    out = subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    data = (Path(folder) / out.stdout.strip().splitlines()[-1]).read_bytes()
    found = base64.b64encode(hashlib.sha512(data).digest()).decode()
    if found != PACKAGES[name]:
        sys.exit(f"error: {name} is not the package that this script knows: sha512-{found}")
    return tarfile.open(Path(folder) / out.stdout.strip().splitlines()[-1])


def read(package, name):
    data = package.extractfile(f"package/{name}").read()
    return gzip.decompress(data) if name.endswith(".gz") else data


def shape(text):
    """What near-duplicates share: the string without digits and versions."""
    return re.sub(r"[\d._]+", "0", text).lower()


def drawn(text):
    return hashlib.sha256(text.encode()).hexdigest()


def usable(text):
    return text.isascii() and text.isprintable() and text == text.strip() and len(text) <= LONGEST and "/" in text


def bots(entries):
    """One string of each crawler, no two of one shape, in drawn order."""
    shapes, rows = set(), []
    for entry in sorted(entries, key=lambda entry: drawn(entry["pattern"])):
        if NOT_BOTS & set(entry.get("tags", [])):
            continue
        strings = [text for text in sorted(entry["instances"], key=drawn) if usable(text) and shape(text) not in shapes]
        if strings:
            shapes.add(shape(strings[0]))
            rows.append(strings[0])
    return rows


def browsers(strings, patterns):
    """One string of each shape, in drawn order."""
    crawler = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    by_shape = {}
    for text in sorted(strings, key=drawn):
        if usable(text) and not crawler.search(text) and not PRESET.search(text):
            by_shape.setdefault(shape(text), text)
    return sorted(by_shape.values(), key=drawn)


def files():
    """The names and texts of the files."""
    with tempfile.TemporaryDirectory() as folder:
        crawlers, *browser_packages = [fetch(name, folder) for name in PACKAGES]
        entries = json.loads(read(crawlers, "crawler-user-agents.json"))
        strings = set()
        for package in browser_packages:
            names = package.getnames()
            name = "dist/user-agents.json" if "package/dist/user-agents.json" in names else "src/user-agents.json.gz"
            strings |= {row["userAgent"] for row in json.loads(read(package, name))}
        licences = {
            "LICENSE-crawler-user-agents": read(crawlers, "LICENSE").decode(),
            "LICENSE-user-agents": read(browser_packages[-1], "LICENSE").decode(),
        }
    rows = {"bot": bots(entries), "browser": browsers(strings, [entry["pattern"] for entry in entries])}
    print({label: len(texts) for label, texts in rows.items()}, "strings to draw from", file=sys.stderr)
    out, start = dict(licences), 0
    for split, size in SPLITS.items():
        cases = [(text, label) for label, texts in rows.items() for text in texts[start:start + size]]
        if len(cases) != 2 * size:
            sys.exit(f"error: {split}: {len(cases)} rows in place of {2 * size}")
        lines = []
        for number, (text, label) in enumerate(sorted(cases, key=lambda case: drawn(split + case[0])), 1):
            row = {"id": f"{split}-{number}", "question": text}
            lines.append(json.dumps(row if split == "pool" else row | {"label": label}) + "\n")
        out[f"{split}.jsonl"] = "".join(lines)
        start += size
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare the files with the sources; write nothing")
    check = parser.parse_args().check
    TO.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        path = TO / name
        if not check:
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            sys.exit(f"error: {path} is not what the sources give")


if __name__ == "__main__":
    main()
