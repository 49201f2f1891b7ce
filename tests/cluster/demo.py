#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make run CLUSTER=real`: the program at work on a real control plane, in one terminal.

    demo.py [--kroc build/release/kroc] [--bin DIR] [--once]

Starts etcd, kube-apiserver and kube-controller-manager, kroc with the rights that deploy/kustomize/standalone
gives it, and the example of examples/webapp. Prints the objects as they come to be, edits the ConfigMap that
the example reads, and prints what kroc asked of the API server for that: one PATCH. Then it stays up for
you to try, until Ctrl-C; with --once (or ONCE=1) it ends by itself. The exit code tells whether all went well.
"""
import argparse
import os
import signal
import sys
import time

from cluster import Cluster, Failed, wait_for
from controller import Controller, Died, ROOT

CRDS = os.path.join(ROOT, "deploy", "crds")
RIGHTS = os.path.join(ROOT, "deploy", "kustomize", "standalone")
EXAMPLE = os.path.join(ROOT, "examples", "webapp")

INSTANCE = "/apis/kro.run/v1alpha1/namespaces/default/webapps/shop"
SETTINGS = "/api/v1/namespaces/default/configmaps/settings"
PAGE = "/api/v1/namespaces/default/configmaps/shop-page"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/shop"
SERVICE = "/api/v1/namespaces/default/services/shop"
REPLICASETS = "/apis/apps/v1/namespaces/default/replicasets"

ACTIVE_TIMEOUT_S = 30
CHANGE_TIMEOUT_S = 10


def say(text=""):
    print(text, flush=True)


def step(text):
    say(f"\n== {text}")


def example(name):
    return os.path.join(EXAMPLE, name)


def config_version(deployment):
    return deployment["spec"]["template"]["metadata"].get("annotations", {}).get("config-version", "")


def condition(obj, kind):
    for c in (obj or {}).get("status", {}).get("conditions", []):
        if c["type"] == kind:
            return c
    return {}


class Tree:
    """The instance and its objects as text, printed anew whenever it differs from the last time."""

    ROWS = (("settings", "ConfigMap settings", SETTINGS, lambda o: f"read only, version {o['metadata']['resourceVersion']}"),
            ("page", "ConfigMap shop-page", PAGE, lambda o: "made"),
            ("deployment", "Deployment shop", DEPLOYMENT, lambda o: f"made, config-version {config_version(o)}"),
            ("service", "Service shop", SERVICE, lambda o: f"made, {o['spec'].get('clusterIP', '')}"))

    def __init__(self, cluster):
        self.cluster, self.last, self.began = cluster, None, time.monotonic()

    def show(self):
        """Prints what is new and tells whether the instance is ACTIVE."""
        instance = self.cluster.find(INSTANCE)
        status = (instance or {}).get("status", {})
        state = status.get("state", "no status yet") if instance else "absent"
        lines = [f"{'WebApp shop':38} {state}, Ready={condition(instance, 'Ready').get('status', '-')}"]
        for i, (node, name, path, words) in enumerate(self.ROWS):
            obj = self.cluster.find(path)
            branch = "`-" if i == len(self.ROWS) - 1 else "|-"
            lines.append(f"  {branch} {node:11} {name:20}   {words(obj) if obj else 'absent'}")
        text = "\n".join(lines)
        if text != self.last:
            self.last = text
            say(f"+{time.monotonic() - self.began:.2f} s")
            say(text)
        return state == "ACTIVE"


def wait_active(cluster, controller):
    tree = Tree(cluster)

    def active():
        controller.must_run()
        if tree.show():
            return True
        waits = condition(cluster.find(INSTANCE), "Ready").get("message")
        rgd = condition(cluster.find("/apis/kro.run/v1alpha1/resourcegraphdefinitions/webapp"), "Ready").get("message")
        raise Failed(f"the instance says: {waits or 'nothing'}; the definition says: {rgd or 'nothing'}\n"
                     + controller_tail(controller))

    wait_for("the instance is ACTIVE", active, ACTIVE_TIMEOUT_S, every=0.02)


def controller_tail(controller):
    lines = controller.log().splitlines()[-8:]
    return "last lines of the controller:\n  " + "\n  ".join(lines or ["(none)"])


def edit_settings(cluster, controller):
    """Edits the ConfigMap and returns what the controller asked for because of that."""
    mark = cluster.mark()
    began = time.monotonic()
    version = cluster.patch(SETTINGS, {"data": {"COLOUR": "green"}})["metadata"]["resourceVersion"]

    def rolled():
        controller.must_run()
        seen = config_version(cluster.get(DEPLOYMENT))
        if seen != version:
            raise Failed(f"config-version is {seen}, settings are at {version}\n{controller_tail(controller)}")
        return True

    wait_for("the Deployment carries the new version", rolled, CHANGE_TIMEOUT_S, every=0.002)
    say(f"the Deployment has it {1000 * (time.monotonic() - began):.0f} ms after the edit was sent")
    return cluster.settled("standalone", mark)


def judge(rows):
    """The edit owes one PATCH of the Deployment, and at most one write of the instance's status."""
    patches = [r for r in rows if r.verb == "patch"]
    others = [r for r in rows if r.verb != "patch" and not (r.status and r.verb == "update")]
    statuses = [r for r in rows if r.status]
    for r in rows:
        say(f"  {r}")
    if len(patches) != 1 or patches[0].resource != "deployments" or patches[0].code != 200:
        raise Failed(f"the edit owes one PATCH of the Deployment, there were {len(patches)}")
    if others or len(statuses) > 1:
        raise Failed("the edit owes nothing but that PATCH and one status write at most")


