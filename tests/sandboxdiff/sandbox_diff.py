#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sandbox against a real kube-apiserver: the same requests, equal answers.

A seed makes a sequence of requests about one object: created, updated, applied by several managers,
patched in the four ways, its status too, deleted. Both servers get it; codes and bodies must be equal
but for times, uids, versions, addresses; so must, in the end, what a list shows and what a watch from the
beginning tells. Empty labels or annotations count as none. A sequence that differs is shrunk to the
shortest that does; one that does not differ again (a second of the real server's clock has passed in the
middle of it, say) is told and not counted.

Not made are empty labels and annotations of a custom resource: the real server stores them until the next write, which
then counts as a change; the sandbox stores none.

    sandbox_diff.py --driver PROGRAM [--bin DIR] [--seeds N] [--first SEED] [--kind KIND] [--keep-going]

Skips (77) where there is no control plane.
"""
import argparse
import copy
import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))
import cluster  # noqa: E402
import http.client  # noqa: E402

SKIPPED = 77
KINDS = ("ConfigMap", "Deployment", "Service", "Widget")
PATHS = {
    "ConfigMap": ("v1", "/api/v1/namespaces/default/configmaps"),
    "Deployment": ("apps/v1", "/apis/apps/v1/namespaces/default/deployments"),
    "Service": ("v1", "/api/v1/namespaces/default/services"),
    "Widget": ("diff.kroc.test/v1", "/apis/diff.kroc.test/v1/namespaces/default/widgets"),
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
    o.update(apiVersion=PATHS[kind][0], kind=kind, metadata={"name": name})
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


def request(r, kind, name):
    status = ["status"] * 2 if kind in ("Deployment", "Widget") else []
    what = r.choice(["apply"] * 6 + ["update"] * 3 + ["merge"] * 2 + ["json"] + ["strategic"] * 2 + status +
                    ["create", "get", "delete"])
    q = {"what": what, "manager": r.choice(MANAGERS)}
    if what in ("apply", "create"):
        q["body"] = whole(r, kind, name)
        q["force"] = r.random() < .4
    elif what == "update":
        q["edit"] = edit(r, kind)
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
    return q


def sequence(seed, kind=None):
    r = random.Random(seed)
    kind = kind or KINDS[seed % len(KINDS)]
    name = f"s{seed}"
    first = {"what": r.choice(["apply", "create"]), "manager": r.choice(MANAGERS), "force": False,
             "body": whole(r, kind, name)}
    return kind, name, [first] + [request(r, kind, name) for _ in range(r.randint(2, 9))]


# --- the two servers --------------------------------------------------------------------------------

class Real:
    def __init__(self, c):
        self.c, self.link = c, None

    def watch(self, path):
        """The events from there on, up to that of the object named "end"."""
        link = http.client.HTTPSConnection("127.0.0.1", self.c.port, context=self.c._tls(), timeout=30)
        link.request("GET", path, headers={"Authorization": "Bearer " + self.c.token("admin"), "Accept": "application/json"})
        answer, events = link.getresponse(), []
        while not events or events[-1]["object"]["metadata"]["name"] != "end":
            line = answer.readline()
            if not line:
                break
            events.append(json.loads(line))
        link.close()
        return events

    def send(self, method, path, body, kind, agent):
        if self.link is None:
            self.link = http.client.HTTPSConnection("127.0.0.1", self.c.port, context=self.c._tls(), timeout=30)
        self.link.request(method, path, body=body, headers={
            "Authorization": "Bearer " + self.c.token("admin"), "Content-Type": kind, "User-Agent": agent,
            "Accept": "application/json"})
        answer = self.link.getresponse()
        raw = answer.read()
        try:
            return answer.status, json.loads(raw)
        except ValueError:
            return answer.status, raw.decode(errors="replace")


class Sandbox:
    def __init__(self, driver):
        self.p = subprocess.Popen([driver], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def watch(self, path):
        body = self.send("GET", path, None, "", "diff/1")[1]
        events = [json.loads(line) for line in body.splitlines()] if isinstance(body, str) else [body]
        ends = [i for i, e in enumerate(events) if e["object"]["metadata"].get("name") == "end"]
        return events[:ends[0] + 1] if ends else events

    def send(self, method, path, body, kind, agent):
        self.p.stdin.write(json.dumps({"method": method, "path": path, "type": kind, "agent": agent,
                                       "body": body or ""}) + "\n")
        self.p.stdin.flush()
        line = self.p.stdout.readline()
        if not line:
            raise cluster.Failed(f"the driver ended at {method} {path} {body}")
        a = json.loads(line)
        return a["code"], a["body"]


def merged(doc, patch):
    if not isinstance(patch, dict):
        return patch
    doc = dict(doc) if isinstance(doc, dict) else {}
    for k, v in patch.items():
        if v is None:
            doc.pop(k, None)
        else:
            doc[k] = merged(doc.get(k), v)
    return doc


def perform(server, kind, name, q):
    """Sends one request; returns (code, body)."""
    version, base = PATHS[kind]
    path, agent, what = f"{base}/{name}", q["manager"] + "/1.0", q["what"]
    by = "?fieldManager=" + q["manager"]
    if what == "create":
        return server.send("POST", base + by, json.dumps(q["body"]), "application/json", agent)
    if what == "apply":
        return server.send("PATCH", path + by + ("&force=true" if q["force"] else ""), json.dumps(q["body"]),
                           cluster.SSA, agent)
    if what == "update":
        code, now = server.send("GET", path, None, "application/json", agent)
        if code != 200:
            return code, now
        now = merged(now, q["edit"]["merge"])
        if q["edit"]["managed"] == "drop":
            now["metadata"].pop("managedFields", None)
        elif q["edit"]["managed"] == "reset":
            now["metadata"]["managedFields"] = [{}]
        return server.send("PUT", path, json.dumps(now), "application/json", agent)
    if what in ("get", "delete"):
        return server.send(what.upper(), path, None, "application/json", agent)
    if what == "status":
        if q["apply"]:
            body = dict(q["body"], apiVersion=version, kind=kind, metadata={"name": name})
            return server.send("PATCH", path + "/status" + by, json.dumps(body), cluster.SSA, agent)
        return server.send("PATCH", path + "/status" + by, json.dumps(q["body"]), cluster.MERGE, agent)
    form = {"merge": cluster.MERGE, "json": cluster.JSON_PATCH, "strategic": cluster.STRATEGIC}[what]
    return server.send("PATCH", path + by, json.dumps(q["body"]), form, agent)


def normal(v, key=""):
    """Without what may differ."""
    if isinstance(v, dict):
        if "manager" in v and "fieldsV1" in v:
            v = {k: x for k, x in v.items() if k != "time"}
        return {k: normal(x, k) for k, x in v.items()
                if not (k in ("labels", "annotations") and not x) and k not in ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "clusterIP",
                             "clusterIPs", "nodePort")}
    if isinstance(v, list):
        v = [normal(x) for x in v]
        return sorted(v, key=lambda e: json.dumps(e, sort_keys=True)) if key in ("managedFields", "causes") else v
    if key == "message" and isinstance(v, str):  # causes come in the order of a Go map
        if "field not declared in schema" in v:  # ends the walk there, through members in the order of a Go map
            return "field not declared in schema"
        if "errors:\n" in v:
            return sorted(v.replace("errors:", "errors:\n").split("\n"))
        head, many, rest = v.partition(" is invalid: [")
        return head + many + ", ".join(sorted(rest[:-1].split(", "))) + "]" if many else v
    return v


def clean(server, kind, name):
    path = f"{PATHS[kind][1]}/{name}"
    server.send("PATCH", path, '{"metadata":{"finalizers":null}}', cluster.MERGE, "clean/1")
    server.send("DELETE", path, None, "application/json", "clean/1")


def begin(server, kind, name):
    """Returns the version from which on a watch tells all."""
    clean(server, kind, name)
    return server.send("GET", PATHS[kind][1] + "?limit=1", None, "application/json", "diff/1")[1]["metadata"]["resourceVersion"]


def end(server, kind, name, version):
    """(200, what a list shows and a watch tells of the sequence)"""
    base = PATHS[kind][1]
    items = server.send("GET", base + "?fieldSelector=metadata.name%3D" + name, None, "application/json", "diff/1")[1]
    last = dict(content(random.Random(1), kind), apiVersion=PATHS[kind][0], kind=kind, metadata={"name": "end"})
    server.send("POST", base, json.dumps(last), "application/json", "diff/1")
    events = [e for e in server.watch(f"{base}?watch=1&resourceVersion={version}") if e["object"]["metadata"]["name"] == name]
    clean(server, kind, "end")
    return 200, {"items": items, "events": events}


def difference(servers, kind, name, qs):
    """The first request whose answers differ: (index, real, sandbox), or None."""
    versions = [begin(s, kind, name) for s in servers]
    for i, q in enumerate(qs):
        real, mine = (perform(s, kind, name, q) for s in servers)
        if (real[0], normal(real[1])) != (mine[0], normal(mine[1])):
            return i, real, mine
    real, mine = (end(s, kind, name, v) for s, v in zip(servers, versions))
    return (len(qs), real, mine) if normal(real[1]) != normal(mine[1]) else None


def shrunk(servers, kind, name, qs):
    found = difference(servers, kind, name, qs)
    if found is None:
        return qs
    qs = qs[:found[0] + 1]
    i = len(qs) - 2
    while i >= 0:
        less = qs[:i] + qs[i + 1:]
        if difference(servers, kind, name, less):
            qs = less
        i -= 1
    return qs


def lines(v):
    return json.dumps(normal(v), indent=1, sort_keys=True).splitlines()


def tell(seed, kind, name, qs, servers):
    import difflib
    found = difference(servers, kind, name, qs)
    print(f"--- seed {seed}: {kind}, {len(qs)} requests")
    for q in qs:
        print("   ", json.dumps(q))
    if found is None:
        print("    does not happen again")
        return False
    _, real, mine = found
    print(f"    real {real[0]}, sandbox {mine[0]}")
    for line in list(difflib.unified_diff(lines(real[1]), lines(mine[1]), "real", "sandbox", lineterm="", n=2))[:60]:
        print("    " + line)
    return True


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--driver", required=True)
    p.add_argument("--bin")
    p.add_argument("--seeds", type=int, default=150)
    p.add_argument("--first", type=int, default=1)
    p.add_argument("--kind", choices=KINDS)
    p.add_argument("--most", type=int, default=5, help="differences to tell before it ends")
    args = p.parse_args()
    if args.bin and not os.path.exists(os.path.join(args.bin, "kube-apiserver")):
        print(f"no control plane in {args.bin}")
        return SKIPPED
    with cluster.Cluster(args.bin or None) as c:
        servers = (Real(c), Sandbox(args.driver))
        for s in servers:
            s.send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json.dumps(CRD),
                   "application/json", "diff/1")
        cluster.wait_for("the Widget type", lambda: servers[0].send("GET", PATHS["Widget"][1], None,
                                                                    "application/json", "diff/1")[0] == 200)
        bad = requests = 0
        for seed in range(args.first, args.first + args.seeds):
            kind, name, qs = sequence(seed, args.kind)
            requests += len(qs)
            if difference(servers, kind, name, copy.deepcopy(qs)):
                bad += tell(seed, kind, name, shrunk(servers, kind, name, qs), servers)
                if bad >= args.most:
                    break
            for s in servers:
                clean(s, kind, name)
        print(f"{seed - args.first + 1} sequences, {requests} requests, {bad} with a difference")
        return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
