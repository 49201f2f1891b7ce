#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`kroc render`: what would be applied, and what keeps the rest from it.

    render_test.py --kroc PATH
"""
import argparse
import json
import os
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLE = os.path.join(ROOT, "examples", "webapp")
KROC = ""

DATABASE = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: databases.db.example}
spec:
  group: db.example
  scope: Namespaced
  names: {plural: databases, kind: Database}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer, maximum: 10}}}
          status: {type: object, properties: {endpoint: {type: string}}}
"""
APP = """
apiVersion: kro.run/v1alpha1
kind: ResourceGraphDefinition
metadata: {name: app}
spec:
  schema:
    apiVersion: v1alpha1
    kind: App
    spec: {size: 'integer | default=1 maximum=100', where: 'string | default="default"'}
  resources:
  - id: settings
    template:
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: '${schema.metadata.name}-settings', namespace: '${schema.spec.where}'}
      data: {url: '${database.status.endpoint}'}
  - id: database
    template:
      apiVersion: db.example/v1
      kind: Database
      metadata: {name: '${schema.metadata.name}'}
      spec: {size: '${schema.spec.size}'}
"""
INSTANCE = "apiVersion: kro.run/v1alpha1\nkind: App\nmetadata: {name: shop}\nspec: {%s}\n"
READY = """
apiVersion: db.example/v1
kind: Database
metadata: {name: shop}
status: {endpoint: db.example:5432}
"""


