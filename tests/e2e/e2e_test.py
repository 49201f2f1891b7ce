#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""End to end: the controller's binary against a real API server, its requests counted in the audit log.

    e2e_test.py --kroc PATH [--bin DIR] [--list] [GROUP | GROUP.test ...]

Each group starts a control plane of its own (3 s) and is one ctest test. What the example may cost is
stated once, in class Budget; every number there is a promise to the API server's owner. Exit code 77
means that there is no control plane to run on (see tests/cluster/build.sh).
"""
import argparse
import base64
import datetime
import glob
import hashlib
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
import unittest
import urllib.request
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cluster"))

import controller as kroc_process  # noqa: E402
from cluster import Cluster, Failed, bin_folder, free_port, wait_for  # noqa: E402
from controller import ROOT, Controller  # noqa: E402
from stub_proxy import Proxy  # noqa: E402

SKIPPED = 77
QUIET_S = 1.5  # nothing asked for so long: the controller is at rest
NOTHING_S = 3.0  # how long "no request" is watched for

EXAMPLE = os.path.join(ROOT, "examples", "webapp")
CRDS = os.path.join(ROOT, "deploy", "crds")
STANDALONE = os.path.join(ROOT, "deploy", "kustomize", "standalone")
SIDECAR = os.path.join(ROOT, "deploy", "kustomize", "sidecar")

K = 3  # objects that the example makes: ConfigMap, Deployment, Service
DEFINITIONS = "/apis/kro.run/v1alpha1/resourcegraphdefinitions"

OPTIONS = argparse.Namespace(kroc=None, bin=None)


def condition(obj, kind):
    for c in (obj or {}).get("status", {}).get("conditions", []):
        if c["type"] == kind:
            return c
    return {}


def paths(ns):
    """The example's objects in a namespace."""
    core, apps = f"/api/v1/namespaces/{ns}", f"/apis/apps/v1/namespaces/{ns}"
    return argparse.Namespace(
        instance=f"/apis/kro.run/v1alpha1/namespaces/{ns}/webapps/shop", settings=f"{core}/configmaps/settings",
        page=f"{core}/configmaps/shop-page", deployment=f"{apps}/deployments/shop", service=f"{core}/services/shop")


def settings(ns, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": ns},
            "data": data or {"COLOUR": "blue"}}


def instance(ns, **spec):
    return {"apiVersion": "kro.run/v1alpha1", "kind": "WebApp", "metadata": {"name": "shop", "namespace": ns},
            "spec": {"greeting": "hello", "replicas": 2, **spec}}


def documents(cluster, path):
    """The documents of a YAML file as dicts: kubectl reads YAML for us."""
    text = cluster.kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", path)
    found, at = [], 0
    while at < len(text):  # one behind the other
        one, at = json.JSONDecoder().raw_decode(text, at)
        found += one["items"] if one["kind"] == "List" else [one]
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


class Group(unittest.TestCase):
    """A control plane and, unless a group says otherwise, a controller with the example's definition."""

    ALIAS = "controller"
    ARGS = ()
    CRD = True  # kro's CRDs are applied
    START = True  # the controller is started and the example defined
    STATE = None  # what etcd begins with: an archive
    namespaces = 0
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(OPTIONS.bin, state=cls.STATE)
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()
        if cls.CRD:
            cls.cluster.kubectl("apply", "-k", CRDS)
        cls.prepare()
        if cls.START:
            cls.kroc = Controller(OPTIONS.kroc, cls.cluster, cls.ALIAS, cls.ARGS)
            cls.addClassCleanup(cls.kroc.stop, check=False)
            cls.kroc.start()
            cls.define()

    @classmethod
    def prepare(cls):
        """What must be in the cluster before the controller starts."""

    @classmethod
    def define(cls):
        cls.cluster.kubectl("apply", "-f", os.path.join(EXAMPLE, "rgd.yaml"))
        wait_for("the example's definition is served", lambda: cls.serves("webapp"), 30)

    @classmethod
    def serves(cls, name):
        cls.kroc.must_run()
        ready = condition(cls.cluster.find(f"{DEFINITIONS}/{name}"), "Ready")
        if ready.get("status") != "True":
            raise Failed(f"definition {name}: {ready.get('message') or 'no condition yet'}")
        return True

    # --- steps that the tests are made of --------------------------------------

    @classmethod
    def namespace(cls):
        """A new namespace for one test."""
        Group.namespaces += 1
        name = f"test-{Group.namespaces}"
        cls.cluster.ask("POST", "/api/v1/namespaces",
                        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return name

    @classmethod
    def shop(cls):
        """An instance of the example in a namespace of its own, ACTIVE and at rest."""
        ns = cls.namespace()
        cls.cluster.apply(settings(ns))
        cls.cluster.apply(instance(ns))
        cls.until_active(ns)
        cls.rest()
        return ns, paths(ns)

    @classmethod
    def until_active(cls, ns, timeout=20):
        def active():
            cls.kroc.must_run()
            obj = cls.cluster.find(paths(ns).instance)
            if (obj or {}).get("status", {}).get("state") != "ACTIVE":
                raise Failed(f"state is {(obj or {}).get('status', {}).get('state')}, "
                             f"Ready says: {condition(obj, 'Ready').get('message')}")
            return True

        wait_for(f"the instance in {ns} is ACTIVE", active, timeout)

    @classmethod
    def rest(cls, since=None):
        """Waits until the controller asks nothing any more; what it asked since the mark."""
        cls.kroc.must_run()
        return cls.cluster.settled(cls.ALIAS, cls.cluster.mark() if since is None else since, QUIET_S)

    @classmethod
    def restart(cls, since=None):
        """Starts the controller anew, after a SIGKILL if it runs, and waits until it has read the instances."""
        mark = cls.cluster.mark() if since is None else since
        cls.kroc.kill()
        cls.kroc.start()
        wait_for("the controller reads the instances", lambda: any(
            r.resource == "webapps" and r.verb in ("list", "watch") for r in cls.cluster.requests(cls.ALIAS, mark)), 20)

    def until(self, what, check, timeout=15):
        def checked():
            self.kroc.must_run()
            return check()

        mark = self.cluster.mark()
        try:
            return wait_for(what, checked, timeout)
        except Failed as e:
            asked = "\n".join(str(r) for r in self.cluster.requests(self.ALIAS, mark)[-20:])
            raise Failed(f"{e}\nThe controller asked since:\n{asked}\nand said:\n{self.kroc.log()[-4000:]}") from None

    def writes(self, rows):
        return [r for r in rows if r.writes]

    def plain(self, rows):
        return [r for r in rows if r.writes and not r.status]

    def statuses(self, rows):
        return [r for r in rows if r.writes and r.status]

    def assert_requests(self, rows, plain, statuses_max=0, reads=False):
        """`plain` is the exact list of writes as "verb resource"; reads are not allowed unless told."""
        text = "".join(f"\n  {r}" for r in rows)
        self.assertEqual([f"{r.verb} {r.resource}" for r in self.plain(rows)], plain, f"writes; all requests:{text}")
        self.assertLessEqual(len(self.statuses(rows)), statuses_max, f"status writes; all requests:{text}")
        self.assertFalse([r for r in rows if r.code >= 400], f"refused requests:{text}")
        if not reads:
            self.assertFalse([r for r in rows if not r.writes], f"reads; all requests:{text}")

    def assert_nothing(self, since):
        time.sleep(NOTHING_S)
        rows = self.cluster.requests(self.ALIAS, since)
        self.assertEqual([str(r) for r in rows], [], "nothing was to be asked")

    def config_version(self, p):
        obj = self.cluster.get(p.deployment)
        return obj["spec"]["template"]["metadata"].get("annotations", {}).get("config-version")

    def edit_settings(self, p, **data):
        """Edits the ConfigMap and waits until the Deployment has it."""
        version = self.cluster.patch(p.settings, {"data": data})["metadata"]["resourceVersion"]
        self.until("the Deployment carries the new version", lambda: self.config_version(p) == version)
        return version

    def follows(self, ns):
        """The whole life of an instance works; no count, no refusal. For groups about rights."""
        p = paths(ns)
        mark = self.cluster.mark()
        self.cluster.apply(settings(ns))
        self.cluster.apply(instance(ns))
        self.until_active(ns)
        self.edit_settings(p, COLOUR="green")
        self.cluster.delete(p.instance)
        self.until("the instance is gone", lambda: self.cluster.find(p.instance) is None)
        for path in (p.page, p.deployment, p.service):
            self.assertIsNone(self.cluster.find(path))
        refused = [str(r) for r in self.rest(mark) if r.code in (401, 403)]
        self.assertEqual(refused, [])


class Budget(Group):
    """What a change may cost, counted on the example (K = 3 objects)."""

    def test_creation(self):
        ns = self.namespace()
        self.cluster.apply(settings(ns))
        mark = self.cluster.mark()
        self.cluster.apply(instance(ns))
        self.until_active(ns)
        rows = [r for r in self.rest(mark) if r.writes]
        text = "".join(f"\n  {r}" for r in rows)
        self.assertLessEqual(len(self.plain(rows)), K + 2, f"K+2 writes at most:{text}")
        self.assertLessEqual(len(self.statuses(rows)), 2, f"2 status writes at most:{text}")
        self.assertEqual([r for r in rows if r.code >= 400], [], text)
        self.assertEqual({r.namespace for r in rows}, {ns}, text)
        obj = self.cluster.get(paths(ns).instance)
        self.assertEqual(condition(obj, "Ready")["status"], "True")
        self.assertEqual(obj["status"]["settingsVersion"],
                         self.cluster.get(paths(ns).settings)["metadata"]["resourceVersion"])
        self.assertEqual(obj["status"]["address"], self.cluster.get(paths(ns).service)["spec"]["clusterIP"])

    def test_edit_of_the_configmap_is_one_patch(self):
        ns, p = self.shop()
        mark = self.cluster.mark()
        version = self.edit_settings(p, COLOUR="green")
        self.assert_requests(self.rest(mark), ["patch deployments"], statuses_max=1)
        self.until("the status follows",
                   lambda: self.cluster.get(p.instance)["status"]["settingsVersion"] == version)

    def test_ten_edits_in_a_row_end_in_the_last_one(self):
        ns, p = self.shop()
        mark = self.cluster.mark()
        for i in range(9):
            self.cluster.patch(p.settings, {"data": {"COUNT": str(i)}})
        self.edit_settings(p, COUNT="last")
        rows = self.rest(mark)
        self.assertEqual({r.resource for r in self.plain(rows)}, {"deployments"})
        self.assertLessEqual(len(self.plain(rows)), 10)
        self.assertLessEqual(len(self.statuses(rows)), 10)

    def test_foreign_annotation_on_the_service_costs_nothing(self):
        ns, p = self.shop()
        mark = self.cluster.mark()
        self.cluster.patch(p.service, {"metadata": {"annotations": {"example.com/seen": "yes"}}}, manager="rival")
        self.assert_nothing(mark)

    def test_status_heartbeat_on_the_deployment_costs_nothing(self):
        ns, p = self.shop()
        mark = self.cluster.mark()
        for second in range(3):
            beat = f"2026-01-01T00:00:0{second}Z"
            self.cluster.patch(p.deployment + "/status", {"status": {"observedGeneration": 1, "conditions": [
                {"type": "Progressing", "status": "True", "reason": "Beat", "message": beat, "lastUpdateTime": beat,
                 "lastTransitionTime": beat}]}}, manager="manager")
        self.assert_nothing(mark)

    def test_write_to_the_configmap_that_changes_nothing_costs_nothing(self):
        ns, p = self.shop()
        mark = self.cluster.mark()
        self.cluster.patch(p.settings, {"data": {"COLOUR": "blue"}})
        self.assert_nothing(mark)

    def test_foreign_edit_of_an_owned_field_is_restored_by_one_patch(self):
        for what, change, seen in (
                ("deployment", {"spec": {"replicas": 7}}, lambda o: o["spec"]["replicas"] == 2),
                ("page", {"data": {"index.html": "hacked"}}, lambda o: o["data"]["index.html"] == "<h1>hello</h1>"),
                ("service", {"spec": {"selector": {"app": "other"}}}, lambda o: o["spec"]["selector"]["app"] == "shop"),
        ):
            with self.subTest(what):
                ns, p = self.shop()
                path = getattr(p, what)
                mark = self.cluster.mark()
                self.cluster.patch(path, change, manager="rival")
                self.until(f"the {what} is restored", lambda: seen(self.cluster.get(path)))
                resource = path.split("/")[-2]
                self.assert_requests(self.rest(mark), [f"patch {resource}"], statuses_max=1)

    def test_deleted_object_is_made_again_by_one_patch(self):
        ns, p = self.shop()
        mark = self.cluster.mark()
        old = self.cluster.get(p.page)["metadata"]["uid"]
        self.cluster.delete(p.page)
        self.until("the ConfigMap is back", lambda: (self.cluster.find(p.page) or {}).get("metadata", {}).get(
            "uid", old) != old)
        self.assert_requests(self.rest(mark), ["patch configmaps"], statuses_max=2)

    def test_edit_of_the_spec_touches_only_its_readers(self):
        ns, p = self.shop()
        mark = self.cluster.mark()
        self.cluster.patch(p.instance, {"spec": {"replicas": 3}})
        self.until("the Deployment follows", lambda: self.cluster.get(p.deployment)["spec"]["replicas"] == 3)
        self.assert_requests(self.rest(mark), ["patch deployments"], statuses_max=1)

    def test_instance_waits_for_the_configmap_it_reads(self):
        ns = self.namespace()
        p = paths(ns)
        self.cluster.apply(instance(ns))
        self.until("the ConfigMap that needs nothing is made", lambda: self.cluster.find(p.page))
        self.rest()
        self.assertIsNone(self.cluster.find(p.deployment))
        obj = self.cluster.get(p.instance)
        self.assertEqual(obj["status"]["state"], "IN_PROGRESS")
        self.assertIn("settings", condition(obj, "Ready")["message"])
        mark = self.cluster.mark()
        self.cluster.apply(settings(ns))
        self.until_active(ns)
        self.assert_requests(self.rest(mark), ["patch deployments"], statuses_max=2)

    def test_kill_and_restart_writes_nothing(self):
        ns, p = self.shop()
        mark = self.cluster.mark()
        self.restart(mark)
        self.assertEqual([str(r) for r in self.writes(self.rest(mark))], [])
        mark = self.cluster.mark()
        self.edit_settings(p, COLOUR="after")
        self.assert_requests(self.rest(mark), ["patch deployments"], statuses_max=1)

    def test_what_changed_while_it_was_down_is_put_right_after(self):
        ns, p = self.shop()
        self.kroc.kill()
        version = self.cluster.patch(p.settings, {"data": {"COLOUR": "meanwhile"}})["metadata"]["resourceVersion"]
        self.cluster.patch(p.page, {"data": {"index.html": "hacked"}}, manager="rival")
        mark = self.cluster.mark()
        self.restart(mark)
        self.until("the Deployment carries the new version", lambda: self.config_version(p) == version)
        rows = self.rest(mark)
        self.assertEqual(sorted(f"{r.verb} {r.resource}" for r in self.plain(rows)),
                         ["patch configmaps", "patch deployments"])
        self.assertLessEqual(len(self.statuses(rows)), 1)

    def test_deletion_in_reverse_order_leaves_nothing(self):
        ns, p = self.shop()
        mark = self.cluster.mark()
        self.cluster.delete(p.instance)
        self.until("the instance is gone", lambda: self.cluster.find(p.instance) is None)
        rows = self.rest(mark)
        text = "".join(f"\n  {r}" for r in rows)
        plain = self.plain(rows)
        deletes = [r.resource for r in plain if r.verb == "delete"]
        self.assertEqual(sorted(deletes[:2]), ["deployments", "services"], text)  # they depend on others
        self.assertEqual(deletes[2:], ["configmaps"], text)  # the Deployment reads the page
        self.assertEqual([f"{r.verb} {r.resource}" for r in plain if r.verb != "delete"], ["patch webapps"], text)
        self.assertEqual(plain[-1].resource, "webapps", text)
        self.assertEqual(len(self.statuses(rows)), 1, text)
        for path in (p.page, p.deployment, p.service):
            self.assertIsNone(self.cluster.find(path), path)
        self.assertIsNotNone(self.cluster.find(p.settings), "what it only reads is not its to delete")

    def test_a_job_is_not_left_to_orphan_its_pods(self):
        """Of itself the server gives a Job the finalizer "orphan"; without a garbage collector it would stay."""
        self.cluster.kubectl("apply", "-f", write(self.cluster.path("task.yaml"), definition(
            "tasks", "Task", "job", """
        apiVersion: batch/v1
        kind: Job
        metadata: {name: "${schema.metadata.name}"}
        spec:
          parallelism: ${schema.spec.size}
          template:
            spec:
              restartPolicy: Never
              containers: [{name: main, image: busybox}]""")))
        self.until("the definition is served", lambda: self.serves("tasks"), 30)
        ns = self.namespace()
        job = f"/apis/batch/v1/namespaces/{ns}/jobs/t"
        task = f"/apis/kro.run/v1alpha1/namespaces/{ns}/tasks/t"
        self.cluster.apply({"apiVersion": "kro.run/v1alpha1", "kind": "Task", "metadata": {"name": "t", "namespace": ns}})
        self.until("the Job is there", lambda: self.cluster.find(job))
        self.cluster.delete(task)
        self.until("the instance is gone", lambda: self.cluster.find(task) is None)
        self.assertIsNone(self.cluster.find(job))

    def test_names_longer_than_a_label_value(self):
        node, name = "n" * 70, "t" * 70
        self.cluster.kubectl("apply", "-f", write(self.cluster.path("long.yaml"), definition("longs", "Long", node, """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: "${schema.metadata.name}"}
        data: {size: "${string(schema.spec.size)}"}""")))
        self.until("the definition is served", lambda: self.serves("longs"), 30)
        ns = self.namespace()
        child = f"/api/v1/namespaces/{ns}/configmaps/{name}"
        path = f"/apis/kro.run/v1alpha1/namespaces/{ns}/longs/{name}"
        self.cluster.apply({"apiVersion": "kro.run/v1alpha1", "kind": "Long", "metadata": {"name": name, "namespace": ns}})
        self.until("the instance is ACTIVE", lambda: self.cluster.get(path).get("status", {}).get("state") == "ACTIVE")
        labels = self.cluster.get(child)["metadata"]["labels"]
        for key, value in (("instance-name", name), ("node-id", node)):
            self.assertEqual(labels["kro.run/" + key], "h-" + hashlib.sha256(value.encode()).hexdigest()[:40])
        self.rest()
        mark = self.cluster.mark()
        self.cluster.patch(child, {"data": {"size": "7"}})
        self.until("what was changed is put back", lambda: self.cluster.get(child)["data"]["size"] == "1")
        self.assert_requests(self.rest(mark), ["patch configmaps"], statuses_max=1)
        self.cluster.delete(path)
        self.until("the instance is gone", lambda: self.cluster.find(path) is None)
        self.assertIsNone(self.cluster.find(child))


class Faults(Group):
    """The API server crashes and comes back. The long matrices of faults run in process, without a server."""

    def crash(self, down_s=0.0):
        self.cluster.kill_apiserver()
        time.sleep(down_s)
        self.cluster.start_apiserver()

    def test_server_comes_back_and_nothing_is_written_twice(self):
        ns, p = self.shop()
        mark = self.cluster.mark()
        self.crash(down_s=2.0)
        self.until("the controller watches again",
                   lambda: any(r.verb == "watch" for r in self.cluster.requests(self.ALIAS, mark)), 30)
        self.assertEqual([str(r) for r in self.writes(self.rest(mark))], [])
        mark = self.cluster.mark()
        self.edit_settings(p, COLOUR="after")
        rows = self.rest(mark)
        self.assertEqual([f"{r.verb} {r.resource}" for r in self.plain(rows)], ["patch deployments"])

    def test_edit_while_the_watches_are_broken_is_seen(self):
        ns, p = self.shop()
        self.crash()
        self.edit_settings(p, COLOUR="at once")
        self.rest()

    def test_crash_in_the_middle_of_a_creation(self):
        for delay_s in (0.0, 0.01, 0.03, 0.1):
            with self.subTest(delay_s=delay_s):
                ns = self.namespace()
                p = paths(ns)
                self.cluster.apply(settings(ns))
                mark = self.cluster.mark()
                self.cluster.apply(instance(ns))
                time.sleep(delay_s)
                self.crash()
                self.until_active(ns, timeout=45)
                rows = [r for r in self.rest(mark) if r.namespace == ns]
                made = [r for r in self.plain(rows) if r.code == 201]
                text = "".join(f"\n  {r}" for r in rows)
                self.assertEqual(len(made), len({(r.resource, r.name) for r in made}), f"made twice:{text}")
                for path in (p.page, p.deployment, p.service):
                    self.assertIsNotNone(self.cluster.find(path))

    def test_crd_deleted_while_the_controller_is_down(self):
        ns, p = self.shop()
        crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/webapps.kro.run"
        uid = self.cluster.get(crd)["metadata"]["uid"]
        self.kroc.stop(check=False)
        self.cluster.delete(crd)
        self.kroc.start()

        def made_again():
            found = self.cluster.find(crd)
            return found and found["metadata"]["uid"] != uid

        self.until("the CRD goes with its instances and is made again", made_again, 40)
        for path in (p.instance, p.page, p.deployment, p.service):
            self.until(f"{path} is gone", lambda: self.cluster.find(path) is None, 20)

    def test_crash_in_the_middle_of_a_deletion(self):
        ns, p = self.shop()
        self.cluster.delete(p.instance)
        self.crash()
        self.until("the instance is gone", lambda: self.cluster.find(p.instance) is None, 45)
        for path in (p.page, p.deployment, p.service):
            self.assertIsNone(self.cluster.find(path))
        self.rest()


class Rights(Group):
    """The controller as the service account of deploy/kustomize/standalone, with its rights and no more."""

    ALIAS = "standalone"

    @classmethod
    def prepare(cls):
        cls.cluster.kubectl("apply", "-f", os.path.join(STANDALONE, "namespace.yaml"),
                            "-f", os.path.join(STANDALONE, "rbac.yaml"))

    def test_shipped_rights_suffice(self):
        self.follows(self.namespace())

    def test_rights_narrowed_as_the_manifest_says_suffice(self):
        verbs = {"webapps": "get,list,watch,patch,update", "webapps/status": "update",
                 "configmaps": "get,list,watch,create,patch,delete", "services": "get,list,watch,create,patch,delete",
                 "deployments": "get,list,watch,create,patch,delete"}
        groups = {"webapps": "kro.run", "webapps/status": "kro.run", "deployments": "apps"}
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "kroc-children"},
                "rules": [{"apiGroups": [groups.get(r, "")], "resources": [r], "verbs": v.split(",")}
                          for r, v in verbs.items()]}
        path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/kroc-children"
        shipped = self.cluster.get(path)["rules"]
        self.cluster.patch(path, {"rules": role["rules"]})
        try:
            self.restart()
            self.follows(self.namespace())
        finally:
            self.cluster.patch(path, {"rules": shipped})

    def test_missing_right_is_named_and_the_controller_lives(self):
        path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kroc-children"
        binding = self.cluster.get(path)
        ns = self.namespace()
        self.cluster.delete(path)
        try:
            self.cluster.apply(settings(ns))
            self.cluster.apply(instance(ns))
            self.until("the log names the refusal", lambda: re.search(r"forbidden|Forbidden|403", self.kroc.log()), 20)
        finally:
            fresh = {k: binding[k] for k in ("apiVersion", "kind", "roleRef", "subjects")}
            fresh["metadata"] = {"name": "kroc-children"}
            self.cluster.ask("POST", os.path.dirname(path), fresh)
        self.until_active(ns, timeout=60)

    def test_generated_crd_is_the_one_shipped_for_the_sidecar(self):
        made = self.cluster.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/webapps.kro.run")
        ours = documents(self.cluster, os.path.join(SIDECAR, "crd.yaml"))[0]
        # The server adds defaults to what it stores: let it add them to ours, too, without storing it.
        ours["metadata"]["name"] = "webapps.kro.run"
        ours = self.cluster.ask("PATCH", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/webapps.kro.run"
                                "?fieldManager=test&force=true&dryRun=All", ours, content_type="application/apply-patch+yaml")
        self.assertEqual(made["spec"], ours["spec"])


