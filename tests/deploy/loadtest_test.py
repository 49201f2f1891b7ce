#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The load test measures what it says, cleans up, and reports: on the sandbox, with few instances.

    loadtest_test.py --kroc PATH [--bin FOLDER WITH KUBECTL]
"""
import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(ROOT, "deploy", "loadtest")
sys.path[:0] = [FOLDER, os.path.join(ROOT, "tests", "sandbox")]
import report  # noqa: E402
from sandbox import Sandbox  # noqa: E402

KROC = BIN = ""


def controller(name, kroc=None):
    return (f"{name}={kroc or KROC} controller --metrics-bind-address=127.0.0.1:{{port}} --health-probe-bind-address=127.0.0.1:{{port2}} "
            "--debug-bind-address=0 --leader-election-lease-duration=3s --leader-election-renew-deadline=2s --leader-election-retry-period=500ms")


class LoadTest(unittest.TestCase):
    def setUp(self):
        work = tempfile.TemporaryDirectory()
        self.addCleanup(work.cleanup)
        self.work = work.name

    def run_it(self, *args, env=None):
        argv = [sys.executable, os.path.join(FOLDER, "loadtest.py"), "--kroc", KROC, "--report", self.work, "--settle", "0.5", *args]
        p = subprocess.run(argv, capture_output=True, text=True, timeout=200, env=env)
        return p.returncode, p.stdout, p.stderr

    def rows(self):
        """(scenario, controller) -> cells"""
        found, scenario = {}, None
        with open(os.path.join(self.work, "report.md")) as f:
            for line in f:
                scenario = line[3:].strip() if line.startswith("## ") else scenario
                cells = [c.strip() for c in line.strip().strip("|").split("|")]
                if scenario and len(cells) == 10 and cells[1].isdigit():
                    found[scenario, cells[0]] = cells
        return found

    def test_all_scenarios(self):
        code, out, err = self.run_it("--on", "sandbox", "--instances", "4", "--children", "2", "--edits", "3", "--controller", controller("kroc"))
        self.assertEqual((code, err), (0, ""))
        rows = self.rows()
        self.assertEqual([s for s, _ in rows], ["create", "churn", "roll", "restart", "failover"])
        measured = {s: (cells[1], cells[6]) for (s, _), cells in rows.items()}
        # Each write of a child is owed: two a creation, one an edit, one an instance in a roll; none by a restart but that of the edit.
        self.assertEqual(measured, {"create": ("4", "8"), "churn": ("3", "3"), "roll": ("4", "4"), "restart": ("1", "1"), "failover": ("1", "1")})
        for scenario in measured:
            lines = xml.etree.ElementTree.parse(os.path.join(self.work, scenario + ".svg")).getroot().findall("{*}polyline")
            self.assertEqual(len(lines), 1)

    def test_two_controllers_are_compared_and_the_first_leaves_nothing(self):
        args = ["--on", "sandbox", "--instances", "2", "create", "--controller", controller("one"), "--controller", controller("two")]
        code, out, err = self.run_it(*args)
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(list(self.rows()), [("create", "one"), ("create", "two")])
        self.assertEqual(len(xml.etree.ElementTree.parse(self.work + "/create.svg").getroot().findall("{*}polyline")), 2)

    def test_a_deployed_controller_is_measured_through_kubectl_and_all_is_removed(self):
        kubectl = os.path.join(BIN, "kubectl") if BIN else shutil.which("kubectl")
        if not kubectl or not os.access(kubectl, os.X_OK):
            self.skipTest("no kubectl")
        with Sandbox(KROC, "--plain", "--controller") as s:
            env = {**os.environ, "KUBECONFIG": s.kubeconfig, "PATH": os.path.dirname(kubectl) + os.pathsep + os.environ["PATH"], "HOME": self.work}
            code, out, err = self.run_it("--instances", "2", "roll", env=env)
            self.assertEqual((code, err), (0, ""))
            self.assertEqual([cells[9] for cells in self.rows().values()], ["-", "-"])
            self.assertEqual(s.request("GET", "/apis/kro.run/v1alpha1/resourcegraphdefinitions")[1]["items"], [])
            self.assertEqual(s.request("GET", "/api/v1/namespaces/kro-loadtest")[0], 404)
            names = [o["metadata"]["name"] for o in s.request("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")[1]["items"]]
            self.assertNotIn("loadtests.kro.run", names)

    def test_a_controller_that_ends_is_told(self):
        code, _, err = self.run_it("--on", "sandbox", "--timeout", "5", "--controller", "bad=false")
        self.assertEqual(code, 1)
        self.assertIn("bad ended with code 1; its log is ", err)

    def test_a_wrong_command_line_is_refused(self):
        self.assertEqual(self.run_it("--on", "sandbox", "creat")[0], 2)
        self.assertEqual(self.run_it("--instances", "0")[0], 2)
        code, _, err = self.run_it("--on", "sandbox", "--controller", "kroc")
        self.assertEqual((code, err), (1, "loadtest: --controller kroc: NAME=COMMAND is wanted\n"))

    def test_percentiles_and_ticks(self):
        values = [float(i) for i in range(1, 101)]
        self.assertEqual([report.percentile(values, p) for p in (1, 50, 95, 100)], [1, 50, 95, 100])
        self.assertEqual(report.percentile([7.0], 50), 7)
        for largest in (0.0004, 0.03, 0.99, 1, 4.2, 61, 900):
            ticks = report.ticks(largest)
            self.assertTrue(4 <= len(ticks) <= 12 and ticks[0] == 0 and ticks[-1] <= largest, (largest, ticks))
        self.assertTrue(re.fullmatch(r"14\.1 s", report.seconds(14.08)))

    def test_progress(self):
        for terminal, wanted in ((True, "\r\x1b[Kkroc create: 20 of 100, 10/s, 8 s left\r\x1b[Kkroc create: 20 of 100, 2/s, 48 s left\r\x1b[K"),
                                 (False, "kroc create: 20 of 100, 2/s, 48 s left\n")):
            now, to = [0.0], io.StringIO()
            to.isatty = lambda: terminal
            progress = report.Progress("kroc create", to, lambda: now[0])
            for now[0], done in ((0.5, 5), (2.0, 20), (2.1, 21), (12.0, 20)):
                progress.tell(done, 100)
            progress.end()
            self.assertEqual(to.getvalue(), wanted)
        to = io.StringIO()
        now[0] = 0
        progress = report.Progress("kroc create", to, lambda: now[0])
        now[0] = 11
        progress.tell(0, 100)
        self.assertEqual(to.getvalue(), "kroc create: 0 of 100\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kroc", required=True)
    parser.add_argument("--bin", default="")
    args, rest = parser.parse_known_args()
    KROC, BIN = os.path.abspath(args.kroc), args.bin
    unittest.main(argv=["loadtest_test.py", *rest], warnings="ignore")
