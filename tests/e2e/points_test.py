#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Twenty points of the fault matrix (tests/reactor/fault_test.c) on a real API server.

    points_test.py --kroc PATH [--bin DIR]

One life of an instance (created, its input edited, its spec edited, deleted) is lived twenty times. The
controller speaks through a proxy that makes one of its requests go wrong in one way, or that ends it
with SIGKILL there, or that breaks its streams off. Each time the cluster must come to the same state:
each child made once and never twice, the finalizer kept while a child is there, nothing left at the end.
"""
import argparse
import collections
import http.client
import http.server
import json
import os
import ssl
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cluster"))

from cluster import Cluster, Failed, bin_folder, wait_for  # noqa: E402
from controller import ROOT, Controller  # noqa: E402

SKIPPED = 77
EXAMPLE = os.path.join(ROOT, "examples", "webapp")
CUT_BYTES = 60  # of a body that breaks off
WAYS = ("409", "410", "429", "500", "refused", "lost", "cut", "killed", "streams")


class Proxy(http.server.ThreadingHTTPServer):
    """Passes requests on to the API server; number `at` of those that are no stream goes wrong."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, cluster):
        super().__init__(("127.0.0.1", 0), Exchange)
        self.port = cluster.port
        self.tls = ssl._create_unverified_context()  # the test's own server on this machine
        self.lock = threading.Lock()
        self.streams = set()
        self.arm(0, "")
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def arm(self, at, way, then=None):
        with self.lock:
            self.count, self.at, self.way, self.then, self.hits = 0, at, way, then, 0

    def number(self):
        """Counts a request; returns the way in which it goes wrong, or nothing."""
        with self.lock:
            self.count += 1
            if self.count != self.at:
                return ""
            self.hits += 1
        if self.way in ("killed", "streams"):
            self.then()
        return self.way

    def break_streams(self):
        for s in list(self.streams):
            s.broken = True

    def handle_error(self, request, address):
        pass  # a connection that the controller has given up


class Exchange(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    broken = False

    def log_message(self, *_):
        pass

    def do_GET(self):
        if "watch=" in self.path:
            return self.stream()
        return self.pass_on()

    def do_PUT(self):
        return self.pass_on()

    do_POST = do_PATCH = do_DELETE = do_PUT

    def ask(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        upstream = http.client.HTTPSConnection("127.0.0.1", self.server.port, context=self.server.tls, timeout=300)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "accept-encoding")}
        upstream.request(self.command, self.path, body or None, headers)
        return upstream, upstream.getresponse()

    def hang_up(self):
        self.close_connection = True
        self.connection.close()

    def answer(self, code, body, more=()):
        self.send_response(code)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body))), *more):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, code):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": int(code), "message": "injected"}
        self.answer(int(code), json.dumps(status).encode(), [("Retry-After", "1")] if code == "429" else [])

    def pass_on(self):
        way = self.server.number()
        if way.isdigit():
            return self.refuse(way)
        if way == "refused":
            return self.hang_up()
        upstream, answer = self.ask()
        body = answer.read()
        upstream.close()
        if way in ("lost", "killed"):  # it took effect, and nobody hears of it
            return self.hang_up()
        if way == "cut":
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:CUT_BYTES])
            return self.hang_up()
        return self.answer(answer.status, body)

    def stream(self):
        upstream, answer = self.ask()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.server.streams.add(self)
        try:
            while True:
                some = answer.read1(65536)
                if self.broken:  # within an event
                    some = some[:CUT_BYTES]
                if some:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(some), some))
                    self.wfile.flush()
                if self.broken or not some:
                    return self.hang_up()
        finally:
            self.server.streams.discard(self)
            upstream.close()


