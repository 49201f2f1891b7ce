#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""protobuf.py - makes kube/sandbox/protobuf.inc, the field numbers of Kubernetes' own types, and checks that it is current.

    protobuf.py              writes the table
    protobuf.py --check      exit code 0: the committed table is current, 1: it is not, 77: cannot be told here

Clients of built-in types (kubectl create among them) send protobuf, not JSON. What JSON an encoded object is, is said by
the tags of the Go structs: names, numbers, what is a pointer and what is left out when it is empty. They are read here
from the Go modules that the control plane of the tests is built of. The grammar stands in kube/sandbox/protobuf.c.
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys

import generate

TABLE = os.path.join(generate.ROOT, "kube", "sandbox", "protobuf.inc")
MODULES = ("k8s.io/api", "k8s.io/apimachinery")
SCALARS = {"string": "s", "bool": "b", "int32": "i", "int64": "i", "int": "i", "float64": "d", "byte": "i", "uint64": "i"}
SPECIAL = {"metav1.Time": "T", "metav1.MicroTime": "M", "resource.Quantity": "Q", "intstr.IntOrString": "X",
           "runtime.RawExtension": "R", "metav1.FieldsV1": "R", "types.UID": "s", "types.NodeName": "s"}
FIELD = re.compile(r'^\t(?:(\w+)\s+)?([\w.*\[\]]+)\s+`(.*)`')


