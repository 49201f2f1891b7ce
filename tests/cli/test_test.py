#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`kroc test`: tests that pass, tests that fail and what they say, tests that are written wrong.

    test_test.py --kroc PATH
"""
import argparse
import os
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLE = os.path.join(ROOT, "examples", "webapp")
KROC = ""

HEAD = "apiVersion: kroc.run/v1alpha1\nkind: Test\nmetadata: {name: %s}\nspec:\n"
UP = f"  - apply: [{EXAMPLE}/settings.yaml, {EXAMPLE}/rgd.yaml, {EXAMPLE}/instance.yaml]\n"
SHOP = "{apiVersion: kro.run/v1alpha1, kind: WebApp, metadata: {name: shop}%s}"
DEPLOYMENT = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: shop}%s}"


def steps(text, name="t", more=""):
    return HEAD % name + more + "  steps:\n" + text


class Test(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        work = tempfile.TemporaryDirectory()
        self.addCleanup(work.cleanup)
        self.folder = work.name

    def file(self, text, name="t.yaml"):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        return path

    def kroc(self, *args):
        p = subprocess.run([KROC, "test", *args], capture_output=True, text=True, timeout=120)
        return p.returncode, p.stdout, p.stderr

    def fails(self, text, *words, count="0 passed, 1 failed, 0 skipped"):
        code, out, err = self.kroc(self.file(text))
        self.assertEqual((code, err), (1, ""), out)
        self.assertEqual(out.splitlines()[-1], count)
        for w in words:
            self.assertIn(w, out)
        return out

    def passes(self, text, *args, count="1 passed, 0 failed, 0 skipped"):
        code, out, err = self.kroc(self.file(text), *args)
        self.assertEqual((code, err, out.splitlines()[-1]), (0, "", count), out)
        return out

    # --- what passes -----------------------------------------------------------------------------

    def test_those_of_the_example_pass(self):
        code, out, err = self.kroc(EXAMPLE)
        self.assertEqual((code, out, err), (0, "3 passed, 0 failed, 0 skipped\n", ""))

    def test_paths_are_below_the_folder_of_the_test(self):
        self.file("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: b}\n", "objects/m.yaml")
        self.file(steps("  - apply: ../objects\n    assert: {apiVersion: v1, kind: ConfigMap, data: {a: b}}\n"), "tests/t.yaml")
        self.assertEqual(self.kroc(self.folder)[:2], (0, "1 passed, 0 failed, 0 skipped\n"))

    def test_somebody_elses_controller_can_be_played(self):
        rgd = """
  - apply:
    - apiVersion: kro.run/v1alpha1
      kind: ResourceGraphDefinition
      metadata: {name: app}
      spec:
        schema: {apiVersion: v1alpha1, kind: App, spec: {}}
        resources:
        - id: job
          template: {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {selector: {matchLabels: {a: b}},
            template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}
          readyWhen: ['${job.status.availableReplicas == 7}']
        - id: after
          template: {apiVersion: v1, kind: ConfigMap, metadata: {name: '${job.metadata.name}-after'}}
    - {apiVersion: kro.run/v1alpha1, kind: App, metadata: {name: x}}
    error: {apiVersion: v1, kind: ConfigMap, metadata: {name: a-after}}
    assert: {apiVersion: kro.run/v1alpha1, kind: App, status: {state: IN_PROGRESS}}
  - status: {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, status: {availableReplicas: 7, replicas: 7}}
    assert:
    - {apiVersion: v1, kind: ConfigMap, metadata: {name: a-after}}
    - {apiVersion: kro.run/v1alpha1, kind: App, status: {state: ACTIVE}}
"""
        self.passes(steps(rgd, more="  cluster: apiserver-only\n"))

    def test_time_passes_at_once(self):
        out = self.passes(steps("  - wait: 20h\n", more="  readyAfter: 2h\n"), "-v")
        self.assertRegex(out, r"step 1, line 7: 720\d\d\.\d s\n")

    def test_a_test_can_be_skipped(self):
        out = self.passes(steps("  - nonsense: 1\n", more="  skip: not yet\n"), count="0 passed, 0 failed, 1 skipped")
        self.assertIn("t.yaml: t: not yet\n", out)

    def test_a_skip_says_why(self):
        self.fails(steps("  - wait: 1s\n", more="  skip: true\n"), "spec.skip: a text is wanted that says why")

    def test_an_object_has_a_kind(self):
        for what in ("patch", "delete", "assert", "error"):
            self.fails(steps("  - %s: {metadata: {name: x}}\n" % what), "x: it has no apiVersion or no kind")

    def test_run_chooses(self):
        path = self.file("---\n".join(steps("  - wait: 1s\n", n) for n in ("one", "two", "three")))
        self.assertEqual(self.kroc(path, "--run", "t.yaml: t")[:2], (0, "2 passed, 0 failed, 0 skipped\n"))
        self.assertEqual(self.kroc(path, "--run", "e$")[:2], (0, "2 passed, 0 failed, 0 skipped\n"))
        self.assertEqual(self.kroc(path, "--run", "four"), (2, "", "kroc: no test matches --run four\n"))
        code, _, err = self.kroc(path, "--run", "(")
        self.assertEqual(code, 2)
        self.assertIn("--run", err)

    # --- what fails ------------------------------------------------------------------------------

    def test_a_difference_is_told_with_its_path_and_line(self):
        out = self.fails(steps(UP + "    name: up\n    assert:\n    - " + DEPLOYMENT % ", spec: {replicas: 3, paused: true}" + "\n"))
        self.assertIn('    step 1 "up", line 6\n'
                      "      Deployment shop\n"
                      "        spec.paused: expected true, is absent\n"
                      "        spec.replicas: expected 3, is 2\n"
                      "      the controller's writes in this step:\n", out)

    def test_an_object_that_is_not_there_is_told_with_what_the_instance_says(self):
        self.fails(steps(f"  - apply: [{EXAMPLE}/rgd.yaml, {EXAMPLE}/instance.yaml]\n    assert: [" + DEPLOYMENT % "" + "]\n"),
                   '      Deployment shop: deployments.apps "shop" not found\n',
                   '      WebApp default/shop is IN_PROGRESS: resource reconciliation failed: apply results contain errors: '
                   'waiting for external reference "settings": not found\n')

    def test_without_a_name_any_of_the_kind_will_do_and_the_nearest_is_told(self):
        match = "    assert: [{apiVersion: v1, kind: ConfigMap, data: {COLOUR: %s}}]\n"
        self.passes(steps(UP + match % "blue"))
        self.fails(steps(UP + match % "red"), "ConfigMap: none of 3 is as expected; the nearest:\n"
                   '        data.COLOUR: expected "red", is "blue"\n')

    def test_what_must_not_be_there_is_told(self):
        self.fails(steps(UP + "    error: [{apiVersion: apps/v1, kind: Deployment, spec: {replicas: 2}}]\n"),
                   "      Deployment shop: it is there, but must not be\n")
        self.passes(steps(UP + "    error: [{apiVersion: apps/v1, kind: Deployment, spec: {replicas: 3}}]\n"))

    def test_other_writes_than_expected_are_told(self):
        patch = "  - patch: {apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {COLOUR: red}}\n"
        self.fails(steps(UP + patch + "    writes: []\n"), "        expected none\n",
                   "      the controller's writes in this step:\n        PATCH deployments/shop\n        PUT webapps/shop/status\n")
        self.passes(steps(UP + patch + "    writes: [PATCH deployments/shop, PUT webapps/shop/status]\n"))

    def test_a_refusal_that_is_not_expected_fails_and_one_that_does_not_come_too(self):
        bad = "  - apply: {apiVersion: v1, kind: ConfigMap, metadata: {name: Big}}\n"
        self.fails(steps(bad), 'ConfigMap Big: ConfigMap "Big" is invalid')
        self.passes(steps(bad + '    refused: "is invalid"\n'))
        self.fails(steps(bad + '    refused: "no such words"\n'), 'expected to be refused with "no such words"; it was refused with:')
        self.fails(steps("  - wait: 1s\n    refused: x\n"), 'expected to be refused with "x"; nothing was refused')
        gone = "{apiVersion: v1, kind: ConfigMap, metadata: {name: gone}}"
        for what in ("delete", "patch"):
            self.fails(steps(f"  - {what}: {gone}\n"), 'ConfigMap gone: configmaps "gone" not found')

    def test_a_kind_that_never_comes_is_told(self):
        self.fails(steps("  - apply: " + SHOP % "" + "\n"), "WebApp shop: no such kind is served")

    def test_a_definition_that_is_wrong_is_told(self):
        rgd = "{apiVersion: kro.run/v1alpha1, kind: ResourceGraphDefinition, metadata: {name: app}, spec: {schema: {apiVersion: v1alpha1, " \
              "kind: App, spec: {}}, resources: [{id: a, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: '${b.x}'}}}]}}"
        self.fails(steps(f"  - apply: {rgd}\n    assert: {{apiVersion: kro.run/v1alpha1, kind: App}}\n"),
                   "ResourceGraphDefinition app is Inactive: ")

    def test_the_first_step_that_fails_ends_a_test_and_the_others_go_on(self):
        bad = steps("  - apply: nowhere.yaml\n  - apply: elsewhere.yaml\n", "bad")
        out = self.fails(bad + "---\n" + steps("  - wait: 1s\n", "good"), "nowhere.yaml", count="1 passed, 1 failed, 0 skipped")
        self.assertNotIn("elsewhere", out)

    # --- what is written wrong -------------------------------------------------------------------

    def test_mistakes_in_writing_are_told(self):
        for text, words in (("  - asert: []\n", 'a step has no member "asert"; did you mean "assert"?'),
                            ("  - wait: soon\n", "wait: a duration such as 90s is wanted"),
                            ("  - wait: 25h\n", "of 24h at most"),
                            ("  - wait: [1s, soon]\n", "wait: a duration such as 90s is wanted"),
                            ("  - refused: 404\n", "refused: a part of the refusal's text is wanted, as a string"),
                            ("  - refused: ''\n", "refused: a part of the refusal's text is wanted, as a string"),
                            ("  - refused: []\n", "refused: a part of the refusal's text is wanted"),
                            ("  - error: [a]\n", "error: an object is wanted, with apiVersion and kind"),
                            ("  - error: {kind: ConfigMap, metadata: {name: a}}\n", "ConfigMap a: it has no apiVersion or no kind"),
                            ("  - error: {apiVersion: v1, kind: ConfgMap}\n", "error: ConfgMap: no such kind is served"),
                            ("  - 1\n", "a step is a map of what it does and expects"),
                            ("  - patch: {apiVersion: v1, kind: ConfigMap}\n", "it has no metadata.name"),
                            ("  - apply: {kind: ConfigMap}\n", "a document without apiVersion or kind")):
            self.fails(steps(text), words)
        self.fails(HEAD % "t" + "  steps: []\n", "spec.steps: a list of steps is wanted")
        self.fails(steps("  - wait: 1s\n", more="  clutser: full\n"), 'spec has no member "clutser"; did you mean "cluster"?')
        self.fails(steps("  - wait: 1s\n", more="  cluster: small\n"), "spec.cluster: full or apiserver-only is wanted")
        self.fails(steps("  - wait: 1s\n", more="  readyAfter: 0s\n"), "spec.readyAfter: ")

    def test_an_apply_of_nothing_fails(self):
        self.file("# nothing\n", "empty.yaml")
        os.mkdir(os.path.join(self.folder, "folder"))
        for path in ("empty.yaml", "folder"):
            self.fails(steps(f"  - apply: {path}\n"), f"{path}: no object in it (YAML or JSON)")

    def test_control_characters_reach_neither_terminal_nor_report(self):
        path = self.file('apiVersion: kroc.run/v1alpha1\nkind: Test\nmetadata: {name: "a\\e[31m\\u009b\\uFFFE<&\\u00e9"}\nspec:\n'
                         '  steps:\n  - {name: "\\a", apply: "\\e.yaml"}\n')
        report = os.path.join(self.folder, "r.xml")
        code, out, err = self.kroc(path, "--junit", report)
        self.assertEqual((code, err), (1, ""))
        self.assertIn("a?[31m??<&\u00e9 (", out)
        self.assertEqual([c for c in out if ord(c) < 32 and c != "\n"], [])
        case = xml.etree.ElementTree.parse(report).getroot().find("testcase")
        self.assertEqual(case.get("name"), "a?[31m??<&\u00e9")

    def test_a_command_line_without_tests_is_refused(self):
        for args, words in (((), "needs folders or files"),
                            ((EXAMPLE + "/rgd.yaml",), "no test (kind: Test of kroc.run/v1alpha1) in "),
                            (("/nowhere",), "no file or folder /nowhere"),
                            ((self.file("a: [\n"),), "t.yaml: YAML line 2"),
                            ((self.file("apiVersion: kroc.run/v2\nkind: Test\n", "v.yaml"),), "a Test has apiVersion kroc.run/v1alpha1"),
                            ((self.file("apiVersion: kroc.run/v1alpha1\nkind: Test\n", "n.yaml"),), "a Test without metadata.name")):
            code, out, err = self.kroc(*args)
            self.assertEqual((code, out), (2, ""))
            self.assertIn(words, err)

    # --- reports ---------------------------------------------------------------------------------

    def test_junit_has_them_all(self):
        path = self.file("---\n".join((steps("  - wait: 1s\n", "'good & <fine>'"), steps("  - nonsense: 1\n", "bad"),
                                       steps("  - wait: 1s\n", "later", "  skip: not yet\n"))))
        report = os.path.join(self.folder, "report.xml")
        code, out, err = self.kroc(path, "--junit", report)
        self.assertEqual((code, out.splitlines()[-1], err), (1, "1 passed, 1 failed, 1 skipped", ""))
        suite = xml.etree.ElementTree.parse(report).getroot()
        self.assertEqual([suite.get(k) for k in ("tests", "failures", "skipped", "errors")], ["3", "1", "1", "0"])
        good, bad, later = suite
        self.assertEqual((good.get("classname"), good.get("name"), len(good)), (path, "good & <fine>", 0))
        self.assertIn('a step has no member "nonsense"', bad.find("failure").get("message"))
        self.assertEqual(later.find("skipped").get("message"), "not yet")
        code, _, err = self.kroc(path, "--junit", "/nowhere/report.xml")
        self.assertEqual(code, 1)
        self.assertIn("cannot write /nowhere/report.xml", err)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kroc", required=True)
    args, rest = parser.parse_known_args()
    KROC = args.kroc
    unittest.main(argv=["test_test.py", *rest], warnings="ignore")
