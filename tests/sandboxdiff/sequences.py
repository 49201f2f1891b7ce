# SPDX-License-Identifier: Apache-2.0
"""Sequences of requests for sandbox_diff.py: a seed makes one, always the same.

A request is a dict: what it does, who asks, its body, its options. It says nothing of a server, so that both
get the same. Bodies are mostly right, sometimes wrong in a way that the server has words for.
"""
import random

KINDS = ("ConfigMap", "Deployment", "Service", "Widget")
TYPES = {  # kind: (apiVersion, where, resource)
    "ConfigMap": ("v1", "/api/v1", "configmaps"),
    "Deployment": ("apps/v1", "/apis/apps/v1", "deployments"),
    "Service": ("v1", "/api/v1", "services"),
    "Widget": ("diff.kroc.test/v1", "/apis/diff.kroc.test/v1", "widgets"),
}
MANAGERS = ("alice", "bob", "carol")
PORT = {"type": "object", "required": ["port"], "properties": {
    "port": {"type": "integer", "minimum": 1}, "protocol": {"type": "string", "default": "TCP"},
    "name": {"type": "string", "maxLength": 8}}}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.diff.kroc.test"},
    "spec": {"group": "diff.kroc.test", "scope": "Namespaced",
             "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
             "versions": [{"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}, "schema": {
                 "openAPIV3Schema": {"type": "object", "properties": {
                     "spec": {"type": "object", "properties": {
                         "size": {"type": "integer", "minimum": 0, "maximum": 100, "default": 1},
                         "color": {"type": "string", "enum": ["red", "green", "blue"]},
                         "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                         "ports": {"type": "array", "x-kubernetes-list-type": "map",
                                   "x-kubernetes-list-map-keys": ["port", "protocol"], "items": PORT},
                         "list": {"type": "array", "items": {"type": "integer"}},
                         "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                         "selector": {"type": "object", "x-kubernetes-map-type": "atomic",
                                      "additionalProperties": {"type": "string"}},
                         "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                         "nested": {"type": "object", "properties": {"a": {"type": "string"},
                                                                     "b": {"type": "integer"}}},
                     }},
                     "status": {"type": "object", "properties": {
                         "phase": {"type": "string"}, "count": {"type": "integer"}}}}}}}]}}


# --- making requests -------------------------------------------------------------------------------

def some(r, table, most=4):
    """A few members of a table of makers, as an object."""
    return {k: table[k](r) for k in r.sample(sorted(table), r.randint(1, min(most, len(table))))}


def names(r, values=("x", "y", "z")):
    return {k: r.choice(values) for k in r.sample(("a", "b", "c", "d"), r.randint(0, 3))}


def container(r, name):
    c = {"name": name, "image": "img:" + r.choice("123")}
    if r.random() < .4:
        c["ports"] = [{"containerPort": p} for p in r.sample((80, 81, 443), r.randint(1, 2))]
    if r.random() < .4:
        c["env"] = [{"name": n, "value": r.choice("xyz")} for n in r.sample("ABC", r.randint(1, 3))]
    if r.random() < .2:
        c["args"] = r.sample(["-a", "-b", "-c"], r.randint(1, 3))
    return c


def deployment(r):
    spec = {"selector": {"matchLabels": {"app": "x"}}, "template": {
        "metadata": {"labels": {"app": "x"}},
        "spec": {"containers": [container(r, n) for n in r.sample(["main", "side", "log"], r.randint(1, 2))]}}}
    if r.random() < .5:
        spec["replicas"] = r.randint(0, 5)
    if r.random() < .2:
        spec["minReadySeconds"] = r.randint(0, 5)
    if r.random() < .2:
        spec["template"]["spec"]["terminationGracePeriodSeconds"] = 5
    if r.random() < .08:
        r.choice([lambda: spec.pop("selector"),
                  lambda: spec["selector"]["matchLabels"].update(app="y"),
                  lambda: spec["template"]["metadata"].pop("labels"),
                  lambda: spec["template"]["spec"]["containers"][0].pop("image"),
                  lambda: (spec["selector"]["matchLabels"].update(z="z"),
                           spec["template"]["metadata"]["labels"].update(z="z"))])()
    return {"spec": spec}


def service(r):
    ports = [{"name": n, "port": p} for n, p in r.sample([("a", 80), ("b", 81), ("c", 82)], r.randint(1, 2))]
    if r.random() < .3:
        ports[0]["targetPort"] = r.choice([8080, "web"])
    return {"spec": {"ports": ports, "selector": names(r)} if r.random() < .7 else {"ports": ports}}


