#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`kroc get -w` and `kroc top -w`: a look that fails is told, and the next one comes. A long list tells how far it is.

    look_test.py --kroc PATH
"""
import argparse
import http.server
import json
import os
import pty
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "sandbox"))
from sandbox import Sandbox  # noqa: E402

EXAMPLE = os.path.join(ROOT, "examples", "webapp")
KROC = ""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def line_with(stream, words):
    """Reads until there is such a line; the test's own limit ends a wait that is in vain."""
    for line in stream:
        if words in line:
            return line
    raise AssertionError(f"it ended, and there was no {words!r}")


class Looks:
    """A kroc that goes on looking."""

    def __init__(self, *words):
        self.process = subprocess.Popen([KROC, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self.process

    def __exit__(self, *exc):
        self.process.kill()
        self.process.communicate()


class Get(unittest.TestCase):
    def test_a_server_that_goes_and_comes_back(self):
        how = ("--plain", "--controller", "--port", str(free_port()), "--apply", EXAMPLE)
        with Sandbox(KROC, *how) as first:
            kubeconfig = first.work.name + ".config"
            with open(first.kubeconfig) as f, open(kubeconfig, "w") as to:
                to.write(f.read())
            self.addCleanup(os.unlink, kubeconfig)
            looks = Looks("get", "rgd", "-w", "--kubeconfig", kubeconfig)
            self.addCleanup(looks.__exit__)
            line_with(looks.process.stdout, "webapp")
        self.assertIn("next look in 2 s", line_with(looks.process.stderr, "kroc: "))
        with Sandbox(KROC, *how):
            for _ in range(3):
                line_with(looks.process.stdout, "webapp")
        self.assertIsNone(looks.process.poll())

    def test_the_first_look_must_not_fail(self):
        kubeconfig = os.path.join(ROOT, "no-such-file")
        p = subprocess.run([KROC, "get", "-w", "--kubeconfig", kubeconfig], capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 1)


class Stub:
    """A server with these answers, path -> (status, object); what is not among them is not there. Gives a kubeconfig."""

    def __init__(self, answers):
        class Answers(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, obj = answers.get(self.path.split("?")[0], (404, {"kind": "Status", "reason": "NotFound", "message": "not found"}))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(obj).encode())

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.file = tempfile.NamedTemporaryFile("w", suffix=".config")
        self.file.write(f"""{{apiVersion: v1, kind: Config, current-context: c, users: [],
            clusters: [{{name: c, cluster: {{server: "http://127.0.0.1:{self.server.server_port}"}}}}],
            contexts: [{{name: c, context: {{cluster: c}}}}]}}""")
        self.file.flush()

    def __enter__(self):
        return self.file.name

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()
        self.file.close()


class Refused(unittest.TestCase):
    RGDS = "/apis/kro.run/v1alpha1/resourcegraphdefinitions"
    RGD = {"items": [{"metadata": {"name": "a"}, "spec": {"schema": {"apiVersion": "v1alpha1", "kind": "Error404"}}}]}

    def get(self, answers):
        with Stub({self.RGDS: (200, self.RGD), **answers}) as kubeconfig:
            return subprocess.run([KROC, "get", "error404", "--kubeconfig", kubeconfig], capture_output=True, text=True, timeout=60)

    def test_what_may_not_be_listed_is_not_nothing(self):
        p = self.get({"/apis/kro.run/v1alpha1/error404s": (403, {"kind": "Status", "reason": "Forbidden", "message": "no"})})
        self.assertEqual((p.returncode, p.stdout), (1, ""))
        self.assertIn("403", p.stderr)

    def test_a_kind_that_is_not_served_yet_has_no_instances(self):
        p = self.get({})
        self.assertEqual((p.returncode, p.stdout, p.stderr), (0, "there are none\n", ""))


class Progress(unittest.TestCase):
    """Three pages of definitions, each of which takes its time."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        with open(cls.folder.name + "/rgds.yaml", "w") as f:
            f.write(subprocess.run([KROC, "crds"], capture_output=True, text=True, check=True, timeout=60).stdout)
            for i in range(1100):
                f.write("---\n{apiVersion: kro.run/v1alpha1, kind: ResourceGraphDefinition, metadata: {name: d%d},"
                        " spec: {schema: {apiVersion: v1alpha1, kind: D%d}}}\n" % (i, i))

    def get(self, delay_ms, terminal):
        """(lines on stdout, what was on stderr)"""
        with Sandbox(KROC, "--plain", "--apply", self.folder.name, "--fault", f"delay={delay_ms}ms,of=GET") as s:
            ours, theirs = pty.openpty() if terminal else os.pipe()
            self.addCleanup(os.close, ours)
            p = subprocess.run([KROC, "get", "rgd", "--kubeconfig", s.kubeconfig], stdout=subprocess.PIPE, text=True,
                               stderr=theirs, timeout=60)
            os.write(theirs, b"\x01")  # the end: a terminal gives what it has piece by piece
            said = b""
            while not said.endswith(b"\x01"):
                said += os.read(ours, 65536)
            os.close(theirs)
            self.assertEqual(p.returncode, 0)
        return p.stdout.splitlines(), said[:-1].decode()

    def test_on_a_terminal_one_line_that_goes_again(self):
        lines, said = self.get(700, True)
        self.assertEqual(len(lines), 1 + 1100)
        self.assertRegex(said, r"\r\x1b\[Kkroc: resourcegraphdefinitions: 1000 of 1100, \d+/s, 1 s left")
        self.assertTrue(said.endswith("\r\x1b[K"), repr(said))
        self.assertNotIn("\n", said)

    def test_elsewhere_a_plain_line_now_and_then(self):
        lines, said = self.get(2600, False)
        self.assertEqual(len(lines), 1 + 1100)
        self.assertRegex(said, r"^kroc: resourcegraphdefinitions: 1000 of 1100, \d+/s, 1 s left\n$")
        self.assertEqual(self.get(1, False)[1], "")


class Top(unittest.TestCase):
    def test_a_controller_that_is_rolled(self):
        answers = [(200, 1000), (500, 0), (200, 40), (200, 60)]  # the second process counts anew

        class Metrics(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, n = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b"kroc_requests_total %d\n" % n)

            def log_message(self, *words):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        with Looks("top", "-w", "--address", f":{server.server_port}") as top:
            self.assertRegex(line_with(top.stdout, "requests"), r"requests +1000 *\n")
            self.assertIn("next look in 2 s", line_with(top.stderr, "next look"))
            now, rate = line_with(top.stdout, "requests").split()[1:3]
            self.assertEqual(now, "40")
            self.assertTrue(0 < float(rate) <= 10, rate)  # of 4 s, not of 2
            self.assertTrue(0 < float(line_with(top.stdout, "requests").split()[2]) <= 10)


def main():
    global KROC
    p = argparse.ArgumentParser()
    p.add_argument("--kroc", required=True)
    options, rest = p.parse_known_args()
    KROC = options.kroc
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
