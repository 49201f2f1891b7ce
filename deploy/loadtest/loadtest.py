#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast is a controller, and what does it cost? One or several controllers, one after the other, on one cluster.

    loadtest.py [--on sandbox|local|current] [--controller NAME=COMMAND]... [--instances N] [SCENARIO...]

    create     N instances are created at once                 until each is ACTIVE
    churn      instances are edited, a few at a time           until the child has the new value
    roll       the ConfigMap that all instances read is edited until each child has its new value
    restart    the controller ends and starts again            until an edit made meanwhile is served; children that it rewrites
    failover   two replicas, the one that leads is killed      until an edit is served

What is measured is what a watch of instances and children sees. The report is Markdown with plots (SVG). Everything is removed at
the end. See README.md.
"""
import argparse
import concurrent.futures
import os
import platform
import signal
import sys
import threading
import time

import report
from api import APPLY, MERGE, Controller, Current, Failed, Local, Sandbox, Watch, wait_for

SCENARIOS = (
    ("create", "Instances are created, as fast as they can be; time from each creation until its instance is ACTIVE."),
    ("churn", "Instances are edited one after the other; time until the first child has the new value."),
    ("roll", "The one ConfigMap that all instances read is edited; time until each instance's child has the new value."),
    ("restart", "The controller ends (SIGTERM), an instance is edited, the controller starts; time from its start until the edit is "
                "served. Writes of children beside that one are wasted."),
    ("failover", "Two replicas; the one that leads is killed (SIGKILL), an instance is edited; time until the edit is served."),
)
NAMESPACE, DEFINITION, KIND, PLURAL = "kro-loadtest", "loadtest", "LoadTest", "loadtests"
LABEL = "kro-loadtest"
CORE = f"/api/v1/namespaces/{NAMESPACE}"
RGD = f"/apis/kro.run/v1alpha1/resourcegraphdefinitions/{DEFINITION}"
INSTANCES = f"/apis/kro.run/v1alpha1/namespaces/{NAMESPACE}/{PLURAL}"
CRD = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURAL}.kro.run"
WRITERS = 8  # threads that create and edit
LEADER_FLAGS = ["--leader-elect", "--leader-election-namespace", NAMESPACE]


def definition(children):
    """Instances read one ConfigMap and make a chain of others; the first carries what is measured."""
    resources = [{"id": "settings", "externalRef": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}}]
    for i in range(children):
        data = {"value": "${schema.spec.value}", "settings": "${settings.data.value}"} if i == 0 else {"before": f"${{child{i - 1}.metadata.name}}"}
        resources.append({"id": f"child{i}", "template": {
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": f"${{schema.metadata.name}}-{i}", "labels": {LABEL: str(i)}}, "data": data}})
    return {"apiVersion": "kro.run/v1alpha1", "kind": "ResourceGraphDefinition", "metadata": {"name": DEFINITION},
            "spec": {"schema": {"apiVersion": "v1alpha1", "kind": KIND, "spec": {"value": 'string | default="0"'}}, "resources": resources}}


class Result:
    def __init__(self, scenario, controller, latencies, took_s, child_writes, instance_writes, cpu_s, rss_kib):
        self.scenario, self.controller, self.latencies, self.took_s = scenario, controller, latencies, took_s
        self.child_writes, self.instance_writes, self.cpu_s, self.rss_kib = child_writes, instance_writes, cpu_s, rss_kib


class Seen:
    """What the watches show: when each instance became ACTIVE, when each first child got which values."""

    def __init__(self):
        self.changed = threading.Condition()
        self.active, self.values, self.settings = {}, {}, {}
        self.child_writes = self.instance_writes = 0
        self.touched = set()  # instances whose children were written

    def on_instance(self, kind, o):
        with self.changed:
            self.instance_writes += 1
            if kind != "DELETED" and o.get("status", {}).get("state") == "ACTIVE":
                self.active.setdefault(o["metadata"]["name"], time.monotonic())
            self.changed.notify_all()

    def on_child(self, kind, o):
        name, _, index = o["metadata"]["name"].rpartition("-")
        with self.changed:
            self.child_writes += 1
            self.touched.add(name)
            if index == "0" and kind != "DELETED":
                now = time.monotonic()
                self.values.setdefault((name, o["data"].get("value")), now)
                self.settings.setdefault((name, o["data"].get("settings")), now)
            self.changed.notify_all()

    def forget_counts(self):
        with self.changed:
            self.child_writes = self.instance_writes = 0
            self.touched = set()

    def wait(self, table, keys, seconds, alive, tell):
        """When each of keys came into table."""
        end = time.monotonic() + seconds
        with self.changed:
            while True:
                missing = [k for k in keys if k not in table]
                if not missing:
                    return [table[k] for k in keys]
                if time.monotonic() > end:
                    raise Failed(f"{len(missing)} of {len(keys)} are not done after {seconds} s, for example {missing[0]}")
                alive()
                tell(len(keys) - len(missing), len(keys))
                self.changed.wait(0.5)


class Test:
    """One controller on the cluster, all scenarios."""

    def __init__(self, target, controller, args):
        self.target, self.api, self.controller, self.args = target, target.api, controller, args
        self.name = controller.name if controller else "deployed"
        self.log = os.path.join(args.report, self.name + ".log")
        self.serial = 0
        self.names = [f"i{i:06}" for i in range(args.instances)]
        self.results = []

    # --- life ---------------------------------------------------------------------------------

    def __enter__(self):
        if self.api.call("GET", RGD)[0] == 200 or self.api.call("GET", CRD)[0] == 200:
            raise Failed(f"the definition {DEFINITION} or its CRD is there already: remove them (kubectl delete rgd,crd ...) first")
        self.api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}, also=(409,))
        self.edit_settings("0")
        self.start()
        self.api.ask("PATCH", RGD + "?fieldManager=loadtest&force=true", definition(self.args.children), APPLY)
        wait_for("the definition is served", self.served, self.args.timeout)
        self.seen = Seen()
        self.watches = [Watch(self.api, INSTANCES, self.seen.on_instance),
                        Watch(self.api, f"{CORE}/configmaps?labelSelector={LABEL}", self.seen.on_child)]
        return self

    def __exit__(self, *failed):
        for w in getattr(self, "watches", []):
            w.close()
        try:
            self.clean()
        except Failed as e:
            if not failed[0]:
                raise
            print(f"loadtest: {e}", file=sys.stderr)
        finally:
            if self.controller:
                self.controller.end_all()

    def start(self, more=()):
        return self.controller.start(self.target.kubeconfig, self.log, more) if self.controller else None

    def alive(self):
        if self.controller:
            self.controller.must_run(self.log)

    def served(self):
        self.alive()
        return self.api.ask("GET", RGD).get("status", {}).get("state") == "Active"

    def clean(self):
        """Instances first, while the controller still runs: it takes their children away."""
        if self.controller and not self.controller.running:
            self.start()
        items = self.api.call("GET", INSTANCES)[1]
        if isinstance(items, dict):
            self.each([o["metadata"]["name"] for o in items.get("items", [])], lambda n: self.api.ask("DELETE", f"{INSTANCES}/{n}", also=(404,)))
            wait_for("the instances are gone", lambda: not (self.api.call("GET", INSTANCES)[1] or {}).get("items"), self.args.timeout)
        self.api.ask("DELETE", RGD, also=(404,))
        wait_for("the definition is gone", lambda: self.api.call("GET", RGD)[0] == 404, self.args.timeout)
        self.api.ask("DELETE", CRD, also=(404,))
        wait_for("its CRD is gone", lambda: self.api.call("GET", CRD)[0] == 404, self.args.timeout)
        self.api.ask("DELETE", f"/api/v1/namespaces/{NAMESPACE}", also=(404, 409))
        wait_for("the namespace is gone", lambda: self.api.call("GET", f"/api/v1/namespaces/{NAMESPACE}")[0] == 404, self.args.timeout)

    # --- what is done ------------------------------------------------------------------------------

    def each(self, items, fn):
        with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
            return list(pool.map(fn, items))

    def create(self, name):
        began = time.monotonic()
        self.api.ask("POST", INSTANCES, {"apiVersion": "kro.run/v1alpha1", "kind": KIND, "metadata": {"name": name}, "spec": {}})
        return began

    def edit(self, name):
        """Gives the instance a value that it never had; returns (key to wait for, when)."""
        self.serial += 1
        value, began = str(self.serial), time.monotonic()
        self.api.ask("PATCH", f"{INSTANCES}/{name}", {"spec": {"value": value}}, MERGE)
        return (name, value), began

    def edit_settings(self, value):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"value": value}}
        self.api.ask("PATCH", f"{CORE}/configmaps/settings?fieldManager=loadtest&force=true", body, APPLY)

    def done(self, table, keys):
        progress = report.Progress(f"{self.name} {self.scenario}")
        try:
            return self.seen.wait(table, keys, self.args.timeout, self.alive, progress.tell)
        finally:
            progress.end()

    # --- scenarios -----------------------------------------------------------------------------------

    def run_create(self):
        began = self.each(self.names, self.create)
        return [at - b for at, b in zip(self.done(self.seen.active, self.names), began)]

    def run_churn(self):
        latencies = []
        for i in range(self.args.edits):
            key, began = self.edit(self.names[i % len(self.names)])
            latencies.append(self.done(self.seen.values, [key])[0] - began)
        return latencies

    def run_roll(self):
        self.serial += 1
        value, began = f"roll-{self.serial}", time.monotonic()
        self.edit_settings(value)
        return [at - began for at in self.done(self.seen.settings, [(n, value) for n in self.names])]

    def run_restart(self):
        self.controller.end_all()
        self.seen.forget_counts()
        key, _ = self.edit(self.names[0])
        began = time.monotonic()
        self.start()
        return [self.done(self.seen.values, [key])[0] - began]

    def run_failover(self):
        self.controller.end_all()
        leader = self.start(LEADER_FLAGS)
        self.done(self.seen.values, [self.edit(self.names[0])[0]])
        self.start(LEADER_FLAGS)
        time.sleep(self.args.settle)
        self.seen.forget_counts()
        self.controller.end(leader, signal.SIGKILL)
        key, began = self.edit(self.names[0])
        return [self.done(self.seen.values, [key])[0] - began]

    def run(self, scenario):
        self.scenario = scenario
        cpu_before = self.controller.usage()[0] if self.controller else 0
        self.seen.forget_counts()
        began = time.monotonic()
        latencies = getattr(self, "run_" + scenario)()
        took = time.monotonic() - began
        time.sleep(self.args.settle)  # what comes after: status writes, writes that nobody needed
        cpu, rss = self.controller.usage() if self.controller else (0, 0)
        result = Result(scenario, self.name, latencies, took, self.seen.child_writes, self.seen.instance_writes, cpu - cpu_before, rss)
        self.results.append(result)
        print(f"{self.name:16} {scenario:9} p50 {report.seconds(report.percentile(latencies, 50)):>9}  largest {report.seconds(max(latencies)):>9}  "
              f"{result.child_writes} writes of children", flush=True)


def target_of(args):
    if args.on == "sandbox":
        return Sandbox(args.kroc)
    return Local(args.bin) if args.on == "local" else Current(args.context)


def facts(target, args):
    version = target.api.ask("GET", "/version")["gitVersion"]
    return [("cluster", f"{target.name}, {version}"), ("instances", f"{args.instances}, {args.children} children each"), ("edits in churn", args.edits),
            ("machine", f"{platform.machine()}, {os.cpu_count()} processors"), ("when", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))]


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="create, churn, roll, restart, failover; all when none is given")
    p.add_argument("--on", choices=("sandbox", "local", "current"), default="current", help="kroc sandbox; tests/cluster; kubectl's cluster (the default)")
    p.add_argument("--context", help="with --on current: kubectl's context")
    p.add_argument("--bin", help="with --on local: folder with the control plane")
    p.add_argument("--kroc", default=os.path.join("build", "release", "kroc"), help="with --on sandbox: the program")
    p.add_argument("--controller", action="append", default=[], metavar="NAME=COMMAND",
                   help="start this; again for a comparison. None: measure what runs already (create, churn, roll)")
    p.add_argument("--instances", type=int, default=100)
    p.add_argument("--children", type=int, default=3, help="of an instance")
    p.add_argument("--edits", type=int, default=50, help="in churn")
    p.add_argument("--settle", type=float, default=2, metavar="SECONDS", help="to wait behind each scenario")
    p.add_argument("--timeout", type=float, default=300, metavar="SECONDS", help="for each thing that is waited for")
    p.add_argument("--report", default="loadtest-report", metavar="FOLDER")
    args = p.parse_args()
    known = [name for name, _ in SCENARIOS]
    for s in args.scenarios:
        if s not in known:
            p.error(f"no scenario {s}: there are {', '.join(known)}")
    if args.instances < 1 or args.children < 1 or args.edits < 1:
        p.error("--instances, --children and --edits are at least 1")
    wanted = args.scenarios or known
    args.wanted = [s for s in known if s in wanted or s == "create"]  # the others need instances
    if not args.controller:
        args.wanted = [s for s in args.wanted if s not in ("restart", "failover")]
    return args


def main():
    args = parse()
    os.makedirs(args.report, exist_ok=True)
    results = []
    try:
        controllers = [Controller(text) for text in args.controller] or [None]
        with target_of(args) as target:
            about = facts(target, args)
            for controller in controllers:
                with Test(target, controller, args) as test:
                    for scenario in args.wanted:
                        test.run(scenario)
                results += test.results
        print(report.write(args.report, about, SCENARIOS, results))
        return 0
    except Failed as e:
        print(f"loadtest: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
