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
then counts as a change; the sandbox stores none. Nor is a Deployment scaled to the number that it has: there the real
server takes the entry of whoever updated the replicas apart, and forgets a part of it at the next time.

    sandbox_diff.py --driver PROGRAM [--bin DIR] [--seeds N] [--first SEED] [--kind KIND] [--jobs N]

Skips (77) where there is no control plane.
"""
import argparse
import difflib
import http.client
import json
import multiprocessing
import os
import queue
import random
import re
import subprocess
import sys
import time
import urllib.parse

from sequences import CRD, KINDS, TYPES, content, sequence

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))
import cluster  # noqa: E402

SKIPPED = 77
DIFF_LINES = 60
VOLATILE = r"\d+s|10\.0\.\d+\.\d+"
RECORD = r"(?<=in record )\([^)]*\)"
WITHIN = r'(\\*"(?:uid|resourceVersion|creationTimestamp|time)\\*":\\*")[^"\\]*'  # of an object that a message quotes
QUIET_S = 120  # a sequence takes a fraction of a second
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SEEN_BY = ("a", "a=x", "a!=y", "a in (x,y)", "a=x,b=y")  # selectors that the object "end" meets

# --- the two servers --------------------------------------------------------------------------------

class Real:
    """A connection for requests and, for each kind, one with a watch that stays open."""

    def __init__(self, c, namespace):
        self.c, self.namespace, self.link, self.watches = c, namespace, None, {}

    def open(self, method, path, link=None, body=None, kind="application/json", agent="diff/1", accept="application/json"):
        link = link or http.client.HTTPSConnection("127.0.0.1", self.c.port, context=self.c._tls(), timeout=60)
        link.request(method, path, body=body, headers={
            "Authorization": "Bearer " + self.c.token("admin"), "Content-Type": kind, "User-Agent": agent, "Accept": accept})
        return link, link.getresponse()

    def follow(self, kind):
        """Opens the watch of a kind, if it is not."""
        if kind not in self.watches:
            self.watches[kind] = self.open("GET", base(self, kind) + "?watch=1")

    def told(self, kind, version):
        """What that watch says behind the version, up to the beginning of the object named "end"."""
        return self.until_end(self.watches[kind][1], version)

    def watch(self, path, version):
        """The same, of a watch of its own."""
        link, answer = self.open("GET", f"{path}&resourceVersion={version}")
        events = self.until_end(answer, version)
        link.close()
        return events

    @staticmethod
    def until_end(answer, version):
        events = []
        for line in iter(answer.readline, b""):
            e = json.loads(line)
            if int(e["object"]["metadata"].get("resourceVersion") or 0) <= int(version):
                continue
            if e["object"]["metadata"]["name"] == "end" and e["type"] == "ADDED":
                break
            events.append(e)
        return events

    def send(self, method, path, body=None, kind="application/json", agent="diff/1", accept="application/json"):
        """(code, body, texts of warnings)"""
        self.link, answer = self.open(method, path, self.link, body, kind, agent, accept)
        raw = answer.read()
        warnings = [json.loads(w.split(" ", 2)[2]) for w in answer.headers.get_all("Warning") or []]
        try:
            return answer.status, json.loads(raw), warnings
        except ValueError:
            return answer.status, raw.decode(errors="replace"), warnings


class Sandbox:
    def __init__(self, driver, namespace):
        self.namespace = namespace
        self.p = subprocess.Popen([driver], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def follow(self, kind):
        """Its watches begin where they are asked to."""

    def told(self, kind, version):
        return self.watch(base(self, kind) + "?watch=1", version)

    def watch(self, path, version):
        body = self.send("GET", f"{path}&resourceVersion={version}")[1]
        events = [json.loads(line) for line in body.splitlines()] if isinstance(body, str) else [body]
        ends = [i for i, e in enumerate(events) if e["object"]["metadata"].get("name") == "end" and e["type"] == "ADDED"]
        return events[:ends[0]] if ends else events

    def send(self, method, path, body=None, kind="application/json", agent="diff/1", accept="application/json"):
        self.p.stdin.write(json.dumps({"method": method, "path": path, "type": kind, "agent": agent, "accept": accept,
                                       "body": body or ""}) + "\n")
        self.p.stdin.flush()
        line = self.p.stdout.readline()
        if not line:
            raise cluster.Failed(f"the driver ended at {method} {path} {body}")
        a = json.loads(line)
        return a["code"], a["body"], a["warnings"]


def base(server, kind):
    return f"{TYPES[kind][1]}/namespaces/{server.namespace}/{TYPES[kind][2]}"


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


def with_query(path, query):
    return path + ("?" + urllib.parse.urlencode(query) if query else "")


def update(server, path, q):
    """Reads, edits, writes; as a client that has read too early, if q is stale."""
    code, now, warnings = server.send("GET", path)
    if code != 200:
        return code, now, warnings
    now = merged(now, q["edit"]["merge"])
    if q["edit"]["managed"] == "drop":
        now["metadata"].pop("managedFields", None)
    elif q["edit"]["managed"] == "reset":
        now["metadata"]["managedFields"] = [{}]
    if q["stale"]:
        now["metadata"]["resourceVersion"] = "1"
    return server.send("PUT", with_query(path, q["query"]), json.dumps(now), agent=q["manager"] + "/1.0")


def perform(server, kind, q):
    """Sends one request; returns (code, body, warnings)."""
    all_of, what = base(server, kind), q["what"]
    path, agent = f"{all_of}/{q['name']}", q["manager"] + "/1.0"
    query, text = {**q["query"], "fieldManager": q["manager"]}, json.dumps(q.get("body"))
    if what == "create":
        return server.send("POST", with_query(all_of, query), text, agent=agent)
    if what == "apply":
        return server.send("PATCH", with_query(path, query), text, cluster.SSA, agent)
    if what == "update":
        return update(server, path, q)
    if what in ("get", "list"):
        return server.send("GET", with_query(path if what == "get" else all_of, q["query"]), accept=q["accept"])
    if what == "clear":
        return server.send("DELETE", with_query(all_of, q["query"]), agent=agent)
    if what == "delete":
        return server.send("DELETE", with_query(path, q["query"]), text if q["body"] else None, agent=agent)
    if what == "scale":
        return server.send("PATCH", with_query(path + "/scale", query), text, cluster.MERGE, agent) if q["body"] else \
            server.send("GET", path + "/scale")
    if what == "status":
        if q["apply"]:
            text = json.dumps(dict(q["body"], apiVersion=TYPES[kind][0], kind=kind, metadata={"name": q["name"]}))
        return server.send("PATCH", with_query(path + "/status", query), text, cluster.SSA if q["apply"] else cluster.MERGE, agent)
    form = {"merge": cluster.MERGE, "json": cluster.JSON_PATCH, "strategic": cluster.STRATEGIC}[what]
    return server.send("PATCH", with_query(path, query), text, form, agent)


def normal(v, key=""):
    """Without what may differ."""
    if isinstance(v, dict):
        if "manager" in v and "fieldsV1" in v:
            v = {k: x for k, x in v.items() if k != "time"}
        return {k: normal(x, k) for k, x in v.items()
                if not (k in ("labels", "annotations") and not x) and k not in ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "clusterIP",
                             "clusterIPs", "nodePort", "continue")}
    if isinstance(v, list):
        if key == "columnDefinitions":  # their texts are for people that read OpenAPI
            v = [{k: x for k, x in column.items() if k != "description"} for column in v]
        v = [normal(x) for x in v]
        return sorted(v, key=lambda e: json.dumps(e, sort_keys=True)) if key in ("managedFields", "causes") else v
    if isinstance(v, str) and re.fullmatch(VOLATILE, v):  # cells of tables
        return "volatile"
    if key == "message" and isinstance(v, str):
        v = re.sub(WITHIN, r"\1volatile", re.sub(RECORD, "(volatile)", v))
    if key == "message" and isinstance(v, str):  # causes come in the order of a Go map
        if "field not declared in schema" in v:  # ends the walk there, through members in the order of a Go map
            return "field not declared in schema"
        if "errors:\n" in v:
            return sorted(v.replace("errors:", "errors:\n").split("\n"))
        head, many, rest = v.partition(" is invalid: [")
        return head + many + ", ".join(sorted(rest[:-1].split(", "))) + "]" if many else v
    return v


def clean(server, kind, names):
    for name in names:
        path = f"{base(server, kind)}/{name}"
        if server.send("PATCH", path, '{"metadata":{"finalizers":null}}', cluster.MERGE, "clean/1")[0] == 200:
            server.send("DELETE", path, agent="clean/1")


def begin(server, kind, names):
    """Returns the version from which on a watch tells all."""
    clean(server, kind, names)
    server.follow(kind)
    return server.send("GET", base(server, kind) + "?limit=1")[1]["metadata"]["resourceVersion"]


def end(server, kind, version, selector):
    """(200, what a list shows and the watches tell of the sequence, no warnings)"""
    path = base(server, kind)
    items = server.send("GET", path)[1]
    last = dict(content(random.Random(1), kind), apiVersion=TYPES[kind][0], kind=kind,
                metadata={"name": "end", "labels": {"a": "x", "b": "y"}})
    clean(server, kind, ["end"])
    code, answer, _ = server.send("POST", path, json.dumps(last))
    if code != 201:
        raise cluster.Failed(f"the last object: {answer}")
    seen = {"items": items, "events": server.told(kind, version)}
    if selector in SEEN_BY:
        seen["selected"] = server.watch(with_query(path, {"watch": "1", "labelSelector": selector}), version)
    clean(server, kind, ["end"])
    return 200, seen, []


def difference(servers, kind, names, qs, selector):
    """The first request whose answers differ: (index, real, sandbox), or None."""
    versions = [begin(s, kind, names) for s in servers]
    found = None
    for i, q in enumerate(qs):
        real, mine = (perform(s, kind, q) for s in servers)
        if (real[0], normal(real[1]), sorted(real[2])) != (mine[0], normal(mine[1]), sorted(mine[2])):
            found = i, real, mine
            break
    real, mine = (end(s, kind, v, selector) for s, v in zip(servers, versions))
    if any(q["what"] == "scale" for q in qs):
        real[1]["events"] = without_repeats(real[1]["events"])
    if found is None and normal(real[1]) != normal(mine[1]):
        found = len(qs), real, mine
    return found


def without_repeats(events):
    """Without changes that change nothing: after a scale, whose entry of managed fields has no time, the real server
    stores an update that it would have dropped before."""
    return [e for i, e in enumerate(events) if i == 0 or normal(e) != normal(events[i - 1])]


def shrunk(servers, kind, names, qs, selector):
    found = difference(servers, kind, names, qs, selector)
    if found is None:
        return qs
    qs = qs[:found[0] + 1]
    i = len(qs) - 2
    while i >= 0:
        less = qs[:i] + qs[i + 1:]
        if difference(servers, kind, names, less, selector):
            qs = less
        i -= 1
    return qs


def lines(answer):
    return json.dumps([normal(answer[1]), answer[2]], indent=1, sort_keys=True).splitlines()


def told(seed, servers, kind, names, qs, selector):
    """The text about a sequence that differs, or None: it does not again."""
    found = difference(servers, kind, names, qs, selector)
    if found is None:
        return None
    _, real, mine = found
    text = [f"--- seed {seed}: {kind}, {len(qs)} requests" + (f", watched with {selector}" if selector else "")]
    text += ["    " + json.dumps(q) for q in qs]
    text.append(f"    real {real[0]}, sandbox {mine[0]}")
    told_lines = list(difflib.unified_diff(lines(real), lines(mine), "real", "sandbox", lineterm="", n=2))
    return "\n".join(text + ["    " + line for line in told_lines[:DIFF_LINES]])


# --- many at a time ---------------------------------------------------------------------------------

def work(c, driver, number, jobs, kind, out):
    """Runs the seeds of `jobs`, in a namespace of its own; tells (seed, requests, differed, text of the difference)."""
    namespace = f"diff-{number}"
    servers = Real(c, namespace), Sandbox(driver, namespace)
    for s in servers:
        s.send("POST", "/api/v1/namespaces", json.dumps({"metadata": {"name": namespace}}))
    servers[1].send("POST", CRDS, json.dumps(CRD))
    for seed in iter(jobs.get, None):
        of_kind, names, qs, selector = sequence(seed, kind)
        text, differed = None, difference(servers, of_kind, names, qs, selector) is not None
        if differed:
            text = told(seed, servers, of_kind, names, shrunk(servers, of_kind, names, qs, selector), selector)
        for s in servers:
            clean(s, of_kind, names)
        out.put((seed, len(qs), differed, text))
    out.put(None)


def run(c, args):
    """Returns the number of sequences that differ."""
    context = multiprocessing.get_context("fork")
    jobs, out = context.Queue(), context.Queue()
    for seed in list(range(args.first, args.first + args.seeds)) + [None] * args.jobs:
        jobs.put(seed)
    workers = [context.Process(target=work, args=(c, args.driver, n, jobs, args.kind, out), daemon=True) for n in range(args.jobs)]
    for w in workers:
        w.start()
    bad = done = requests = once = 0
    began, running = time.monotonic(), args.jobs
    while running and bad < args.most:
        try:
            answer = out.get(timeout=QUIET_S)
        except queue.Empty:
            raise cluster.Failed(f"no sequence ended within {QUIET_S} s") from None
        if answer is None:
            running -= 1
            continue
        seed, n, differed, text = answer
        done, requests = done + 1, requests + n
        if text:
            bad += 1
            print(text, flush=True)
        elif differed:
            once += 1
            print(f"--- seed {seed}: differed once and not again", flush=True)
    took = time.monotonic() - began
    print(f"{done} sequences, {requests} requests, {bad} with a difference, {once} that differed once; "
          f"{done / took:.1f} sequences a second")
    for w in workers:
        w.terminate()
    return bad


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--driver", required=True)
    p.add_argument("--bin")
    p.add_argument("--seeds", type=int, default=150)
    p.add_argument("--first", type=int, default=1)
    p.add_argument("--kind", choices=KINDS)
    p.add_argument("--jobs", type=int, default=4, help="sequences at a time")
    p.add_argument("--most", type=int, default=5, help="differences to tell before it ends")
    args = p.parse_args()
    if args.bin and not os.path.exists(os.path.join(args.bin, "kube-apiserver")):
        print(f"no control plane in {args.bin}")
        return SKIPPED
    with cluster.Cluster(args.bin or None) as c:
        real = Real(c, "default")
        real.send("POST", CRDS, json.dumps(CRD))
        cluster.wait_for("the Widget type", lambda: real.send("GET", base(real, "Widget"))[0] == 200)
        return 1 if run(c, args) else 0


if __name__ == "__main__":
    sys.exit(main())
