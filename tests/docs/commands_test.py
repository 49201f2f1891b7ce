#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands that the pages tell people to type: each one is run, or it is said here why it cannot be.

    commands_test.py --kroc PATH [--bin DIR] [--list]

A command is what stands in `backquotes`, in an indented block or in a fenced one and begins with a program of PROGRAMS;
in a block it ends at two blanks or a comment. Nothing marks it: a new command on a page is run as it stands, in the
order of the pages, in a folder that looks like this one, with kroc, kubectl, helm and a control plane that has the
example and kro's release on it. FILE, NS, NAME and "..." stand for what PLACEHOLDERS says. A command that must be run in
another way, or cannot be run, stands in EXCEPTIONS with the reason; one there that is on no page any more fails the
test, too. Exit code 77: the control plane or helm is not here.
"""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cluster"))

import controller as kroc_process  # noqa: E402
from cluster import Cluster, Failed, bin_folder, end, free_port, spawn, tail, wait_for  # noqa: E402
from controller import ROOT, Controller  # noqa: E402

SKIPPED = 77
OPTIONS = argparse.Namespace()
TIMEOUT_S = 180

# page -> the folder where its reader is
PAGES = {"README.md": ".", "examples/webapp/README.md": "examples/webapp", "docs/deploy.md": ".", "docs/doctor.md": "."}
PROGRAMS = r"(?:make|kroc|kubectl|helm|cmake|ctest|python3|dpkg|apt-get|docker|podman|kind|(?:deploy|tests)/[\w./-]+\.(?:sh|py))"
COMMAND = re.compile(PROGRAMS + r"(?![\w./-])")
NOT_YET = "## What is not there yet"  # what stands there is not for typing

PLACEHOLDERS = [(r"\bFILE\.\.\.", "examples/webapp/rgd.yaml"), (r"\bFILE\b", "examples/webapp/rgd.yaml"), (r"\bNS\b", "default"),
                (r"\bPATH\b", "examples/webapp"),
                (r"\bRGD\b", "examples/webapp/rgd.yaml"), (r"\bINSTANCE\b", "examples/webapp/instance.yaml"), (r"'EXPR'", "'1 + 1'"), (r"image\.repository=\S+", "image.repository=localhost/kroc"),
                (r"image\.tag=\S+", "image.tag=dev")]


class Not:
    """Cannot be run here, and why."""

    def __init__(self, why):
        self.why = why


class As:
    """Run with `more` behind it, or `instead` of it; `codes` are the exit codes that are right. What pages give as a choice
    is undone, or what it needs done, by commands of our own: `before`, `after`. `last`: it takes away what the
    others need."""

    def __init__(self, more="", codes=(0,), instead=None, before="", after="", last=False):
        self.more, self.codes, self.instead, self.before, self.after, self.last = more, codes, instead, before, after, last


class Serves:
    """Goes on until it is told to end: it must get so far that `check` is true, and then end well."""

    def __init__(self, more, check):
        self.more, self.check = more, check


NODES = Not("needs a node where pods run; node/story has one")
CROSS = Not("cross-builds: takes foreign packages and minutes")
# All but the CRDs and the namespace, with which everything else would go.
UNDO_STANDALONE = "kubectl delete --wait -f deploy/kustomize/standalone/rbac.yaml -f deploy/kustomize/standalone/deployment.yaml"
# kroc's Deployment with the values that kro had; kro's is gone.
UPGRADED = ("kubectl -n kro-system get deployment kroc -o jsonpath={.spec.template.spec.containers[0].args} | "
            "grep -q -e --zap-log-level=debug && [ -z \"$(kubectl -n kro-system get deployment kro --ignore-not-found -o name)\" ]")
# `make` is asked only whether it knows the target and what it would do.
DRY = As("--dry-run")

EXCEPTIONS = {
    "kubectl -n kro-system port-forward deploy/kroc 8077": NODES,
    "kubectl -n kro-system port-forward deploy/kroc 8078": NODES,
    "kubectl -n kro-system logs deploy/kroc": NODES,
    "kubectl apply -k deploy/kustomize/standalone": As(after=UNDO_STANDALONE),
    "kubectl apply -k deploy/kustomize/ha": As(after=UNDO_STANDALONE + " && kubectl -n kro-system delete pdb kroc"),
    "deploy/deploy-kind.sh --context NAME --image registry.example.com/kroc:v1": Not("needs a cluster that pulls images"),
    "deploy/packages.sh": As("--check", codes=(0, 1)),
    "python3 tests/tables.py build/dev": Not("needs the dev build; its tests run there"),
    "tests/e2e/e2e_test.py": As("--list"),
    "cmake --preset dev && cmake --build --preset dev && ctest --preset dev -R base/str": As(
        instead="cmake --list-presets=build && cmake --list-presets=test"),
    "make test TESTS=base/str": DRY,
    "dpkg --add-architecture arm64 && apt-get update": CROSS,
    "kroc doctor": As(codes=(0, 1)),
    "kroc doctor --round-trip": As("--only D03"),
    "kroc doctor --only K01,R02": As(),
    "kroc doctor --before-install": As(),
    "kroc doctor --kind NAME": As("--help"),
    "kroc tree": As("webapp/shop"),
    "kroc why webapp/shop": As("--address 127.0.0.1:{debug}"),
    "kroc top": As("--address 127.0.0.1:{metrics}"),
    "kroc top -w": Serves("--address 127.0.0.1:{metrics}", lambda t, log: "instances" in tail(log, 40)),
    "kroc generate crd FILE": As(),
    "kroc controller --namespace NS --rgd FILE": Serves(
        "--leader-elect=false --metrics-bind-address 0 --debug-bind-address 0 --health-probe-bind-address 127.0.0.1:{port}",
        lambda t, log: t.answers("/readyz")),
    "kroc controller --trace -": Serves(
        "--leader-elect=false --metrics-bind-address 0 --debug-bind-address 0 --health-probe-bind-address 127.0.0.1:{port}",
        lambda t, log: t.answers("/readyz")),
    "kroc sandbox --controller --apply PATH": Serves(
        "--kubeconfig {work}/sandbox.kubeconfig", lambda t, log: os.path.exists(os.path.join(t.work, "sandbox.kubeconfig"))),
    "kroc render -f RGD -f INSTANCE": As("--with examples/webapp/settings.yaml"),
    "kroc test FOLDER": As("--help"),
    "kroc controller --shards N": Not("a part of the whole command; e2e/shards runs it"),
    "deploy/loadtest/loadtest.py": As("--help"),
    "helm upgrade": Not("a word of helm's; the whole command stands below it"),
}
# Without these the command line cannot be told from the words around it.
PREFIXES = [("apt-get install crossbuild", CROSS), ("cmake -S . -B build/arm64", CROSS), ("cmake --build build/arm64", CROSS),
            ("deploy/image.sh --kroc build/arm64", CROSS), ("make ", DRY),
            ("helm install kroc ", As("--set fullnameOverride=own", after="helm -n kro-system uninstall kroc --wait")),
            ("helm -n kro-system upgrade kroc ", As(
                before="helm -n kro-system install kroc deploy/helm/kroc --set fullnameOverride=own",
                after="helm -n kro-system uninstall kroc --wait")),
            ("helm -n kro-system upgrade kro ", As(after=UPGRADED)),
            ("helm -n kro-system uninstall kroc", As(last=True, before=(
                "helm -n kro-system uninstall kro --wait; helm -n kro-system install kroc deploy/helm/kroc"))),
            ("kubectl delete -k deploy/crds", As(last=True)), ("kubectl delete namespace kro-system", As(last=True))]


def commands(text):
    """The commands of a page, in order, each once."""
    found, fenced, lines = [], False, text.split(NOT_YET)[0].splitlines()
    i = 0
    while i < len(lines):
        line = lines[i]
        i += 1
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            command = line.strip()
            while command.endswith("\\") and i < len(lines):
                command = command[:-1].rstrip() + " " + lines[i].strip()
                i += 1
            command = re.split(r"\s{2,}|\s#\s", command)[0]
            if COMMAND.match(command):
                found.append(command)
        else:
            found += [c for c in re.findall(r"(?<!`)`([^`]+)`(?!`)", line) if COMMAND.match(c)]
    return list(dict.fromkeys(found))


def how(command):
    """What EXCEPTIONS say about it; As() when they say nothing."""
    if command in EXCEPTIONS:
        return EXCEPTIONS[command]
    for prefix, what in PREFIXES:
        if command.startswith(prefix):
            return what
    return As()


def all_commands():
    found = {}
    for page in PAGES:
        with open(os.path.join(ROOT, OPTIONS.readme if page == "README.md" else page)) as f:
            for command in commands(f.read()):
                found.setdefault(command, page)
    return found


class Commands(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(OPTIONS.bin, controllers=True)
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()
        cls.folder()
        cls.kro_is_installed()
        cls.cluster.kubectl("apply", "-k", os.path.join(ROOT, "deploy", "crds"))
        cls.ports = {"debug": free_port(), "metrics": free_port()}
        cls.kroc = Controller(OPTIONS.kroc, cls.cluster, args=[
            "--debug-bind-address", f"127.0.0.1:{cls.ports['debug']}", "--metrics-bind-address", f"127.0.0.1:{cls.ports['metrics']}"])
        cls.addClassCleanup(cls.kroc.stop, check=False)
        cls.kroc.start()
        example = os.path.join(ROOT, "examples", "webapp")
        cls.cluster.kubectl("apply", "-f", f"{example}/settings.yaml", "-f", f"{example}/rgd.yaml")
        cls.cluster.kubectl("wait", "--for=condition=Ready", "rgd/webapp", "--timeout=60s")
        cls.cluster.kubectl("apply", "-f", f"{example}/instance.yaml")
        cls.cluster.kubectl("wait", "--for=jsonpath={.status.state}=ACTIVE", "webapp/shop", "--timeout=60s")
        cls.play_the_node()

    @classmethod
    def folder(cls):
        """A folder that looks like this one, where commands may write; kroc, kubectl and helm in a PATH."""
        cls.work = tempfile.mkdtemp(prefix="kroc-docs-")
        cls.addClassCleanup(shutil.rmtree, cls.work, ignore_errors=True)
        cls.tree, tools = os.path.join(cls.work, "tree"), os.path.join(cls.work, "bin")
        os.makedirs(os.path.join(cls.tree, "build"))
        os.makedirs(tools)
        for name in os.listdir(ROOT):
            if name not in ("build", ".git", "__pycache__"):
                os.symlink(os.path.join(ROOT, name), os.path.join(cls.tree, name))
        os.symlink(os.path.join(ROOT, "examples", "webapp", "rgd.yaml"), os.path.join(cls.tree, "rgd.yaml"))
        for name, path in (("kroc", OPTIONS.kroc), ("kubectl", os.path.join(OPTIONS.bin, "kubectl")), ("helm", OPTIONS.helm)):
            os.symlink(path, os.path.join(tools, name))
        cls.env = {**os.environ, "PATH": tools + os.pathsep + os.environ["PATH"], "KUBECONFIG": cls.cluster.kubeconfig(),
                   "HOME": cls.work, "MAKEFLAGS": "", "KUBECACHEDIR": cls.cluster.path("kubectl-cache")}

    @classmethod
    def kro_is_installed(cls):
        """A release as kro's chart leaves one: name, namespace, its values, a Deployment of its name."""
        chart = os.path.join(cls.work, "kro")
        os.makedirs(os.path.join(chart, "templates"))
        for name, text in (("Chart.yaml", "apiVersion: v2\nname: kro\nversion: 0.9.4\n"), ("values.yaml", "config: {logLevel: info}\n"),
                           ("templates/deployment.yaml", """apiVersion: apps/v1
kind: Deployment
metadata: {name: kro}
spec:
  replicas: 1
  selector: {matchLabels: {app: kro}}
  template:
    metadata: {labels: {app: kro}}
    spec: {containers: [{name: kro, image: "localhost/kro:none"}]}
""")):
            with open(os.path.join(chart, name), "w") as f:
                f.write(text)
        done = subprocess.run([OPTIONS.helm, "install", "kro", chart, "-n", "kro-system", "--create-namespace", "--set",
                               "config.logLevel=debug"], capture_output=True, text=True, env=cls.env)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)

    @classmethod
    def play_the_node(cls):
        """No node runs the Jobs of the chart's hooks: their pods are said to have succeeded."""
        over = threading.Event()

        def play():
            while not over.wait(0.3):
                code, pods = cls.cluster.call("GET", "/api/v1/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dhook")
                for pod in pods["items"] if code == 200 else []:
                    if pod["status"].get("phase") == "Pending":
                        meta = pod["metadata"]
                        cls.cluster.call("PATCH", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status",
                                         {"status": {"phase": "Succeeded"}}, content_type="application/merge-patch+json")

        thread = threading.Thread(target=play, daemon=True)
        thread.start()
        cls.addClassCleanup(thread.join)
        cls.addClassCleanup(over.set)

    def answers(self, path):
        code = subprocess.run(["python3", "-c", "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=3)",
                               f"http://127.0.0.1:{self.port}{path}"], capture_output=True).returncode
        return code == 0

    def line(self, command, words):
        """What a shell gets."""
        text = words.instead if getattr(words, "instead", None) else f"{command} {words.more}".strip()
        self.port = free_port()
        text = text.replace("{port}", str(self.port)).replace("{work}", self.work)
        for name, port in self.ports.items():
            text = text.replace("{%s}" % name, str(port))
        if not getattr(words, "instead", None):
            for pattern, by in PLACEHOLDERS:
                text = re.sub(pattern, by, text)
        return text

    def run_one(self, command, words, cwd):
        text = self.line(command, words)
        if isinstance(words, Serves):
            return self.serve_one(text, words, cwd)
        for part, codes in ((words.before, (0,)), (text, words.codes), (words.after, (0,))):
            done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", part], cwd=cwd, env=self.env, capture_output=True, text=True,
                                  timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
            self.assertIn(done.returncode, codes, f"{part}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")

    def serve_one(self, text, words, cwd):
        log = os.path.join(self.work, "serves.log")
        open(log, "w").close()
        process = spawn(["sh", "-c", "exec " + text], log, cwd=cwd, env=self.env)
        try:
            def check():
                if process.poll() is not None:
                    raise AssertionError(f"{text}: ended with {process.returncode}:\n{tail(log)}")
                return words.check(self, log)

            wait_for(text, check, 60)
            process.send_signal(signal.SIGINT)
            process.wait(30)
        finally:
            end(process, kill=True)
        self.assertIn(process.returncode, (0, 130, -signal.SIGINT), f"{text}:\n{tail(log)}")

    def test_a_command_that_fails_is_seen(self):
        for wrong in ("kroc nonsense", "kroc validate nowhere.yaml | cat", "make nonsense", "kubectl apply -f nowhere.yaml"):
            with self.assertRaises(AssertionError):
                self.run_one(wrong, how(wrong), self.tree)

    def test_commands_of_the_pages(self):
        told = []
        for command, page in sorted(all_commands().items(), key=lambda c: getattr(how(c[0]), "last", False)):
            words = how(command)
            if isinstance(words, Not):
                told.append(f"not run: {command}: {words.why}")
                continue
            with self.subTest(page=page, command=command):
                self.run_one(command, words, os.path.join(self.tree, PAGES[page]))
                told.append(f"ran: {command}")
        print("\n" + "\n".join(told), flush=True)


