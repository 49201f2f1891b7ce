#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CustomResourceDefinitions that a server refuses: the sandbox and a real kube-apiserver say the same.

    crd_diff.py --driver PROGRAM [--bin DIR]

Each of CASES is a list of schemas, one for each version; None: a version without one. Equal must be codes, messages and causes.
Skips (77) where there is no control plane.
"""
import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "cluster")]
import cluster  # noqa: E402
from sandbox_diff import CRDS, SKIPPED, Real, Sandbox  # noqa: E402

TEXT = {"type": "string"}


def obj(**properties):
    return {"type": "object", "properties": properties}


def spec(**properties):
    """A schema whose spec has these fields."""
    return obj(spec=obj(**properties))


def ruled(**rule):
    """A schema with a rule on its spec, which has a number n."""
    return obj(spec=dict(obj(n={"type": "integer"}), **{"x-kubernetes-validations": [rule]}))


def listed(items, kind=None, keys=None):
    """A schema with a list l of that kind in its spec."""
    field = {"type": "array", "items": items}
    field.update({"x-kubernetes-list-type": kind} if kind else {}, **({"x-kubernetes-list-map-keys": keys} if keys else {}))
    return spec(l=field)


CASES = [
    # right
    [spec(n={"x-kubernetes-preserve-unknown-fields": True})], [spec(n={"x-kubernetes-int-or-string": True})],
    [spec(n={"type": "integer", "x-kubernetes-int-or-string": True})], [spec(n={"type": "object", "additionalProperties": True})],
    [spec(n={"type": "object", "additionalProperties": False})], [spec(n={"type": "string", "nullable": True, "default": None})],
    [spec(n={"anyOf": [{"minLength": 2}], "type": "string"})], [ruled(rule="self.n > 1", message="m", fieldPath=".n")],
    [listed(dict(obj(a=TEXT), required=["a"]), "map", ["a"])], [spec(n=dict(obj(a=dict(TEXT, default="x")), default={}))],
    # types
    [{"type": "string"}], [{"properties": {"spec": {"type": "object"}}}], [None],
    [spec(n={"type": "intger"})], [spec(n={})], [spec(n={"$ref": "#/x"})], [listed({})],
    [spec(n={"type": "object", "additionalProperties": {}})], [spec(n={"type": "intger"}, m={"type": "array"})],
    [spec(a=TEXT), spec(n={"type": "intger"})], [spec(n={"type": "intger"}), spec(n={"type": "intger"})],
    [spec(n={"allOf": [{"type": "string"}], "type": "string"})],
    # members
    [spec(l={"type": "array"})], [spec(n=dict(obj(a=TEXT), additionalProperties=TEXT))], [obj(metadata=obj(labels={"type": "object"}))],
    [spec(n={"type": "array", "items": TEXT, "uniqueItems": True})], [spec(n={"type": "object", "x-kubernetes-embedded-resource": True})],
    [spec(n={"type": "string", "pattern": "("})],
    # lists and maps
    [listed(TEXT, "foo")], [listed(obj(a=TEXT), "map", ["b"])], [listed(obj(a=TEXT), "map")], [listed(TEXT, "map", ["a"])],
    [listed(obj(a=TEXT), "map", ["a"])], [listed(dict(obj(a=TEXT), required=["a"]), "map", ["a", "a"])], [listed(obj(a=TEXT), "set")],
    [listed(TEXT, None, ["a"])], [spec(n=dict(TEXT, **{"x-kubernetes-list-type": "set"}))],
    [spec(n={"type": "object", "x-kubernetes-map-type": "foo"})],
    # defaults
    [spec(n={"type": "integer", "default": "x"})], [spec(n={"type": "integer", "default": -1, "minimum": 0})],
    [spec(n=dict(obj(a=TEXT), default={"b": "x"}))], [spec(n=dict(obj(a=TEXT), required=["a"], default={}))],
    [spec(n=dict(obj(a=dict(TEXT, default="q")), required=["a"], default={}))], [spec(n=dict(TEXT, enum=["a"], default="b"))],
    [spec(n={"type": "integer", "default": 5, "x-kubernetes-validations": [{"rule": "self > 7", "message": "m"}]})],
    # rules
    [ruled(rule="self.n !=")], [ruled(rule="self.zz > 1")], [ruled(rule="self.n")], [ruled(rule="")],
    [ruled(rule="self.n > 1", message="a\nb")], [ruled(rule="self.n > 1", messageExpression="1")],
    [ruled(rule="self.n > 1", reason="Foo")], [ruled(rule="self.n > 1", fieldPath=".zz")],
]


def definition(number, schemas):
    name = f"kind{number}"
    versions = [dict({"name": f"v{i + 1}", "served": True, "storage": i == 0}, **({"schema": {"openAPIV3Schema": s}} if s else {}))
                for i, s in enumerate(schemas)]
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{name}s.diff.test"},
            "spec": {"group": "diff.test", "scope": "Namespaced", "versions": versions,
                     "names": {"plural": name + "s", "singular": name, "kind": name.capitalize()}}}


def answer(server, crd):
    code, body, _ = server.send("POST", CRDS + "?dryRun=All", json.dumps(crd))
    if code == 201:
        return [code]
    causes = body.get("details", {}).get("causes", [])
    return [code, body.get("message"), sorted(json.dumps(c, sort_keys=True) for c in causes)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--driver", required=True)
    p.add_argument("--bin")
    args = p.parse_args()
    if not args.bin:
        print("skipped: no control plane: tests/cluster/build.sh builds it")
        return SKIPPED
    differ = 0
    with cluster.Cluster(args.bin) as c:
        servers = Real(c, "default"), Sandbox(args.driver, "default")
        for i, schemas in enumerate(CASES):
            real, mine = (answer(s, definition(i, schemas)) for s in servers)
            if real != mine:
                differ += 1
                print(f"--- {json.dumps(schemas)}\n    real    {real}\n    sandbox {mine}")
    print(f"{len(CASES)} definitions, {differ} with a difference")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