def rule(group, resource, verbs):
    return {"apiGroups": [group], "resources": [resource], "verbs": verbs.split()}


class Aggregation(Group):
    """The rights of kro's chart with rbac.mode=aggregation, rule by rule, and what a user adds for a definition; written
    down here and not taken from our chart. Everything that the controller does is done with them; nothing is refused."""

    ALIAS = "standalone"
    ARGS = ("--allow-crd-deletion=true", "--leader-elect=true", "--leader-election-namespace=kro-system")

    MANY = "get list watch create update patch delete"
    STATIC = [
        rule("kro.run", "resourcegraphdefinitions", MANY), rule("kro.run", "resourcegraphdefinitions/finalizers", "update"),
        rule("kro.run", "resourcegraphdefinitions/status", "get patch update"),
        rule("internal.kro.run", "graphrevisions", MANY), rule("internal.kro.run", "graphrevisions/finalizers", "update"),
        rule("internal.kro.run", "graphrevisions/status", "get patch update"),
        rule("apiextensions.k8s.io", "customresourcedefinitions", MANY), rule("", "configmaps", MANY),
        rule("coordination.k8s.io", "leases", MANY), rule("", "events", "create patch")]
    PARENT, STATUS = "get list watch patch update", "get update"
    CHILD, EXTERNAL = "get list watch create patch delete", "get list watch"
    OURS = [rule("kro.run", "webapps", PARENT), rule("kro.run", "webapps/status", STATUS), rule("", "configmaps", CHILD),
            rule("", "services", CHILD), rule("apps", "deployments", CHILD)]
    # What the doctor reads once when the controller starts; refused, it says that it has not looked there.
    LOOKS = {"namespaces", "pods", "resourcequotas", "limitranges", "networkpolicies", "apiservices", "prioritylevelconfigurations",
             "validatingwebhookconfigurations", "mutatingwebhookconfigurations"}
    ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"

    @classmethod
    def prepare(cls):
        cls.cluster.kubectl("apply", "-f", os.path.join(STANDALONE, "namespace.yaml"))
        rbac = "rbac.authorization.k8s.io"
        cls.cluster.ask("POST", cls.ROLES, {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole",
                                            "metadata": {"name": "kro:controller"}, "rules": cls.STATIC + cls.OURS})
        cls.cluster.ask("POST", f"/apis/{rbac}/v1/clusterrolebindings", {
            "apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "kro:controller"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "kro:controller"},
            "subjects": [{"kind": "ServiceAccount", "name": "kroc", "namespace": "kro-system"}]})

    def tearDown(self):
        refused = {str(r) for r in self.rest(0) if r.code in (401, 403) and (r.writes or r.resource not in self.LOOKS)}
        self.assertEqual(refused, set())

    def add_rights(self, rules):
        path = f"{self.ROLES}/kro:controller"
        self.cluster.patch(path, {"rules": self.cluster.get(path)["rules"] + rules})

    def test_1_life_of_an_instance(self):
        self.follows(self.namespace())

    def test_1_drift_is_mended_and_a_lost_object_made_again(self):
        ns, p = self.shop()
        self.cluster.patch(p.deployment, {"spec": {"replicas": 7}}, manager="rival")
        self.until("the Deployment is restored", lambda: self.cluster.get(p.deployment)["spec"]["replicas"] == 2)
        self.cluster.delete(p.service)
        self.until("the Service is back", lambda: self.cluster.find(p.service))

    def test_1_restart_rewrites_nothing(self):
        ns, p = self.shop()
        mark = self.cluster.mark()
        self.restart(mark)
        rows = [r for r in self.rest(mark) if r.writes and r.resource != "leases"]
        self.assertEqual([str(r) for r in rows if "selfsubject" not in r.resource], [])

    def test_1_lease_is_held(self):
        leases = self.cluster.get("/apis/coordination.k8s.io/v1/namespaces/kro-system/leases")["items"]
        self.assertEqual([bool(x["spec"].get("holderIdentity")) for x in leases], [True])

    def test_2_a_definition_with_new_kinds_comes_changes_and_goes(self):
        """A collection, an external object, a status, a new revision; then the definition with its CRD."""
        self.add_rights([rule("kro.run", "fleets", self.PARENT), rule("kro.run", "fleets/status", self.STATUS),
                         rule("", "serviceaccounts", self.CHILD), rule("", "secrets", self.EXTERNAL)])
        ns = self.namespace()
        rgd = {"apiVersion": "kro.run/v1alpha1", "kind": "ResourceGraphDefinition", "metadata": {"name": "fleet"}, "spec": {
            "schema": {"apiVersion": "v1alpha1", "kind": "Fleet", "spec": {"names": "[]string"},
                       "status": {"count": "${string(size(accounts))}"}},
            "resources": [
                {"id": "key", "externalRef": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}}},
                {"id": "accounts", "forEach": [{"name": "${schema.spec.names}"}], "template": {
                    "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {
                        "name": "${schema.metadata.name}-${name}", "annotations": {"key": "${key.metadata.name}"}}}}]}}
        self.cluster.apply(rgd)
        self.until("the definition is served", lambda: self.serves("fleet"), 30)
        self.cluster.ask("POST", f"/api/v1/namespaces/{ns}/secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}})
        fleet = f"/apis/kro.run/v1alpha1/namespaces/{ns}/fleets/one"
        self.cluster.apply({"apiVersion": "kro.run/v1alpha1", "kind": "Fleet", "metadata": {"name": "one", "namespace": ns},
                            "spec": {"names": ["a", "b"]}})
        self.until("two accounts", lambda: self.cluster.get(fleet).get("status", {}).get("count") == "2", 30)
        self.cluster.patch(fleet, {"spec": {"names": ["b"]}})
        account = f"/api/v1/namespaces/{ns}/serviceaccounts/one-"
        self.until("one of them goes", lambda: not self.cluster.find(account + "a") and self.cluster.find(account + "b"), 30)
        rgd["spec"]["schema"]["spec"]["note"] = 'string | default="new"'
        rgd["spec"]["resources"][1]["template"]["metadata"]["annotations"]["note"] = "${schema.spec.note}"
        self.cluster.apply(rgd)
        self.until("the new revision is served", lambda: self.cluster.get(account + "b")["metadata"]["annotations"].get("note") == "new", 30)
        self.assertEqual(len([r for r in self.cluster.get("/apis/internal.kro.run/v1alpha1/graphrevisions")["items"]
                              if r["metadata"]["name"].startswith("fleet")]), 2)
        self.cluster.delete(fleet)
        self.until("the instance is gone", lambda: not self.cluster.find(fleet), 30)
        self.assertIsNone(self.cluster.find(account + "b"))
        self.cluster.delete(f"{DEFINITIONS}/fleet")
        self.until("the definition is gone", lambda: not self.cluster.find(f"{DEFINITIONS}/fleet"), 30)
        self.assertIsNone(self.cluster.find("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/fleets.kro.run"))

    def test_2_a_definition_that_hands_out_rights(self):
        """The controller itself has neither the rights in the Role nor those of the ClusterRole: `kroc rbac` prints what it needs."""
        rbac = "rbac.authorization.k8s.io"
        rgd = {"apiVersion": "kro.run/v1alpha1", "kind": "ResourceGraphDefinition", "metadata": {"name": "team"}, "spec": {
            "schema": {"apiVersion": "v1alpha1", "kind": "Team", "spec": {"who": "string"}}, "resources": [
                {"id": "role", "template": {
                    "apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": "${schema.metadata.name}"},
                    "rules": [{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}]}},
                {"id": "binding", "template": {
                    "apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": {"name": "${role.metadata.name}"},
                    "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "view"},
                    "subjects": [{"kind": "User", "name": "${schema.spec.who}", "apiGroup": rbac}]}}]}}
        ns = self.namespace()
        path = write(self.cluster.path("team.json"), json.dumps(rgd))
        printed = kroc_process.run(OPTIONS.kroc, "rbac", "-f", path)
        self.assertEqual((printed.returncode, printed.stderr), (0, ""))
        role = json.loads(self.cluster.kubectl("create", "--dry-run=client", "-o", "json", "-f", "-", stdin=printed.stdout))
        self.add_rights(role["rules"])
        self.cluster.apply(rgd)
        self.until("the definition is served", lambda: self.serves("team"), 30)
        self.cluster.apply({"apiVersion": "kro.run/v1alpha1", "kind": "Team", "metadata": {"name": "one", "namespace": ns}, "spec": {"who": "eve"}})
        self.until("the role is bound", lambda: self.cluster.find(f"/apis/{rbac}/v1/namespaces/{ns}/rolebindings/one"), 30)

    def test_3_rights_that_come_after_the_definition_are_noticed(self):
        """The other order: first the definition, then its role."""
        path = f"{self.ROLES}/kro:controller"
        rules = self.cluster.get(path)["rules"]
        self.assertNotIn("volumes", str(rules))
        ns = self.namespace()
        mark = self.cluster.mark()
        self.cluster.apply({"apiVersion": "kro.run/v1alpha1", "kind": "ResourceGraphDefinition", "metadata": {"name": "volume"},
                            "spec": {"schema": {"apiVersion": "v1alpha1", "kind": "Volume", "spec": {"text": "string"}},
                                     "resources": [{"id": "page", "template": {
                                         "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "${schema.metadata.name}"},
                                         "data": {"text": "${schema.spec.text}"}}}]}})
        self.until("the refusal is known", lambda: [r for r in self.cluster.requests(self.ALIAS, mark) if r.code == 403], 30)
        self.add_rights([rule("kro.run", "volumes", self.PARENT), rule("kro.run", "volumes/status", self.STATUS)])
        self.cluster.apply({"apiVersion": "kro.run/v1alpha1", "kind": "Volume", "metadata": {"name": "one", "namespace": ns},
                            "spec": {"text": "hello"}})
        self.until("the object is made", lambda: self.cluster.find(f"/api/v1/namespaces/{ns}/configmaps/one"), 90)
        # What was refused before the role was there is the subject of this test: tearDown's rule is for the others.
        self.tearDown = lambda: None


