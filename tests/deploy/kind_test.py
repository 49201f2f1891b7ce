#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/deploy-kind.sh against a stand-in kind, k3d, minikube and docker, with the real kubectl and a real API server.

    kind_test.py --kroc PATH [--bin DIR] [--list] [test ...]

The stand-in kind "creates" a cluster by handing out a kubeconfig of the API server that this test
started; the stand-in docker answers `info`. A node is played by a thread: it reports the Deployment's
pods as running, or as stuck for the reason under test, while the controller itself runs as a process.
Each stage of the script is made to fail in turn: the script must say what failed, why, and what mends it.
Exit code 77 means that there is no control plane to run on.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cluster"))

import controller as kroc_process  # noqa: E402
from cluster import Cluster, Failed, bin_folder, wait_for  # noqa: E402
from controller import ROOT, Controller  # noqa: E402

SKIPPED = 77
SCRIPT = os.path.join(ROOT, "deploy", "deploy-kind.sh")
OPTIONS = argparse.Namespace(kroc=None, bin=None)

# What the scripts use of the system. Nothing else is in PATH, so that a tool can be missing.
TOOLS = """sh bash sed grep tail head mkdir cat rm date tar gzip sha256sum ldd git find sort cut wc tr cp chmod mv mktemp
du uname dirname basename id env sleep ls touch tee od readlink""".split()

# STUB is the folder with the stand-in's memory: a file per cluster under clusters/, fail-<verb> with
# the words to fail with, and calls, one line per call.
KIND = """#!/bin/sh
echo "kind $*" >>"$STUB/calls"
fail() {
    [ ! -e "$STUB/fail-$1" ] || { cat "$STUB/fail-$1" >&2; exit 1; }
}
option() {
    want=$1
    shift
    while [ $# -gt 0 ]; do
        [ "$1" != "$want" ] || { echo "$2"; return; }
        shift
    done
}
name=$(option --name "$@")
case "$1 $2" in
"get clusters") fail clusters; ls "$STUB/clusters" ;;
"create cluster") fail create; touch "$STUB/clusters/$name" ;;
"get kubeconfig") fail kubeconfig; sed "s/@NAME@/kind-$name/g" "$STUB/kubeconfig" ;;
"load image-archive") fail load; tar -tf "$3" | grep -qx index.json && touch "$STUB/loaded" ;;
"delete cluster") fail delete; rm "$STUB/clusters/$name" ;;
*) echo "stand-in kind: unknown $*" >&2; exit 1 ;;
esac
"""

K3D = """#!/bin/sh
echo "k3d $*" >>"$STUB/calls"
case "$1 $2" in
"cluster list") ls "$STUB/clusters" | sed 's/$/   1\\/1/' ;;
"cluster create") touch "$STUB/clusters/$3" ;;
"kubeconfig get") sed "s/@NAME@/k3d-$3/g" "$STUB/kubeconfig" ;;
"image import") [ "$4 $5" = "-c kroc" ] && touch "$STUB/loaded" ;;
"cluster delete") rm "$STUB/clusters/$3" ;;
*) echo "stand-in k3d: unknown $*" >&2; exit 1 ;;
esac
"""

MINIKUBE = """#!/bin/sh
echo "minikube $*" >>"$STUB/calls"
case "$*" in
"profile list -o json") for c in $(ls "$STUB/clusters"); do echo "{\\"Name\\":\\"$c\\"}"; done ;;
"start -p "*) touch "$STUB/clusters/$3"; [ "$KUBECONFIG" != "$OWN" ] ;;
"update-context -p "*) sed "s/@NAME@/$3/g" "$STUB/kubeconfig" >"$KUBECONFIG" ;;
"-p "*" image load "*) touch "$STUB/loaded" ;;
"delete -p "*) rm "$STUB/clusters/$3" ;;
*) echo "stand-in minikube: unknown $*" >&2; exit 1 ;;
esac
"""

DOCKER = """#!/bin/sh
echo "docker $*" >>"$STUB/calls"
[ ! -e "$STUB/fail-docker" ] || { cat "$STUB/fail-docker" >&2; exit 1; }
echo "Server Version: 0"
"""

