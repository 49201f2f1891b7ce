#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`kroc sandbox` and `kroc demo` as a user starts them.

    sandbox_test.py --kroc PATH
"""
import argparse
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "sandbox"))
from sandbox import Sandbox  # noqa: E402

EXAMPLE = os.path.join(ROOT, "examples", "webapp")
SHOP = "/apis/kro.run/v1alpha1/namespaces/default/webapps/shop"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/shop"
KROC = ""


def until(what, ask, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = ask()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


def state(s):
    status, body = s.request("GET", SHOP)
    return body.get("status", {}).get("state") if status == 200 else None


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write(text)
    return path


class WithController(unittest.TestCase):
    def test_a_folder_is_applied_and_becomes_active(self):
        with Sandbox(KROC, "--plain", "--controller", "--apply", EXAMPLE) as s:
            until("ACTIVE", lambda: state(s) == "ACTIVE")
            self.assertEqual(s.request("GET", DEPLOYMENT)[0], 200)

    def test_it_becomes_active_though_each_seventh_request_fails(self):
        with Sandbox(KROC, "--controller", "--plain", "--fault", "every=7,status=500", "--apply", EXAMPLE) as s:
            def active():
                status, body = s.request("GET", SHOP)
                return status == 200 and body.get("status", {}).get("state") == "ACTIVE"
            until("ACTIVE", active, 120)

    def test_a_controller_that_ends_by_itself_ends_it(self):
        with tempfile.TemporaryDirectory() as d:
            p = subprocess.Popen([KROC, "sandbox", "--controller", "--kubeconfig", d + "/c"], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
            p.stdout.readline()
            children = f"/proc/{p.pid}/task/{p.pid}/children"
            child = until("a child", lambda: open(children).read().split())
            os.kill(int(child[0]), signal.SIGKILL)
            _, errors = p.communicate(timeout=60)
            self.assertEqual(p.returncode, 1)
            self.assertIn("kroc: the controller has ended by itself", errors)


class Alone(unittest.TestCase):
    def test_apiserver_only_does_nothing_by_itself(self):
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "11111111-1111-1111-1111-111111111111"}
        maps = "/api/v1/namespaces/default/configmaps"
        for cluster, left in (("full", 404), ("apiserver-only", 200)):
            with Sandbox(KROC, "--plain", "--cluster", cluster) as s:
                self.assertEqual(s.request("POST", maps, {"metadata": {"name": "b", "ownerReferences": [owner]}})[0], 201)
                self.assertEqual(s.request("POST", maps, {"metadata": {"name": "c"}})[0], 201)
                until("as it should be", lambda: s.request("GET", maps + "/b")[0] == left)
                self.assertEqual(s.request("GET", maps + "/c")[0], 200)
                self.assertEqual(s.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")[0], 200 if left == 404 else 404)

    def test_an_unknown_cluster_is_refused_with_the_right_words(self):
        p = subprocess.run([KROC, "sandbox", "--cluster", "fulll"], capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 2)
        self.assertIn("full", p.stderr)

    def test_answers_are_delayed_on_purpose(self):
        with Sandbox(KROC, "--plain", "--fault", "delay=50ms") as s:
            before = time.monotonic()
            self.assertEqual(s.request("GET", "/readyz")[0], 200)
            self.assertGreaterEqual(time.monotonic() - before, 0.045)

    def test_a_fault_that_is_none_is_refused(self):
        for fault in ("every=0", "cut", "delay=1h", "delay=50", "status=200", "status=500", "of=GET", "", "every=2,,"):
            p = subprocess.run([KROC, "sandbox", "--fault", fault], capture_output=True, text=True, timeout=60)
            self.assertEqual((p.returncode, p.stdout), (2, ""))
            self.assertIn(f'fault "{fault}"', p.stderr)

    def test_the_kubeconfig_is_for_its_owner_alone_and_goes_with_it(self):
        with Sandbox(KROC) as s:
            self.assertEqual(stat.S_IMODE(os.stat(s.kubeconfig).st_mode), 0o600)
        with tempfile.TemporaryDirectory() as d:
            p = subprocess.Popen([KROC, "sandbox"], stdout=subprocess.PIPE, text=True, env={**os.environ, "XDG_RUNTIME_DIR": d})
            path = re.fullmatch(r"KUBECONFIG=(.*)\n", p.stdout.readline()).group(1)
            self.assertEqual(os.path.dirname(path), d)
            self.assertTrue(os.path.exists(path))
            p.terminate()
            self.assertEqual((p.wait(60), p.stdout.read()), (0, ""))
            p.stdout.close()
            self.assertFalse(os.path.exists(path))

    def test_what_is_refused_is_said_and_the_exit_code_tells(self):
        with tempfile.TemporaryDirectory() as d:
            path = write(d, "bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Big}\n")
            p = subprocess.Popen([KROC, "sandbox", "--kubeconfig", d + "/c", "--apply", path], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
            p.stdout.readline()
            line = p.stderr.readline()
            self.assertTrue(line.startswith(f'kroc: {path}: ConfigMap Big: ConfigMap "Big" is invalid'), line)
            p.terminate()
            p.communicate(timeout=60)
            self.assertEqual(p.returncode, 1)

    def test_a_file_that_is_not_there_ends_it_before_it_serves(self):
        p = subprocess.run([KROC, "sandbox", "--apply", "/nowhere"], capture_output=True, text=True, timeout=60)
        self.assertEqual((p.returncode, p.stdout, p.stderr), (1, "", "kroc: no file or folder /nowhere\n"))

    def refused(self, path, word):
        p = subprocess.run([KROC, "sandbox", "--save", path], capture_output=True, text=True, timeout=60)
        self.assertEqual((p.returncode, p.stdout), (1, ""))
        self.assertIn(word, p.stderr)
        self.assertEqual(p.stderr.count("\n"), 1, p.stderr)

    def test_it_does_not_start_on_a_broken_save_and_leaves_it_as_it_is(self):
        with tempfile.TemporaryDirectory() as d:
            with Sandbox(KROC, "--save", d + "/good"):
                pass
            good = open(d + "/good").read()
            for text in ("{", "", "my notes", "[1]", good[:1000], good[:good[:-1].rindex("\n") + 1]):
                path = write(d, "saved", text)
                self.refused(path, path)
                self.assertEqual(open(path).read(), text)
            self.assertEqual(sorted(os.listdir(d)), ["good", "saved"])

    def test_it_does_not_start_where_nothing_can_be_saved(self):
        self.refused("/nowhere/saved", "/nowhere/saved")
        with tempfile.TemporaryDirectory() as d:
            self.refused(d, "not a regular file")
            os.mkfifo(d + "/pipe")
            self.refused(d + "/pipe", "not a regular file")

    def test_a_file_is_saved_to_by_one_at_a_time_and_through_a_link(self):
        with tempfile.TemporaryDirectory() as d:
            with Sandbox(KROC, "--save", d + "/saved"):
                os.symlink(d + "/saved", d + "/link")
                self.refused(d + "/saved", "another kroc sandbox")
                self.refused(d + "/link", "another kroc sandbox")
            with Sandbox(KROC, "--save", d + "/link"):
                pass
            self.assertTrue(os.path.islink(d + "/link"))

    def test_versions_do_not_come_again_after_a_crash(self):
        maps = "/api/v1/namespaces/default/configmaps"
        with tempfile.TemporaryDirectory() as d:
            s = Sandbox(KROC, "--plain", "--save", d + "/saved")
            s.__enter__()
            for i in range(50):
                _, last = s.request("POST", maps, {"metadata": {"name": f"m{i}"}})
            s.process.kill()
            s.process.wait()
            s.process.stdout.close()
            s.work.cleanup()
            last = last["metadata"]["resourceVersion"]
            with Sandbox(KROC, "--plain", "--save", d + "/saved") as s:
                self.assertGreater(int(s.request("GET", maps)[1]["metadata"]["resourceVersion"]), int(last))
                self.assertEqual(s.request("GET", f"{maps}?watch=1&timeoutSeconds=1&resourceVersion={last}")[1]["code"], 410)

    def test_a_save_that_failed_is_tried_again(self):
        with tempfile.TemporaryDirectory() as d:
            s = Sandbox(KROC, "--plain", "--save", d + "/saved")
            s.__enter__()
            os.mkdir(d + "/saved.new")  # as good as a full disk
            self.assertEqual(s.request("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "late"}})[0], 201)
            time.sleep(2.2)
            os.rmdir(d + "/saved.new")
            s.__exit__(None)
            with open(d + "/saved") as f:
                self.assertIn('"name":"late"', f.read())

    def test_a_terminal_that_goes_away_ends_it_in_order(self):
        with tempfile.TemporaryDirectory() as d:
            with Sandbox(KROC, "--plain", "--save", d + "/saved") as s:
                s.request("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "late"}})
                s.process.send_signal(signal.SIGHUP)
                self.assertEqual(s.process.wait(20), 0)
            with open(d + "/saved") as f:
                self.assertIn('"name":"late"', f.read())

    def test_numbers_out_of_range_are_usage_errors(self):
        for option, value, says in (("--port", "70000", "--port takes a number from 0 to 65535"),
                                    ("--port", "x", "--port takes a number from 0 to 65535"),
                                    ("--ready-after", "5s", "--ready-after takes milliseconds from 1 to 86400000"),
                                    ("--ready-after", "0", "--ready-after takes milliseconds from 1 to 86400000"),
                                    ("--ready-after", "99999999999", "--ready-after takes milliseconds from 1 to 86400000")):
            p = subprocess.run([KROC, "sandbox", option, value], capture_output=True, text=True, timeout=60)
            self.assertEqual((p.returncode, p.stdout), (2, ""))
            self.assertIn(says, p.stderr)

    def test_a_fault_of_a_method_that_is_none_is_refused(self):
        p = subprocess.run([KROC, "sandbox", "--fault", "delay=5ms,of=nope"], capture_output=True, text=True, timeout=60)
        self.assertEqual((p.returncode, p.stdout), (2, ""))
        self.assertIn('fault "delay=5ms,of=nope"', p.stderr)


class Demo(unittest.TestCase):
    def test_the_example_is_active_and_an_edit_costs_one_patch_and_one_status(self):
        p = subprocess.run([KROC, "demo", "--once", EXAMPLE], capture_output=True, text=True, timeout=120)
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        self.assertRegex(p.stdout, r"WebApp shop is ACTIVE, \d+ ms after the start\n")
        story = p.stdout[p.stdout.index("because of that:"):p.stdout.index("That was all")]
        self.assertEqual(re.findall(r"ms +(\S+) +(\S+) +(\d+)\n", story),
                         [("PATCH", "deployments/shop", "200"), ("PUT", "webapps/shop/status", "200")])
        self.assertIn("because   settings.metadata.resourceVersion (configmaps settings) changed", p.stdout)

    def test_ctrl_c_ends_it(self):
        p = subprocess.Popen([KROC, "demo", EXAMPLE], stdout=subprocess.PIPE, text=True)
        for line in p.stdout:
            if line.startswith("  export KUBECONFIG="):
                break
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(60), 0)
        p.stdout.close()

    def test_an_example_that_is_refused_is_said(self):
        with tempfile.TemporaryDirectory() as d:
            write(d, "x.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Big}\n")
            p = subprocess.run([KROC, "demo", "--once", d], capture_output=True, text=True, timeout=60)
            self.assertEqual(p.returncode, 1)
            self.assertIn("ConfigMap Big", p.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kroc", required=True)
    args, rest = parser.parse_known_args()
    KROC = args.kroc
    unittest.main(argv=["sandbox_test.py", *rest], warnings="ignore")
