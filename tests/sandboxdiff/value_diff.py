#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Values of built-in types that a server refuses: the sandbox and a real kube-apiserver say the same.

    value_diff.py --driver PROGRAM [--bin DIR] [--show]

Each case is sent as a POST, and as a server-side apply where it has a name. Equal must be codes, messages, causes and warnings.
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
]


def answer(server, method, path, body, kind):
    query = "?dryRun=All" + ("&fieldManager=m&force=true" if method == "PATCH" else "")
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
        for path, body in CASES:
            for method, at, kind in (("POST", path, "application/json"),
                                     ("PATCH", f"{path}/{body['metadata']['name']}", "application/apply-patch+yaml")):
                real, mine = (answer(s, method, at, body, kind) for s in servers)
                count += 1
                differ += real != mine
                if real != mine or args.show:
                    print(f"--- {method} {cut(body)}\n    real    {cut(real)}\n    sandbox {cut(mine) if real != mine else 'the same'}")
    print(f"{count} requests, {differ} with a difference")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