KUBECTL = """#!/bin/sh
echo "kubectl $*" >>"$STUB/calls"
exec "$REAL_KUBECTL" "$@"
"""


class Node(threading.Thread):
    """Plays the node: says of the Deployment kroc what a kubelet would let the controllers say."""

    def __init__(self, cluster, trouble=None):
        super().__init__(daemon=True)
        self.cluster, self.trouble, self.over = cluster, trouble, threading.Event()

    def run(self):
        path = "/apis/apps/v1/namespaces/kro-system/deployments/kroc"
        while not self.over.wait(0.2):
            code, deployment = self.cluster.call("GET", path)
            if code != 200:
                continue
            if self.trouble:
                self.stuck_pod(deployment)
            elif deployment.get("status", {}).get("observedGeneration") != deployment["metadata"]["generation"]:
                self.cluster.call("PATCH", path + "/status", {"status": {
                    "observedGeneration": deployment["metadata"]["generation"], "replicas": 1, "updatedReplicas": 1,
                    "readyReplicas": 1, "availableReplicas": 1}}, content_type="application/merge-patch+json")

    def stuck_pod(self, deployment):
        pod = {"apiVersion": "v1", "kind": "Pod",
               "metadata": {"name": "kroc-stuck", "namespace": "kro-system",
                            "labels": deployment["spec"]["template"]["metadata"]["labels"]},
               "spec": deployment["spec"]["template"]["spec"]}
        if self.cluster.call("POST", "/api/v1/namespaces/kro-system/pods", pod)[0] == 201:
            self.cluster.call("PATCH", "/api/v1/namespaces/kro-system/pods/kroc-stuck/status", {"status": {
                "phase": "Pending", "containerStatuses": [{
                    "name": "kroc", "image": "localhost/kroc:dev", "imageID": "", "ready": False, "restartCount": 0,
                    "state": {"waiting": {"reason": self.trouble, "message": "made up"}}}]}},
                content_type="application/merge-patch+json")

    def stop(self):
        self.over.set()
        self.join()


