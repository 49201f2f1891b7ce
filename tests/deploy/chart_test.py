#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/helm/kroc: what helm makes of it is accepted by a real API server, and its rights suffice.

    chart_test.py --kroc PATH [--bin DIR] [--list] [test ...]

helm is built from its Go module (tests/deploy/helm/build.sh). Exit code 77 means that helm or the control
plane is not there.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), x) for x in ("cluster", "e2e")]

import controller as kroc_process  # noqa: E402
from cluster import Cluster, Failed, bin_folder, wait_for  # noqa: E402
from controller import ROOT, Controller  # noqa: E402
from e2e_test import Aggregation  # noqa: E402

SKIPPED = 77
CHART = os.path.join(ROOT, "deploy", "helm", "kroc")
EXAMPLE = os.path.join(ROOT, "examples", "webapp")
NS = "kro-system"
OPTIONS = argparse.Namespace(kroc=None, bin=None, helm=None)

# kinds of other projects, enough of them for the server to take the chart's objects
FOREIGN = [("monitoring.coreos.com", "ServiceMonitor", "servicemonitors"), ("monitoring.coreos.com", "PrometheusRule", "prometheusrules")]

EVERYTHING = ["deployment.replicaCount=2", "metrics.service.create=true", "metrics.serviceMonitor.enabled=true",
              "metrics.prometheusRule.enabled=true", "metrics.dashboard.enabled=true", "networkPolicy.enabled=true",
              "priorityClass.create=true", "doctor.hook=true", "config.allowCRDDeletion=true",
              "config.featureGates.CELOmitFunction=true", "additionalLabels.team=platform"]

# What somebody may have set for kro's chart, by kro's names: every one of them is understood.
KRO_VALUES = {
    "nameOverride": "", "fullnameOverride": "kro", "image": {"repository": "example.com/kro", "tag": "v1", "ko": False,
                                                             "pullPolicy": "Never"},
    "imagePullSecrets": [{"name": "pull"}], "serviceAccount": {"create": True, "annotations": {"a": "b"}, "name": "sa"},
    "rbac": {"mode": "aggregation"},
    "deployment": {"replicaCount": 3, "podAnnotations": {"x": "y"}, "podLabels": {"l": "m"}, "priorityClassName": "high",
                   "tolerations": [{"key": "k", "operator": "Exists"}], "hostNetwork": False, "dnsPolicy": "Default",
                   "extraEnv": [{"name": "A", "value": "1"}], "extraVolumes": [{"name": "v", "emptyDir": {}}],
                   "extraVolumeMounts": [{"name": "v", "mountPath": "/v"}]},
    "debug": {"pprof": {"enabled": True}},
    "config": {"clientQps": 50, "clientBurst": 60, "enableControllerWarmup": True, "logLevel": "debug", "logEncoder": "json",
               "leaderElectionNamespace": "kube-system", "healthProbeBindAddress": ":9999",
               "dynamicControllerConcurrentReconciles": 20, "rgd": {"maxGraphRevisions": 9},
               "featureGates": {"CELOmitFunction": True, "InstanceConditionEvents": False}},
}


def helm(*args, check=True, **more):
    done = subprocess.run([OPTIONS.helm, *args], capture_output=True, text=True, timeout=120, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"helm {' '.join(args)}:\n{done.stdout}{done.stderr}")
    return done


def rights(rules):
    return {(g, r, v) for rule in rules for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]}


