#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""All compatibility cases with the sandbox in the place of a control plane.

    cases_test.py --kroc PATH --shared DIR [--only GLOB...]

The runner and the cases stand outside of this repository; where they or PyYAML are not there, exit code 77 says so.

The cases with `~` in tests/e2e/cases.txt (tests/e2e/cases.py says why) poll for a state that lasts less than a millisecond
here: the controller's next PATCH ends it. Where a poll has missed it they run again, up to TRIES times, with PATCHes that take a second, so that it
lasts as long. A case whose controller could not start (a port that the runner found free is taken by then, now and then)
is run again.
"""
import argparse
import importlib.util
import os
import subprocess
import sys

TRIES = 3
SLOW = " --fault delay=1000ms,of=PATCH"
LISTED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e", "cases.txt")

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("--kroc", required=True)
p.add_argument("--shared", required=True)
p.add_argument("--jobs", default="16")
p.add_argument("--only", nargs="*", default=[])
a = p.parse_args()
runner = os.path.join(a.shared, "tools", "run_cases.py")
kroc = os.path.abspath(a.kroc)
if not os.path.exists(runner):
    print(f"skipped: no cases at {a.shared}")
    sys.exit(77)
if not importlib.util.find_spec("yaml"):
    print("skipped: PyYAML is not installed (python3-yaml)")
    sys.exit(77)


def run(fault, only):
    """Returns the names of the cases that failed, or None: nothing was run."""
    done = subprocess.run(
        [sys.executable, runner, "--sandbox", kroc + " sandbox --cluster {cluster} --kubeconfig {work}/config" + fault,
         "--controller", f"{kroc} controller", "--shared", "--jobs", a.jobs, "--slack", "2", "--log-lines", "20",
         *(["--only", *only] if only else [])], stdout=subprocess.PIPE, text=True)
    print(done.stdout, flush=True)
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith(("ok ", "FAIL "))]
    again = [line[1] for line in lines if line[0] == "FAIL" and "the controller ended with status" in " ".join(line)]
    failed = [line[1] for line in lines if line[0] == "FAIL" and line[1] not in again]
    return (failed + (run(fault, again) if again and len(again) < len(lines) else again)) if lines else None


with open(LISTED) as f:
    fleeting = {line.strip()[1:] for line in f if line.startswith("~")}
failed = run("", a.only)
if failed is None:
    sys.exit("no case was run")
left = [name for name in failed if name in fleeting]
for _ in range(TRIES):
    left = run(SLOW, left) if left else []
lost = [name for name in failed if name not in fleeting] + left
print(f"{len(lost)} of them failed" if lost else "all passed")
sys.exit(1 if lost else 0)
