#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kubectl on the sandbox: commands with what they must print.

    kubectl_test.py --kroc PATH --bin DIR

DIR holds kubectl (tests/cluster/build.sh builds it); without it, exit code 77 says so.
"""
import argparse
import os
import re
import subprocess
import sys

from sandbox import Sandbox

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "nginx:1"}]}
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: v}\n"

# arguments, standard input, what must be found in the output (a regular expression), whether it succeeds
STEPS = [
    ("version", "", r"Server Version: v1\.", True),
    ("api-resources", "", r"deployments +deploy +apps/v1 +true +Deployment", True),
    ("api-versions", "", r"^apps/v1$", True),
    ("get ns", "", r"default +Active", True),
    ("apply -f -", MAP, r"configmap/m created", True),
    ("apply -f -", MAP, r"configmap/m unchanged", True),
    ("apply -f -", MAP.replace("v}", "w}"), r"configmap/m configured", True),
    ("get cm m -o jsonpath={.data.k}", "", r"^w$", True),
    ("get cm m", "", r"NAME +DATA +AGE\nm +1 +\d+s", True),
    ("apply --server-side --field-manager=other -f -", MAP, r"conflict with \"kubectl-client-side-apply\" using v1: \.data\.k", False),
    ("apply --server-side -f -", MAP, r"configmap/m serverside-applied", True),
    ("label cm m a=b", "", r"configmap/m labeled", True),
    ("get cm -l a=b -o name", "", r"^configmap/m$", True),
    ("annotate cm m x=y", "", r"configmap/m annotated", True),
    ("patch cm m --type=merge -p {\"data\":{\"n\":\"1\"}}", "", r"configmap/m patched", True),
    ("patch cm m --type=json -p [{\"op\":\"remove\",\"path\":\"/data/n\"}]", "", r"configmap/m patched", True),
    ("describe cm m", "", r"Name: +m\nNamespace: +default\nLabels: +a=b", True),
    ("apply -f -", DEPLOYMENT, r"deployment.apps/web created", True),
    ("wait --for=condition=Available deploy/web --timeout=20s", "", r"condition met", True),
    ("get deploy web", "", r"web +2/2 +2 +2", True),
    ("get deploy -o wide", "", r"CONTAINERS +IMAGES +SELECTOR\nweb .* c +nginx:1 +app=web", True),
    ("scale deploy/web --replicas=3", "", r"deployment.apps/web scaled", True),
    ("rollout status deploy/web --timeout=20s", "", r"successfully rolled out", True),
    ("get deploy web -o jsonpath={.status.readyReplicas}", "", r"^3$", True),
    ("set image deploy/web c=nginx:2", "", r"image updated", True),
    ("describe deploy web", "", r"Image: +nginx:2", True),
    ("explain deploy.spec.replicas", "", r"FIELD: replicas <integer>", True),
    ("get cm none", "", r"NotFound\): configmaps \"none\" not found", False),
    ("get nothing", "", r"the server doesn't have a resource type \"nothing\"", False),
    ("auth can-i create pods", "", r"^yes$", True),
    ("auth whoami", "", r"Username +admin", True),
    ("get all", "", r"deployment.apps/web", True),
    ("replace -f -", MAP.replace("v}", "r}"), r"configmap/m replaced", True),
    ("diff -f -", MAP.replace("v}", "q}"), r"\+  k: q", False),
    ("delete deploy web", "", r"deployment.apps \"web\" deleted", True),
    ("delete cm m --dry-run=server", "", r"deleted.*\(server dry run\)", True),
    ("get cm m", "", r"^m ", True),
    ("delete cm m", "", r"configmap \"m\" deleted", True),
    ("get events", "", r"No resources found", True),
    ("get --raw /readyz", "", r"ok", True),
    # clients in Go encode what they create
    ("create deployment d --image=nginx:1 --replicas=2 --port=80", "", r"deployment.apps/d created", True),
    ("get deploy d -o jsonpath={.spec.replicas}{.spec.template.spec.containers[0].ports[0].containerPort}", "", r"^280$", True),
    ("create configmap c --from-literal=a=b", "", r"configmap/c created", True),
    ("get cm c -o jsonpath={.data}", "", r'^{"a":"b"}$', True),
    ("create secret generic s --from-literal=a=b", "", r"secret/s created", True),
    ("get secret s -o jsonpath={.data.a}{.type}", "", r"^Yg==Opaque$", True),
    ("create service clusterip v --tcp=80:8080", "", r"service/v created", True),
    ("get svc v -o jsonpath={.spec.ports[0]}", "", r'"name":"80-8080","port":80,"protocol":"TCP","targetPort":8080', True),
    ("create job j --image=busybox -- true", "", r"job.batch/j created", True),
    ("get job j -o jsonpath={.spec.template.spec.containers[0].command}", "", r'^\["true"\]$', True),
    ("create namespace n", "", r"namespace/n created", True),
    ("create serviceaccount a", "", r"serviceaccount/a created", True),
    ("create role r --verb=get --resource=pods", "", r"role.rbac.authorization.k8s.io/r created", True),
    ("get role r -o jsonpath={.rules}", "", r'"resources":\["pods"\],"verbs":\["get"\]', True),
    ("create quota q --hard=pods=3,cpu=1500m", "", r"resourcequota/q created", True),
    ("get quota q -o jsonpath={.spec.hard}", "", r'^{"cpu":"1500m","pods":"3"}$', True),
    ("create ingress i --rule=a.b/x=v:80", "", r"ingress.networking.k8s.io/i created", True),
    ("get ingress i -o jsonpath={.spec.rules[0].http.paths[0].backend.service.port.number}", "", r"^80$", True),
    ("create pdb p --selector=app=d --min-available=1", "", r"poddisruptionbudget.policy/p created", True),
    ("run one --image=nginx", "", r"pod/one created", True),
    ("expose deployment d --port=80", "", r"service/d exposed", True),
    ("autoscale deploy/d --max=5 --cpu=50%", "", r"horizontalpodautoscaler.autoscaling/d autoscaled", True),
    ("rollout restart deploy/d", "", r"deployment.apps/d restarted", True),
    ("set env deploy/d A=b", "", r"deployment.apps/d env updated", True),
    ("describe quota q", "", r"Name: +q", True),
    ("events", "", r"No events found", True),
    ("wait --for=delete cm/none --timeout=1s", "", r"^", True),
    ("delete pod one --now", "", r"pod \"one\" deleted", True),
    ("delete deploy/d job/j", "", r"job.batch \"j\" deleted", True),
]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kroc", required=True)
    p.add_argument("--bin", default="")
    a = p.parse_args()
    kubectl = os.path.join(a.bin, "kubectl")
    if not a.bin or not os.path.exists(kubectl):
        print("skipped: no kubectl: tests/cluster/build.sh builds it")
        return 77
    failed = 0
    with Sandbox(a.kroc) as s:
        for args, stdin, wanted, succeeds in STEPS:
            done = subprocess.run([kubectl, "--kubeconfig", s.kubeconfig, "--cache-dir", s.work.name + "/cache", *args.split(" ")],
                                  input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
            right = re.search(wanted, done.stdout, re.M | re.S) and (done.returncode == 0) == succeeds
            failed += not right
            if not right:
                print(f"FAIL kubectl {args}: status {done.returncode}, wanted {wanted!r}:\n{done.stdout}")
    print(f"{len(STEPS) - failed} of {len(STEPS)} commands")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