class Sidecar(Group):
    """One namespace, definitions from files, a Role and nothing more; the server knows no RGD at all."""

    ALIAS = "sidecar"
    ARGS = ("--namespace", "kroc-sidecar", "--rgd", os.path.join(EXAMPLE, "rgd.yaml"))
    CRD = False
    NS = "kroc-sidecar"

    @classmethod
    def prepare(cls):
        for name in ("namespace", "crd", "rbac"):
            cls.cluster.kubectl("apply", "-f", os.path.join(SIDECAR, name + ".yaml"))
        cls.cluster.kubectl("wait", "--for=condition=Established", "crd/webapps.kro.run", "--timeout=30s")

    @classmethod
    def define(cls):
        pass  # by the file

    def tearDown(self):
        code, _ = self.cluster.call("DELETE", paths(self.NS).instance)
        if code == 200:
            self.until("the instance is gone", lambda: self.cluster.find(paths(self.NS).instance) is None)

    def shop_here(self):
        self.cluster.apply(settings(self.NS))
        self.cluster.apply(instance(self.NS))
        self.until_active(self.NS)
        self.rest()
        return paths(self.NS)

    def test_role_suffices(self):
        self.assertIsNone(self.cluster.find("/apis/kro.run/v1alpha1/resourcegraphdefinitions"))
        self.follows(self.NS)

    def test_everything_is_asked_in_the_namespace(self):
        mark = 0
        self.follows(self.NS)
        for r in self.rest(mark):
            if r.resource:
                self.assertEqual(r.namespace, self.NS, str(r))
                self.assertNotIn(r.resource, ("resourcegraphdefinitions", "graphrevisions", "customresourcedefinitions"))

    def test_edit_costs_the_same_as_standalone(self):
        p = self.shop_here()
        mark = self.cluster.mark()
        self.edit_settings(p, COLOUR="red")
        self.assert_requests(self.rest(mark), ["patch deployments"], statuses_max=1)

    def test_restart_agrees_on_the_definitions_id(self):
        p = self.shop_here()
        label = "kro.run/resource-graph-definition-id"
        first = self.cluster.get(p.instance)["metadata"]["labels"][label]
        self.assertEqual(uuid.UUID(first).version, 5)
        mark = self.cluster.mark()
        self.restart(mark)
        self.assertEqual([str(r) for r in self.writes(self.rest(mark))], [])
        self.assertEqual(self.cluster.get(p.instance)["metadata"]["labels"][label], first)

    def test_role_suffices_for_two_replicas(self):
        self.kroc.stop()
        self.addCleanup(self.kroc.start)
        args = (*self.ARGS, "--leader-elect", "--leader-election-namespace", self.NS, "--leader-election-lease-duration", "3s",
                "--leader-election-renew-deadline", "2s", "--leader-election-retry-period", "500ms")
        mark = self.cluster.mark()
        with Controller(OPTIONS.kroc, self.cluster, self.ALIAS, args, "kroc-led"):
            wait_for("the Lease is written some times", lambda: len([
                r for r in self.cluster.requests(self.ALIAS, mark) if r.resource == "leases" and r.writes]) > 4)
        refused = [str(r) for r in self.cluster.requests(self.ALIAS, mark) if r.resource == "leases" and r.code in (401, 403)]
        self.assertEqual(refused, [])

    def test_other_namespaces_are_not_its_business(self):
        ns = self.namespace()
        self.cluster.apply(settings(ns))
        mark = self.cluster.mark()
        self.cluster.apply(instance(ns))
        self.assert_nothing(mark)
        self.assertIsNone(self.cluster.find(paths(ns).page))

    def test_children_outside_the_namespace_are_refused_by_name(self):
        good = documents_text(os.path.join(EXAMPLE, "rgd.yaml"))
        folder = self.cluster.path("definitions")
        os.makedirs(folder, exist_ok=True)
        write(os.path.join(folder, "good.yaml"), good)
        write(os.path.join(folder, "cluster.yaml"), definition("teams", "Team", "team", """
          apiVersion: v1
          kind: Namespace
          metadata:
            name: ${schema.metadata.name}"""))
        write(os.path.join(folder, "elsewhere.yaml"), definition("strays", "Stray", "stray", """
          apiVersion: v1
          kind: ConfigMap
          metadata:
            name: ${schema.metadata.name}
            namespace: kube-system"""))
        write(os.path.join(folder, "broken.yaml"), "apiVersion: kro.run/v1alpha1\nkind: [\n")
        self.kroc.stop(check=False)
        second = Controller(OPTIONS.kroc, self.cluster, self.ALIAS, ("--namespace", self.NS, "--rgd", folder),
                            name="folder")
        with second:
            wait_for("each bad file is named", lambda: all(
                named(second.log(), *words) for words in
                (("teams", "team"), ("strays", "stray"), ("broken.yaml",))), 15)
            self.cluster.apply(settings(self.NS))
            self.cluster.apply(instance(self.NS))
            wait_for("the good one is served", lambda: (self.cluster.find(paths(self.NS).instance) or {}).get(
                "status", {}).get("state") == "ACTIVE", 20)
        self.kroc.start()


def documents_text(path):
    with open(path) as f:
        return f.read()


def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    return path


def definition(name, kind, node, template):
    """A definition with one node, as text; the template is indented for its place."""
    return f"""apiVersion: kro.run/v1alpha1
kind: ResourceGraphDefinition
metadata:
  name: {name}
spec:
  schema:
    apiVersion: v1alpha1
    kind: {kind}
    spec:
      size: integer | default=1
  resources:
    - id: {node}
      template:{template}
"""


def named(log, *words):
    """The lines of a log that have all the words, trouble only."""
    return [line for line in log.splitlines() if all(w in line for w in words) and re.search(r"warn|error", line, re.I)]


CONFIGMAP = """
        apiVersion: v1
        kind: ConfigMap
        metadata:
          name: {name}
        data:
          value: {value}"""


class BadInput(Group):
    """Bad input gets one line that names object, path and reason; everything else is served on."""

    BROKEN = {
        # name: (definition, words that its condition has, words that its one line in the log has as well)
        "syntax": (definition("syntax", "Syntax", "page", CONFIGMAP.format(
            name="${schema.metadata.name}", value="${schema.spec.size +}")), ("yntax",), ("spec.resources[0].template.data.value",)),
        "unknown": (definition("unknown", "Unknown", "gadget", """
        apiVersion: factory.example.com/v1
        kind: Gadget
        metadata:
          name: ${schema.metadata.name}"""), ("gadget", "factory.example.com/v1"), ()),
        "cycle": (definition("cycle", "Cycle", "first", CONFIGMAP.format(
            name="${schema.metadata.name}-a", value="${second.data.value}") + """
    - id: second
      template:""" + CONFIGMAP.format(name="${schema.metadata.name}-b", value="${first.data.value}")),
                  ("cycle", "first", "second"), ()),
        "nofield": (definition("nofield", "NoField", "page", CONFIGMAP.format(
            name="${schema.metadata.name}", value="${schema.spec.colour}")), ("page", "data.value", "colour"), ()),
    }

    def test_bad_definition_is_named_and_the_others_are_served(self):
        ns, p = self.shop()
        for name, (text, words, where) in self.BROKEN.items():
            with self.subTest(name):
                before = len(self.kroc.log())
                self.cluster.kubectl("apply", "-f", write(self.cluster.path(name + ".yaml"), text))

                def told():
                    obj = self.cluster.get(f"{DEFINITIONS}/{name}")
                    said = " / ".join(c.get("message", "") for c in obj.get("status", {}).get("conditions", [])
                                      if c["status"] == "False")
                    if not all(w in said for w in words):
                        raise Failed(f"its conditions say: {said or 'nothing'}; wanted {words}")
                    return obj

                obj = self.until(f"the definition {name} says what is wrong", told)
                self.assertEqual(obj["status"]["state"], "Inactive")
                self.rest()
                lines = named(self.kroc.log()[before:], name, *words, *where)
                self.assertEqual(len(lines), 1, f"one line that names {name} and {words + where}; the log:\n"
                                 + self.kroc.log()[before:][-4000:])
                self.edit_settings(p, COLOUR=name)
                self.rest()

    def test_definition_that_waits_for_a_kind_is_served_when_it_comes(self):
        text = definition("waits", "Waits", "gizmo", """
        apiVersion: late.example.com/v1
        kind: Gizmo
        metadata:
          name: ${schema.metadata.name}
        spec:
          size: ${schema.spec.size}""")
        self.cluster.kubectl("apply", "-f", write(self.cluster.path("waits.yaml"), text))
        self.until("the definition says what it waits for", lambda: "late.example.com/v1" in json.dumps(
            self.cluster.get(f"{DEFINITIONS}/waits").get("status", {})))
        self.cluster.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "gizmos.late.example.com"},
            "spec": {"group": "late.example.com", "scope": "Namespaced",
                     "names": {"kind": "Gizmo", "listKind": "GizmoList", "plural": "gizmos", "singular": "gizmo"},
                     "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                         "type": "object", "properties": {"spec": {
                             "type": "object", "properties": {"size": {"type": "integer"}}}}}}}]}})
        self.until("the definition is served", lambda: self.serves("waits"), 30)

    def test_mended_definition_is_served(self):
        good = definition("mended", "Mended", "page", CONFIGMAP.format(name="${schema.metadata.name}", value="text"))
        bad = good.replace("value: text", "value: ${schema.spec.absent}")
        path = self.cluster.path("mended.yaml")
        self.cluster.kubectl("apply", "-f", write(path, bad))
        self.until("the definition says what is wrong", lambda: "absent" in json.dumps(
            self.cluster.get(f"{DEFINITIONS}/mended").get("status", {})))
        self.cluster.kubectl("apply", "-f", write(path, good))
        self.until("the definition is served", lambda: self.serves("mended"), 30)

    def test_malformed_kubeconfig(self):
        for name, text, word in (("yaml", "apiVersion: v1\nclusters: [\n", "line"),
                                 ("context", '{"apiVersion": "v1", "kind": "Config", "current-context": "gone"}', "gone"),
                                 ("empty", "", "")):
            with self.subTest(name):
                path = write(self.cluster.path(f"bad-{name}.kubeconfig"), text)
                done = kroc_process.run(OPTIONS.kroc, "controller", "--kubeconfig", path, "--metrics-bind-address", "0",
                                        "--health-probe-bind-address", "0", timeout=20)
                self.assertNotEqual(done.returncode, 0, done.stderr)
                self.assertGreater(done.returncode, 0, f"ended by a signal: {done.stderr}")
                lines = [x for x in done.stderr.splitlines() if path in x]
                self.assertEqual(len(lines), 1, f"one line that names {path}:\n{done.stderr}")
                self.assertIn(word, lines[0])

    def test_absent_kubeconfig(self):
        done = kroc_process.run(OPTIONS.kroc, "controller", "--kubeconfig", "/nowhere/config", timeout=20)
        self.assertGreater(done.returncode, 0)
        self.assertIn("/nowhere/config", done.stderr)

    def test_unreachable_server(self):
        port = free_port()
        with open(self.cluster.kubeconfig()) as f:
            config = f.read().replace(str(self.cluster.port), str(port))
        path = write(self.cluster.path("unreachable.kubeconfig"), config)
        second = Controller(OPTIONS.kroc, self.cluster, name="unreachable", kubeconfig=path)
        second.start(ready=False)
        try:
            wait_for("the log names the server", lambda: named(second.log(), f"127.0.0.1:{port}"), 15)
            time.sleep(5)
            lines = named(second.log(), f"127.0.0.1:{port}")
            self.assertLessEqual(len(lines), 10, "said once, not at each attempt:\n" + "\n".join(lines))
            self.assertNotIn(self.cluster.token("admin"), second.log(), "a secret in the log")
        finally:
            second.stop(check=False)