WIDGET = {
    "size": lambda r: r.choice([0, 1, 5, 100]),
    "color": lambda r: r.choice(["red", "green", "blue"]),
    "tags": lambda r: r.sample(["a", "b", "c", "d"], r.randint(0, 3)),
    "ports": lambda r: [dict(port=p, **({"name": r.choice("nm")} if r.random() < .5 else {}))
                        for p in r.sample([80, 81, 443], r.randint(0, 3))],
    "list": lambda r: [r.randint(0, 3) for _ in range(r.randint(0, 3))],
    "labels": names,
    "selector": names,
    "free": lambda r: {"deep": {"x": r.randint(0, 2)}, **names(r)},
    "nested": lambda r: some(r, {"a": lambda q: q.choice("xy"), "b": lambda q: q.randint(0, 3)}),
}
WRONG = {
    "size": lambda r: r.choice([-1, 101, "five", 1.5]),
    "color": lambda r: r.choice(["pink", 3]),
    "tags": lambda r: ["a", "a"],
    "ports": lambda r: r.choice([[{"port": 80}, {"port": 80}], [{"name": "n"}], [{"port": 0, "name": "a" * 9}]]),
    "list": lambda r: ["x"],
    "labels": lambda r: {"a": 1},
    "nested": lambda r: "text",
}


def content(r, kind):
    if kind == "ConfigMap":
        o = {"data": names(r)} if r.random() < .9 else {}
        if r.random() < .2:
            o["immutable"] = False
    elif kind == "Deployment":
        o = deployment(r)
    elif kind == "Service":
        o = service(r)
    else:
        spec = some(r, WIDGET, 5)
        if r.random() < .1:
            spec.update(some(r, WRONG, 2))
        if r.random() < .05:
            spec["unknown"] = 1
        o = {"spec": spec}
    return o


def whole(r, kind, name):
    o = content(r, kind)
    o.update(apiVersion=TYPES[kind][0], kind=kind, metadata={"name": name})
    if r.random() < .4:
        o["metadata"]["labels"] = names(r)
    if r.random() < .3:
        o["metadata"]["annotations"] = names(r)
    if kind == "Widget":
        o["metadata"] = {k: v for k, v in o["metadata"].items() if v}
    if r.random() < .1:
        o["metadata"]["finalizers"] = [f"x.test/{n}" for n in r.sample("ab", r.randint(1, 2))]
    return o


def merge_patch(r, kind):
    p = content(r, kind)
    if kind == "Deployment":
        p = r.choice([{"spec": {"replicas": r.randint(0, 5)}}, {"spec": {"minReadySeconds": None}}, p])
    if kind == "ConfigMap" and r.random() < .4:
        p = {"data": {r.choice("abcd"): None, r.choice("abcd"): "p"}}
    if kind == "Widget" and r.random() < .4:
        p = {"spec": {r.choice(sorted(WIDGET)): None}}
    if r.random() < .3:
        p["metadata"] = {"labels": {r.choice("abcd"): r.choice([None, "m"])}}
    return p


def strategic_patch(r, kind):
    if kind == "Deployment" and r.random() < .8:
        c = container(r, r.choice(["main", "side", "log", "new"]))
        if r.random() < .3:
            c = {"name": c["name"], "$patch": "delete"}
        p = {"containers": [c]}
        if r.random() < .3:
            p["$setElementOrder/containers"] = [{"name": n} for n in r.sample(["main", "side", "log", "new"], 4)]
        return {"spec": {"template": {"spec": p}}}
    if kind == "Service" and r.random() < .7:
        return {"spec": {"ports": [r.choice([{"port": 80, "$patch": "delete"}, {"port": 81, "name": "s"},
                                             {"port": 90, "name": "t", "protocol": "UDP"}])]}}
    return merge_patch(r, kind)


def json_patch(r, kind):
    at = {"ConfigMap": "/data/", "Deployment": "/metadata/labels/", "Service": "/spec/selector/",
          "Widget": "/spec/labels/"}[kind]
    ops = []
    for _ in range(r.randint(1, 3)):
        op = r.choice(["add", "add", "replace", "remove", "test", "copy", "move"])
        o = {"op": op, "path": at + r.choice("abcd")}
        if op in ("add", "replace", "test"):
            o["value"] = r.choice("xyz")
        if op in ("copy", "move"):
            o["from"] = at + r.choice("abcd")
        ops.append(o)
    if kind == "Widget" and r.random() < .5:
        ops.append({"op": "add", "path": "/spec/list/" + r.choice(["-", "0", "9"]), "value": 7})
    return ops


