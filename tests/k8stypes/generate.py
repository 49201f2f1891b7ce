#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""generate.py - makes kube/builtin.inc, the table of Kubernetes' own types, and checks that it is current.

    generate.py              writes the table
    generate.py --check      exit code 0: the committed table is current, 1: it is not, 77: cannot be told here
    generate.py --spec DIR   reads DIR/openapi-spec/v3 and DIR/discovery instead of the Go module

The module k8s.io/kubernetes, in the version that tests/cluster/go.mod pins, carries the OpenAPI v3 documents and
the discovery documents that its API server answers with. They are copied once into the cache that tests/go.sh
names, so that a later check needs neither Go nor a network.

What the table says of a type is what the OpenAPI document says, but for descriptions and
x-kubernetes-unions; anything else that is not understood is an error, so that a new release cannot lose something
quietly. The grammar stands in kube/builtin.c.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CLUSTER = os.path.join(ROOT, "tests", "cluster")
TABLE = os.path.join(ROOT, "kube", "builtin.inc")
MODULE = "k8s.io/kubernetes"
REF = "#/components/schemas/"
WIDTH = 110
SKIPPED = 77

VERBS = {"create": "c", "delete": "d", "deletecollection": "D", "get": "g", "list": "l", "patch": "p",
         "update": "u", "watch": "w"}
# type, format -> letter; upper case: with the default that Go's zero value gives
SCALARS = {("string", None): "s", ("integer", "int32"): "i", ("integer", "int64"): "l", ("integer", None): "m",
           ("number", "double"): "n", ("number", None): "f", ("boolean", None): "b", ("string", "byte"): "y",
           ("string", "date-time"): "t", ("object", None): "o"}
ZERO = {"s": "", "i": 0, "l": 0, "n": 0, "b": False}
ONE_OF = {("string", "number"): "q", ("integer", "string"): "x"}
DROPPED = {"description", "x-kubernetes-unions"}


class Unknown(Exception):
    """Something in a document that the table has no form for."""


# --- where the documents are -----------------------------------------------------------------------------------


def pinned_version():
    with open(os.path.join(CLUSTER, "go.mod"), encoding="utf-8") as f:
        found = re.search(r"^\s*%s (v[0-9.]+)" % re.escape(MODULE), f.read(), re.M)
    if not found:
        raise SystemExit("generate.py: %s is not in tests/cluster/go.mod" % MODULE)
    return found.group(1)


def cache_folder(version):
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ.get("HOME", "/tmp"), ".cache")
    return os.path.join(base, "kroc", "k8stypes-" + version)


def find_go():
    """The Go that builds the control plane (tests/go.sh), or None."""
    run = subprocess.run(["sh", "-c", '. "$1"; go_find', "generate.py", os.path.join(ROOT, "tests", "go.sh")],
                         stdout=subprocess.PIPE, check=False, text=True)
    return run.stdout.strip() if run.returncode == 0 and run.stdout.strip() else None