class Life:
    """An instance in a namespace of its own."""

    def __init__(self, cluster, number, revive):
        self.cluster, self.ns, self.revive = cluster, f"point-{number}", revive
        core, apps = f"/api/v1/namespaces/{self.ns}", f"/apis/apps/v1/namespaces/{self.ns}"
        self.instance = f"/apis/kro.run/v1alpha1/namespaces/{self.ns}/webapps/shop"
        self.settings = f"{core}/configmaps/settings"
        self.deployment = f"{apps}/deployments/shop"
        self.children = [f"{core}/configmaps/shop-page", self.deployment, f"{core}/services/shop"]
        cluster.ask("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.ns}})
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": self.ns},
                       "data": {"COLOUR": "blue"}})

    def uids(self):
        return [(self.cluster.find(p) or {}).get("metadata", {}).get("uid") for p in self.children]

    def settled(self, replicas, version):
        self.revive()
        obj = self.cluster.find(self.instance)
        if (obj or {}).get("status", {}).get("state") != "ACTIVE":
            raise Failed(f"state is {(obj or {}).get('status', {}).get('state')}")
        if "kro.run/finalizer" not in obj["metadata"].get("finalizers", []):
            raise Failed("the finalizer is not there")
        spec = self.cluster.get(self.deployment)["spec"]
        seen = spec["replicas"], spec["template"]["metadata"].get("annotations", {}).get("config-version")
        if seen != (replicas, version):
            raise Failed(f"the Deployment is {seen} instead of {(replicas, version)}")
        return True

    def live(self, timeout):
        version = self.cluster.get(self.settings)["metadata"]["resourceVersion"]
        self.cluster.apply({"apiVersion": "kro.run/v1alpha1", "kind": "WebApp",
                            "metadata": {"name": "shop", "namespace": self.ns}, "spec": {"greeting": "hello", "replicas": 2}})
        wait_for("the instance is ACTIVE", lambda: self.settled(2, version), timeout)
        uids = self.uids()
        version = self.cluster.patch(self.settings, {"data": {"COLOUR": "green"}})["metadata"]["resourceVersion"]
        wait_for("the input's edit is followed", lambda: self.settled(2, version), timeout)
        self.cluster.patch(self.instance, {"spec": {"replicas": 3}})
        wait_for("the spec's edit is followed", lambda: self.settled(3, version), timeout)
        if self.uids() != uids or None in uids:
            raise Failed(f"children were made again: {uids}, then {self.uids()}")
        self.cluster.delete(self.instance)
        wait_for("the instance is gone", self.gone, timeout)

    def gone(self):
        self.revive()
        if self.cluster.find(self.instance) is None:
            if any(self.uids()):
                raise AssertionError(f"children are left behind: {self.uids()}")
            return True
        return False


def check_audit(cluster, mark, ns):
    """No object was made twice."""
    rows = [r for r in cluster.requests("controller", mark) if r.namespace == ns and r.code == 201]
    twice = [k for k, n in collections.Counter((r.resource, r.name) for r in rows).items() if n > 1]
    if twice:
        raise AssertionError(f"made twice: {twice}")


class Points:
    def __init__(self, cluster, kroc):
        self.cluster, self.proxy = cluster, Proxy(cluster)
        path = cluster.path("proxied.kubeconfig")
        with open(cluster.kubeconfig("controller")) as f:
            config = json.load(f)
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self.proxy.server_address[1]}"}
        with open(path, "w") as f:
            json.dump(config, f)
        self.kroc = Controller(kroc, cluster, "controller", kubeconfig=path, name="points")
        self.kroc.start()
        cluster.kubectl("apply", "-f", os.path.join(EXAMPLE, "rgd.yaml"))
        wait_for("the definition is served", self.serves, 60)

    def serves(self):
        rgd = self.cluster.get("/apis/kro.run/v1alpha1/resourcegraphdefinitions/webapp")
        return rgd.get("status", {}).get("state") == "Active"

    def revive(self):
        """Starts it again where it was killed. By the main thread: a child ends with the thread that made it."""
        if not self.kroc.running:
            self.kroc.start(ready=False)

    def point(self, number, at, way):
        life, mark = Life(self.cluster, number, self.revive), self.cluster.mark()
        self.proxy.arm(at, way, {"killed": self.kroc.kill, "streams": self.proxy.break_streams}.get(way))
        life.live(timeout=60)
        requests = self.proxy.count
        hits = self.proxy.hits
        self.proxy.arm(0, "")
        check_audit(self.cluster, mark, life.ns)
        if at and hits != 1:
            raise AssertionError(f"request {at} was never made")
        return requests

    def run(self, n):
        requests, failed = self.point(0, 0, ""), 0
        print(f"a life without a fault: {requests} requests", flush=True)
        for i in range(n):
            at, way = 1 + i * (requests - 2) // n, WAYS[i % len(WAYS)]
            began = time.monotonic()
            try:
                self.point(i + 1, at, way)
                outcome = "ok"
            except (Failed, AssertionError) as e:
                failed, outcome = failed + 1, f"FAILED: {e}"
            print(f"request {at:2} {way:8} {time.monotonic() - began:5.1f} s  {outcome}", flush=True)
            self.revive()
            wait_for("the controller is ready", self.kroc.is_ready, 60)
        return failed


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kroc")
    p.add_argument("--bin")
    p.add_argument("--points", type=int, default=20)
    a = p.parse_args()
    try:
        folder = bin_folder(a.bin)
    except Failed as e:
        print(f"skipped: {e}")
        sys.exit(SKIPPED)
    with Cluster(folder) as cluster:
        cluster.kubectl("apply", "-k", os.path.join(ROOT, "deploy", "crds"))
        points = Points(cluster, a.kroc)
        try:
            failed = points.run(a.points)
        finally:
            points.kroc.stop(check=False)
    print(f"{a.points - failed} points passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