class Pages(unittest.TestCase):
    def test_every_exception_is_on_a_page(self):
        on_pages = all_commands()
        self.assertEqual([c for c in EXCEPTIONS if c not in on_pages], [])
        self.assertEqual([p for p, _ in PREFIXES if not any(c.startswith(p) for c in on_pages)], [])

    def test_commands_are_found(self):
        text = ("Say `kroc x` and `words`.\n\n    make a   what it does\n    other b\n    kroc long \\\n        more\n\n"
                "```sh\nkubectl c  # why\n```\n| `helm d` | `kroc x` |\n" + NOT_YET + "\n`kroc later`\n")
        self.assertEqual(commands(text), ["kroc x", "make a", "kroc long more", "kubectl c", "helm d"])
        self.assertEqual([type(how(c)) for c in ("kroc nonsense", "dpkg --add-architecture arm64 && apt-get update")], [As, Not])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kroc", help="the program; build/release/kroc when not given")
    parser.add_argument("--bin", help="folder with the control plane; else KROC_CLUSTER_BIN or what build.sh made")
    parser.add_argument("--list", action="store_true", help="print the commands, run none")
    parser.add_argument("--readme", default="README.md", help="another README")
    parser.parse_args(namespace=OPTIONS)
    if OPTIONS.list:
        for command, page in all_commands().items():
            words = how(command)
            print(f"{page}: {command}" + (f"  (not run: {words.why})" if isinstance(words, Not) else ""))
        return 0
    helm = subprocess.run([os.path.join(ROOT, "tests", "deploy", "helm", "build.sh"), "--where"], capture_output=True, text=True)
    try:
        OPTIONS.kroc = kroc_process.program(OPTIONS.kroc)
    except Failed as e:
        print(f"commands_test: {e}", file=sys.stderr)
        return 1
    try:
        OPTIONS.bin = bin_folder(OPTIONS.bin)
        OPTIONS.helm = helm.stdout.strip()
        if helm.returncode != 0:
            raise Failed("no helm; build it with tests/deploy/helm/build.sh")
    except Failed as e:
        print(f"commands_test: skipped: {e}", file=sys.stderr)
        return SKIPPED
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(c) for c in (Pages, Commands))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
