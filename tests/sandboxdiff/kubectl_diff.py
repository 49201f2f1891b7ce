#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kubectl on the sandbox and on a real kube-apiserver: the same commands, equal output and exit codes.

Ages, uids, versions, addresses and node ports are made equal before. Neither side runs controllers. Each
command is a line of COMMANDS; "<name" at its end gives it the text INPUTS[name] as standard input.

    kubectl_diff.py --kroc PROGRAM [--bin DIR]

Skips (77) where there is no control plane.
"""
import argparse
import difflib
import os
import re
import shlex
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "cluster"), os.path.join(HERE, "..", "sandbox")]
import cluster  # noqa: E402
from sandbox import Sandbox  # noqa: E402

SKIPPED = 77
PATIENCE_S = 60
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, labels: {app: web}}\ndata: {k: v}\n"
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "nginx:1", ports: [{containerPort: 80}]}]}
"""
CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shops.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: shops, singular: shop, kind: Shop, shortNames: [sh]}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}, scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}}
      additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}, {name: Age, type: date, jsonPath: .metadata.creationTimestamp}]
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              required: [owner]
              description: What the shop shall be.
              properties:
                size: {type: integer, minimum: 1, default: 2, description: How large it is.}
                owner: {type: string}
              x-kubernetes-validations: [{rule: "self.size < 10", message: too large}]
            status: {type: object, properties: {size: {type: integer}}}