class Render(unittest.TestCase):
    def setUp(self):
        self.work = tempfile.TemporaryDirectory()
        self.addCleanup(self.work.cleanup)

    def file(self, name, text):
        path = os.path.join(self.work.name, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def render(self, *args):
        p = subprocess.run([KROC, "render", *args], capture_output=True, text=True, timeout=60)
        return p.returncode, p.stdout, p.stderr

    def app(self, spec="", rgd=APP, *args):
        return self.render("-f", self.file("crd.yaml", DATABASE), "-f", self.file("rgd.yaml", rgd),
                           "-f", self.file("instance.yaml", INSTANCE % spec), *args)

    def items(self, out):
        return [(o["kind"], o["metadata"]["name"]) for o in json.loads(out)["items"]]

    def test_the_example_in_the_order_of_its_graph(self):
        args = ["-f", EXAMPLE + "/rgd.yaml", "-f", EXAMPLE + "/instance.yaml", "--with", EXAMPLE + "/settings.yaml"]
        code, out, err = self.render(*args, "-o", "json")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(self.items(out), [("ConfigMap", "shop-page"), ("Service", "shop"), ("Deployment", "shop")])
        page = json.loads(out)["items"][0]
        self.assertEqual(page["data"], {"index.html": "<h1>Welcome to the shop</h1>"})
        self.assertEqual(page["metadata"]["labels"]["kro.run/node-id"], "page")
        self.assertEqual(page["metadata"]["labels"]["kro.run/instance-name"], "shop")
        code, again, _ = self.render(*args, "-o", "json")
        self.assertEqual(again, out)
        code, text, _ = self.render(*args)
        self.assertEqual(code, 0)
        self.assertIn("---\n# resource deployment of WebApp shop\napiVersion: apps/v1\n", text)
        self.assertNotIn("incomplete", text)

    def test_what_is_missing_is_said_and_the_rest_is_there(self):
        code, out, err = self.render("-f", EXAMPLE + "/rgd.yaml", "-f", EXAMPLE + "/instance.yaml")
        self.assertEqual(code, 1)
        self.assertIn("name: shop-page", out)
        self.assertNotIn("kind: Deployment", out)
        why = 'WebApp shop: resource reconciliation failed: apply results contain errors: waiting for external reference "settings": not found'
        self.assertIn("# incomplete: " + why, out)
        self.assertEqual(err, f"kroc: {why}\n")

    def test_what_reads_a_status_waits_for_it(self):
        code, out, err = self.app("", APP, "-o", "json")
        self.assertEqual((code, self.items(out)), (1, [("Database", "shop")]))
        self.assertIn("settings", err)
        self.assertIn("endpoint", err)

    def test_a_status_can_be_given(self):
        code, out, err = self.app("size: 3", APP, "--with", self.file("with.yaml", READY), "-o", "json")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(self.items(out), [("Database", "shop"), ("ConfigMap", "shop-settings")])
        database, settings = json.loads(out)["items"]
        self.assertEqual(database["spec"], {"size": 3})
        self.assertNotIn("status", database)
        self.assertEqual(settings["data"], {"url": "db.example:5432"})

    def test_namespaces_need_not_be_given(self):
        code, out, err = self.app("where: elsewhere", APP, "--with", self.file("with.yaml", READY), "-o", "json")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(json.loads(out)["items"][1]["metadata"]["namespace"], "elsewhere")

    def test_an_object_that_is_refused_is_said(self):
        code, out, err = self.app("size: 11", APP, "-o", "json")
        self.assertEqual((code, self.items(out)), (1, []))
        self.assertIn('Database default/shop: Database.db.example "shop" is invalid: spec.size: Invalid value: 11', err)

    def test_an_instance_that_its_schema_refuses_is_said(self):
        code, out, err = self.app("size: 101")
        self.assertEqual(code, 1)
        self.assertIn('instance.yaml: App shop: App.kro.run "shop" is invalid: spec.size', err)

    def test_a_definition_that_is_wrong_is_said(self):
        code, _, err = self.app("", APP.replace("schema.spec.size}", "schema.spec.sizes}"))
        self.assertEqual(code, 1)
        self.assertIn("kroc: ResourceGraphDefinition app: ", err)
        self.assertIn("sizes", err)

    def test_a_kind_that_nobody_has_is_said(self):
        code, _, err = self.render("-f", self.file("rgd.yaml", APP), "-f", self.file("instance.yaml", INSTANCE % ""),
                                   "--with", self.file("with.yaml", READY))
        self.assertEqual(code, 1)
        self.assertIn("with.yaml: Database shop: no such kind is served", err)
        self.assertIn("ResourceGraphDefinition app: ", err)

    def test_workloads_become_ready_unless_there_is_the_api_server_alone(self):
        rgd = """
apiVersion: kro.run/v1alpha1
kind: ResourceGraphDefinition
metadata: {name: app}
spec:
  schema: {apiVersion: v1alpha1, kind: App, spec: {}}
  resources:
  - id: web
    template:
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: web}
      spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}
    readyWhen: ['${web.status.availableReplicas == 1}']
  - id: after
    template:
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: after}
      data: {web: '${web.metadata.name}'}
"""
        code, out, _ = self.app("", rgd, "-o", "json")
        self.assertEqual((code, self.items(out)), (0, [("Deployment", "web"), ("ConfigMap", "after")]))
        code, out, err = self.app("", rgd, "-o", "json", "--cluster", "apiserver-only")
        self.assertEqual((code, self.items(out)), (1, [("Deployment", "web")]))
        self.assertIn("App shop: ", err)

    def test_definitions_build_on_each_other(self):
        outer = """
apiVersion: kro.run/v1alpha1
kind: ResourceGraphDefinition
metadata: {name: outer}
spec:
  schema: {apiVersion: v1alpha1, kind: Outer, spec: {}}
  resources:
  - id: app
    template: {apiVersion: kro.run/v1alpha1, kind: App, metadata: {name: inner}, spec: {size: 2}}
"""
        instance = INSTANCE.replace("App", "Outer") % ""
        code, out, err = self.render("-f", self.file("all.yaml", "\n---\n".join([outer, instance, APP, DATABASE])), "-o", "json",
                                     "--with", self.file("with.yaml", READY.replace("shop", "inner")))
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(self.items(out), [("App", "inner"), ("Database", "inner"), ("ConfigMap", "inner-settings")])

    def test_a_command_line_that_lacks_something_is_refused(self):
        for args, words in (((), "needs a definition and an instance"),
                            (("-f", EXAMPLE + "/rgd.yaml"), "no instance in what -f gives: a WebApp is wanted"),
                            (("-f", EXAMPLE + "/settings.yaml"), "no ResourceGraphDefinition in what -f gives"),
                            (("-f", "/nowhere"), "no file or folder /nowhere"),
                            (("-f", EXAMPLE, "-o", "xml"), "yaml")):
            code, out, err = self.render(*args)
            self.assertEqual((code, out), (2, ""))
            self.assertIn(words, err)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kroc", required=True)
    args, rest = parser.parse_known_args()
    KROC = args.kroc
    unittest.main(argv=["render_test.py", *rest], warnings="ignore")