class Life(Group):
    """Start, flags, end."""

    # Each of kro's flags but those that the harness sets; values are kro's defaults.
    FLAGS = {
        "--allow-crd-deletion": "false", "--leader-elect": "false", "--leader-election-namespace": "",
        "--leader-election-lease-duration": "15s", "--leader-election-renew-deadline": "10s",
        "--leader-election-retry-period": "2s", "--enable-controller-warmup": "false",
        "--graceful-shutdown-timeout": "60s", "--resource-graph-definition-concurrent-reconciles": "1",
        "--graph-revision-concurrent-reconciles": "1", "--dynamic-controller-concurrent-reconciles": "1",
        "--dynamic-controller-rate-limiter-min-delay": "200ms", "--dynamic-controller-rate-limiter-max-delay": "1000s",
        "--dynamic-controller-rate-limiter-rate-limit": "10", "--dynamic-controller-rate-limiter-burst-limit": "100",
        "--dynamic-controller-default-resync-period": "36000", "--dynamic-controller-default-queue-max-retries": "20",
        "--instance-requeue-interval": "3s", "--client-qps": "100", "--client-burst": "150",
        "--rgd-max-collection-size": "1000", "--rgd-max-collection-dimension-size": "10",
        "--rgd-max-graph-revisions": "5", "--rgd-progress-requeue-delay": "3s", "--feature-gates": "",
        "--zap-devel": "false", "--zap-encoder": "console", "--zap-log-level": "info",
        "--zap-stacktrace-level": "error", "--zap-time-encoding": "rfc3339", "--pprof-bind-address": ":6060",
    }
    BOOLEANS = ("--allow-crd-deletion", "--leader-elect", "--enable-controller-warmup", "--zap-devel")
    START = False

    def run_with(self, argv):
        """Starts the binary with these arguments; it must come to work and end well on SIGTERM."""
        type(self).kroc = Controller(OPTIONS.kroc, self.cluster, args=argv, name="life")
        with self.kroc:
            self.define()
            self.follows(self.namespace())
            self.kroc.stop()

    def test_kros_flags_with_equals_sign(self):
        self.run_with([f"{k}={v}" for k, v in self.FLAGS.items()])

    def test_kros_flags_as_two_words(self):
        argv = []
        for k, v in self.FLAGS.items():
            argv += [f"{k}={v}"] if k in self.BOOLEANS else [k, v]
        self.run_with(argv)

    def test_first_argument_with_a_dash_means_controller(self):
        port = free_port()
        mark = self.cluster.mark()
        log = self.cluster.path("dash.log")
        with open(log, "wb") as out:
            process = subprocess.Popen([OPTIONS.kroc, "--kubeconfig", self.cluster.kubeconfig("controller"),
                                        "--metrics-bind-address=0", f"--health-probe-bind-address=127.0.0.1:{port}"],
                                       stdout=out, stderr=out)
        try:
            wait_for("it works as the controller", lambda: any(
                r.resource == "resourcegraphdefinitions" for r in self.cluster.requests("controller", mark)), 15)
            self.assertIsNone(process.poll())
            process.terminate()
            self.assertEqual(process.wait(20), 0)
        finally:
            process.kill()
            process.wait()

    def test_several_processes_side_by_side(self):
        off = ("--metrics-bind-address=0", "--debug-bind-address=0")
        found = [Controller(OPTIONS.kroc, self.cluster, args=off, name=f"side{i}") for i in range(3)]
        for k in found:
            self.addCleanup(k.stop, check=False)
            k.start()
        for k in found:
            k.must_run()
            self.assertEqual(k.page("/healthz"), "ok")
            k.stop()

    def test_the_log_level_changes_while_it_runs(self):
        def ask(method, path):
            request = urllib.request.Request(f"http://127.0.0.1:{self.kroc.debug_port}{path}", method=method)
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as e:
                return e.code, e.read().decode()

        type(self).kroc = Controller(OPTIONS.kroc, self.cluster, name="level")
        with self.kroc:
            self.define()
            self.assertEqual(ask("GET", "/debug/log"), (200, "info\n"))
            self.follows(self.namespace())
            self.assertNotIn("DEBUG written", self.kroc.log())
            self.assertEqual(ask("PUT", "/debug/log?level=debug"), (200, "debug\n"))
            self.follows(self.namespace())
            self.assertRegex(self.kroc.log(), r"DEBUG written action=\S+ object=.*deployments.*code=201")
            self.assertEqual(ask("PUT", "/debug/log?level=loud")[0], 400)
            self.assertEqual(ask("PUT", "/debug/log?level=error"), (200, "error\n"))
            said = len(self.kroc.log())
            self.follows(self.namespace())
            self.assertEqual(self.kroc.log()[said:], "")
            self.assertEqual(ask("PUT", "/debug/why?name=shop")[0], 405)

    def test_the_debug_pages_give_way_only_where_nobody_asked_for_them(self):
        # Two with the default address: at most one has it, both work.
        default = ("--debug-bind-address", "127.0.0.1:8077")
        found = [Controller(OPTIONS.kroc, self.cluster, args=default, name=f"debug{i}") for i in range(2)]
        for k in found:
            self.addCleanup(k.stop, check=False)
            k.start()
        self.assertIn("no debug pages", found[1].log())
        done = kroc_process.run(OPTIONS.kroc, "controller", "--kubeconfig", self.cluster.kubeconfig(),
                                "--metrics-bind-address=0", "--health-probe-bind-address=0",
                                f"--debug-bind-address=127.0.0.1:{found[0].health_port}", timeout=20)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("--debug-bind-address", done.stderr)
        for k in found:
            k.stop()

    def test_readyz_names_each_part(self):
        with Controller(OPTIONS.kroc, self.cluster, name="ready") as k:
            text = k.page("/readyz?verbose")
            for part in ("resourcegraphdefinitions", "graphrevisions", "customresourcedefinitions"):
                self.assertIn(f"[+] {part}", text)
            self.assertEqual(k.page("/readyz"), "ok")
            k.stop()

    def test_flags_that_make_no_sense_are_refused_by_name(self):
        for argv, words in ((["--client-qps=-1"], "--client-qps: must be 0 or more"),
                            (["--client-burst", "-5"], "--client-burst: must be 0 or more"),
                            (["--leader-election-lease-duration=5s"], "--leader-election-lease-duration: must be more than"),
                            (["--leader-election-retry-period=9s"], "--leader-election-renew-deadline: must be more than"),
                            (["--metrics-bind-address=nowhere"], "is not an address"),
                            (["--graceful-shutdown-timeout=1"], "is not a duration"),
                            (["--feature-gates=NoSuchGate=true"], "unrecognized feature gate: NoSuchGate")):
            with self.subTest(argv):
                done = kroc_process.run(OPTIONS.kroc, "controller", "--kubeconfig", self.cluster.kubeconfig(), *argv, timeout=20)
                self.assertGreater(done.returncode, 0)
                self.assertIn(words, done.stderr)

    def test_why_tells_what_followed_from_an_edit(self):
        type(self).kroc = Controller(OPTIONS.kroc, self.cluster, name="why")
        with self.kroc as k:
            self.define()
            ns, p = self.shop()
            was = self.cluster.get(p.settings)["metadata"]["resourceVersion"]
            now = self.edit_settings(p, COLOUR="purple")
            self.rest()
            address = f"127.0.0.1:{k.debug_port}"
            done = kroc_process.run(OPTIONS.kroc, "why", "webapp/shop", "deployment", "-n", ns, "--address", address)
            self.assertEqual(done.returncode, 0, done.stderr)
            for words in (f'because   settings.metadata.resourceVersion (configmaps settings) changed: "{was}" -> "{now}"',
                          "read by   spec.template.metadata.annotations.config-version: settings.metadata.resourceVersion",
                          "answer    200 after"):
                self.assertIn(words, done.stdout)
            found = json.loads(kroc_process.run(OPTIONS.kroc, "why", "shop", "-n", ns, "-o", "json", "--address", address).stdout)
            self.assertEqual(found["instance"]["state"], "ACTIVE")
            self.assertIn("settings.metadata.resourceVersion", [e.get("read") for e in found["entries"]])
            for argv, words in ((["nobody"], "no such instance"), (["shop", "nonode", "-n", ns], "there are: schema settings page")):
                done = kroc_process.run(OPTIONS.kroc, "why", *argv, "--address", address)
                self.assertEqual(done.returncode, 1)
                self.assertIn(words, done.stderr)
            k.stop()
        done = kroc_process.run(OPTIONS.kroc, "why", "shop", "--address", address)
        self.assertEqual(done.returncode, 1)
        self.assertIn("port-forward", done.stderr)

    def test_unknown_flag_is_refused_by_name(self):
        done = kroc_process.run(OPTIONS.kroc, "controller", "--no-such-flag=1", timeout=20)
        self.assertGreater(done.returncode, 0)
        self.assertIn("no-such-flag", done.stderr)

    def test_version(self):
        done = kroc_process.run(OPTIONS.kroc, "version")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"\d+\.\d+|devel")

    def test_help_says_what_has_no_effect(self):
        done = kroc_process.run(OPTIONS.kroc, "controller", "--help")
        self.assertEqual(done.returncode, 0, done.stderr)
        for flag in self.FLAGS:
            self.assertIn(flag, done.stdout + done.stderr)
        self.assertRegex(done.stdout + done.stderr, r"no effect")

    def test_sigterm_in_the_middle_of_work(self):
        type(self).kroc = Controller(OPTIONS.kroc, self.cluster, name="term")
        with self.kroc:
            self.define()
            for _ in range(20):
                ns = self.namespace()
                self.cluster.apply(settings(ns))
                self.cluster.apply(instance(ns))
            self.kroc.stop()
            self.kroc.start()
            for n in range(Group.namespaces - 19, Group.namespaces + 1):
                self.until_active(f"test-{n}", timeout=30)
            self.kroc.stop()


class Deploy(Group):
    """The manifests, as the API server sees them. Needs no binary."""

    CRD = False
    START = False

    def build(self, folder):
        return self.cluster.kubectl("kustomize", folder)

    def accepted(self, folder):
        text = self.build(folder)
        # A dry run stores nothing, so what others in the same file stand on must be there before.
        for name in re.findall(r"^  namespace: (\S+)$", text, re.M):
            self.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
        done = self.cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "", "warnings of the server")
        self.assertEqual(done.stdout.count("(server dry run)"), len(re.findall(r"^kind: ", text, re.M)), done.stdout)
        return text

    def test_standalone_is_accepted(self):
        text = self.accepted(STANDALONE)
        for want in ("runAsNonRoot: true", "readOnlyRootFilesystem: true", "path: /healthz", "path: /readyz",
                     "kind: ClusterRoleBinding", "image: localhost/kroc:dev"):
            self.assertIn(want, text)

    def test_standalone_pod_passes_the_restricted_standard(self):
        self.cluster.kubectl("apply", "-k", STANDALONE)
        pod = self.cluster.get("/apis/apps/v1/namespaces/kro-system/deployments/kroc")["spec"]["template"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "try", "namespace": "kro-system"}, "spec": pod["spec"]}
        self.cluster.ask("POST", "/api/v1/namespaces/kro-system/pods?dryRun=All", pod)

    def test_sidecar_is_accepted(self):
        text = self.accepted(SIDECAR)
        self.assertIn("--rgd=/etc/kroc/rgd.yaml", text)
        self.assertIn("kind: ResourceGraphDefinition", text, "the definition is in the ConfigMap")
        self.assertNotIn("kind: ClusterRole", text)

    def test_pods_may_end_their_work_and_turn_slowly(self):
        """What drains has its time and some for the Lease; the kubelet's own limit of 1 s is not that of a loop with much to do."""
        for folder in (STANDALONE, os.path.join(os.path.dirname(STANDALONE), "ha"), SIDECAR):
            for d in documents(self.cluster, write(self.cluster.path("built.yaml"), self.build(folder))):
                if d["kind"] != "Deployment":
                    continue
                with self.subTest(folder):
                    pod = d["spec"]["template"]["spec"]
                    kroc = next(c for c in pod["containers"] if c["name"] == "kroc")
                    drain = next((a.split("=")[1] for a in kroc["args"] if a.startswith("--graceful-shutdown-timeout=")), "60s")
                    self.assertGreaterEqual(pod.get("terminationGracePeriodSeconds", 30), int(drain[:-1]) + 5)
                    self.assertGreaterEqual(kroc["livenessProbe"].get("timeoutSeconds", 1), 5)
                    self.assertGreaterEqual(kroc["startupProbe"]["failureThreshold"] * kroc["startupProbe"]["periodSeconds"], 60)

    def test_example_is_accepted(self):
        self.cluster.kubectl("apply", "-k", CRDS)
        self.cluster.kubectl("wait", "--for=condition=Established", "crd/resourcegraphdefinitions.kro.run", "--timeout=30s")
        for name in ("rgd.yaml", "settings.yaml"):
            self.cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", os.path.join(EXAMPLE, name))

    def test_crds_are_kros_but_for_the_descriptions(self):
        folder = shared("crds", "kro")
        theirs = sorted(glob.glob(os.path.join(folder, "*.yaml")))
        if not theirs:
            self.skipTest(f"no compatibility cases in {folder}")
        seen = {d["metadata"]["name"]: d for path in theirs for d in documents(self.cluster, path)}
        ours = {d["metadata"]["name"]: d for name in ("resourcegraphdefinitions.yaml", "graphrevisions.yaml")
                for d in documents(self.cluster, os.path.join(CRDS, name))}
        self.assertEqual(set(ours), set(seen))
        for name, crd in ours.items():
            self.assertEqual(without_descriptions(crd["spec"]), without_descriptions(seen[name]["spec"]))


def without_descriptions(x):
    """A property that is itself called description is an object and stays."""
    if isinstance(x, dict):
        return {k: without_descriptions(v) for k, v in x.items() if not (k == "description" and isinstance(v, str))}
    if isinstance(x, list):
        return [without_descriptions(v) for v in x]
    return x