def module_folder():
    """Where the module lies, or None and why not."""
    go = find_go()
    if not go:
        return None, "no Go here (tests/go.sh says how it is found)"
    env = dict(os.environ, GOTOOLCHAIN="local", GOWORK="off", GOFLAGS="-mod=mod")
    run = subprocess.run([go, "mod", "download", "-json", MODULE], cwd=CLUSTER, env=env, check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        return os.path.join(json.loads(run.stdout)["Dir"], "api"), None
    except (ValueError, KeyError):
        return None, "the module %s cannot be had: %s" % (MODULE, (run.stderr or run.stdout).strip()[-300:])


def spec_folder(version):
    """The folder with openapi-spec/v3 and discovery, or None and why not."""
    cache = cache_folder(version)
    if os.path.isdir(cache):
        return cache, None
    folder, why = module_folder()
    if not folder:
        return None, why
    fresh = "%s.%d" % (cache, os.getpid())
    for part in ("openapi-spec/v3", "discovery"):
        shutil.copytree(os.path.join(folder, part), os.path.join(fresh, part), copy_function=shutil.copyfile)
    for path, _, _ in os.walk(fresh):
        os.chmod(path, 0o755)
    try:
        os.rename(fresh, cache)
    except OSError:  # another run was first
        shutil.rmtree(fresh)
    return cache, None


def load(folder, *path):
    with open(os.path.join(folder, *path), encoding="utf-8") as f:
        return json.load(f)


# --- types -----------------------------------------------------------------------------------------------------


def components(folder):
    """All schemas by their full name."""
    found = {}
    for name in sorted(os.listdir(os.path.join(folder, "openapi-spec", "v3"))):
        document = load(folder, "openapi-spec", "v3", name)
        for key, schema in document.get("components", {}).get("schemas", {}).items():
            found.setdefault(key, schema)
    return found


def short_packages(names):
    """Full package -> its last two words."""
    short = {}
    for name in names:
        package = name.rsplit(".", 1)[0]
        short[package] = ".".join(package.split(".")[-2:])
    if len(set(short.values())) != len(short):
        raise Unknown("two packages end in the same words")
    return short


class Writer:
    """Schemas as text, within one package."""

    def __init__(self, short):
        self.short = short
        self.package = ""

    def name(self, ref):
        package, kind = ref[len(REF):].rsplit(".", 1)
        return kind if package == self.package else self.short[package] + "." + kind

    def schema(self, s):
        s = {k: v for k, v in s.items() if k not in DROPPED}
        text = self.core(s) + self.attributes(s)
        if s:
            raise Unknown("schema has %s" % sorted(s))
        return text

    def core(self, s):
        """The type; takes what it tells out of s."""
        ref = s.pop("$ref", None)
        if "allOf" in s:
            ref = s.pop("allOf")[0]["$ref"]
        if ref:
            if s.get("default") == {}:
                s.pop("default")
                return "@" + self.name(ref)
            return "&" + self.name(ref)
        if "oneOf" in s:
            return ONE_OF[tuple(b["type"] for b in s.pop("oneOf"))]
        kind = s.pop("type", None)
        if kind == "array":
            return "[" + self.schema(s.pop("items")) + "]"
        if kind == "object" and "additionalProperties" in s:
            return "<" + self.schema(s.pop("additionalProperties")) + ">"
        if kind == "object" and "properties" in s:
            return "{" + self.fields(s) + "}"
        if kind is None:
            return "*"
        return self.scalar(kind, s)

    @staticmethod
    def scalar(kind, s):
        letter = SCALARS[(kind, s.pop("format", None))]
        zero = ZERO.get(letter)
        if "default" in s and zero is not None and s["default"] == zero and type(s["default"]) is type(zero):
            s.pop("default")
            return letter.upper()
        return letter

    @staticmethod
    def list_type(s):
        kind = s.pop("x-kubernetes-list-type", None)
        keys = s.pop("x-kubernetes-list-map-keys", None)
        if kind == "map":
            return "#m(" + ",".join(keys) + ")"
        if keys:
            raise Unknown("map keys of a list of type %s" % kind)
        return {"set": "#s", "atomic": "#a", None: ""}[kind]

    def fields(self, s):
        required = set(s.pop("required", []))
        out = []
        for name, field in sorted(s.pop("properties").items()):
            out.append(name + ("!" if name in required else "") + ":" + self.schema(field))
            required.discard(name)
        if required:
            raise Unknown("required, but not there: %s" % required)
        return " ".join(out)

    def attributes(self, s):
        text = self.list_type(s)
        if s.get("format") == "int-or-string":  # beside the oneOf that says the same
            s.pop("format")
        if "x-kubernetes-map-type" in s:
            text += {"atomic": "^", "granular": "^g"}[s.pop("x-kubernetes-map-type")]
        strategy, key = s.pop("x-kubernetes-patch-strategy", None), s.pop("x-kubernetes-patch-merge-key", None)
        if strategy:
            text += "%" + strategy + ("/" + key if key else "")
        elif key:
            raise Unknown("patch merge key without a strategy")
        if "default" in s:
            text += "=" + json.dumps(s.pop("default"))
        if " " in text:
            raise Unknown("blank in %s" % text)
        return text


def type_rows(schemas, groups):
    """"apps.v1.DaemonSet+ {...}" by short name; + marks a kind of the package's group version."""
    short = short_packages(schemas)
    writer = Writer(short)
    kinds_of = {}
    rows = []
    for name, schema in schemas.items():
        package, kind = name.rsplit(".", 1)
        gvks = schema.pop("x-kubernetes-group-version-kind", [])
        if len(gvks) == 1:  # those that stand for the options of every group version have many
            kinds_of.setdefault(package, set()).add((gvks[0]["group"], gvks[0]["version"]))
        if gvks and any(g["kind"] != kind for g in gvks):
            raise Unknown("%s has another kind: %s" % (name, gvks))
        writer.package = package
        try:
            rows.append("%s.%s%s %s" % (short[package], kind, "+" if gvks else "", writer.schema(schema)))
        except (Unknown, KeyError) as e:
            raise Unknown("%s: %s" % (name, e)) from e
    for package, versions in kinds_of.items():
        if len(versions) != 1 or next(iter(versions)) not in groups:
            raise Unknown("package %s has kinds of %s" % (package, versions))
    packages = ["%s %s %s" % (short[p], p, "/".join(next(iter(kinds_of[p]))) if p in kinds_of else "-")
                for p in sorted(short, key=short.get)]
    return packages, sorted(rows, key=lambda r: r.split(" ", 1)[0].rstrip("+").encode())


# --- resources -------------------------------------------------------------------------------------------------


def group_versions(folder):
    """(group, version) in the server's order: the first of a group is the preferred one."""
    out = [("", "v1")]
    for group in load(folder, "discovery", "apis.json")["groups"]:
        versions = [v["version"] for v in group["versions"]]
        if versions[0] != group["preferredVersion"]["version"]:
            raise Unknown("group %s prefers another version than its first" % group["name"])
        out += [(group["name"], v) for v in versions]
    return out


def verbs(resource):
    return "".join(VERBS[v] for v in sorted(resource["verbs"]))


def subresource(resource):
    text = resource["name"].split("/", 1)[1] + ":" + verbs(resource)
    if resource.get("group") or resource.get("version"):
        text += ":%s/%s/%s" % (resource.get("group", ""), resource["version"], resource["kind"])
    elif resource["kind"] != resource["of"]:
        text += ":" + resource["kind"]
    return text


def resource_rows(folder, groups):
    """"apps v1 deployments Deployment deployment n cdDglpuw deploy all status:gpu,scale:gpu:..."; - is nothing."""
    rows = []
    for group, version in groups:
        name = "api__v1.json" if not group else "apis__%s__%s.json" % (group, version)
        resources = load(folder, "discovery", name)["resources"]
        main = {r["name"]: dict(r, subs=[]) for r in resources if "/" not in r["name"]}
        for r in resources:
            if "/" in r["name"]:
                parent = main[r["name"].split("/")[0]]
                parent["subs"].append(subresource(dict(r, of=parent["kind"])))
        for r in main.values():
            if r.get("group") or r.get("version"):
                raise Unknown("%s is of another group" % r["name"])
            rows.append(" ".join((
                group or "-", version, r["name"], r["kind"], r["singularName"], "n" if r["namespaced"] else "c",
                verbs(r), ",".join(r.get("shortNames", [])) or "-", ",".join(r.get("categories", [])) or "-",
                ",".join(r["subs"]) or "-")))
    return rows


# --- the file --------------------------------------------------------------------------------------------------


def literal(row):
    """One row as C string literals of at most WIDTH columns, cut at blanks, with a newline at its end."""
    lines, line = [], ""
    for word in re.findall(r"\S+\s*", row):
        if line and len(line) + len(word) > WIDTH - 8:
            lines.append(line)
            line = ""
        line += word
    lines.append(line)
    quoted = [json.dumps(part)[1:-1] for part in lines]
    return '    "' + '"\n    "'.join(quoted) + '\\n"\n'


def array(comment, name, rows):
    return "/* %s */\nstatic const char %s[] =\n%s    ;\n\n" % (comment, name, "".join(map(literal, rows)))


def table(folder, version):
    groups = group_versions(folder)
    packages, types = type_rows(components(folder), set(groups))
    head = ("/* SPDX-License-Identifier: Apache-2.0 */\n"
            "/* builtin.inc - made by tests/k8stypes/generate.py of %s %s. Do not edit; builtin.c says how it\n"
            " * is read. */\n"
            "/* clang-format off */\n"
            '#define KUBE_BUILTIN_RELEASE "%s"\n\n') % (MODULE, version, version)
    return (head
            + array("short name of a package, its name in OpenAPI, group/version of its kinds", "packages", packages)
            + array("group version resource kind singular scope verbs short-names categories subresources, in the\n"
                    " * server's order", "resources", resource_rows(folder, groups))
            + array("schemas, sorted by name", "types", types)
            + "/* clang-format on */\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--spec", metavar="DIR")
    args = parser.parse_args()
    version = pinned_version()
    folder, why = (args.spec, None) if args.spec else spec_folder(version)
    if not folder:
        print("generate.py: " + why, file=sys.stderr)
        return SKIPPED if args.check and not os.environ.get("CI") else 1
    text = table(folder, version)
    if not args.check:
        with open(TABLE, "w", encoding="utf-8") as f:
            f.write(text)
        print("%s: %d bytes, %s" % (os.path.relpath(TABLE, ROOT), len(text), version))
        return 0
    with open(TABLE, encoding="utf-8") as f:
        if f.read() == text:
            print("kube/builtin.inc is that of %s" % version)
            return 0
    print("kube/builtin.inc is not that of %s: run tests/k8stypes/generate.py" % version, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