class Chart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(OPTIONS.bin)
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()
        for name in (NS,):
            cls.cluster.ask("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {
                "name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
        for group, kind, plural in FOREIGN:
            cls.cluster.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{plural}.{group}"}, "spec": {
                    "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}})
        cls.cluster.kubectl("wait", "--for=condition=Established", "--all", "crd", "--timeout=30s")

    def render(self, *sets, values=None):
        args = ["template", "kro", CHART, "--namespace", NS, "--include-crds"]
        for x in sets:
            args += ["--set", x]
        if values:
            path = self.cluster.path("values.json")
            with open(path, "w") as f:
                json.dump(values, f)
            args += ["-f", path]
        return helm(*args).stdout

    def objects(self, text):
        out = self.cluster.kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", stdin=text)
        # kubectl prints one document an object
        decoder, at, found = json.JSONDecoder(), 0, []
        while at < len(out.rstrip()):
            obj, at = decoder.raw_decode(out, at)
            found += obj["items"] if obj["kind"] == "List" else [obj]
            while at < len(out) and out[at].isspace():
                at += 1
        return {(o["kind"], o["metadata"]["name"]): o for o in found}

    def accepted(self, text):
        done = self.cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "", "warnings of the server")
        self.assertEqual(done.stdout.count("(server dry run)"), len(re.findall(r"^kind: ", text, re.M)), done.stdout)

    # --- the chart itself --------------------------------------------------------

    def test_lint(self):
        for sets in ([], EVERYTHING, ["rbac.mode=aggregation"]):
            args = [a for s in sets for a in ("--set", s)]
            done = helm("lint", "--strict", CHART, *args)
            self.assertIn("0 chart(s) failed", done.stdout)

    def test_package_has_all(self):
        helm("package", CHART, "-d", self.cluster.work)
        shown = helm("show", "crds", os.path.join(self.cluster.work, "kroc-0.1.0.tgz")).stdout
        self.assertIn("name: resourcegraphdefinitions.kro.run", shown)
        self.assertIn("name: graphrevisions.internal.kro.run", shown)

    def test_default_is_accepted(self):
        text = self.render()
        self.accepted(text)
        objects = self.objects(text)
        self.assertIn(("ClusterRole", "kro-kroc-cluster-role"), objects)
        self.assertIn(("ClusterRoleBinding", "kro-kroc-cluster-role-binding"), objects)
        self.assertIn(("ClusterRole", "kro-kroc-edit"), objects)
        self.assertIn(("ClusterRole", "kro-kroc-view"), objects)
        self.assertNotIn(("PodDisruptionBudget", "kro-kroc"), objects)

    def test_everything_on_is_accepted(self):
        text = self.render(*EVERYTHING)
        self.accepted(text)
        kinds = {k for k, _ in self.objects(text)}
        for kind in ("PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor", "PrometheusRule", "PriorityClass", "Job",
                     "ConfigMap", "Service"):
            self.assertIn(kind, kinds)
        for obj in self.objects(text).values():
            if obj["kind"] != "CustomResourceDefinition":
                self.assertEqual(obj["metadata"]["labels"].get("team"), "platform", obj["metadata"]["name"])

    def test_aggregation_is_accepted(self):
        text = self.render("rbac.mode=aggregation")
        self.accepted(text)
        objects = self.objects(text)
        role = objects["ClusterRole", "kro-kroc:controller"]
        self.assertEqual(role["aggregationRule"]["clusterRoleSelectors"],
                         [{"matchLabels": {"rbac.kro.run/aggregate-to-controller": "true"}}])
        static = objects["ClusterRole", "kro-kroc:controller:static"]
        self.assertEqual(static["metadata"]["labels"]["rbac.kro.run/aggregate-to-controller"], "true")
        # Exactly the rights with which e2e/aggregation shows that the controller does its work.
        self.assertEqual(rights(static["rules"]), rights(Aggregation.STATIC))

    def test_unknown_mode_is_refused_by_name(self):
        done = helm("template", "kro", CHART, "--set", "rbac.mode=none", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('rbac.mode is "none"', done.stderr)

    def test_more_shards_than_there_are_buckets_are_refused(self):
        done = helm("template", "kro", CHART, "--set", "config.shards=65", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("config.shards is 65; it may be 0 (none) to 64", done.stderr)
        self.render("config.shards=64")

    def test_pod_passes_the_restricted_standard(self):
        spec = self.objects(self.render())["Deployment", "kro-kroc"]["spec"]["template"]["spec"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "try", "namespace": NS}, "spec": spec}
        self.cluster.ask("POST", f"/api/v1/namespaces/{NS}/pods?dryRun=All", pod)

    def test_values_of_kros_chart_are_understood(self):
        objects = self.objects(self.render(values=KRO_VALUES))
        deployment = objects["Deployment", "kro"]
        pod = deployment["spec"]["template"]["spec"]
        container = pod["containers"][0]
        self.assertEqual(deployment["spec"]["replicas"], 3)
        self.assertEqual(container["image"], "example.com/kro:v1")
        self.assertEqual(container["imagePullPolicy"], "Never")
        self.assertEqual(pod["serviceAccountName"], "sa")
        self.assertEqual(pod["priorityClassName"], "high")
        self.assertEqual([p["containerPort"] for p in container["ports"] if p["name"] == "health"], [9999])
        for arg in ("--client-qps=50", "--zap-log-level=debug", "--zap-encoder=json", "--rgd-max-graph-revisions=9",
                    "--leader-election-namespace=kube-system",
                    "--feature-gates=CELOmitFunction=true,InstanceConditionEvents=false"):
            self.assertIn(arg, container["args"])
        self.assertIn(("ClusterRole", "kro:controller"), objects)
        self.assertIn(("PodDisruptionBudget", "kro"), objects)

    def test_every_value_of_kro_has_its_name_here(self):
        values = json.loads(self.yaml_to_json(os.path.join(CHART, "values.yaml")))
        def walk(theirs, ours, path):
            for key, value in theirs.items():
                self.assertIn(key, ours, f"{path}.{key}")
                if isinstance(value, dict) and ours[key]:
                    walk(value, ours[key], f"{path}.{key}")
        walk({k: v for k, v in KRO_VALUES.items()}, values, "values")

    def yaml_to_json(self, path):
        with open(path) as f:
            body = "".join("  " + line for line in f)
        text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nvalues:\n" + body
        obj = json.loads(self.cluster.kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", stdin=text))
        return json.dumps(obj["values"])

    def test_flags_are_flags_of_the_program(self):
        for sets in ([], EVERYTHING):
            args = self.objects(self.render(*sets))["Deployment", "kro-kroc"]["spec"]["template"]["spec"]["containers"][0]["args"]
            done = kroc_process.run(OPTIONS.kroc, *args, "--version")
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_shards_are_replicas_that_elect(self):
        text = self.render("config.shards=3", "config.enableLeaderElection=false")
        self.accepted(text)
        objects = self.objects(text)
        spec = objects["Deployment", "kro-kroc"]["spec"]
        args = spec["template"]["spec"]["containers"][0]["args"]
        self.assertEqual((spec["replicas"], "strategy" in spec and spec["strategy"].get("type")), (3, False))
        self.assertTrue({"--shards=3", "--leader-elect=true"} <= set(args), args)
        self.assertIn(("PodDisruptionBudget", "kro-kroc"), objects)
        self.assertEqual(kroc_process.run(OPTIONS.kroc, *args, "--version").returncode, 0)
        spare = self.objects(self.render("config.shards=3", "deployment.replicaCount=4"))["Deployment", "kro-kroc"]
        self.assertEqual(spare["spec"]["replicas"], 4)
        self.assertNotIn("--shards", self.render())

    def test_hooks_run_commands_of_the_program(self):
        objects = self.objects(self.render(*EVERYTHING))
        for name in ("kro-kroc-doctor", "kro-kroc-crds"):
            args = objects["Job", name]["spec"]["template"]["spec"]["containers"][0]["args"]
            done = kroc_process.run(OPTIONS.kroc, *args, "--help")
            self.assertEqual(done.returncode, 0, done.stderr)

    # --- monitoring --------------------------------------------------------------

    def metrics(self):
        """Every name that a query may use."""
        page = kroc_process.run(OPTIONS.kroc, "docs", "metrics").stdout
        names = set()
        for name, kind in re.findall(r"^\| `([a-z_]+)` \| (\w+)", page, re.M):
            names.update({name, *(f"{name}_{x}" for x in ("bucket", "count", "sum") if kind == "histogram")})
        return names

    def test_queries_use_metrics_that_exist(self):
        known = self.metrics()
        self.assertGreater(len(known), 50)
        with open(os.path.join(CHART, "files", "dashboard.json")) as f:
            queries = [t["expr"] for p in json.load(f)["panels"] for t in p["targets"]]
        with open(os.path.join(CHART, "files", "alerts.yaml")) as f:
            queries += re.findall(r"expr: (.*)", f.read())
        self.assertGreater(len(queries), 20)
        for q in queries:
            used = set(re.findall(r"\b(?:kroc|dynamic_controller|instance|graph_revision|leader|rest_client|process)_[a-z_]+", q))
            self.assertTrue(used, q)
            self.assertEqual(used - known, set(), q)

    def test_alert_rules(self):
        where = subprocess.run([os.path.join(HERE, "promtool.sh"), "--where"], capture_output=True, text=True)
        if where.returncode != 0 and os.environ.get("CI") != "true":
            self.skipTest("no promtool: tests/deploy/promtool.sh has not run")
        self.assertEqual(where.returncode, 0, "tests/deploy/promtool.sh brings it")
        done = subprocess.run([where.stdout.strip(), "check", "rules", os.path.join(CHART, "files", "alerts.yaml")], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("SUCCESS", done.stdout)

    # --- on a cluster ------------------------------------------------------------

    def test_aggregation_rights_suffice(self):
        """Installed with rbac.mode=aggregation; a definition brings its role by `kroc rbac`; the controller has
        nothing else and does its work: an object made, rolled, and deleted."""
        text = self.render("rbac.mode=aggregation", "fullnameOverride=kroc")
        self.cluster.kubectl("apply", "-f", "-", stdin=text)
        self.cluster.kubectl("wait", "--for=condition=Established", "--all", "crd", "--timeout=30s")
        rules = kroc_process.run(OPTIONS.kroc, "rbac", "-f", os.path.join(EXAMPLE, "rgd.yaml"))
        self.assertEqual(rules.returncode, 0, rules.stderr)
        self.cluster.kubectl("apply", "-f", "-", stdin=rules.stdout)
        # The cluster has the aggregating controller of kube-controller-manager only where it runs: fill it in.
        roles = self.cluster.get("/apis/rbac.authorization.k8s.io/v1/clusterroles"
                                 "?labelSelector=rbac.kro.run%2Faggregate-to-controller%3Dtrue")["items"]
        self.assertEqual(len(roles), 2)
        self.cluster.patch("/apis/rbac.authorization.k8s.io/v1/clusterroles/kroc:controller",
                           {"rules": [r for role in roles for r in role["rules"]]})
        ns = "chart"
        self.cluster.ask("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns}})
        with Controller(OPTIONS.kroc, self.cluster, "standalone") as kroc:
            mark = self.cluster.mark()
            self.cluster.kubectl("apply", "-n", ns, "-f", os.path.join(EXAMPLE, "settings.yaml"), "-f", os.path.join(EXAMPLE, "rgd.yaml"))
            self.cluster.kubectl("wait", "--for=condition=Ready", "rgd/webapp", "--timeout=30s")
            self.cluster.kubectl("apply", "-n", ns, "-f", os.path.join(EXAMPLE, "instance.yaml"))
            self.cluster.kubectl("-n", ns, "wait", "--for=jsonpath={.status.state}=ACTIVE", "webapp/shop", "--timeout=30s")
            version = self.cluster.patch(f"/api/v1/namespaces/{ns}/configmaps/settings", {"data": {"COLOUR": "red"}})["metadata"]["resourceVersion"]
            deployment = f"/apis/apps/v1/namespaces/{ns}/deployments/shop"
            wait_for("the Deployment rolls", lambda: self.cluster.get(deployment)["spec"]["template"]["metadata"]
                     .get("annotations", {}).get("config-version") == version, 15)
            self.cluster.kubectl("-n", ns, "delete", "webapp/shop", "--timeout=30s")
            self.assertIsNone(self.cluster.find(deployment))
            self.cluster.kubectl("delete", "rgd/webapp", "--timeout=30s")
            kroc.must_run()
            refused = [str(r) for r in self.cluster.requests("standalone", mark) if r.code in (401, 403)]
            self.assertEqual(refused, [])

    def test_install_and_upgrade(self):
        """The release lives in the cluster as helm keeps it; an upgrade keeps values. Hooks need nodes: they are off."""
        env = {**os.environ, "KUBECONFIG": self.cluster.kubeconfig(), "HELM_CACHE_HOME": self.cluster.path("helm-cache"),
               "HELM_CONFIG_HOME": self.cluster.path("helm-config"), "HELM_DATA_HOME": self.cluster.path("helm-data")}
        ns = ["--namespace", "kroc-release", "--create-namespace"]
        helm("install", "mine", CHART, *ns, "--set", "crds.upgrade=false", "--set", "config.clientQps=7", env=env)
        self.addCleanup(helm, "uninstall", "mine", "--namespace", "kroc-release", env=env)
        helm("upgrade", "mine", CHART, "--namespace", "kroc-release", "--reset-then-reuse-values", "--set", "deployment.replicaCount=2", env=env)
        made = self.cluster.get("/apis/apps/v1/namespaces/kroc-release/deployments/mine-kroc")
        self.assertEqual(made["spec"]["replicas"], 2)
        self.assertIn("--client-qps=7", made["spec"]["template"]["spec"]["containers"][0]["args"])
        self.assertIsNotNone(self.cluster.find("/apis/policy/v1/namespaces/kroc-release/poddisruptionbudgets/mine-kroc"))

    def test_upgrade_from_a_chart_that_had_fewer_values(self):
        """As docs/deploy.md says: values that were set stay, those that are new have their defaults."""
        env = {**os.environ, "KUBECONFIG": self.cluster.kubeconfig(), "HELM_CACHE_HOME": self.cluster.path("helm-cache"),
               "HELM_CONFIG_HOME": self.cluster.path("helm-config"), "HELM_DATA_HOME": self.cluster.path("helm-data")}
        with open(os.path.join(ROOT, "docs", "deploy.md")) as f:
            keep = re.search(r"helm -n kro-system upgrade kroc deploy/helm/kroc (--\S+)", f.read())[1]
        old = self.cluster.path("old-chart")
        shutil.copytree(CHART, old, symlinks=False)
        os.remove(os.path.join(old, "templates", "hooks.yaml"))
        with open(os.path.join(old, "values.yaml")) as f:
            text = f.read()
        with open(os.path.join(old, "values.yaml"), "w") as f:
            f.write(text[:text.index("\ncrds:\n")])
        helm("install", "older", old, "--namespace", "kroc-older", "--create-namespace", "--set", "config.clientQps=7", env=env)
        self.addCleanup(helm, "uninstall", "older", "--namespace", "kroc-older", env=env)
        helm("upgrade", "older", CHART, "--namespace", "kroc-older", keep, "--set", "crds.upgrade=false", env=env)
        made = self.cluster.get("/apis/apps/v1/namespaces/kroc-older/deployments/older-kroc")
        self.assertIn("--client-qps=7", made["spec"]["template"]["spec"]["containers"][0]["args"])

    def test_crds_are_brought_up_to_date(self):
        """What the hook of an upgrade does: fields that an older CRD lacks are there afterwards."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/graphrevisions.internal.kro.run"
        self.cluster.kubectl("apply", "-k", os.path.join(ROOT, "deploy", "crds"))
        whole = self.cluster.get(path)["spec"]["versions"][0]
        self.assertIn("selectableFields", whole)
        self.cluster.patch(path, [{"op": "remove", "path": "/spec/versions/0/selectableFields"}],
                           content_type="application/json-patch+json")
        self.assertNotIn("selectableFields", self.cluster.get(path)["spec"]["versions"][0])
        done = kroc_process.run(OPTIONS.kroc, "crds", "--apply", "--kubeconfig", self.cluster.kubeconfig())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("graphrevisions.internal.kro.run", done.stdout)
        self.assertEqual(self.cluster.get(path)["spec"]["versions"][0]["selectableFields"], whole["selectableFields"])


def find_helm():
    done = subprocess.run([os.path.join(HERE, "helm", "build.sh"), "--where"], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"no helm in {done.stdout.strip() or 'the cache'}; build it with tests/deploy/helm/build.sh")
    return done.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kroc", help="the program; build/release/kroc when not given")
    parser.add_argument("--bin", help="folder with the control plane; else KROC_CLUSTER_BIN or what build.sh made")
    parser.add_argument("--list", action="store_true", help="print the tests, run none")
    parser.add_argument("names", nargs="*", metavar="test")
    args = parser.parse_args()
    loader = unittest.defaultTestLoader
    if args.list:
        print("\n".join(loader.getTestCaseNames(Chart)))
        return 0
    try:
        OPTIONS.kroc = kroc_process.program(args.kroc)
    except Failed as e:
        print(f"chart_test: {e}", file=sys.stderr)
        return 1
    try:
        OPTIONS.bin = bin_folder(args.bin)
        OPTIONS.helm = find_helm()
    except Failed as e:
        print(f"chart_test: skipped: {e}", file=sys.stderr)
        return SKIPPED
    suite = unittest.TestSuite([Chart(n) for n in args.names]) if args.names else loader.loadTestsFromTestCase(Chart)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
