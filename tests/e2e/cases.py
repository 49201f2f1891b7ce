#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The compatibility cases on a real control plane: those that cases.txt lists must pass.

    cases.py --kroc PATH --bin DIR --shared DIR [--jobs N]

The runner and the cases stand outside of this repository (DIR/tools/run_cases.py); where they or PyYAML
are not there, exit code 77 says so. A case that needs something this version refuses is not listed.

A case with `~` before its name polls for a state that lasts some milliseconds here: a ConfigMap between its deletion and
its recreation, an instance between its DELETE and its end. Or it asks at the sight of a child for the status that is
written after that child, which kro has not written at that moment either. Whether a poll meets it is chance, so such a
case passes if one of TRIES runs does; everything else in it is asked for as in the others.
"""
import argparse
import importlib.util
import os
import subprocess
import sys

TRIES = 6  # of a case with ~

HERE = os.path.dirname(os.path.abspath(__file__))


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def listed():
    with open(os.path.join(HERE, "cases.txt")) as f:
        lines = (line.strip() for line in f)
        return [line for line in lines if line and not line.startswith("#")]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kroc", required=True)
    p.add_argument("--bin", default=os.environ.get("KROC_CLUSTER_BIN", ""))
    p.add_argument("--shared", required=True)
    p.add_argument("--jobs", default="2")
    a = p.parse_args()
    runner = os.path.join(a.shared, "tools", "run_cases.py")
    if not os.path.exists(runner):
        skip(f"no cases at {a.shared}")
    if not a.bin:
        skip("no control plane: tests/cluster/build.sh builds it")
    if not importlib.util.find_spec("yaml"):
        skip("PyYAML is not installed (python3-yaml)")
    def run(names):
        """Runs the cases; returns those that failed and those that never ran."""
        done = subprocess.run([sys.executable, runner, "--bin", a.bin, "--controller", f"{os.path.abspath(a.kroc)} controller",
                               "--shared", "--jobs", a.jobs, "--log-lines", "20", "--only", *names],
                              stdout=subprocess.PIPE, text=True)
        print(done.stdout, flush=True)
        verdicts = [line.split()[:2] for line in done.stdout.splitlines() if line.startswith(("ok ", "FAIL "))]
        passed = {name for verdict, name in verdicts if verdict == "ok"}
        return [n for n in names if n not in passed]

    fleeting = {name[1:] for name in listed() if name.startswith("~")}
    failed = run([name.lstrip("~") for name in listed()])
    for _ in range(TRIES - 1):
        again = [name for name in failed if name in fleeting]
        if not again:
            break
        print("once more:", *again, flush=True)
        failed = [name for name in failed if name not in fleeting] + run(again)
    total = len(listed())
    print(f"{total - len(failed)} passed, {len(failed)} failed, 0 skipped", *failed, sep="\n  ")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