class Kind(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(OPTIONS.bin, controllers="namespace")
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="kroc-kind-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.stub = self.folder("stub")
        self.folder("stub/clusters")
        self.bin = self.folder("bin")
        for tool in TOOLS:
            os.symlink(shutil.which(tool), os.path.join(self.bin, tool))
        for name, text in (("kind", KIND), ("k3d", K3D), ("minikube", MINIKUBE), ("docker", DOCKER), ("kubectl", KUBECTL)):
            self.program(name, text)
        self.kubeconfig()
        # The user's own configuration, which must not be touched.
        self.own_text = "current-context: production\n"
        self.own = self.write("own.kubeconfig", self.own_text)
        self.context = "kind-"
        self.addCleanup(self.clean_cluster)

    def clean_cluster(self):
        for path in ("/apis/kro.run/v1alpha1/namespaces/kroc-example/webapps/shop",
                     "/apis/apps/v1/namespaces/kro-system/deployments/kroc",
                     "/api/v1/namespaces/kro-system/pods/kroc-stuck?gracePeriodSeconds=0",
                     "/apis/kro.run/v1alpha1/resourcegraphdefinitions/webapp"):
            self.cluster.call("DELETE", path)

    def folder(self, name):
        path = os.path.join(self.dir, name)
        os.makedirs(path, exist_ok=True)
        return path

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def program(self, name, text):
        os.chmod(self.write("bin/" + name, text), 0o755)

    def without(self, name):
        os.remove(os.path.join(self.bin, name))

    def fails(self, verb, words):
        self.write(f"stub/fail-{verb}", words + "\n")

    def kubeconfig(self, alias="admin"):
        with open(self.cluster.kubeconfig(alias)) as f:
            config = json.load(f)
        config["current-context"] = config["contexts"][0]["name"] = "@NAME@"
        self.write("stub/kubeconfig", json.dumps(config))

    def deploy(self, *args, kroc=None, wait_s=3):
        done = subprocess.run(
            [SCRIPT, *args] + ([] if "--delete" in args else ["--kroc", kroc or OPTIONS.kroc]),
            capture_output=True, text=True, timeout=180, env={"PATH": self.bin, "HOME": self.dir, "STUB": self.stub, "KUBECONFIG": self.own, "OWN": self.own,
                              "REAL_KUBECTL": os.path.join(self.cluster.bin, "kubectl"), "KROC_KIND_WAIT_S": str(wait_s),
                              "KROC_KIND_STATE": os.path.join(self.dir, "state")})
        with open(self.own) as f:
            self.assertEqual(f.read(), self.own_text, "the user's kubeconfig was changed")
        for call in self.calls("kubectl"):
            if " config view " in call or " version --client " in call:
                continue
            self.assertIn("--context " + self.context, call)
            self.assertIn(f"--kubeconfig {self.dir}/state/", call)
        return done

    def calls(self, program):
        try:
            with open(os.path.join(self.stub, "calls")) as f:
                return [line.strip() for line in f if line.startswith(program + " ")]
        except FileNotFoundError:
            return []

    def assert_fails(self, check, what, why, mend, *args, **more):
        """The script ends badly and says these four things, each in its place. check is the doctor's id."""
        done = self.deploy(*args, **more)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        told = done.stderr
        self.assertIn(f"\n  doctor: {check}\n", told)
        for label, word in (("FAILED: ", what), ("why:", why), ("mend:", mend)):
            self.assertIn(label, told)
        what_at, why_at, mend_at = told.index("FAILED: "), told.index("  why:"), told.index("  mend:")
        self.assertIn(what, told[what_at:why_at], told)
        self.assertIn(why, told[why_at:mend_at], told)
        self.assertIn(mend, told[mend_at:], told)
        return done

    def node(self, trouble=None):
        node = Node(self.cluster, trouble)
        node.start()
        self.addCleanup(node.stop)
        return node

    # --- all is well -----------------------------------------------------------

    def test_works_and_remembers_what_it_made(self):
        # The namespace's service account is what the controller runs as, so its rights are proved on the way.
        self.cluster.kubectl("apply", "-k", os.path.join(ROOT, "deploy", "kustomize", "standalone"))
        self.node()
        with Controller(OPTIONS.kroc, self.cluster, "standalone"):
            done = self.deploy(wait_s=30)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertTrue(os.path.exists(os.path.join(self.stub, "loaded")))
            self.assertEqual(len([c for c in self.calls("kind") if c.startswith("kind create")]), 1)
            shop = self.cluster.get("/apis/kro.run/v1alpha1/namespaces/kroc-example/webapps/shop")
            self.assertEqual(shop["status"]["state"], "ACTIVE")
            again = self.deploy(wait_s=30)
            self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
            self.assertEqual(len([c for c in self.calls("kind") if c.startswith("kind create")]), 1)
            self.assertTrue([c for c in self.calls("kubectl") if "rollout restart" in c])
            for path in ("/apis/kro.run/v1alpha1/namespaces/kroc-example/webapps/shop",
                         "/apis/kro.run/v1alpha1/resourcegraphdefinitions/webapp"):
                self.cluster.delete(path)
                wait_for(f"{path} is gone", lambda: self.cluster.find(path) is None)
        gone = self.deploy("--delete")
        self.assertEqual(gone.returncode, 0, gone.stderr)
        self.assertEqual(os.listdir(os.path.join(self.stub, "clusters")), [])

    def test_foreign_cluster_is_used_and_never_deleted(self):
        self.write("stub/clusters/kroc", "")
        self.fails("load", "stop here")
        done = self.deploy()
        self.assertIn("made by somebody else", done.stdout)
        self.assertFalse([c for c in self.calls("kind") if c.startswith(("kind create", "kind delete"))])
        gone = self.deploy("--delete")
        self.assertEqual(gone.returncode, 1)
        self.assertIn("has not made it", gone.stderr)
        self.assertTrue(os.path.exists(os.path.join(self.stub, "clusters/kroc")))

    def test_other_name(self):
        self.fails("load", "stop here")
        self.deploy("--name", "other")
        self.assertTrue(os.path.exists(os.path.join(self.stub, "clusters/other")))
        self.assertTrue([c for c in self.calls("kubectl") if "--context kind-other" in c])

    # --- other clusters ----------------------------------------------------------

    def works_on(self, tool, context, *args):
        """All the way, and back."""
        self.context = context
        self.cluster.kubectl("apply", "-k", os.path.join(ROOT, "deploy", "kustomize", "standalone"))
        self.node()
        with Controller(OPTIONS.kroc, self.cluster, "standalone"):
            done = self.deploy(*args, wait_s=30)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("To undo it:", done.stdout)
            self.remove_example()
        return done

    def remove_example(self):
        for path in ("/apis/kro.run/v1alpha1/namespaces/kroc-example/webapps/shop",
                     "/apis/kro.run/v1alpha1/resourcegraphdefinitions/webapp"):
            self.cluster.delete(path)
            wait_for(f"{path} is gone", lambda: self.cluster.find(path) is None)

    def test_on_k3d(self):
        self.works_on("k3d", "k3d-kroc", "--on", "k3d")
        self.assertTrue(os.path.exists(os.path.join(self.stub, "loaded")))
        self.assertEqual(self.deploy("--delete", "--on", "k3d").returncode, 0)
        self.assertEqual(os.listdir(os.path.join(self.stub, "clusters")), [])

    def test_on_minikube(self):
        self.works_on("minikube", "kroc", "--on", "minikube")
        self.assertTrue(os.path.exists(os.path.join(self.stub, "loaded")))
        self.assertEqual(self.deploy("--delete", "--on", "minikube").returncode, 0)
        self.assertEqual(os.listdir(os.path.join(self.stub, "clusters")), [])

    def test_in_a_context_and_out_of_it_again(self):
        with open(os.path.join(self.stub, "kubeconfig")) as f:
            self.own_text = f.read().replace("@NAME@", "mine")
        self.own = self.write("own.kubeconfig", self.own_text)
        self.assertEqual(self.deploy("--context", "mine").returncode, 2, "an image is to be named")
        self.context = "mine"
        self.cluster.kubectl("apply", "-k", os.path.join(ROOT, "deploy", "kustomize", "standalone"))
        self.node()
        deployment = "/apis/apps/v1/namespaces/kro-system/deployments/kroc"
        with Controller(OPTIONS.kroc, self.cluster, "standalone"):
            done = self.deploy("--context", "mine", "--image", "registry.example.com/kroc:v1", wait_s=30)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            container = self.cluster.get(deployment)["spec"]["template"]["spec"]["containers"][0]
            self.assertEqual(container["image"], "registry.example.com/kroc:v1")
            self.assertFalse(self.calls("kind") + self.calls("docker"))
            # CRDs would go with their last definition: here is one of somebody else's
            other = {"apiVersion": "kro.run/v1alpha1", "kind": "ResourceGraphDefinition", "metadata": {"name": "other"}, "spec": {
                "schema": {"apiVersion": "v1alpha1", "kind": "Other"}, "resources": []}}
            self.cluster.apply(other)
            gone = self.deploy("--delete", "--context", "mine", wait_s=30)
            self.assertEqual(gone.returncode, 0, gone.stdout + gone.stderr)
            self.assertIn("CRDs stay", gone.stdout)
            self.assertIsNone(self.cluster.find(deployment))
            self.assertIsNone(self.cluster.find("/apis/kro.run/v1alpha1/resourcegraphdefinitions/webapp"))
            self.cluster.kubectl("patch", "rgd", "other", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
            self.cluster.call("DELETE", "/apis/kro.run/v1alpha1/resourcegraphdefinitions/other")
        self.assertEqual(self.deploy("--delete", "--context", "mine").returncode, 1, "nothing is left to undo")

    # --- each stage fails in turn ------------------------------------------------

    def test_kind_is_missing(self):
        self.without("kind")
        self.assert_fails("D01", "check the tools", "kind is not installed", "kind.sigs.k8s.io")

    def test_kubectl_is_missing(self):
        self.without("kubectl")
        self.assert_fails("D01", "check the tools", "kubectl is not installed", "kubernetes.io/docs/tasks/tools")

    def test_no_container_engine(self):
        self.without("docker")
        self.assert_fails("D01", "check the tools", "neither docker nor podman", "install one of them")

    def test_engine_does_not_run(self):
        self.fails("docker", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.")
        self.assert_fails("D01", "ask docker whether it runs", "Cannot connect to the Docker daemon", "systemctl start docker")

    def test_engine_refuses_the_user(self):
        self.fails("docker", "permission denied while trying to connect to /var/run/docker.sock")
        self.assert_fails("D01", "ask docker whether it runs", "permission denied", "usermod -aG docker")

    def test_binary_is_missing(self):
        self.assert_fails("I01", "find the binary", "nowhere/kroc is not there", "make", kroc="/nowhere/kroc")

    def test_kind_cannot_list(self):
        self.fails("clusters", "ERROR: failed to list clusters")
        self.assert_fails("D01", "ask kind for its clusters", "failed to list clusters", "look at what kind says")

    def test_cluster_cannot_be_created(self):
        self.fails("create", "ERROR: failed to create cluster: could not find a log line that matches")
        self.assert_fails("D01", "create the cluster kroc", "could not find a log line", "kind delete cluster --name kroc")
        self.assertFalse(os.path.exists(os.path.join(self.dir, "state/kroc/made")), "not made, not remembered")

    def test_cluster_needs_more_inotify(self):
        self.fails("create", "ERROR: failed to create cluster: too many open files")
        self.assert_fails("S01", "create the cluster kroc", "too many open files", "sysctl fs.inotify.max_user_watches")

    def test_disk_is_full(self):
        self.fails("create", "write /var/lib: no space left on device")
        self.assert_fails("D01", "create the cluster kroc", "no space left", "docker system prune")

    def test_kubeconfig_cannot_be_had(self):
        self.fails("kubeconfig", "ERROR: could not locate any control plane nodes")
        self.assert_fails("D01", "get the cluster's kubeconfig", "control plane nodes", "kind delete cluster --name kroc")

    def test_server_does_not_answer(self):
        path = os.path.join(self.stub, "kubeconfig")
        with open(path) as f:
            text = f.read()
        self.write("stub/kubeconfig", text.replace(f":{self.cluster.port}", ":1"))
        self.assert_fails("K01", "reach the cluster's API server", "refused", "docker start kroc-control-plane")

    def test_image_cannot_be_built(self):
        self.without("ldd")
        self.assert_fails("I01", "build the image", "ldd is not installed", "deploy/image.sh --kroc")

    def test_image_cannot_be_loaded(self):
        self.fails("load", "ERROR: no nodes found for cluster")
        self.assert_fails("I01", "load the image", "no nodes found", "kind load image-archive")

    def test_no_right_to_apply(self):
        self.kubeconfig("nobody")
        self.assert_fails("R01", "apply CRDs, rights and the Deployment", "forbidden", "a kubeconfig with more rights")

    def test_doctor_objects(self):
        gate = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "gate"},
                "webhooks": [{"name": "gate.example.com", "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                              "objectSelector": {"matchLabels": {"nobody": "has-this"}},
                              "rules": [{"apiGroups": ["kro.run"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}],
                              "clientConfig": {"service": {"name": "gate", "namespace": "default"}}}]}
        self.cluster.apply(gate)
        self.addCleanup(self.cluster.call, "DELETE", self.cluster.path_of(gate))
        self.assert_fails("W01", "ask the doctor", "the webhook gate.example.com must answer",
                          "kubectl delete validatingwebhookconfigurations gate")
        self.assertFalse([c for c in self.calls("kind") if "load" in c], "nothing was done before")

    def test_what_is_collected(self):
        self.node("ErrImageNeverPull")
        told = self.deploy().stderr
        folder = re.search(r"^  logs: (.*)$", told, re.M)[1]
        names = os.listdir(folder)
        for name in ("output.txt", "doctor.json", "id", "describe-nodes.txt", "get-events-A-sort-by-.lastTimestamp.txt"):
            self.assertIn(name, names)
        with open(os.path.join(folder, "doctor.json")) as f:
            checks = {c["id"]: c for c in json.load(f)["checks"]}
        self.assertEqual(checks["I01"]["verdict"], "FAIL")
        pods = next(n for n in names if n.startswith("describe-pods"))
        with open(os.path.join(folder, pods)) as f:
            self.assertIn("kroc-stuck", f.read())

    def test_no_pod_comes(self):
        self.assert_fails("W02", "wait until the controller is ready", "there is no pod", "describe deployment,replicaset")

    def test_image_is_not_on_the_node(self):
        self.node("ErrImageNeverPull")
        self.assert_fails("I01", "wait until the controller is ready", "does not have the image", "kind load image-archive")

    def test_controller_crashes(self):
        self.node("CrashLoopBackOff")
        self.assert_fails("I01", "wait until the controller is ready", "the controller ends", "logs deployment/kroc --previous")

    def test_definition_is_not_served(self):
        self.node()
        self.assert_fails("G01", "wait until the definition is served", "timed out", "logs deployment/kroc")

    def test_instance_does_not_become_active(self):
        self.node()
        self.definition_served_by_nobody()
        self.assert_fails("D03", "wait until the instance is ACTIVE", "timed out", "describe webapp shop", wait_s=5)

    def definition_served_by_nobody(self):
        """Plays the controller up to the CRD and the definition's condition, and no further."""
        self.cluster.kubectl("apply", "-k", os.path.join(ROOT, "deploy", "crds"))
        self.cluster.kubectl("apply", "-f", os.path.join(ROOT, "deploy", "kustomize", "sidecar", "crd.yaml"))
        self.cluster.kubectl("wait", "--for=condition=Established", "crd/webapps.kro.run",
                             "crd/resourcegraphdefinitions.kro.run", "--timeout=20s")
        self.cluster.kubectl("apply", "-f", os.path.join(ROOT, "examples", "webapp", "rgd.yaml"))
        self.cluster.patch("/apis/kro.run/v1alpha1/resourcegraphdefinitions/webapp/status",
                           {"status": {"conditions": [{"type": "Ready", "status": "True"}]}})

    def test_namespace_does_not_go(self):
        self.node()
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kroc-example"}})
        held = {"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "held", "namespace": "kroc-example", "finalizers": ["example.com/held"]}}
        self.cluster.apply(held)
        self.cluster.call("DELETE", "/api/v1/namespaces/kroc-example")
        self.assert_fails("C04", "wait until the old namespace kroc-example is gone", "timed out", "get namespace kroc-example -o yaml")
        self.cluster.patch(self.cluster.path_of(held), {"metadata": {"finalizers": None}})
        wait_for("the namespace is gone", lambda: self.cluster.find("/api/v1/namespaces/kroc-example") is None)

    def test_unknown_argument(self):
        self.assertEqual(self.deploy("--no-such").returncode, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kroc", help="the program; build/release/kroc when not given")
    parser.add_argument("--bin", help="folder with the control plane; else KROC_CLUSTER_BIN or what build.sh made")
    parser.add_argument("--list", action="store_true", help="print the tests, run none")
    parser.add_argument("names", nargs="*", metavar="test")
    args = parser.parse_args()
    loader = unittest.defaultTestLoader
    if args.list:
        print("\n".join(loader.getTestCaseNames(Kind)))
        return 0
    try:
        OPTIONS.kroc = kroc_process.program(args.kroc)
    except Failed as e:
        print(f"kind_test: {e}", file=sys.stderr)
        return 1
    try:
        OPTIONS.bin = bin_folder(args.bin)
    except Failed as e:
        print(f"kind_test: skipped: {e}", file=sys.stderr)
        return SKIPPED
    suite = unittest.TestSuite([Kind(n) for n in args.names]) if args.names else loader.loadTestsFromTestCase(Kind)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