"""
SHOP = "apiVersion: example.com/v1\nkind: Shop\nmetadata: {name: s}\nspec: {owner: me}\n"
INPUTS = {
    "map": MAP, "map2": MAP.replace("k: v", "k: w"), "web": WEB, "web3": WEB.replace("replicas: 2", "replicas: 3"),
    "crd": CRD, "shop": SHOP, "large": SHOP.replace("owner: me", "owner: me, size: 11"),
    "wrong": SHOP.replace("owner: me", "size: 3, owner: 5"), "extra": SHOP.replace("owner: me", "owner: me, colour: red"),
    "small": SHOP.replace("owner: me", "size: 0"), "text": WEB.replace("replicas: 2", "replicas: two"),
    "bad": WEB.replace("app: web}}\n    spec", "app: other}}\n    spec"), "junk": "kind: Nothing\napiVersion: no/v1\nmetadata: {name: x}\n",
}
COMMANDS = """
get ns -o name
get cm none
get nothing
get cm
apply -f - <map
apply -f - <map
apply -f - <map2
get cm m
get cm m -o jsonpath={.data.k}
get cm m -o yaml
get cm m -o yaml --show-managed-fields
get cm m --show-labels
get cm -l app=web -o name
get cm -l app!=web -o name
get cm --field-selector metadata.name=m -o name
get cm --field-selector data.k=v
describe cm m
apply --server-side -f - <map
get cm m -o jsonpath={.metadata.annotations}
apply --server-side -f - --field-manager=x <map2
apply --server-side --force-conflicts -f - <map
apply --server-side --field-manager=other -f - <map
label cm m a=b
label cm m a=c
label cm m a=c --overwrite
label cm m a-
annotate cm m x=y
patch cm m --type=merge -p '{"data":{"n":"1"}}'
patch cm m --type=json -p '[{"op":"remove","path":"/data/n"}]'
patch cm m --type=json -p '[{"op":"remove","path":"/data/none"}]'
patch cm m --type=strategic -p '{"data":{"p":"2"}}' -o jsonpath={.data}
diff -f - <map2
replace -f - <map2
replace -f - <web
create -f - <map
apply -f - --dry-run=server <web
apply -f - --dry-run=client <web
apply -f - <web
apply -f - <web3
apply -f - <bad
apply -f - <text
create -f - --validate=false <text
get deploy
get deploy web -o wide
get deploy web -o jsonpath={.spec}
describe deploy web
scale deploy/web --replicas=5
scale deploy/web --replicas=1 --current-replicas=3
set image deploy/web c=nginx:2
set env deploy/web A=b
set resources deploy/web --limits=cpu=200m,memory=64Mi
rollout restart deploy/none
rollout pause deploy/web
rollout resume deploy/web
expose deploy/web --port=80
get svc web -o jsonpath={.spec.ports}
create configmap c --from-literal=a=b
create configmap c --from-literal=a=b
create secret generic s --from-literal=a=b
get secret s -o yaml
describe secret s
create service clusterip v --tcp=80:8080
get svc v -o jsonpath={.spec.type}{.spec.selector}
create service externalname e --external-name=a.b
get svc e --no-headers
create namespace n
get cm -n none
create serviceaccount a
create role r --verb=get,list --resource=pods
get role r -o yaml
describe role r
create rolebinding b --role=r --serviceaccount=default:a
create quota q --hard=pods=3,cpu=1500m
create job j --image=busybox -- true
get job j -o jsonpath={.spec.backoffLimit}{.spec.completions}
create cronjob k --image=busybox --schedule=@daily -- true
get cronjob k
create ingress i --rule=a.b/x=v:80
get ingress
create pdb p --selector=app=d --min-available=1
create priorityclass pc --value=7
get pc pc
get pdb p
get role,rolebinding
create deployment d --image=nginx:1 --replicas=2 --port=80
get deploy d -o yaml
patch deploy d -p '{"spec":{"replicas":"x"}}'
patch deploy d --type=merge -p '{"spec":{"template":{"spec":{"containers":3}}}}'
apply -f - <crd
wait --for=condition=Established crd/shops.example.com --timeout=20s
apply -f - <shop
get shops
get sh s -o yaml
apply -f - <large
apply -f - <wrong
apply -f - <small
apply -f - <extra
apply --server-side --validate=warn -f - <extra
explain shop.spec
explain shop.spec.size
scale shop/s --replicas=4
patch shop s --subresource=status --type=merge -p '{"status":{"size":4}}'
get shop s -o jsonpath={.status}{.metadata.generation}
get shop s --subresource=scale -o jsonpath={.spec.replicas}
apply -f - <junk
get shops -A
get all
auth can-i create pods
delete cm m --dry-run=server
delete cm m c
delete cm none --ignore-not-found
delete shop --all
delete deploy/web svc/web
delete crd shops.example.com
get shops
""".strip().splitlines()

VOLATILE = [  # pattern, what stands for it
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
    (r'(resourceVersion"?: ?"?)\d+', r"\1N"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}", "TIME"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
    (r"\b10\.\d+\.\d+\.\d+\b", "ADDRESS"),
    (r"\b\d+(s|ms|m|m\d+s)\b", "AGE"),
    (r"/\S*/(LIVE|MERGED)-\d+", r"\1"),
    (r"127\.0\.0\.1:\d+", "SERVER"),
    (r'patch: Invalid value: "\{.*\}": ', "patch: Invalid value: JSON: "),  # the order of its members
    (r"[ \t]+", " "),
]


def plain(text):
    for pattern, to in VOLATILE:
        text = re.sub(pattern, to, text)
    return text.splitlines()


class Side:
    def __init__(self, kubectl, kubeconfig, cache):
        self.argv = [kubectl, "--kubeconfig", kubeconfig, "--cache-dir", cache]

    def run(self, command):
        command, _, name = command.partition(" <")
        done = subprocess.run(self.argv + shlex.split(command), input=INPUTS.get(name, ""), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S)
        return [f"exit code {done.returncode}"] + plain(done.stdout)


def compare(real, sandbox):
    differing = 0
    for command in COMMANDS:
        a, b = real.run(command), sandbox.run(command)
        if a == b:
            continue
        differing += 1
        print(f"kubectl {command}")
        print("\n".join(list(difflib.unified_diff(a, b, "real", "sandbox", lineterm="", n=1))))
    print(f"{len(COMMANDS) - differing} of {len(COMMANDS)} commands alike")
    return differing


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kroc", required=True)
    p.add_argument("--bin", default="")
    a = p.parse_args()
    if not os.path.exists(os.path.join(a.bin, "kubectl")):
        print("skipped: no control plane: tests/cluster/build.sh builds it")
        return SKIPPED
    with cluster.Cluster(a.bin) as c, Sandbox(a.kroc, "--cluster", "apiserver-only") as s:
        kubectl = os.path.join(a.bin, "kubectl")
        return 1 if compare(Side(kubectl, c.kubeconfig(), c.path("cache")), Side(kubectl, s.kubeconfig, s.work.name + "/cache")) else 0


if __name__ == "__main__":
    sys.exit(main())
