#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Some of the compatibility cases with the sandbox in the place of a control plane.

    cases_test.py --kroc PATH --shared DIR [--only GLOB...]

The runner and the cases stand outside of this repository; where they or PyYAML are not there, exit code 77 says so.
"""
import argparse
import importlib.util
import os
import subprocess
import sys

SOME = ["e2e/check-external-references", "e2e/check-rgd-deletion", "integration/applyset-should-prune-coll*",
        "integration/cascading-deletion-*", "integration/collection-should-handle-collection-chaining*"]

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("--kroc", required=True)
p.add_argument("--shared", required=True)
p.add_argument("--jobs", default="2")
p.add_argument("--only", nargs="*", default=SOME)
a = p.parse_args()
runner = os.path.join(a.shared, "tools", "run_cases.py")
kroc = os.path.abspath(a.kroc)
if not os.path.exists(runner):
    print(f"skipped: no cases at {a.shared}")
    sys.exit(77)
if not importlib.util.find_spec("yaml"):
    print("skipped: PyYAML is not installed (python3-yaml)")
    sys.exit(77)
sys.exit(subprocess.run(
    [sys.executable, runner, "--sandbox", kroc + " sandbox --cluster {cluster} --kubeconfig {work}/config", "--controller",
     f"{kroc} controller", "--jobs", a.jobs, "--log-lines", "20", "--only", *a.only]).returncode)