def folders():
    """The folders of the modules, or None and why not."""
    go = generate.find_go()
    if not go:
        return None, "no Go here (tests/go.sh says how it is found)"
    env = dict(os.environ, GOTOOLCHAIN="local", GOWORK="off", GOFLAGS="-mod=mod")
    run = subprocess.run([go, "mod", "download", "-json", *MODULES], cwd=generate.CLUSTER, env=env, check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode:
        return None, "the modules cannot be had: " + run.stderr.strip()[:200]
    found, rest, at = [], run.stdout, 0
    while rest[at:].strip():
        value, end = json.JSONDecoder().raw_decode(rest[at:].lstrip())
        at += len(rest[at:]) - len(rest[at:].lstrip()) + end
        found.append(value["Dir"])
    return found, ""


def declarations(folder):
    """name -> ("struct", [(Go name, Go type, tags)]) or ("named", Go type)."""
    out = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.go"))):
        if path.endswith("_test.go") or "zz_generated" in path or path.endswith("generated.pb.go"):
            continue
        name = fields = None
        with open(path, encoding="utf-8") as f:
            for line in f:
                if name:
                    if line.startswith("}"):
                        out[name] = ("struct", fields)
                        name = None
                    elif FIELD.match(line):
                        fields.append(FIELD.match(line).groups())
                    continue
                struct = re.match(r"^type (\w+) struct {$", line.rstrip())
                named = re.match(r"^type (\w+) ([\w.*\[\]]+)\s*(//.*)?$", line.rstrip())
                if struct:
                    name, fields = struct.group(1), []
                elif named:
                    out[named.group(1)] = ("named", named.group(2))
    return out


class Package:
    def __init__(self, folder, short):
        self.short, self.types = short, declarations(folder)


def type_code(packages, package, text):
    """The type of one value as the table has it."""
    if package.short == "meta.v1" and "." not in text:
        text_key = "metav1." + text
    else:
        text_key = text
    if text_key in SPECIAL:
        return SPECIAL[text_key]
    if text in SCALARS:
        return SCALARS[text]
    if "." in text:
        alias, name = text.split(".")
        owner = packages["meta.v1" if alias == "metav1" else "core.v1"]  # nothing else is imported there
    else:
        owner, name = package, text
    kind, what = owner.types[name]
    if kind == "struct":
        return owner.short + "." + name
    if what == "[]string":
        return "E"  # in Go a list, on the wire a message with items
    return type_code(packages, owner, what)


def field_text(packages, package, go_type, tags):
    tag = dict(re.findall(r'(\w+):"([^"]*)"', tags))
    if tag.get("protobuf", "-") == "-" or "json" not in tag:
        return None
    number = int(tag["protobuf"].split(",")[1])
    name, _, options = tag["json"].partition(",")
    mark = "?" if go_type.startswith("*") else ":" if "omit" in options else "!"
    go_type = go_type.lstrip("*")
    named = package.types.get(go_type)
    if named and named[0] == "named" and named[1].startswith(("map[", "[]")) and named[1] != "[]string":
        go_type = named[1]
    if go_type in ("v1.ResourceList", "corev1.ResourceList"):
        go_type = "map[string]resource.Quantity"
    shape = ""
    if go_type == "[]byte":
        return f"{number}{name}{mark}y"
    if go_type.startswith("map["):
        shape, go_type = "<", go_type[go_type.index("]") + 1:]
        if go_type == "[]byte":
            return f"{number}{name}{mark}<y"
    elif go_type.startswith("[]"):
        shape, go_type = "*", go_type[2:]
    code = type_code(packages, package, go_type.lstrip("*"))
    if "inline" in options:
        return f"{number}={code}"
    return f"{number}{name}{mark}{shape}{code}"


def read_packages(api, machinery):
    packages, kinds = {}, []
    with open(generate.TABLE, encoding="utf-8") as f:
        rows = re.findall(r"^    \"(\S+) (io\.k8s\.api\.\S+) (\S+)\\n\"$", f.read(), re.M)
    for short, full, group_version in rows:
        if "alpha" in short or "beta" in short:
            continue
        packages[short] = Package(os.path.join(api, *full.split(".")[3:]), short)
        kinds.append((group_version.lstrip("/"), short))
    packages["meta.v1"] = Package(os.path.join(machinery, "pkg", "apis", "meta", "v1"), "meta.v1")
    return packages, kinds


def rows_of(packages):
    rows = {}
    for package in packages.values():
        for name, (kind, fields) in package.types.items():
            if kind != "struct" or name.endswith("List"):
                continue
            texts = [field_text(packages, package, go_type, tags) for _, go_type, tags in fields]
            texts = [t for t in texts if t]
            if texts:
                rows[package.short + "." + name] = texts
    return rows


def reachable(rows, packages, kinds):
    """Those that an object of a kind, or the options of a request, can have."""
    todo = [short + "." + name for _, short in kinds for name in packages[short].types
            if any(re.match(r"metav1\.TypeMeta$", f[1]) for f in (packages[short].types[name][1] or []) if len(f) == 3)]
    todo += ["meta.v1.DeleteOptions"]
    seen = set()
    while todo:
        name = todo.pop()
        if name in seen or name not in rows:
            continue
        seen.add(name)
        todo += [re.sub(r"^\d+\w*[=:!?][*<]?", "", t) for t in rows[name]]
    return {name: rows[name] for name in seen}


def literal(lines):
    out = []
    for line in lines:
        while len(line) > generate.WIDTH:
            at = line.rindex(" ", 0, generate.WIDTH) + 1
            out.append('    "%s"' % line[:at])
            line = line[at:]
        out.append('    "%s\\n"' % line)
    return "\n".join(out)


def table(version, api, machinery):
    packages, kinds = read_packages(api, machinery)
    rows = reachable(rows_of(packages), packages, kinds)
    return (f"/* SPDX-License-Identifier: Apache-2.0 */\n/* protobuf.inc - made by tests/k8stypes/protobuf.py of {', '.join(MODULES)} "
            f"as of Kubernetes {version}.\n * Do not edit; protobuf.c says how it is read. */\n/* clang-format off */\n"
            "/* group and version of kinds, package of their messages */\nstatic const char packages[] =\n"
            + literal(f"{gv} {short}" for gv, short in sorted(kinds))
            + ";\n\n/* message and its fields */\nstatic const char messages[] =\n"
            + literal(" ".join([name, *rows[name]]) for name in sorted(rows)) + ";\n/* clang-format on */\n")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", action="store_true")
    a = p.parse_args()
    found, why = folders()
    if not found:
        print("skipped: " + why)
        return generate.SKIPPED
    text = table(generate.pinned_version(), *found)
    if a.check:
        with open(TABLE, encoding="utf-8") as f:
            same = f.read() == text
        print("current" if same else "kube/sandbox/protobuf.inc is not current: run tests/k8stypes/protobuf.py")
        return 0 if same else 1
    with open(TABLE, "w", encoding="utf-8") as f:
        f.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
