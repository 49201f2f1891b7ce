#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Values of built-in types that a server refuses: the sandbox and a real kube-apiserver say the same.

    value_diff.py --driver PROGRAM [--bin DIR] [--show]

Each of CASES is sent as a POST and as a server-side apply, those of CHANGES as merge patches, all as dry runs. Equal must be codes,
messages, causes and warnings.
Skips (77) where there is no control plane.
"""
import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "cluster")]
import cluster  # noqa: E402
from sandbox_diff import SKIPPED, Real, Sandbox  # noqa: E402
import workload_cases as work  # noqa: E402

CORE = "/api/v1/namespaces/default/"
CONFIGMAPS, SECRETS = CORE + "configmaps", CORE + "secrets"
LONG = "x" * 254


def config_map(meta=None, **members):
    return CONFIGMAPS, dict({"apiVersion": "v1", "kind": "ConfigMap", "metadata": dict({"name": "m"}, **(meta or {}))}, **members)


def secret(**members):
    return SECRETS, dict({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}, **members)


def owned(*owners):
    full = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "1"}
    return config_map({"ownerReferences": [{k: v for k, v in dict(full, **o).items() if v is not None} for o in owners]})


def workload(kind, selector, labels=None, **spec):
    template = {"metadata": {"labels": labels or {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return f"/apis/apps/v1/namespaces/default/{kind.lower()}s", {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "w"}, "spec": dict({"selector": selector, "template": template}, **spec)}


WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
CASES = [
    # keys
    *[config_map(data={key: "v"}) for key in ("a/b", "", ".", "..", "..a", "a b", "ok.txt", LONG, "ä")],
    config_map(data={"a/b": "v", "c d": "w"}), config_map(binaryData={"a/b": "AA=="}),
    config_map(data={"a": "v"}, binaryData={"a": "AA=="}),
    *[secret(data={key: "AA=="}) for key in ("a/b", "..", LONG)], secret(stringData={"a/b": "v"}),
    # bytes
    config_map(binaryData={"a": "no base64"}), config_map(binaryData={"a": "AA"}), config_map(binaryData={"a": "A\nA=="}),
    secret(data={"a": "no base64"}), secret(data={"a": "AA"}), secret(data={"a": "AAAA", "b": "===="}), secret(data={"a": ""}),
    # types of secrets
    *[secret(type=t) for t in ("kubernetes.io/tls", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/dockercfg",
                               "kubernetes.io/dockerconfigjson", "kubernetes.io/service-account-token", "my/type")],
    secret(type="kubernetes.io/tls", data={"tls.crt": "AA=="}), secret(type="kubernetes.io/basic-auth", data={"username": "AA=="}),
    secret(type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": "AA=="}),
    secret(type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": "e30="}),
    secret(type="kubernetes.io/dockercfg", data={".dockercfg": "AA=="}), secret(type="kubernetes.io/ssh-auth", data={"ssh-privatekey": "AA=="}),
    # selectors
    *[workload(kind, selector) for kind in WORKLOADS for selector in ({}, {"matchLabels": {"a": "c"}}, {"matchLabels": {"a": "b"}})],
    # sizes
    config_map(data={"a": "x" * (1 << 20)}), config_map(data={"a": "x" * (1 << 20) + "y"}), secret(stringData={"a": "x" * (1 << 20) + "y"}),
    config_map({"annotations": {"a": "x" * (256 << 10)}}), config_map({"annotations": {"a": "x" * ((256 << 10) - 1)}}),
    # metadata
    *[config_map({"annotations": {key: "v"}}) for key in ("a b", "/b", "A.b/c", "x.io/" + "y" * 64, "x.io/ok", "X.IO/ok", "a/b/c", "x_y.io/b", "UP")],
    *[config_map({"finalizers": [f]}) for f in ("a b", "noslash", "x.io/f", "x.io/", "kubernetes", "foregroundDeletion", "orphan", "a/b/c", "")],
    config_map({"finalizers": ["orphan", "foregroundDeletion"]}), config_map({"finalizers": ["x.io/f", "x.io/f"]}),
    config_map({"labels": {"a b": "c", "d": "-"}, "annotations": {"a b": "c"}}),
    owned({}), owned({"uid": ""}), owned({"uid": None}), owned({"name": ""}), owned({"kind": ""}), owned({"apiVersion": ""}),
    owned({"apiVersion": None, "name": None}), owned({"apiVersion": "a/b/c"}), owned({"apiVersion": "v1", "kind": "Event"}),
    owned({"controller": True}, {"uid": "2", "controller": True}), owned({}, {}), owned({"controller": True}, {"uid": "2"}),
    config_map({"generateName": "UP-", "name": "m"}), config_map({"generateName": "up-"}),
    config_map({"managedFields": [{"manager": "x" * 129, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {}}]}),
    *work.CASES,
]

# What is there, and merge patches of it.
LABELS = {"a": "b", "c": "d"}
SELECTORS = [{"spec": {"selector": {"matchLabels": {key: "d"}}}} for key in "cx"]
CHANGES = [
    *[(workload(kind, {"matchLabels": {"a": "b"}}, LABELS), [*SELECTORS, {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}}])
      for kind in WORKLOADS],
    (workload("StatefulSet", {"matchLabels": {"a": "b"}}), [{"spec": {"replicas": 2}}, {"spec": {"serviceName": "x"}},
                                                            {"spec": {"podManagementPolicy": "Parallel"}}]),
    (config_map(data={"a": "b"}, immutable=True), [{"data": {"a": "c"}}, {"immutable": False}, {"metadata": {"finalizers": ["a b"]}},
                                                   {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "n"}]}}]),
    (work.deployment(), [{"spec": {"replicas": -1}}, {"spec": {"template": {"spec": {"volumes": [{"name": "A b"}]}}}},
                         {"spec": {"strategy": {"type": "Recreate"}}}]),
    (work.service(), [{"spec": {"type": "X"}}, {"spec": {"ports": []}}, {"spec": {"selector": {"a b": "c"}}}]),
    *work.CHANGES,
    (secret(type="my/type"), [{"type": "Opaque"}, {"type": None}, {"data": {"a b": "AA=="}}, {"data": {"a": "AA=="}}]),
]


def requests(servers):
    """(method, path, body, type) of each."""
    for path, body in CASES:
        yield "POST", path, body, "application/json"
        yield "PATCH", f"{path}/{body['metadata']['name']}", body, "application/apply-patch+yaml"
    for (path, body), patches in CHANGES:
        at = f"{path}/{body['metadata']['name']}"
        for s in servers:
            s.send("POST", path, json.dumps(body))
        for patch in patches:
            yield "PATCH", at, patch, "application/merge-patch+json"
        for s in servers:
            s.send("DELETE", at)


def answer(server, method, path, body, kind):
    query = "?dryRun=All" + ("&fieldManager=m&force=true" if "apply" in kind else "")
    code, got, warnings = server.send(method, path + query, json.dumps(body), kind)
    if code < 300:
        return [code, warnings]
    causes = got.get("details", {}).get("causes", [])
    told = got.get("message") if len(causes) < 2 else None  # Go's maps have no order
    return [code, got.get("reason"), told, sorted(json.dumps(c, sort_keys=True) for c in causes), warnings]


def cut(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 1500 else text[:1500] + "..."


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--driver", required=True)
    p.add_argument("--bin")
    p.add_argument("--show", action="store_true", help="what the real server says, too")
    args = p.parse_args()
    if not args.bin:
        print("skipped: no control plane: tests/cluster/build.sh builds it")
        return SKIPPED
    differ = count = 0
    with cluster.Cluster(args.bin) as c:
        servers = Real(c, "default"), Sandbox(args.driver, "default")
        for method, at, body, kind in requests(servers):
            real, mine = (answer(s, method, at, body, kind) for s in servers)
            count += 1
            differ += real != mine
            if real != mine or args.show:
                print(f"--- {method} {cut(body)}\n    real    {cut(real)}\n    sandbox {cut(mine) if real != mine else 'the same'}")
    print(f"{count} requests, {differ} with a difference")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