def play(cluster, controller):
    step("kroc starts, with the rights of deploy/kustomize/standalone")
    controller.start()
    say(f"{controller.kroc} runs, its log is {controller.log_path}")

    step("the definition: a ConfigMap that is read; a ConfigMap, a Deployment and a Service that are made")
    cluster.kubectl("apply", "-f", example("settings.yaml"), "-f", example("rgd.yaml"))
    wait_for("the definition's kind is served", lambda: served(cluster, controller), ACTIVE_TIMEOUT_S)
    say(cluster.kubectl("get", "rgd", "webapp").rstrip())

    step("an instance")
    cluster.kubectl("apply", "-f", example("instance.yaml"))
    wait_active(cluster, controller)
    cluster.settled("standalone", cluster.mark())

    step("somebody edits the ConfigMap settings; what kroc asks the API server for:")
    judge(edit_settings(cluster, controller))
    sets = wait_for("the Deployment rolls", lambda: rolling(cluster), CHANGE_TIMEOUT_S)
    say(f"kube-controller-manager rolls the Deployment: {sets} ReplicaSets now")


def served(cluster, controller):
    controller.must_run()
    ready = condition(cluster.find("/apis/kro.run/v1alpha1/resourcegraphdefinitions/webapp"), "Ready")
    if ready.get("status") != "True":
        raise Failed(f"the definition says: {ready.get('message') or 'nothing'}\n{controller_tail(controller)}")
    return True


def rolling(cluster):
    n = len(cluster.get(REPLICASETS)["items"])
    return n if n > 1 else None


def stay(cluster, controller):
    config = cluster.kubeconfig()
    step("still running; try it from another terminal, Ctrl-C here ends everything")
    say(f"  export KUBECONFIG={config}")
    say(f"  export PATH={cluster.bin}:$PATH")
    say("  kubectl get webapps,deployments,services,configmaps")
    say("  kubectl patch configmap settings --type merge -p '{\"data\":{\"COLOUR\":\"red\"}}'")
    say("  kubectl delete webapp shop")
    while True:
        controller.must_run()
        time.sleep(0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kroc", help="the program; build/release/kroc when not given")
    parser.add_argument("--bin", help="folder with the control plane; else KROC_CLUSTER_BIN or what build.sh made")
    parser.add_argument("--once", action="store_true", default=os.environ.get("ONCE", "") not in ("", "0"))
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        cluster = Cluster(args.bin, controllers=True)
        controller = Controller(args.kroc, cluster, "standalone")
        step("a Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager")
        with cluster, controller_around(controller):
            cluster.kubectl("apply", "-k", CRDS)
            cluster.kubectl("apply", "-f", os.path.join(RIGHTS, "namespace.yaml"), "-f", os.path.join(RIGHTS, "rbac.yaml"))
            say(cluster.kubectl("version").strip())
            play(cluster, controller)
            if args.once:
                controller.stop()
                step("done")
            else:
                stay(cluster, controller)
        return 0
    except KeyboardInterrupt:
        say()
        return 0
    except (Failed, Died) as e:
        print(f"\ndemo: {e}", file=sys.stderr)
        return 1


class controller_around:
    """Ends the controller with the block, whether it was started in it or not."""

    def __init__(self, controller):
        self.controller = controller

    def __enter__(self):
        return self.controller

    def __exit__(self, *_):
        self.controller.stop(check=False)


if __name__ == "__main__":
    sys.exit(main())