class Doctor(Group):
    """`kroc doctor`: for each check the fault is made on the real API server: FAIL or WARN with the id and a
    fix, and PASS when it is mended. What a server cannot be made to do (K07-K09, S02, C04's age) does a
    proxy; kind and its tools (D01, D02) are stand-ins. tests/reactor/doctor_test.c has the rest."""

    CRD = False
    START = False
    CRDS_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    EXPIRED = """-----BEGIN CERTIFICATE-----
MIIBAzCBqgIBATAKBggqhkjOPQQDAjAOMQwwCgYDVQQDDANvbGQwHhcNMjAwMTAx
MDAwMDAwWhcNMjAwMTAyMDAwMDAwWjAOMQwwCgYDVQQDDANvbGQwWTATBgcqhkjO
PQIBBggqhkjOPQMBBwNCAATQwUKEdmrGqnQKMySvuCh79bA4H/yYUZRVa4LYrZM4
IddrqTRNGYf0b8ulA51B0uD1+QFnLG0BGGYojS/GWOI6MAoGCCqGSM49BAMCA0gA
MEUCIH4Jlb3WNGPz4LGoEiDmqET6tM0ori6kbGAcT7C0l4CIAiEApAmCRPLgYRKB
Db+Wy+COlzdyyL5FEsn7qhRALmEgw9o=
-----END CERTIFICATE-----
"""  # valid for one day of 2020
    ROLES = "/apis/rbac.authorization.k8s.io/v1"

    def doctor(self, *args, alias="admin", kubeconfig=None, env=None, prepare=None):
        """Once more when this machine was too slow for the limits, which are not what is tried here."""
        argv = [kroc_process.program(OPTIONS.kroc), "doctor", "--kubeconfig", kubeconfig or self.cluster.kubeconfig(alias), *args]
        for _ in range(4):
            done = subprocess.run(argv, capture_output=True, text=True, timeout=90, preexec_fn=prepare,
                                  env={**Controller._environment(), **(env or {})})
            if not re.search(r"no answer within|no answer from", done.stdout):
                break
        found = {}
        for line in done.stdout.splitlines():
            m = re.match(r"(PASS|WARN|FAIL)  ([A-Z]\d\d)  (.*)", line)
            self.assertTrue(m, f"not a line of the doctor: {line!r}")
            found[m[2]] = (m[1], m[3])
        return done.returncode, found, done.stdout + done.stderr

    def assert_found(self, result, check, verdict, *words):
        code, found, text = result
        self.assertIn(check, found, text)
        self.assertEqual(found[check][0], verdict, text)
        for w in words:
            self.assertIn(w, found[check][1], text)
        self.assertEqual(" -> " in found[check][1], verdict != "PASS", text)
        self.assertEqual(code, max(("PASS", "WARN", "FAIL").index(v) for v, _ in found.values()), text)

    def sees(self, check, verdict, *words, **more):
        self.assert_found(self.doctor("--only", check, **more), check, verdict, *words)

    def sees_soon(self, check, verdict, *words, timeout=15):
        """For what the server's own controllers need a moment for."""
        def seen():
            code, found, text = self.doctor("--only", check)
            if found[check][0] != verdict:
                raise Failed(text)
            return True

        wait_for(f"{check} is {verdict}", seen, timeout)
        self.sees(check, verdict, *words)

    def rgd(self, name, kind, *resources, **spec):
        return {"apiVersion": "kro.run/v1alpha1", "kind": "ResourceGraphDefinition", "metadata": {"name": name},
                "spec": {"schema": {"apiVersion": "v1alpha1", "kind": kind, "spec": {"word": "string"}}, "resources": list(resources), **spec}}

    def map_of(self, data="${schema.spec.word}"):
        return {"id": "page", "template": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "${schema.metadata.name}"},
                                           "data": {"word": data}}}

    def made(self, obj):
        """The object, for the length of the test; also as a context."""
        self.cluster.apply(obj)
        test = self

        class Made:
            def __enter__(self):
                return obj

            def __exit__(self, *_):
                test.cluster.call("DELETE", test.cluster.path_of(obj))

        return Made()

    def test_01_without_crds_and_with_them(self):
        result = self.doctor()
        self.assert_found(result, "K01", "PASS")
        self.assert_found(result, "K02", "PASS", "1.36")
        self.assert_found(result, "C01", "FAIL", "resourcegraphdefinitions.kro.run is not installed", "kroc crds |")
        crds = kroc_process.run(OPTIONS.kroc, "crds").stdout
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=crds)
        self.sees_soon("C01", "PASS", "are established")
        path = f"{self.CRDS_PATH}/graphrevisions.internal.kro.run"
        self.cluster.patch(path, [{"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/more",
                                   "value": {"type": "string"}}], content_type="application/json-patch+json")
        self.sees("C01", "WARN", "graphrevisions.internal.kro.run has another schema")
        kroc_process.run(OPTIONS.kroc, "crds", "--apply", "--kubeconfig", self.cluster.kubeconfig())
        self.sees("C01", "PASS")

    def test_02_all_is_well(self):
        self.cluster.kubectl("apply", "-k", STANDALONE)
        self.cluster.kubectl("wait", "--for=condition=Established", "crd/resourcegraphdefinitions.kro.run", "--timeout=30s")
        dirty = "dirty" in kroc_process.run(OPTIONS.kroc, "version").stdout
        for alias in ("admin", "standalone"):
            with self.subTest(alias):
                result = self.doctor(alias=alias)
                self.assertEqual(len(result[1]), 30, result[2])
                for check in result[1]:
                    self.assert_found(result, check, "WARN" if check == "I02" and dirty else "PASS")
                self.assertEqual(result[0], 1 if dirty else 0, result[2])
        as_json = json.loads(kroc_process.run(OPTIONS.kroc, "doctor", "--kubeconfig", self.cluster.kubeconfig(), "-o", "json").stdout)
        self.assertEqual([c["id"] for c in as_json["checks"]], list(result[1]))

    # --- the server and the way to it ---------------------------------------------

    def test_k01_k03_unreachable_server(self):
        port = free_port()
        with open(self.cluster.kubeconfig()) as f:
            text = f.read()
        path = write(self.cluster.path("away.kubeconfig"), text.replace(str(self.cluster.port), str(port)))
        result = self.doctor(kubeconfig=path)
        self.assert_found(result, "K01", "FAIL", str(port))
        self.assertIn("not checked: no API server (K01)", result[1]["R01"][1])
        path = write(self.cluster.path("name.kubeconfig"), text.replace("127.0.0.1", "no-such-host.invalid"))
        self.assert_found(self.doctor("--only", "K03", kubeconfig=path), "K03", "FAIL", "no-such-host.invalid is not resolved")
        self.sees("K03", "PASS")

    def test_k02_old_server(self):
        with Proxy(self.cluster, rewrite=[(r'"minor": *"36"', '"minor": "28"')]) as p:
            self.sees("K02", "FAIL", "older than 1.29", kubeconfig=p.kubeconfig)
        self.sees("K02", "PASS")

    def test_k04_service_account(self):
        self.sees("K04", "FAIL", "no token of a service account", env={"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
        self.sees("K04", "PASS")

    def test_k05_k06_apis_that_are_not_there(self):
        service = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.dead.example.com"},
                   "spec": {"group": "dead.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10,
                            "insecureSkipTLSVerify": True, "service": {"name": "gone", "namespace": "default"}}}
        widget = {"id": "widget", "template": {"apiVersion": "dead.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}}
        with self.made(service):
            self.sees_soon("K05", "WARN", "v1.dead.example.com is not available")
            with self.made(self.rgd("dead", "Dead", widget)):
                self.sees("K05", "FAIL", "a definition uses it")
                self.sees("K06", "FAIL", "apis/dead.example.com/v1 has no schemas", "the definition dead")
        self.sees_soon("K05", "PASS")
        with self.made(self.rgd("plain", "Plain", self.map_of())):
            self.sees("K06", "PASS", "1 documents")

    def test_k07_k08_k09_s02_a_bad_way(self):
        levels = {x["metadata"]["name"]: x["metadata"]["uid"] for x in self.cluster.get(
            "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations")["items"]}
        with Proxy(self.cluster, buffering=True, date_off_s=120, level=levels["catch-all"]) as p:
            self.sees("K07", "FAIL", "delivered nothing before its end", kubeconfig=p.kubeconfig)
            self.sees("K08", "WARN", "HTTP/1.1", kubeconfig=p.kubeconfig)
            self.sees("K09", "WARN", "priority level catch-all", kubeconfig=p.kubeconfig)
            self.sees("S02", "WARN", "behind the server's", kubeconfig=p.kubeconfig)
        with Proxy(self.cluster) as p:
            self.sees("K07", "PASS", kubeconfig=p.kubeconfig)
            self.sees("S02", "PASS", kubeconfig=p.kubeconfig)
        self.sees("K08", "PASS", "HTTP/2")
        self.sees("K09", "PASS")

    # --- CRDs ------------------------------------------------------------------------

    def test_c02_old_version_left_behind(self):
        path = f"{self.CRDS_PATH}/graphrevisions.internal.kro.run"
        version = dict(self.cluster.get(path)["spec"]["versions"][0], name="v1alpha0", served=False, storage=False)
        self.cluster.patch(path, [{"op": "add", "path": "/spec/versions/-", "value": version}], content_type="application/json-patch+json")
        self.cluster.patch(path + "/status", {"status": {"storedVersions": ["v1alpha0", "v1alpha1"]}})
        self.sees("C02", "WARN", "may keep objects as v1alpha0", "storedVersions")
        self.cluster.patch(path + "/status", {"status": {"storedVersions": ["v1alpha1"]}})
        self.cluster.patch(path, [{"op": "remove", "path": "/spec/versions/1"}], content_type="application/json-patch+json")
        self.sees("C02", "PASS")

    def test_c03_two_definitions_of_one_kind(self):
        with self.made(self.rgd("first", "Twin", self.map_of())), self.made(self.rgd("second", "Twin", self.map_of())):
            self.sees("C03", "FAIL", "first and second want twins.kro.run")
        mine = self.rgd("mine", "GraphRevision", self.map_of())
        mine["spec"]["schema"]["group"] = "internal.kro.run"
        with self.made(mine):
            self.sees("C03", "FAIL", "not made from the definition mine")
        self.sees("C03", "PASS")

    def test_c04_hanging_deletion(self):
        name = "hangs"
        self.cluster.ask("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name, "finalizers": ["example.com/hold"]}})
        self.cluster.delete(f"/api/v1/namespaces/{name}")
        self.sees("C04", "PASS")  # it has just begun
        with Proxy(self.cluster, rewrite=[(r'"deletionTimestamp": *"[^"]*"', '"deletionTimestamp":"2020-01-01T00:00:00Z"')]) as p:
            self.sees("C04", "WARN", "namespace hangs", "example.com/hold", kubeconfig=p.kubeconfig)
        self.cluster.patch(f"/api/v1/namespaces/{name}", {"metadata": {"finalizers": None}})

    # --- the installation --------------------------------------------------------------

    def test_i01_image(self):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kroc-stuck", "namespace": "kro-system", "labels": {
            "app.kubernetes.io/component": "controller", "app.kubernetes.io/name": "kroc"}},
               "spec": self.cluster.get("/apis/apps/v1/namespaces/kro-system/deployments/kroc")["spec"]["template"]["spec"]}
        self.cluster.ask("POST", "/api/v1/namespaces/kro-system/pods", pod)
        path = "/api/v1/namespaces/kro-system/pods/kroc-stuck"
        def waits(state, **more):
            self.cluster.patch(path + "/status", {"status": {"phase": "Pending", "containerStatuses": [{
                "name": "kroc", "image": "localhost/kroc:dev", "imageID": "", "ready": False, "restartCount": 0, "state": state, **more}]}})
        waits({"waiting": {"reason": "ErrImageNeverPull", "message": "x"}})
        self.sees("I01", "FAIL", "ErrImageNeverPull", "kind load image-archive")
        waits({"waiting": {"reason": "CrashLoopBackOff", "message": "exec /kroc: exec format error"}})
        self.sees("I01", "FAIL", "another architecture")
        waits({"running": {"startedAt": "2026-01-01T00:00:00Z"}})
        self.sees("I01", "PASS", "1 pods have their image")
        deployment = "/apis/apps/v1/namespaces/kro-system/deployments/kroc"
        self.cluster.patch(deployment, {"spec": {"template": {"spec": {"imagePullSecrets": [{"name": "pull"}]}}}})
        self.sees("I01", "FAIL", "pull secret pull does not exist", "create secret docker-registry pull")
        self.cluster.patch(deployment, {"spec": {"template": {"spec": {"imagePullSecrets": None}}}})
        self.cluster.delete(path + "?gracePeriodSeconds=0")
        self.sees("I01", "PASS")

    def test_i03_kro_runs_as_well(self):
        labels = {"app.kubernetes.io/name": "kro", "app.kubernetes.io/part-of": "kro", "app.kubernetes.io/component": "controller"}
        kro = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "kro", "namespace": "kro-system", "labels": labels},
               "spec": {"replicas": 1, "selector": {"matchLabels": labels},
                        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "kro", "image": "kro:v0.9.3"}]}}}}
        with self.made(kro):
            self.sees("I03", "FAIL", "kro-system/kro", "kro-system/kroc", "scale deployment kro --replicas=0")
            self.cluster.kubectl("-n", "kro-system", "scale", "deployment", "kro", "--replicas=0")
            self.sees("I03", "PASS", "one: kro-system/kroc")

    def test_r01_r02_r03_rights(self):
        self.sees("R01", "FAIL", "resourcegraphdefinitions", alias="nobody")
        self.sees("R01", "PASS", "kro-system/kroc")
        self.sees("R03", "PASS", "rbac.mode=unrestricted")
        path = f"{self.ROLES}/clusterroles/kroc-children"
        shipped = self.cluster.get(path)["rules"]
        self.cluster.patch(path, {"rules": []})
        try:
            with self.made(self.rgd("webapp", "WebApp", self.map_of())):
                self.sees_soon("R02", "FAIL", "kro-system/kroc may not get webapps of kro.run", "kroc rbac")
                with open(self.cluster.path("rgds.json"), "w") as f:
                    json.dump(self.cluster.get(DEFINITIONS), f)
                role = kroc_process.run(OPTIONS.kroc, "rbac", "-f", f.name, "--name", "kroc-children").stdout
                self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=role)
                self.sees_soon("R02", "PASS", "rights for the kinds")
                self.sees("R03", "PASS", "no more than what was granted")
        finally:
            self.cluster.patch(path, {"rules": shipped})
        with self.made({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "too-much"},
                        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                        "subjects": [{"kind": "ServiceAccount", "name": "kroc", "namespace": "kro-system"}]}):
            self.sees_soon("R03", "WARN", "kro-system/kroc is cluster-admin")
        self.sees_soon("R03", "PASS")

    def test_w01_webhooks(self):
        def hook(**client):
            return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "gate"},
                    "webhooks": [{"name": "gate.example.com", "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                                  "objectSelector": {"matchLabels": {"nobody": "has-this"}},
                                  "rules": [{"apiGroups": ["kro.run"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}],
                                  "clientConfig": client}]}
        service = {"name": "gate", "namespace": "default", "path": "/"}
        with self.made(hook(service=service)):
            self.sees("W01", "FAIL", "gate.example.com", "default/gate has no endpoint", "kubectl delete validatingwebhookconfigurations gate")
            slice_ = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                      "metadata": {"name": "gate-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "gate"}},
                      "endpoints": [{"addresses": ["10.1.1.1"], "conditions": {"ready": True}}], "ports": [{"port": 443}]}
            with self.made(slice_):
                self.sees("W01", "PASS")
        bundle = base64.b64encode(self.EXPIRED.encode()).decode()
        with self.made(hook(url="https://127.0.0.1:1/", caBundle=bundle)):
            self.sees("W01", "FAIL", "has a CA that has expired")
        self.sees("W01", "PASS")

    def test_w02_n01_what_keeps_the_pod_out(self):
        with self.made({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": "kro-system"},
                        "spec": {"hard": {"pods": "0"}}}):
            self.sees("W02", "FAIL", "the quota none lets no further pod into kro-system")
        with self.made({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "tiny", "namespace": "kro-system"},
                        "spec": {"limits": [{"type": "Container", "max": {"memory": "16Mi"}}]}}):
            self.sees("W02", "FAIL", "tiny allows less than 64 MiB")
        self.sees("W02", "PASS")
        with self.made({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny", "namespace": "kro-system"},
                        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}):
            self.sees("N01", "WARN", "no ingress", "no egress")
        self.sees("N01", "PASS")

    def test_s01_host(self):
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (512, 4096))

        self.sees("S01", "FAIL", "512 open files are allowed", "ulimit -n", prepare=few)
        self.sees("S01", "PASS")

    # --- definitions ---------------------------------------------------------------------

    def test_g01_a_definition_that_does_not_compile(self):
        with self.made(self.rgd("wrong", "Wrong", self.map_of("${schema.spec.wrod}"))):
            self.sees("G01", "FAIL", "wrong: spec.resources[0].template.data.word", "wrod", "kroc validate --cluster")
        with self.made(self.rgd("right", "Right", self.map_of())):
            self.sees("G01", "PASS", "1 definitions")

    def test_g02_stuck_instance(self):
        self.cluster.kubectl("apply", "-f", os.path.join(SIDECAR, "crd.yaml"))
        self.cluster.kubectl("wait", "--for=condition=Established", "crd/webapps.kro.run", "--timeout=20s")
        crd = f"{self.CRDS_PATH}/webapps.kro.run"
        self.cluster.patch(crd, {"metadata": {"labels": {"kro.run/owned": "true", "kro.run/resource-graph-definition-name": "webapp"}}})
        obj = instance("default")
        obj["metadata"]["finalizers"] = ["kro.run/finalizer"]
        self.cluster.apply(obj)
        self.sees("G02", "PASS")
        self.cluster.delete(paths("default").instance)
        result = self.doctor("--only", "G02")
        self.assert_found(result, "G02", "FAIL", "default/shop is being deleted", "finalizers")
        fix = re.search(r"leave them: kubectl (.*)", result[1]["G02"][1])[1]
        self.cluster.kubectl(*shlex.split(fix))  # the command that it prints is one that works
        self.sees("G02", "PASS")
        self.cluster.delete(crd)

    def test_g03_orphan(self):
        orphan = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "left", "namespace": "default", "labels": {
            "applyset.kubernetes.io/part-of": "applyset-gone-v1", "kro.run/node-id": "page"}}}
        with self.made(self.rgd("pages", "Page", self.map_of())):
            with self.made(orphan):
                self.sees("G03", "WARN", "configmaps default/left belongs to no instance", "delete configmaps left")
            self.sees("G03", "PASS")

    # --- kind and the round trip -----------------------------------------------------------

    def test_d01_d02_kind(self):
        folder = self.cluster.path("stubs")
        os.makedirs(folder, exist_ok=True)

        def tools(**texts):
            for name in os.listdir(folder):
                os.remove(os.path.join(folder, name))
            for name, text in texts.items():
                os.chmod(write(os.path.join(folder, name), "#!/bin/sh\n" + text), 0o755)

        with open(self.cluster.kubeconfig()) as f:
            mine = write(self.cluster.path("kind.kubeconfig"), f.read().replace('"test"', '"kind-kroc"'))
        more = {"kubeconfig": mine, "env": {"PATH": folder}}
        good = {"kind": 'case "$1" in version) echo kind v0.29.0;; *) echo kroc;; esac', "docker": "exit 0",
                "kubectl": """echo '{"clientVersion":{"major":"1","minor":"36"}}'"""}
        tools(**good)
        self.sees("D01", "PASS", **more)
        self.sees("D02", "PASS", **more)
        tools(**{**good, "docker": "echo Cannot connect >&2; exit 1"})
        self.sees("D01", "FAIL", "docker does not run: Cannot connect", "systemctl start docker", **more)
        tools(**{**good, "kind": "echo other"})
        self.sees("D01", "FAIL", "kind has no cluster kroc", "kind create cluster --name kroc", **more)
        tools(**good)
        self.assert_found(self.doctor("--only", "D01", "--kind", "kroc", env={"PATH": folder}), "D01", "FAIL",
                          'the context is "test"', "use-context kind-kroc")
        tools(**{**good, "kubectl": """echo '{"clientVersion":{"major":"1","minor":"20"}}'"""})
        self.sees("D02", "WARN", "kubectl is 1.20, the server 1.36", **more)
        tools()
        self.sees("D01", "FAIL", "neither docker nor podman", **more)

    def left(self):
        """What a round trip would leave."""
        spaces = [x["metadata"]["name"] for x in self.cluster.get("/api/v1/namespaces")["items"]
                  if not x["metadata"].get("deletionTimestamp")]  # nobody here ends the deletion of a namespace
        crds = [x["metadata"]["name"] for x in self.cluster.get(self.CRDS_PATH)["items"]]
        rgds = [x["metadata"]["name"] for x in self.cluster.get(DEFINITIONS)["items"]]
        return [x for x in spaces + crds + rgds if "doctor" in x]

    def test_d03_round_trip(self):
        self.assert_found(self.doctor("--only", "D03"), "D03", "PASS", "--round-trip")
        self.assert_found(self.doctor("--only", "D03", "--round-trip", alias="nobody"), "D03", "FAIL", "a namespace cannot be made")
        with Controller(OPTIONS.kroc, self.cluster, "standalone"):
            code, found, text = self.doctor("--only", "D03", "--round-trip")
            self.assertIn(found["D03"][0], ("PASS", "WARN"), text)  # WARN: over 5 s, on a slow machine
            self.assertIn("are gone again", found["D03"][1])
        self.assertEqual(self.left(), [])

    def test_d03_interrupted_leaves_nothing(self):
        process = subprocess.Popen([kroc_process.program(OPTIONS.kroc), "doctor", "--kubeconfig", self.cluster.kubeconfig(), "--only", "D03",
                                    "--round-trip"], stdout=subprocess.PIPE, text=True, env=Controller._environment())
        wait_for("the definition is there", lambda: any("doctor" in x["metadata"]["name"] for x in self.cluster.get(DEFINITIONS)["items"]), 20)
        process.send_signal(signal.SIGINT)
        out = process.communicate(timeout=30)[0]
        self.assertEqual(process.returncode, 2, out)
        self.assertIn("no controller looks at it", out)
        self.assertEqual(self.left(), [])

    def test_in_the_controller(self):
        """At its start the controller looks around: all that is read; the page and the log say what was found."""
        with self.made({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny", "namespace": "kro-system"},
                        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}):
            mark = self.cluster.mark()
            with Controller(OPTIONS.kroc, self.cluster, "standalone", ["--leader-election-namespace", "kro-system"], name="examined") as kroc:
                def page(query=""):
                    try:
                        with urllib.request.urlopen(f"http://127.0.0.1:{kroc.debug_port}/debug/doctor{query}", timeout=5) as answer:
                            return answer.read().decode()
                    except OSError as e:
                        raise Failed(str(e)) from None

                text = wait_for("the doctor is done", page, 30)
                self.assertEqual(len(text.splitlines()), 30)
                self.assertRegex(text, "(?m)^WARN  N01  ")
                self.assertRegex(text, "(?m)^PASS  C01  resourcegraphdefinitions.kro.run")
                self.assertEqual(len(json.loads(page("?o=json"))["checks"]), 30)
                self.until_log(kroc, r"doctor.*N01.*no ingress")
                writes = [str(r) for r in self.cluster.requests("standalone", mark) if r.writes]
                self.assertEqual(writes, [])

    def until_log(self, kroc, pattern):
        wait_for(f"the log says {pattern}", lambda: re.search(pattern, kroc.log()), 10)


