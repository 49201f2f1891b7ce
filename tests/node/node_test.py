#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""On a real node: the image in a pod, installed by its chart, does its work with pods that run.

    node_test.py --kroc PATH [--bin DIR] [--list]

One story in order: install, an example whose pods roll when a ConfigMap changes (exactly once, and nothing else), the
controller's pod replaced, the release upgraded, all deleted; each step begins where the one before ended, so after a
failure the rest is not tried. node.py says what runs where. Needs root and `deploy/packages.sh --node`,
tests/node/build.sh and tests/deploy/helm/build.sh. Exit code 77: something of that is not here, or the host allows no
containers; with CI=true what is not here is a failure.
"""
import argparse
import os
import shutil
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE] + [os.path.join(os.path.dirname(HERE), x) for x in ("cluster", "e2e")]

import controller as kroc_process  # noqa: E402
from cluster import Failed, bin_folder, wait_for  # noqa: E402
from controller import ROOT  # noqa: E402
from e2e_test import Aggregation  # noqa: E402
from node import CNI_BIN, SLOW_S, Forbidden, Node, inside, one_file_image, pod_program  # noqa: E402

SKIPPED = 77
CHART = os.path.join(ROOT, "deploy", "helm", "kroc")
CRDS = os.path.join(ROOT, "deploy", "crds")
EXAMPLE = os.path.join(ROOT, "examples", "webapp")
SYSTEM, NS = "kro-system", "shop"
WEB = "localhost/web:test"
QUIET_S = 3
OPTIONS = argparse.Namespace()

RELEASE = ["image.repository=localhost/kroc", "image.tag=dev", "image.pullPolicy=Never", "fullnameOverride=kroc",
           "rbac.mode=aggregation", "config.allowCRDDeletion=true", "doctor.hook=true"]
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NS}/deployments/shop"
WEBAPP = f"/apis/kro.run/v1alpha1/namespaces/{NS}/webapps/shop"
SETTINGS = f"/api/v1/namespaces/{NS}/configmaps/settings"
CHILDREN = (DEPLOYMENT, f"/api/v1/namespaces/{NS}/services/shop", f"/api/v1/namespaces/{NS}/configmaps/shop-page")
# What comes and goes by itself.
RESTLESS = {"events", "nodes", "componentstatuses"}


class Story(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node(OPTIONS.inside, OPTIONS.node_bin, OPTIONS.bin)
        cls.addClassCleanup(cls.node.stop)
        try:
            cls.node.start()
            cls.node.import_image(os.path.join(OPTIONS.inside, "kroc.tar"))
            cls.node.import_image(one_file_image(cls.node.path("web.tar"), WEB, cls.node.path("pod"), ["serve"]))
            for ns in (SYSTEM, NS):
                cls.node.ask("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns}})
                wait_for("the namespace has its account", lambda: cls.node.find(
                    f"/api/v1/namespaces/{ns}/serviceaccounts/default"), SLOW_S)
                wait_for("the namespace has the server's certificate", lambda: cls.node.find(
                    f"/api/v1/namespaces/{ns}/configmaps/kube-root-ca.crt"), SLOW_S)
        except BaseException:
            print(cls.node.story(), file=sys.stderr)
            raise
        cls.before = cls.everything()
        cls.sandboxes = set(cls.node.containers())

    # --- the steps, in order -----------------------------------------------------------------------------------

    def test_1_the_chart_makes_a_pod_that_becomes_ready(self):
        self.helm("install", "kroc", CHART, "--wait", "--timeout", f"{SLOW_S}s", *sets(*RELEASE))
        pod, = self.controller_pods()
        self.assertTrue(ready(pod), pod["status"])
        self.assertNotEqual(pod["status"]["podIP"], pod["status"]["hostIP"])
        security = pod["spec"]["containers"][0]["securityContext"]
        self.assertTrue(security["readOnlyRootFilesystem"] and security["runAsNonRoot"])
        # The doctor's hook has run in a pod before the rest, found nothing, and is gone.
        self.assertEqual(self.node.get(f"/apis/batch/v1/namespaces/{SYSTEM}/jobs")["items"], [])
        with open(os.path.join(EXAMPLE, "rgd.yaml")) as f:
            rgd = f.read()
        rights = kroc_process.run(OPTIONS.kroc, "rbac", "-f", os.path.join(EXAMPLE, "rgd.yaml"))
        self.assertEqual(rights.returncode, 0, rights.stderr)
        self.node.kubectl("apply", "-f", "-", stdin=rights.stdout)
        wait_for("the cluster has put the role together", lambda: any("webapps" in r["resources"] for r in self.node.get(
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/kroc:controller")["rules"] or []), SLOW_S)
        type(self).mark = self.node.mark()
        self.node.kubectl("apply", "-f", "-", stdin=rgd)
        self.node.kubectl("wait", "--for=condition=Ready", "rgd/webapp", f"--timeout={SLOW_S}s")

    def test_2_pods_run(self):
        self.node.kubectl("apply", "-n", NS, "-f", os.path.join(EXAMPLE, "settings.yaml"))
        self.node.apply({"apiVersion": "kro.run/v1alpha1", "kind": "WebApp", "metadata": {"name": "shop", "namespace": NS},
                         "spec": {"image": WEB, "replicas": 2, "greeting": "hello"}})
        self.node.apply(bystander())
        pods = self.rolled_out("shop", 2)
        for pod in pods:
            self.assertEqual(self.node.ask_pod(pod).strip(), "blue <h1>hello</h1>")
        self.rolled_out("bystander", 1)
        self.assertEqual(self.node.get(WEBAPP)["status"]["state"], "ACTIVE")

    def test_3_an_edit_of_the_configmap_rolls_the_pods_once_and_nothing_else(self):
        self.at_rest()
        old, others = self.rolled_out("shop", 2), self.rolled_out("bystander", 1)
        kept = [self.node.get(path)["metadata"]["resourceVersion"] for path in CHILDREN[1:]]
        generation = self.node.get(DEPLOYMENT)["metadata"]["generation"]
        mark = self.node.mark()
        self.node.patch(SETTINGS, {"data": {"COLOUR": "green"}})
        wait_for("the Deployment rolls", lambda: self.node.get(DEPLOYMENT)["metadata"]["generation"] > generation, SLOW_S)
        new = self.rolled_out("shop", 2)
        self.assertEqual(uids(old) & uids(new), set(), "every pod is replaced")
        for pod in new:
            self.assertEqual(self.node.ask_pod(pod).strip(), "green <h1>hello</h1>")
        rows = self.at_rest(mark)
        writes = [f"{r.verb} {r.resource}{'/status' if r.status else ''}" for r in rows if r.writes]
        self.assertEqual(sorted(writes), ["patch deployments", "update webapps/status"], "\n".join(map(str, rows)))
        self.assertEqual(self.node.get(DEPLOYMENT)["metadata"]["generation"], generation + 1)
        self.assertEqual(len(self.of("replicasets", "shop")), 2, "one roll: the old ReplicaSet and the new one")
        self.assertEqual(kept, [self.node.get(path)["metadata"]["resourceVersion"] for path in CHILDREN[1:]])
        self.assertEqual(uids(others), uids(self.rolled_out("bystander", 1)), "who does not read it keeps its pod")

    def test_4_a_new_controller_pod_rewrites_nothing(self):
        old, = self.controller_pods()
        pods = self.rolled_out("shop", 2)
        mark = self.node.mark()
        self.node.delete(f"/api/v1/namespaces/{SYSTEM}/pods/{old['metadata']['name']}")
        wait_for("another pod is ready", lambda: [p for p in self.controller_pods() if ready(p)
                                                  and p["metadata"]["uid"] != old["metadata"]["uid"]], SLOW_S)
        self.rewrote_nothing(mark, pods)

    def test_5_an_upgrade_rewrites_nothing(self):
        """With the hooks: the doctor again, and the Job that brings the CRDs up to date."""
        pods = self.rolled_out("shop", 2)
        mark = self.node.mark()
        self.helm("upgrade", "kroc", CHART, "--wait", "--timeout", f"{SLOW_S}s", "--reset-then-reuse-values",
                  *sets("deployment.replicaCount=2", "config.logLevel=debug"))
        wait_for("two new pods are ready, the old one is gone",
                 lambda: len(self.controller_pods()) == 2 and all(map(ready, self.controller_pods())), SLOW_S)
        for pod in self.controller_pods():
            self.assertIn("--zap-log-level=debug", pod["spec"]["containers"][0]["args"])
        self.assertEqual(self.node.get(f"/apis/batch/v1/namespaces/{SYSTEM}/jobs")["items"], [])
        self.rewrote_nothing(mark, pods)

    def test_6_deletion_leaves_nothing(self):
        self.node.kubectl("-n", NS, "delete", "webapp/shop", f"--timeout={SLOW_S}s")
        for path in CHILDREN:
            self.assertIsNone(self.node.find(path))
        self.assertIsNotNone(self.node.find(SETTINGS), "what was only read stays")
        wait_for("the pods have ended", lambda: not self.of("pods", "shop"), SLOW_S)
        self.node.kubectl("delete", "rgd/webapp", f"--timeout={SLOW_S}s")
        wait_for("the generated CRD is gone", lambda: not self.node.find(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/webapps.kro.run"), SLOW_S)
        refused = [str(r) for r in self.node.requests("standalone", self.mark)
                   if r.code in (401, 403) and (r.writes or r.resource not in Aggregation.LOOKS)]
        self.assertEqual(refused, [], "the rights of the chart and of `kroc rbac` suffice")

    def test_7_uninstalling_leaves_nothing(self):
        # Without --wait: see forget_role.
        self.helm("uninstall", "kroc")
        wait_for("the controller's pods have ended", lambda: not self.controller_pods(), SLOW_S)
        rights = kroc_process.run(OPTIONS.kroc, "rbac", "-f", os.path.join(EXAMPLE, "rgd.yaml"))
        self.node.kubectl("delete", "-f", "-", stdin=rights.stdout)
        self.node.delete(f"/apis/apps/v1/namespaces/{NS}/deployments/bystander")
        self.node.delete(SETTINGS)
        # helm never deletes CRDs, and a Lease is of nobody: these are what docs/deploy.md says is left.
        self.node.kubectl("delete", "-k", CRDS, f"--timeout={SLOW_S}s")
        self.node.kubectl("-n", SYSTEM, "delete", "lease", "--all")

        def left():
            self.forget_role()
            more = self.everything() - self.before
            if more:
                raise Failed("left: " + ", ".join(sorted(more)))
            return True

        wait_for("the cluster is as it was", left, SLOW_S, every=0.5)
        self.assertEqual(self.before - self.everything(), set(), "and nothing of it is missing")
        wait_for("no container is left on the node", lambda: set(self.node.containers()) == self.sandboxes, SLOW_S)

    # --- what the steps ask ------------------------------------------------------------------------------------

    def helm(self, *args):
        env = {**os.environ, "KUBECONFIG": self.node.kubeconfig(), "HELM_CACHE_HOME": self.node.path("helm-cache"),
               "HELM_CONFIG_HOME": self.node.path("helm-config"), "HELM_DATA_HOME": self.node.path("helm-data")}
        done = subprocess.run([OPTIONS.helm, "--namespace", SYSTEM, *args], capture_output=True, text=True, env=env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def forget_role(self):
        """The cluster's own controller puts the aggregated role together by server-side apply, which makes it anew when
        it comes between the deletion of that role and the news of it."""
        role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/kroc:controller"
        if self.node.find(role):
            self.node.delete(role)

    def controller_pods(self):
        return self.node.pods(SYSTEM, "app.kubernetes.io%2Fcomponent%3Dcontroller")

    def of(self, what, app):
        root = "/api/v1" if what == "pods" else "/apis/apps/v1"
        return self.node.get(f"{root}/namespaces/{NS}/{what}?labelSelector=app%3D{app}")["items"]

    def rolled_out(self, name, replicas):
        """Waits until the Deployment has what it wants and no pod besides, and returns the pods."""
        def check():
            obj = self.node.find(f"/apis/apps/v1/namespaces/{NS}/deployments/{name}")
            status = obj["status"] if obj else {}
            pods = self.of("pods", name)
            if not (obj and status.get("observedGeneration") == obj["metadata"]["generation"] and len(pods) == replicas
                    and status.get("updatedReplicas") == status.get("availableReplicas") == replicas and all(map(ready, pods))):
                raise Failed(f"{status}; pods: {[p['status'].get('containerStatuses') for p in pods]}")
            return pods

        return wait_for(f"{name} has {replicas} pods", check, SLOW_S, every=0.5)

    def at_rest(self, since=None):
        """What the controller asked since the mark, once it asks nothing any more; its Lease does not count."""
        mark = self.node.mark() if since is None else since
        seen = -1
        while True:
            rows = [r for r in self.node.requests("standalone", mark) if r.resource != "leases"]
            if len(rows) == seen:
                return rows
            seen = len(rows)
            time.sleep(QUIET_S)

    def rewrote_nothing(self, mark, pods):
        rows = self.at_rest(mark)
        writes = [str(r) for r in rows if r.writes and r.resource not in ("events", "leases")]
        self.assertEqual([w for w in writes if "selfsubject" not in w], [])
        self.assertTrue([r for r in rows if r.resource == "webapps"], "the new one has read the instances")
        self.assertEqual(uids(pods), uids(self.rolled_out("shop", 2)))

    @classmethod
    def everything(cls):
        """The names of all objects of all kinds that can be listed."""
        node, found = cls.node, set()
        roots = ["/api/v1"] + [f"/apis/{g['preferredVersion']['groupVersion']}" for g in node.get("/apis")["groups"]]
        for root in roots:
            for r in (node.find(root) or {}).get("resources", []):
                if "list" not in r["verbs"] or "/" in r["name"] or r["name"] in RESTLESS:
                    continue
                for o in (node.find(f"{root}/{r['name']}") or {}).get("items", []):
                    if o["metadata"].get("namespace") != "kube-node-lease":
                        found.add(f"{r['name']} {o['metadata'].get('namespace', '')}/{o['metadata']['name']}")
        return found


class Result(unittest.TextTestResult):
    """On the first failure: what the cluster looks like, while it is there."""

    def addFailure(self, test, err):
        super().addFailure(test, err)
        print(Story.node.story(), file=sys.stderr)

    addError = addFailure


def bystander():
    """A Deployment that reads nothing of all this."""
    labels = {"app": "bystander"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "bystander", "namespace": NS}, "spec": {
        "replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
            "containers": [{"name": "web", "image": WEB, "imagePullPolicy": "Never"}]}}}}


def sets(*pairs):
    return [x for p in pairs for x in ("--set", p)]


def uids(pods):
    return {p["metadata"]["uid"] for p in pods}


def ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def missing():
    """What is not here, each with how to get it."""
    for tool in ("containerd", "runc", "ctr", "cc"):
        if not shutil.which(tool):
            yield f"{tool} is not installed (deploy/packages.sh --node)"
    if not os.path.exists(os.path.join(CNI_BIN, "bridge")):
        yield f"there are no CNI plugins in {CNI_BIN} (deploy/packages.sh --node)"
    for script, what in (("node", "node_bin"), ("deploy/helm", "helm")):
        path = os.path.join(ROOT, "tests", script, "build.sh")
        done = subprocess.run([path, "--where"], capture_output=True, text=True)
        setattr(OPTIONS, what, done.stdout.strip())
        if done.returncode != 0:
            yield f"tests/{script}/build.sh has not run"
    try:
        OPTIONS.bin = bin_folder(OPTIONS.bin)
    except Failed as e:
        yield str(e)


def prepare(work):
    done = subprocess.run([os.path.join(ROOT, "deploy", "image.sh"), "--kroc", OPTIONS.kroc,
                           "--out", os.path.join(work, "kroc.tar")], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(done.stdout + done.stderr)


def skip(why):
    print(f"node_test: skipped: {why}", file=sys.stderr)
    return SKIPPED


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kroc", help="the program; build/release/kroc when not given")
    parser.add_argument("--bin", help="folder with the control plane; else KROC_CLUSTER_BIN or what build.sh made")
    parser.add_argument("--list", action="store_true", help="print the tests, run none")
    parser.add_argument("--inside", help=argparse.SUPPRESS)  # the second half, in the namespaces
    parser.parse_args(namespace=OPTIONS)
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(Story)
    if OPTIONS.list:
        print("\n".join(unittest.defaultTestLoader.getTestCaseNames(Story)))
        return 0
    try:
        OPTIONS.kroc = kroc_process.program(OPTIONS.kroc)
        lacking = list(missing())
        if lacking and os.environ.get("CI") == "true":
            raise Failed("; ".join(lacking))
        if lacking:
            return skip("; ".join(lacking))
        if OPTIONS.inside:
            result = unittest.TextTestRunner(verbosity=2, failfast=True, resultclass=Result).run(suite)
            return 0 if result.wasSuccessful() else 1
        if "libasan" in subprocess.run(["ldd", OPTIONS.kroc], capture_output=True, text=True).stdout:
            return skip("images are made of builds without sanitizers")
        again = [sys.executable, os.path.abspath(__file__), "--kroc", OPTIONS.kroc, "--bin", OPTIONS.bin, "--inside"]
        return inside(again, prepare)
    except Forbidden as e:
        return skip(str(e))
    except Failed as e:
        print(f"node_test: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
