#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Built again in another folder, the program makes the same image, byte for byte.

    rebuild_test.py --kroc PATH      the program as it was built here

The sources are cloned with what is not committed yet, and built from nothing, without ccache: a minute on two cores.
Exit code 77: a build with sanitizers, or one that is older than the sources.
"""
import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SKIPPED = 77
SOURCES = ("cel", "graph", "kube", "reactor", "cli", "CMakeLists.txt", "CMakePresets.json")


def run(*argv, cwd=ROOT):
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, env={**os.environ, "CCACHE_DISABLE": "1"})
    if done.returncode != 0:
        sys.exit(f"{' '.join(argv)}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def files(*kinds):
    return [f for f in run("git", "ls-files", "-z", *kinds).split("\0") if f]


def copy_to(folder):
    """A clone with the same commit, in which the same is changed."""
    run("git", "clone", "-q", "--shared", ROOT, folder)
    for f in files("-m", "-o", "--exclude-standard"):
        source, target = os.path.join(ROOT, f), os.path.join(folder, f)
        if os.path.lexists(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
        elif os.path.lexists(target):
            os.remove(target)


def is_older(kroc):
    built = os.path.getmtime(kroc)
    return [f for f in files("-c", "-o", "--exclude-standard", "--", *SOURCES)
            if os.path.exists(os.path.join(ROOT, f)) and os.path.getmtime(os.path.join(ROOT, f)) > built]


def image(kroc, out):
    run(os.path.join(HERE, "..", "..", "deploy", "image.sh"), "--kroc", kroc, "--out", out)
    with open(out, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kroc", default=os.path.join(ROOT, "build", "release", "kroc"))
    kroc = os.path.abspath(parser.parse_args().kroc)
    if "libasan" in subprocess.run(["ldd", kroc], capture_output=True, text=True).stdout:
        print("rebuild_test: skipped: images are made of builds without sanitizers", file=sys.stderr)
        return SKIPPED
    newer = is_older(kroc)
    if newer:
        print(f"rebuild_test: skipped: {kroc} is older than {newer[0]}", file=sys.stderr)
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="kroc-rebuild-") as work:
        again = os.path.join(work, "another", "place")
        copy_to(again)
        run("cmake", "--preset", "release", "-DBUILD_TESTING=OFF", cwd=again)
        run("cmake", "--build", "--preset", "release", "-j", "2", "--target", "kroc", cwd=again)
        other = os.path.join(again, "build", "release", "kroc")
        mine, theirs = image(kroc, os.path.join(work, "a.tar")), image(other, os.path.join(work, "b.tar"))
    print(f"{mine} of {kroc}\n{theirs} of {other}")
    if mine != theirs:
        print("rebuild_test: another folder, another image", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
