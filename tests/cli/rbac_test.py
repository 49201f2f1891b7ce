#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`kroc rbac`: what a definition hands out, the controller must have. The rest is in tests/e2e, group look.

    rbac_test.py --kroc PATH
"""
import argparse
import subprocess
import sys
import unittest

KROC = ""
HEAD = """apiVersion: kro.run/v1alpha1
kind: ResourceGraphDefinition
metadata: {name: team}
spec:
  schema: {apiVersion: v1alpha1, kind: Team, spec: {who: string}}
  resources:
"""
RBAC = "rbac.authorization.k8s.io"


def role(kind, rules):
    return f"""  - id: {kind.lower()}
    template:
      apiVersion: {RBAC}/v1
      kind: {kind}
      metadata: {{name: reader}}
      rules: {rules}
"""


def binding(kind, of, name):
    return f"""  - id: {kind.lower()}
    template:
      apiVersion: {RBAC}/v1
      kind: {kind}
      metadata: {{name: reader}}
      roleRef: {{apiGroup: {RBAC}, kind: {of}, name: "{name}"}}
      subjects: [{{kind: User, name: "${{schema.spec.who}}"}}]
"""


class Rbac(unittest.TestCase):
    def rbac(self, *resources):
        """(the rules as text, what was on stderr)"""
        p = subprocess.run([KROC, "rbac", "-f", "-"], input=HEAD + "".join(resources), capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stderr)
        return p.stdout[p.stdout.index("\nrules:\n"):], p.stderr

    def test_rules_of_a_role(self):
        for kind in ("Role", "ClusterRole"):
            text, said = self.rbac(role(kind, '[{apiGroups: [""], resources: [pods, secrets], verbs: [get]}, {nonResourceURLs: [/metrics], verbs: [get]}]'))
            self.assertIn("- apiGroups:\n  - \"\"\n  resources:\n  - pods\n  - secrets\n  verbs:\n  - get\n", text)
            self.assertIn("- nonResourceURLs:\n  - /metrics\n  verbs:\n  - get\n", text)
            self.assertEqual(said, "")

    def test_roles_that_are_bound(self):
        text, said = self.rbac(binding("RoleBinding", "Role", "reader"), binding("ClusterRoleBinding", "ClusterRole", "view"))
        for resource, name in (("roles", "reader"), ("clusterroles", "view")):
            self.assertIn(f"- apiGroups:\n  - {RBAC}\n  resourceNames:\n  - {name}\n  resources:\n  - {resource}\n  verbs:\n  - bind\n", text)
        self.assertEqual(said, "")

    def test_what_is_computed_is_told_and_not_guessed(self):
        text, said = self.rbac(role("Role", '[{apiGroups: [""], resources: ["${schema.spec.who}"], verbs: [get]}]'),
                               binding("RoleBinding", "ClusterRole", "${schema.spec.who}"))
        self.assertNotIn("bind\n", text)
        self.assertNotIn("${", text)
        self.assertEqual(said.splitlines(), [
            'kroc: resource "role" hands out rights that are computed: the controller must have them too; add them to what is printed',
            'kroc: resource "rolebinding" binds a role that is computed: the controller must be allowed to; add "bind" for its name to what is printed'])


def main():
    global KROC
    p = argparse.ArgumentParser()
    p.add_argument("--kroc", required=True)
    options, rest = p.parse_known_args()
    KROC = options.kroc
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