def edit(r, kind):
    """What an update does to the object it has read."""
    return {"merge": merge_patch(r, kind), "managed": r.choice(["keep", "keep", "drop", "reset"])}


SELECTORS = ("a", "!a", "a=x", "a==y", "a!=x", "a in (x,y)", "a notin (x)", "a=x,b=y", "a=x=y", "in (", "b,!c")
FORMS = ("application/json",) * 3 + ("application/json;as=Table;g=meta.k8s.io;v=v1",
                                    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
                                    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")


def listing(r, name):
    """The query of a list."""
    return r.choice([{"labelSelector": r.choice(SELECTORS)}, {"fieldSelector": "metadata.name=" + name},
                     {"fieldSelector": "metadata.name!=" + name}, {"fieldSelector": "spec.color=red"}, {"limit": "1"},
                     {"limit": "x"}, {"labelSelector": r.choice(SELECTORS), "limit": "5"}, {}])


def deletion(r):
    """The body of a delete, or none."""
    return r.choice([None, None, {"propagationPolicy": r.choice(["Orphan", "Foreground", "Background", "Sideways"])},
                     {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}, {"gracePeriodSeconds": 0},
                     {"preconditions": {"resourceVersion": "1"}}, {"gracePeriodSeconds": -1},
                     {"orphanDependents": True}, {"orphanDependents": True, "propagationPolicy": "Orphan"}])


def options(r, what):
    """Parameters that a write takes: {"dryRun": ...}"""
    o = {}
    if r.random() < .06:
        o["dryRun"] = r.choice(["All", "All", "Some"])
    if what != "delete" and r.random() < .1:
        o["fieldValidation"] = r.choice(["Strict", "Warn", "Ignore", "Loud"])
    return o


def request(r, kind, name):
    """One request about the object of that name."""
    more = {"Deployment": ["status"] * 2 + ["scale"] * 2, "Widget": ["status"] * 2}.get(kind, [])
    what = r.choice(["apply"] * 6 + ["update"] * 3 + ["merge"] * 2 + ["json"] + ["strategic"] * 2 + more +
                    ["create", "get", "delete", "list", "clear"])
    q = {"what": what, "name": name, "manager": r.choice(MANAGERS), "query": options(r, what)}
    if what in ("apply", "create"):
        q["body"] = whole(r, kind, name)
        if what == "apply" and r.random() < .4:
            q["query"]["force"] = "true"
        if r.random() < .05:
            q["body"].update(r.choice([{"unknown": 1}, {"kind": "Other"}, {"apiVersion": "v9"}]))
    elif what == "update":
        q["edit"] = edit(r, kind)
        q["stale"] = r.random() < .1
    elif what == "merge":
        q["body"] = merge_patch(r, kind)
    elif what == "json":
        q["body"] = json_patch(r, kind)
    elif what == "strategic":
        q["body"] = strategic_patch(r, kind)
    elif what == "status":
        q["apply"] = r.random() < .5
        q["body"] = {"status": {"observedGeneration": r.randint(1, 3)} if kind == "Deployment" else
                     {"phase": r.choice("xy"), "count": r.randint(0, 2)}}
    elif what == "scale":
        q["body"] = r.choice([None, {"spec": {"replicas": r.randint(10, 10 ** 6)}}, {"spec": {"replicas": -1}}])
    elif what == "delete":
        q["body"] = deletion(r)
    elif what == "get":
        q.update(query={}, accept=r.choice(FORMS))
    elif what == "list":
        q.update(query=listing(r, name), accept=r.choice(FORMS))
    elif what == "clear":
        q["query"] = {**options(r, "delete"), "labelSelector": r.choice(SELECTORS[:8])}
    return q


def sequence(seed, kind=None):
    """(kind, names, requests, selector): the last is that of the watch, or none."""
    r = random.Random(seed)
    kind = kind or KINDS[seed % len(KINDS)]
    names = [f"s{seed}", f"s{seed}b"][:2 if r.random() < .3 else 1]
    first = {"what": r.choice(["apply", "create"]), "name": names[0], "manager": r.choice(MANAGERS), "query": {},
             "body": whole(r, kind, names[0])}
    selector = r.choice(SELECTORS[:8]) if r.random() < .25 else None
    return kind, names, [first] + [request(r, kind, r.choice(names)) for _ in range(r.randint(2, 9))], selector