WIDGET = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"},
    "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"}, "versions": [{
        "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}]}}

A_WIDGET = """
        apiVersion: example.com/v1
        kind: Widget
        metadata:
          name: w
        spec:
          {field}: ${{schema.spec.size}}"""


class Validate(Group):
    """`kroc validate` with the types of a cluster: what it has is checked, nothing is written."""

    CRD = False
    START = False

    def validate(self, *texts, args=(), kubeconfig=None):
        files = [write(self.cluster.path(f"v{i}.yaml"), text) for i, text in enumerate(texts)]
        done = kroc_process.run(OPTIONS.kroc, "validate", "--kubeconfig", kubeconfig or self.cluster.kubeconfig("admin"),
                                *args, *files)
        return done.returncode, done.stdout + done.stderr

    def assert_said(self, result, code, *words):
        self.assertEqual(result[0], code, result[1])
        for w in words:
            self.assertIn(w, result[1])

    def test_1_valid(self):
        with open(os.path.join(EXAMPLE, "rgd.yaml")) as f:
            mark, text = self.cluster.mark(), f.read()
        self.assert_said(self.validate(text, args=["--strict"]), 0, "1 definition, 1 valid")
        rows = self.cluster.requests("admin", mark)
        self.assertEqual([str(r) for r in rows if r.writes], [])

    def test_2_invalid(self):
        template = CONFIGMAP.format(name="${schema.spec.nmae}", value="x").replace(" data:", " dta:")
        self.assert_said(self.validate(definition("a", "A", "page", template)), 1,
                         "v0.yaml:17: spec.resources[0].template.metadata.name: undefined field 'nmae'",
                         "spec.resources[0].template.dta: unknown field", 'did you mean "data"?', "2 errors")

    def test_3_type_that_comes(self):
        right = definition("a", "A", "w", A_WIDGET.format(field="size"))
        wrong = definition("b", "B", "w", A_WIDGET.format(field="sise"))
        self.assert_said(self.validate(right), 0, "unknown kind example.com/v1, Kind=Widget", "1 warning")
        self.assert_said(self.validate(right, args=["--strict"]), 1, "unknown kind example.com/v1, Kind=Widget")
        self.cluster.apply(WIDGET)
        self.cluster.kubectl("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=30s")
        wait_for("the type's schema is served", lambda: self.validate(right, args=["--strict"])[0] == 0, 20)
        self.assert_said(self.validate(right, wrong), 1, "2 definitions, 1 valid", "v1.yaml:19: spec.resources[0].template"
                         ".spec.sise: unknown field", 'did you mean "size"?')

    def test_4_server_that_is_not_there(self):
        right = definition("a", "A", "page", CONFIGMAP.format(name="x", value="y"))
        port = free_port()
        with open(self.cluster.kubeconfig("admin")) as f:
            path = write(self.cluster.path("gone.kubeconfig"), f.read().replace(str(self.cluster.port), str(port)))
        began = time.monotonic()
        code, text = self.validate(right, kubeconfig=path)
        self.assertEqual((code, len(text.splitlines())), (1, 1), text)
        self.assertIn(str(port), text)
        self.assertLess(time.monotonic() - began, 15)
        self.assert_said(self.validate(right, kubeconfig="/nowhere"), 1, "open /nowhere: No such file or directory")
        self.assert_said(self.validate(right, args=["--context", "none"]), 1, "none")


def moment(request):
    """When it came in, by the server's clock, in seconds."""
    return datetime.datetime.fromisoformat(request.at.replace("Z", "+00:00")).timestamp()


class Leader(Group):
    """Two replicas with a Lease: one writes, the other stands by and takes over."""

    START = False
    LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/controller.kro.run"
    SECONDS = 6  # how long the Lease lasts
    ELECT = ("--leader-elect=true", "--leader-election-namespace=default", f"--leader-election-lease-duration={SECONDS}s",
             "--leader-election-renew-deadline=4s", "--leader-election-retry-period", "1s")
    COUNT = 20

    def pair(self):
        """The leader, a standby that is ready, and the users that they are in the audit log."""
        found = []
        for alias in ("controller", "rival"):
            k = Controller(OPTIONS.kroc, self.cluster, alias, self.ELECT, name=f"{self._testMethodName}-{alias}")
            self.addCleanup(k.stop, check=False)
            k.start()
            found.append(k)
            if alias == "controller":
                wait_for("the first leads", lambda: "leading lease=" in k.log(), 10)
                type(self).kroc = k
                self.define()
        return found

    def shops(self):
        spaces = [self.namespace() for _ in range(self.COUNT)]
        for ns in spaces:
            self.cluster.apply(settings(ns))
            self.cluster.apply(instance(ns))
        return spaces

    def versions(self, spaces):
        return {path: self.cluster.get(path)["metadata"]["resourceVersion"]
                for ns in spaces for path in (paths(ns).page, paths(ns).deployment, paths(ns).service)}

    def holder(self):
        return (self.cluster.find(self.LEASE) or {}).get("spec", {}).get("holderIdentity", "")

    def by(self, alias, mark, *, writes=False):
        return [r for r in self.cluster.requests(alias, mark) if r.resource != "leases" and (r.writes or not writes)]

    def quiet(self, alias):
        """Waits until it asks nothing but for its Lease."""
        def asked_nothing():
            mark = self.cluster.mark()
            time.sleep(QUIET_S)
            return not self.by(alias, mark)

        wait_for(f"{alias} comes to rest", asked_nothing, 30)

    def taken_over(self, second, mark, spaces, limit):
        began = time.monotonic()
        wait_for("the second leads", lambda: "leading lease=" in second.log(), limit, every=0.01)
        took = time.monotonic() - began
        print(f"taken over after {took:.2f} s", file=sys.stderr)
        type(self).kroc = second
        for ns in spaces:
            self.until_active(ns, 30)
        rows = self.by("rival", mark)
        self.assertEqual([str(r) for r in rows if r.verb == "list"], [], "it takes over without a list")
        return took

    def test_a_killed_leader_is_followed_when_its_lease_ends(self):
        first, second = self.pair()
        old = self.shops()
        for ns in old:
            self.until_active(ns)
        self.quiet("controller")
        before, mark = self.versions(old), self.cluster.mark()
        new = self.shops()  # it is killed while it makes these
        first.kill()
        self.assertEqual([str(r) for r in self.by("rival", 0, writes=True)], [], "a standby wrote")
        self.taken_over(second, mark, old + new, self.SECONDS + 3)
        self.assert_one_after_the_other(mark)
        rows = self.by("controller", mark, writes=True) + self.by("rival", mark, writes=True)
        made = [(r.namespace, r.resource, r.name) for r in rows if r.code == 201]
        self.assertEqual(len(made), len(set(made)), "an object was made twice")
        self.assertEqual(self.versions(old), before, "what was at rest was written")
        mark = self.cluster.mark()
        self.edit_settings(paths(old[0]), COLOUR="after")
        self.quiet("rival")
        self.assertEqual([f"{r.verb} {r.resource}" for r in self.plain(self.by("rival", mark, writes=True))],
                         ["patch deployments"])

    def assert_one_after_the_other(self, mark):
        """No write of the first came in after the second had written for the first time. Returns how long nobody held
        the Lease, by the server's clock; None: the first did not touch it after mark."""
        ones, others = (self.by(alias, mark, writes=True) for alias in ("controller", "rival"))
        if ones and others:
            self.assertLess(ones[-1].at, others[0].at, f"two wrote: {ones[-1]}, {others[0]}")
        held = [r for r in self.cluster.requests("controller", mark) if r.resource == "leases" and r.writes]
        taken = [r for r in self.cluster.requests("rival", mark) if r.resource == "leases" and r.writes and r.code < 300]
        self.assertTrue(taken)
        if ones:
            self.assertLess(ones[-1].at, taken[0].at, "it wrote after another had taken the Lease")
        return moment(taken[0]) - moment(held[-1]) if held else None

    def test_a_leader_that_ends_in_the_middle_of_work_is_followed_at_once(self):
        first, second = self.pair()
        spaces = self.shops()
        for ns in spaces:
            self.until_active(ns)
        self.quiet("controller")
        before, mark = self.versions(spaces), self.cluster.mark()
        for i, ns in enumerate(spaces):
            self.cluster.patch(paths(ns).settings, {"data": {"COLOUR": "edited"}})
            if i == len(spaces) // 2:
                first.process.send_signal(signal.SIGTERM)
        self.taken_over(second, mark, spaces, 10)
        wait_for("every Deployment carries the new version", lambda: all(
            self.config_version(paths(ns)) == self.cluster.get(paths(ns).settings)["metadata"]["resourceVersion"]
            for ns in spaces), 20)
        self.quiet("rival")
        gap = self.assert_one_after_the_other(mark)
        print(f"nobody held the Lease for {gap * 1000:.0f} ms", file=sys.stderr)
        self.assertLess(gap, 0.5 if os.getloadavg()[0] < 4 else 2)
        rows = [r for r in self.by("controller", mark, writes=True) + self.by("rival", mark, writes=True) if r.code < 300]
        self.assertEqual(sorted((r.namespace, f"{r.verb} {r.resource}") for r in self.plain(rows)),
                         sorted((ns, "patch deployments") for ns in spaces), "each Deployment once, nothing else")
        after = self.versions(spaces)
        self.assertEqual({p for p in before if before[p] != after[p]}, {paths(ns).deployment for ns in spaces})
        self.assertEqual(first.process.wait(10), 0)

    def test_a_leader_that_ends_is_followed_at_once(self):
        first, second = self.pair()
        spaces = self.shops()
        for ns in spaces:
            self.until_active(ns)
        self.quiet("controller")
        before, mark = self.versions(spaces), self.cluster.mark()
        first.stop()
        took = self.taken_over(second, mark, spaces, 5)
        self.assertLess(took, 2, "the Lease lasts longer than that: it was let go")
        time.sleep(NOTHING_S)
        self.assertEqual([str(r) for r in self.by("rival", mark, writes=True)], [])
        self.assertEqual([str(r) for r in self.by("controller", mark, writes=True)], [])
        self.assertEqual(self.versions(spaces), before)
        second.stop()
        self.assertEqual(self.holder(), "")

    def test_a_lease_that_another_holds_leaves_the_standby_ready(self):
        self.cluster.apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                            "metadata": {"name": "controller.kro.run", "namespace": "default"},
                            "spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 3000}})
        k = Controller(OPTIONS.kroc, self.cluster, args=self.ELECT, name="held")
        with k:  # start waits for /readyz
            self.assertIn('standby, held by "somebody"', k.page("/readyz?verbose"))
            mark = self.cluster.mark()
            self.cluster.kubectl("apply", "-f", os.path.join(EXAMPLE, "rgd.yaml"))
            time.sleep(NOTHING_S)
            self.assertEqual([str(r) for r in self.by("controller", mark, writes=True)], [])
            k.stop()
        self.cluster.delete(self.LEASE)


class Shards(Group):
    """Three processes share the instances by Leases: each is handled by one, and who comes or goes costs no write.

    KROC_SHARDS_COUNT is the number of instances (60 when not set)."""

    START = False
    COUNT = int(os.environ.get("KROC_SHARDS_COUNT", "60"))
    LEASE_S = 6
    ARGS = ("--shards=3", "--leader-election-namespace=default", f"--leader-election-lease-duration={LEASE_S}s",
            "--leader-election-renew-deadline=4s", "--leader-election-retry-period=1s")
    ALIASES = ("controller", "rival", "third")
    LIST = "/apis/kro.run/v1alpha1/namespaces/fleet/units"

    def setUp(self):
        self.wait_s = 60 + self.COUNT / 5
        if self.cluster.find("/api/v1/namespaces/fleet") is None:
            self.cluster.kubectl("create", "namespace", "fleet")
            self.cluster.ask("POST", DEFINITIONS, {
                "apiVersion": "kro.run/v1alpha1", "kind": "ResourceGraphDefinition", "metadata": {"name": "unit"},
                "spec": {"schema": {"apiVersion": "v1alpha1", "kind": "Unit", "spec": {"round": "integer"}},
                         "resources": [self.child("left"), self.child("right")]}})

    @staticmethod
    def child(which):
        return {"id": which, "template": {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "${schema.metadata.name}-" + which},
            "data": {"round": "${string(schema.spec.round)}"}}}

    def process(self, alias):
        k = Controller(OPTIONS.kroc, self.cluster, alias, self.ARGS, name=f"{self._testMethodName}-{alias}")
        self.addCleanup(k.stop, check=False)
        k.start()
        type(self).kroc = k
        return k

    def members(self, processes):
        """Waits until these share all 64 buckets, and nobody else; their shares."""
        def shared_out():
            shares = []
            for k in processes:
                found = re.search(r"shards: (\d+) of 64 buckets, slot \d, (\d+) members", k.page("/readyz?verbose"))
                if not found or int(found[2]) != len(processes):
                    raise Failed(f"{k.alias}: {found and found[0]}")
                shares.append(int(found[1]))
                loaded = [int(n) for n in re.findall(r"buckets loaded buckets=(\d+)", k.log())]
                if shares[-1] and max(loaded, default=0) < shares[-1]:
                    raise Failed(f"{k.alias} has not loaded its buckets: {loaded[-1:]}")
            if sum(shares) != 64:
                raise Failed(f"shares: {shares}")
            return shares

        return wait_for("the members share all buckets", shared_out, 30 + self.LEASE_S)

    def units(self, round):
        """Makes or edits all units, one after the other; yields after each."""
        for i in range(self.COUNT):
            self.cluster.apply({"apiVersion": "kro.run/v1alpha1", "kind": "Unit",
                                "metadata": {"name": f"u{i}", "namespace": "fleet"}, "spec": {"round": round}})
            yield i

    def until_round(self, round, processes):
        def done():
            for k in processes:
                k.must_run()
            maps = {m["metadata"]["name"]: m["data"].get("round")
                    for m in self.cluster.get("/api/v1/namespaces/fleet/configmaps")["items"]
                    if m["metadata"]["name"].startswith("u")}
            behind = [f"u{i}-{w}" for i in range(self.COUNT) for w in ("left", "right")
                      if maps.get(f"u{i}-{w}") != str(round)]
            late = [u["metadata"]["name"] for u in self.cluster.get(self.LIST)["items"]
                    if u.get("status", {}).get("state") != "ACTIVE"]
            if behind or late:
                raise Failed(f"{len(behind)} objects are behind: {behind[:3]}; {len(late)} are not ACTIVE: {late[:3]}")
            return True

        wait_for(f"all units are in round {round}", done, self.wait_s)

    def written(self, mark):
        """Who wrote what since the mark, Leases apart: {(resource, name): [row with its alias]}, in order."""
        found = {}
        rows = [(r.at, alias, r) for alias in self.ALIASES for r in self.cluster.requests(alias, mark)
                if r.writes and r.resource not in ("leases", "events")]
        for _, alias, r in sorted(rows, key=lambda x: x[0]):
            found.setdefault((r.resource, r.name), []).append((alias, r))
        return found

    def instance_of(self, key):
        resource, name = key
        return name if resource == "units" else name.rsplit("-", 1)[0] if resource == "configmaps" else None

    def hands(self, written):
        """The aliases that wrote for each instance, in order, without repetition."""
        by = {}
        for key, rows in written.items():
            unit = self.instance_of(key)
            if unit:
                by.setdefault(unit, []).extend((r.at, alias) for alias, r in rows)
        return {unit: [a for i, (_, a) in enumerate(sorted(rows)) if i == 0 or sorted(rows)[i - 1][1] != a]
                for unit, rows in by.items()}

    def assert_children(self, written, times, killed=None):
        """Each child was written so often, no more and no less, and nothing was refused but by a conflict. Of who was
        killed, a write may have taken effect whose answer nobody heard: the server calls that a time-out."""
        for i in range(self.COUNT):
            for which in ("left", "right"):
                asked = written.get(("configmaps", f"u{i}-{which}"), [])
                rows = [(a, str(r)) for a, r in asked if r.code < 300]
                if not rows and times == 1 and any(a == killed and r.code >= 500 for a, r in asked):
                    continue
                self.assertEqual(len(rows), times, f"u{i}-{which}: {rows}; all: {[(a, str(r)) for a, r in asked]}")

    def assert_at_rest(self, mark):
        time.sleep(NOTHING_S)
        self.assertEqual({k: [str(r) for _, r in v] for k, v in self.written(mark).items()}, {})

    def labels(self):
        return {u["metadata"]["name"]: u["metadata"].get("labels", {}).get("kroc.run/bucket")
                for u in self.cluster.get(self.LIST)["items"]}

    def test_1_each_is_handled_by_one(self):
        mark = self.cluster.mark()
        processes = [self.process(alias) for alias in self.ALIASES]
        wait_for("the definition is served", lambda: self.serves("unit"), 30)
        shares = self.members(processes)
        for _ in self.units(1):
            pass
        self.until_round(1, processes)
        written = self.written(mark)
        hands = self.hands(written)
        self.assertEqual({u: h for u, h in hands.items() if len(h) != 1}, {}, "handled by more than one")
        self.assertEqual(len(hands), self.COUNT)
        self.assert_children(written, 1)
        self.assertEqual({h[0] for h in hands.values()}, {k.alias for k, n in zip(processes, shares) if n})
        buckets = {}  # label -> who
        for unit, label in self.labels().items():
            self.assertEqual(buckets.setdefault(label, hands[unit][0]), hands[unit][0], "one bucket in two hands")
        self.assertNotIn(None, buckets)
        others = [(key, {a for a, _ in rows}) for key, rows in written.items() if not self.instance_of(key)]
        self.assertTrue(others)
        self.assertEqual(len(set().union(*(who for _, who in others))), 1, f"definitions were written by several: {others}")
        for cm in self.cluster.get("/api/v1/namespaces/fleet/configmaps")["items"]:
            self.assertNotIn("kroc.run/bucket", cm["metadata"].get("labels") or {})
        mark = self.cluster.mark()
        for _ in self.units(2):
            pass
        self.until_round(2, processes)
        written = self.written(mark)
        self.assertEqual(self.hands(written), hands, "an instance has changed hands")
        self.assert_children(written, 1)
        print(f"shares of 64 buckets: {shares}; instances: "
              f"{[sum(h[0] == k.alias for h in hands.values()) for k in processes]}", file=sys.stderr)
        for k in processes:
            k.stop()

    def test_2_who_joins_takes_its_share_and_writes_nothing(self):
        two = [self.process(alias) for alias in self.ALIASES[:2]]
        self.members(two)
        self.until_round(2, two)
        mark = self.cluster.mark()
        three = two + [self.process("third")]
        shares = self.members(three)
        self.assert_at_rest(mark)
        mark = self.cluster.mark()
        for _ in self.units(3):
            pass
        self.until_round(3, three)
        written = self.written(mark)
        hands = self.hands(written)
        self.assertEqual({u: h for u, h in hands.items() if len(h) != 1}, {})
        self.assert_children(written, 1)
        self.assertEqual({h[0] for h in hands.values()}, {k.alias for k, n in zip(three, shares) if n})
        for k in three:
            k.stop()

    def leave(self, round, end, killed=None):
        """One of three goes in the middle of an edit of all; each object is written once all the same."""
        born = self.cluster.mark()
        three = [self.process(alias) for alias in self.ALIASES]
        self.members(three)
        mark = self.cluster.mark()
        for i in self.units(round):
            if i == self.COUNT // 2:
                end(three[1])
        self.until_round(round, (three[0], three[2]))
        self.members((three[0], three[2]))
        written = self.written(mark)
        self.assert_children(written, 1, killed)
        for unit, hands in self.hands(written).items():
            self.assertLessEqual(len(hands), 2, f"{unit} went to and fro: {hands}")
            self.assertFalse(len(hands) == 2 and (hands[0] != "rival" or hands[1] == "rival"), f"{unit}: {hands}")
        self.assert_at_rest(self.cluster.mark())
        took = self.gap(born)
        for k in (three[0], three[2]):
            k.stop()
        return took

    def gap(self, mark):
        """From the last renewal of the one that went to the first claim of its buckets, by the server's clock. The mark is
        from before it was there: it need not have renewed its Lease since the edit began."""
        gone = [r for r in self.cluster.requests("rival", mark) if r.resource == "leases" and "shard-" in r.name]
        rest = sorted((r for a in ("controller", "third") for r in self.cluster.requests(a, mark)
                       if r.resource == "leases" and "shard-" in r.name and r.at > gone[-1].at and r.code == 200),
                      key=lambda r: r.at)
        buried = [r for r in rest if r.name == gone[-1].name]
        return moment((buried or rest)[0]) - moment(gone[-1])

    def test_3_who_leaves_on_sigterm_is_followed_at_once(self):
        took = self.leave(4, lambda k: k.process.send_signal(signal.SIGTERM))
        print(f"SIGTERM: first claim after {took * 1000:.0f} ms", file=sys.stderr)
        self.assertLess(took, 0.5 if os.getloadavg()[0] < 4 else self.LEASE_S / 2)

    def test_4_who_is_killed_is_followed_when_its_lease_ends(self):
        took = self.leave(5, lambda k: k.kill(), killed="rival")
        print(f"SIGKILL: its Lease was ended after {took:.1f} s", file=sys.stderr)
        self.assertGreater(took, 3)

    def test_5_without_the_flag_nothing_of_it_is_written(self):
        k = Controller(OPTIONS.kroc, self.cluster, "controller", name="alone")
        self.addCleanup(k.stop, check=False)
        k.start()
        type(self).kroc = k
        mark = self.cluster.mark()
        self.cluster.apply({"apiVersion": "kro.run/v1alpha1", "kind": "Unit",
                            "metadata": {"name": "alone", "namespace": "fleet"}, "spec": {"round": 1}})
        wait_for("it is ACTIVE", lambda: (self.cluster.find(f"{self.LIST}/alone") or {}).get(
            "status", {}).get("state") == "ACTIVE", 30)
        self.assertIsNone(self.labels()["alone"])
        self.assertFalse([str(r) for r in self.cluster.requests("controller", mark) if r.resource == "leases"])
        k.stop()


def shared(*parts):
    """A path in the compatibility cases, which need not be there."""
    return os.path.join(os.environ.get("KROC_SHARED", os.path.join(ROOT, "..", "shared")), "cases", *parts)


class Takeover(Group):
    """The controller starts on what kro left: nothing is written until something is changed."""

    CRD = False
    START = False
    STATE = shared("takeover", "etcd.tar.xz")
    QUIET_S = 30

    @classmethod
    def setUpClass(cls):
        if not os.path.exists(cls.STATE):
            raise unittest.SkipTest(f"no compatibility cases: {cls.STATE} is not there")
        with open(shared("takeover", "objects.jsonl")) as f:
            cls.kros = [json.loads(line) for line in f]
        super().setUpClass()

    @classmethod
    def versions(cls):
        """What kro wrote as the server has it: "list namespace/name" -> resourceVersion."""
        found = {}
        for path in sorted({o["list"] for o in cls.kros}):
            for obj in cls.cluster.get(path)["items"]:
                meta = obj["metadata"]
                found[f"{path} {meta.get('namespace', '')}/{meta['name']}"] = meta["resourceVersion"]
        wanted = {f"{o['list']} {o['namespace']}/{o['name']}": o["resourceVersion"] for o in cls.kros}
        return {k: found.get(k) for k in wanted}, wanted

    def assert_unchanged(self):
        found, wanted = self.versions()
        self.assertEqual(found, wanted)

    def written(self, mark):
        return [f"{r.verb} {r.resource}{'/' + r.subresource if r.subresource else ''} {r.name}"
                for r in self.cluster.requests(self.ALIAS, mark) if r.writes]

    def test_nothing_is_written_until_something_is_edited(self):
        benches = "/apis/kro.run/v1alpha1/namespaces/default/benches"
        wait_for("the server serves kro's types", self.versions, 30)  # 429 until then
        self.assert_unchanged()  # the archive is what the list says
        mark = self.cluster.mark()
        with Controller(OPTIONS.kroc, self.cluster, self.ALIAS, name="takeover") as type(self).kroc:
            wait_for("the instances are read", lambda: {"benches", "shards", "tenants", "inners"} <= {
                r.resource for r in self.cluster.requests(self.ALIAS, mark)}, 20)
            time.sleep(self.QUIET_S)
            self.assertEqual(self.written(mark), [])
            self.assert_unchanged()

            mark = self.cluster.mark()
            self.cluster.patch(f"{benches}/b1", {"spec": {"image": "nginx:edited"}})
            self.until("the Deployment follows", lambda: self.cluster.get("/apis/apps/v1/namespaces/default/deployments/b1")
                       ["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:edited")
            self.rest(mark)
            self.assertEqual(self.written(mark), ["patch deployments b1", "update benches/status b1"])
            found, wanted = self.versions()
            self.assertEqual(sorted(k for k in wanted if found[k] != wanted[k]),
                             ["/apis/apps/v1/deployments default/b1", "/apis/kro.run/v1alpha1/benches default/b1"])
            self.kroc.stop()


class Fight(Group):
    """Somebody fights over a field of ours: told by name, and slowed; edits of inputs are not."""

    FIGHT_S = 40
    FIGHTS_MAX = 10  # at once; then one write a minute

    def rival(self, path, seconds):
        """Takes replicas whenever they are not what the rival wants; how often it had to."""
        taken, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            self.kroc.must_run()
            if self.cluster.get(path)["spec"]["replicas"] != 7:
                self.cluster.patch(path, {"spec": {"replicas": 7}}, manager="rival")
                taken += 1
            time.sleep(0.05)
        return taken

    def resources_ready(self, p):
        return condition(self.cluster.get(p.instance), "ResourcesReady")

    def test_a_fight_is_slowed_and_the_rival_named(self):
        _, p = self.shop()
        mark = self.cluster.mark()
        taken = self.rival(p.deployment, self.FIGHT_S)
        rows = self.cluster.requests(self.ALIAS, mark)
        applied = [r for r in self.plain(rows) if r.resource == "deployments"]
        text = "".join(f"\n  {r}" for r in rows)
        self.assertGreaterEqual(taken, self.FIGHTS_MAX, text)
        self.assertLessEqual(len(applied), self.FIGHTS_MAX + 2, text)
        self.assertLessEqual(len(self.statuses(rows)), self.FIGHTS_MAX + 2, text)
        told = self.until("the fight is told", lambda: "keeps changing" in self.resources_ready(p)["message"]
                          and self.resources_ready(p))
        self.assertEqual("False", told["status"])
        self.assertRegex(told["message"], r'node "deployment": "rival" keeps changing spec\.replicas of Deployment '
                                          r'\S+/shop: it is written once a minute, next at \d{4}-\d\d-\d\dT')
        # The rival has gone: within a minute the field is ours, and some time later all is well.
        self.until("replicas are ours", lambda: self.cluster.get(p.deployment)["spec"]["replicas"] == 2, 75)
        self.until("nothing is told any more", lambda: self.resources_ready(p)["status"] == "True", 75)

    def test_edits_of_an_input_are_not_slowed(self):
        _, p = self.shop()
        for i in range(3 * self.FIGHTS_MAX):
            self.edit_settings(p, COLOUR=f"colour {i}")
        self.assertEqual("True", self.resources_ready(p)["status"])


class Roll(Group):
    """When a change of an input reaches a fleet: annotations on the definition and on the instance."""

    def resources_ready(self, p):
        return condition(self.cluster.get(p.instance), "ResourcesReady")

    def test_a_pause_holds_the_roll_and_its_end_lets_go(self):
        _, p = self.shop()
        self.cluster.patch(p.instance, {"metadata": {"annotations": {"kroc.run/roll-pause": "true"}}})
        self.rest()
        mark = self.cluster.mark()
        version = self.cluster.patch(p.settings, {"data": {"COLOUR": "later"}})["metadata"]["resourceVersion"]
        self.until("the pause is told", lambda: "kroc.run/roll-pause is set" in self.resources_ready(p)["message"])
        said = self.plain(self.rest(mark))  # an Event on the ConfigMap that changed, nothing else
        self.assertEqual([], [r for r in said if r.resource != "events"])
        self.assertLessEqual(len(said), 1)
        self.cluster.patch(p.instance, {"metadata": {"annotations": {"kroc.run/roll-pause": None}}})
        self.until("the Deployment carries the new version", lambda: self.config_version(p) == version)

    def test_a_fleet_rolls_one_at_a_time(self):
        """Nobody is there to roll the Deployments, so each holds its place until the test says it is done."""
        shops = [self.shop()[1] for _ in range(3)]
        definition_path = f"{DEFINITIONS}/webapp"
        self.cluster.patch(definition_path, {"metadata": {"annotations": {"kroc.run/roll-max-concurrent": "1"}}})
        self.addCleanup(self.cluster.patch, definition_path,
                        {"metadata": {"annotations": {"kroc.run/roll-max-concurrent": None}}})
        self.rest()
        before, finished = [self.config_version(p) for p in shops], []

        def begun():
            n = sum(self.config_version(p) != b for p, b in zip(shops, before))
            if n == 0:
                raise Failed("; ".join(self.resources_ready(p)["message"] for p in shops))
            return n

        for p in shops:
            self.cluster.patch(p.settings, {"data": {"COLOUR": "fleet"}})
        for done in range(1, len(shops) + 1):
            self.until(f"{done} have begun", lambda: begun() == done)
            self.rest()
            self.assertEqual(done, begun())
            rolling, = [p for p, b in zip(shops, before) if self.config_version(p) != b and p not in finished]
            self.finish(rolling.deployment)
            finished.append(rolling)

    def finish(self, path):
        """As the Deployment's controller: what was asked for is there."""
        obj = self.cluster.get(path)
        n = obj["spec"]["replicas"]
        self.cluster.patch(f"{path}/status", {"status": {
            "observedGeneration": obj["metadata"]["generation"], "replicas": n, "updatedReplicas": n,
            "readyReplicas": n, "availableReplicas": n}})


class Look(Group):
    """get, tree, stuck, top: what is there, for people. rbac: the rights that a definition needs."""

    ALIAS = "controller"
    METRICS = free_port()
    ARGS = ("--metrics-bind-address", f"127.0.0.1:{METRICS}")

    def look(self, *args, code=0):
        done = kroc_process.run(OPTIONS.kroc, *args, "--kubeconfig", self.cluster.kubeconfig())
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout if code != 2 else done.stderr

    def half(self):
        """An instance that waits for a ConfigMap."""
        ns = self.namespace()
        self.cluster.apply(instance(ns))
        self.until("it waits", lambda: "settings" in condition(self.cluster.find(paths(ns).instance), "Ready").get("message", ""))
        self.addCleanup(self.cluster.delete, paths(ns).instance)
        return ns

    def test_get(self):
        ns, _ = self.shop()
        waits = self.half()
        text = self.look("get")
        self.assertRegex(text, r"(?m)^rgd +webapp +Active ")
        self.assertRegex(text, rf"(?m)^WebApp +{ns}/shop +ACTIVE +\d+s *$")
        self.assertRegex(text, rf"(?m)^WebApp +{waits}/shop +IN_PROGRESS .*waiting for external reference \"settings\"")
        for word in ("webapp", "webapps", "WebApp"):
            only = self.look("get", word, "shop", "-n", ns)
            self.assertEqual(len(only.splitlines()), 2, only)
        rows = json.loads(self.look("get", "-o", "json"))
        self.assertIn({"kind": "WebApp", "namespace": ns, "name": "shop", "state": "ACTIVE", "reason": ""}, rows)
        ageless = lambda text: re.sub(r" \d+s ", " AGE ", text)
        self.assertEqual(ageless(self.look("get", "webapp/shop", "-n", ns)), ageless(only))
        self.assertEqual(len(self.look("get", "rgd").splitlines()), 2)
        self.look("get", "nothing", code=1)
        self.look("get", "webapp", "nobody", code=1)
        for words in (("webapp", "shop", "more"), ("webapp/shop", "more"), ("webapp/",), ("/shop",), ("",)):
            self.assertIn("usage: kroc get [KIND [NAME]]", self.look("get", *words, code=2))

    def test_stuck(self):
        waits = self.half()
        text = self.look("stuck", code=1)
        self.assertIn(f"{waits}/shop", text)
        self.assertNotIn(" ACTIVE ", text)
        ns, _ = self.shop()
        self.assertEqual(self.look("stuck", "webapp/shop", "-n", ns), "all 1 definitions and instances are as they should be\n")
        self.assertIn(f"{waits}/shop", self.look("stuck", "webapp/shop", "-n", waits, code=1))
        self.assertIn("usage: kroc stuck", self.look("stuck", "a", "b", "c", code=2))
        self.cluster.apply(settings(waits))
        self.until_active(waits)
        self.assertIn("as they should be", self.look("stuck", "-n", waits))

    def test_tree(self):
        ns, _ = self.shop()
        lines = self.look("tree", "webapp/shop", "-n", ns).splitlines()
        self.assertEqual(lines[0], f"WebApp {ns}/shop  ACTIVE")
        self.assertEqual(len(lines), 1 + K + 1)
        self.assertTrue(lines[-1].startswith("`-- "))
        for node, kind, name in (("page", "ConfigMap", "shop-page"), ("deployment", "Deployment", "shop"), ("service", "Service", "shop")):
            self.assertTrue([x for x in lines if re.match(rf".-- {node} +{kind} {ns}/{name}\b", x)], lines)
        self.look("tree", "webapp/nobody", code=1)
        self.assertIn("usage: kroc tree", self.look("tree", code=2))
        self.assertIn("unknown option -o", self.look("tree", "webapp/shop", "-o", "json", code=2))

    def test_top(self):
        self.shop()
        done = kroc_process.run(OPTIONS.kroc, "top", "--address", f"127.0.0.1:{self.METRICS}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^definitions served +1 *$")
        n = len(self.cluster.get("/apis/kro.run/v1alpha1/webapps")["items"])
        self.assertRegex(done.stdout, rf"(?m)^instances +{n} *$")
        away = kroc_process.run(OPTIONS.kroc, "top", "--address", f"127.0.0.1:{free_port()}")
        self.assertEqual(away.returncode, 1)
        self.assertIn("port-forward deploy/kroc 8078", away.stderr)

    def test_rbac(self):
        role = json.loads(self.cluster.kubectl("create", "--dry-run=client", "-o", "json", "-f", "-", stdin=kroc_process.run(
            OPTIONS.kroc, "rbac", "-f", os.path.join(EXAMPLE, "rgd.yaml")).stdout))
        self.assertEqual(role["metadata"]["name"], "kroc:rgd:webapp")
        self.assertEqual(role["metadata"]["labels"], {"rbac.kro.run/aggregate-to-controller": "true"})
        rules = {(r["apiGroups"][0], r["resources"][0]): set(r["verbs"]) for r in role["rules"]}
        child = {"get", "list", "watch", "create", "patch", "delete"}
        self.assertEqual(rules, {("", "configmaps"): child, ("", "services"): child, ("apps", "deployments"): child,
                                 ("kro.run", "webapps"): {"get", "list", "watch", "patch", "update"},
                                 ("kro.run", "webapps/status"): {"get", "update"}})
        reader = write(self.cluster.path("reader.yaml"), json.dumps({
            "apiVersion": "kro.run/v1alpha1", "kind": "ResourceGraphDefinition", "metadata": {"name": "reader"}, "spec": {
                "schema": {"apiVersion": "v1alpha1", "kind": "Reader"}, "resources": [
                    {"id": "secret", "externalRef": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}}]}}))
        text = kroc_process.run(OPTIONS.kroc, "rbac", "-f", reader, "--name", "mine").stdout
        role = json.loads(self.cluster.kubectl("create", "--dry-run=client", "-o", "json", "-f", "-", stdin=text))
        self.assertEqual(role["metadata"]["name"], "mine")
        self.assertEqual([r["verbs"] for r in role["rules"] if r["resources"] == ["secrets"]], [["get", "list", "watch"]])


GROUPS = {"budget": Budget, "faults": Faults, "rights": Rights, "aggregation": Aggregation, "sidecar": Sidecar, "bad_input": BadInput, "life": Life,
          "deploy": Deploy, "doctor": Doctor, "look": Look, "validate": Validate, "takeover": Takeover, "leader": Leader, "shards": Shards, "fight": Fight,
          "roll": Roll}


def chosen(names):
    suite, loader = unittest.TestSuite(), unittest.defaultTestLoader
    for name in names or GROUPS:
        group, _, test = name.partition(".")
        if group not in GROUPS:
            raise Failed(f"there is no group {group}; there are: {' '.join(GROUPS)}")
        suite.addTests([GROUPS[group](test)] if test else loader.loadTestsFromTestCase(GROUPS[group]))
    return suite


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kroc", help="the program; build/release/kroc when not given")
    parser.add_argument("--bin", help="folder with the control plane; else KROC_CLUSTER_BIN or what build.sh made")
    parser.add_argument("--list", action="store_true", help="print the tests, run none")
    parser.add_argument("names", nargs="*", metavar="GROUP[.test]")
    args = parser.parse_args()
    try:
        suite = chosen(args.names)
        if args.list:
            for test in suite:
                print(f"{next(k for k, v in GROUPS.items() if v is type(test))}.{test._testMethodName}")
            return 0
        if any(not isinstance(t, Deploy) for t in suite):
            OPTIONS.kroc = kroc_process.program(args.kroc)
    except (Failed, ValueError) as e:
        print(f"e2e_test: {e}", file=sys.stderr)
        return 1
    try:
        OPTIONS.bin = bin_folder(args.bin)
    except Failed as e:
        print(f"e2e_test: skipped: {e}", file=sys.stderr)
        return SKIPPED
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
