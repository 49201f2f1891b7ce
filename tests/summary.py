#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The closing lines of tests/run.sh: what failed, what was skipped and why, and one line with the sums.

    summary.py FOLDER      *.xml are ctest's JUnit files; failed-stages names what never came to its tests
"""
import glob
import os
import sys
import xml.etree.ElementTree as xml


def last_words(case):
    """The last line that says something: a skipped test gives its reason there."""
    lines = [line.strip() for line in (case.findtext("system-out") or "").splitlines() if line.strip()]
    return lines[-1].removeprefix("skipped: ") if lines else "no reason given"


def outcome(case):
    """("passed" | "failed" | "skipped", why). Only a test that says so itself (exit code 77) is skipped."""
    skipped = case.find("skipped")
    if skipped is not None and skipped.get("message", "").startswith("SKIP_"):
        return "skipped", last_words(case)
    if skipped is not None:
        return "failed", skipped.get("message", "did not run")
    failure = case.find("failure")
    if failure is not None or case.get("status") != "run":
        return "failed", (failure.get("message") if failure is not None else "") or last_words(case)
    return "passed", ""


def main():
    folder = sys.argv[1]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for path in sorted(glob.glob(os.path.join(folder, "*.xml"))):
        for case in xml.parse(path).getroot().iter("testcase"):
            kind, why = outcome(case)
            counts[kind] += 1
            if kind != "passed":
                print(f"{kind}: {case.get('name')}: {why}")
    try:
        with open(os.path.join(folder, "failed-stages")) as f:
            stages = f.read().splitlines()
    except FileNotFoundError:
        stages = []
    for stage in stages:
        counts["failed"] += 1
        print(f"failed: {stage}")
    if sum(counts.values()) == 0:
        counts["failed"] = 1
        print("failed: no test ran")
    print(", ".join(f"{n} {kind}" for kind, n in counts.items()), flush=True)
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
