#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tables.py - runs every table of compatibility cases and counts.

    python3 tests/tables.py build/dev

Each table is run by the test of the file it is about, which fails when a line does; this runs those
tests of a build folder and adds up what they print: a line per table, then `N passed, N failed,
N skipped`. Skipped are the lines that no test takes: steps of kro's own that have no counterpart.
"""
import argparse
import collections
import pathlib
import re
import subprocess
import sys

TESTS = "dag fieldpath simpleschema template validate build crd expressions author revision plural applyset".split()
VECTORS = "crd-synthetic plural spec-hash applyset".split()  # integration.jsonl goes with rgd-from-integration
LINE = re.compile(r"^((?:validation|vectors)/\S+\.jsonl): (\d+) passed, (\d+) failed")


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--shared", type=pathlib.Path, default=root.parent / "shared")
    args = parser.parse_args()
    passed, failed, broken = collections.Counter(), collections.Counter(), []
    for name in TESTS:
        test = args.build / "tests" / "graph" / f"graph_{name}_test"
        run = subprocess.run([test.resolve()], capture_output=True, text=True, timeout=600)
        if run.returncode != 0:
            broken.append(name)
        for line in (run.stdout + run.stderr).splitlines():
            hit = LINE.match(line)
            if hit:
                passed[hit[1]] += int(hit[2])
                failed[hit[1]] += int(hit[3])
    tables = sorted(args.shared.glob("cases/validation/*.jsonl"))
    tables += [args.shared / "cases" / "vectors" / f"{name}.jsonl" for name in VECTORS]
    skipped = 0
    for path in tables:
        name = f"{path.parent.name}/{path.name}"
        left = sum(1 for line in path.open() if line.strip()) - passed[name] - failed[name]
        skipped += left
        print(f"{name}: {passed[name]} passed, {failed[name]} failed, {left} skipped")
    print(f"{sum(passed.values())} passed, {sum(failed.values())} failed, {skipped} skipped")
    for name in broken:
        print(f"the test graph/{name} failed", file=sys.stderr)
    return 1 if broken or not tables or sum(failed.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
