#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/image.sh: the archive is what registries and engines read, reproducible, and the binary runs in it.

    image_test.py --kroc PATH [--list] [test ...]

Exit code 77: the binary is one with sanitizers, which no image is made of.
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SCRIPT = os.path.join(ROOT, "deploy", "image.sh")
OPTIONS = argparse.Namespace(kroc=None)
SKIPPED = 77
SIZE_MAX = 12 << 20  # what one pulls, at most
USER = 65532


class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="kroc-image-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.archive = cls.build("image.tar")

    @classmethod
    def build(cls, name, *args, **env):
        out = os.path.join(cls.dir, name)
        done = subprocess.run([SCRIPT, "--kroc", OPTIONS.kroc, "--out", out, *args], capture_output=True, text=True,
                              env={**os.environ, **env})
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        return out

    def file(self, name):
        with tarfile.open(self.archive) as tar:
            return tar.extractfile(name).read()

    def blob(self, descriptor):
        data = self.file("blobs/" + descriptor["digest"].replace(":", "/"))
        self.assertEqual(hashlib.sha256(data).hexdigest(), descriptor["digest"].split(":")[1])
        self.assertEqual(len(data), descriptor["size"])
        return data

    def parts(self):
        index = json.loads(self.file("index.json"))
        manifest = json.loads(self.blob(index["manifests"][0]))
        return index, manifest, json.loads(self.blob(manifest["config"])), [self.blob(x) for x in manifest["layers"]]

    def unpacked(self):
        root = tempfile.mkdtemp(dir=self.dir)
        for layer in self.parts()[3]:
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                tar.extractall(root, filter="fully_trusted") if hasattr(tarfile, "data_filter") else tar.extractall(root)
        os.chmod(root, 0o755)
        return root

    def test_oci_layout(self):
        self.assertEqual(json.loads(self.file("oci-layout")), {"imageLayoutVersion": "1.0.0"})
        index, manifest, config, layers = self.parts()
        self.assertEqual(index["manifests"][0]["annotations"]["io.containerd.image.name"], "localhost/kroc:dev")
        self.assertEqual(manifest["schemaVersion"], 2)
        self.assertEqual(config["os"], "linux")
        self.assertEqual(config["rootfs"]["diff_ids"],
                         ["sha256:" + hashlib.sha256(gzip.decompress(x)).hexdigest() for x in layers])
        self.assertEqual(config["config"]["Entrypoint"], ["/kroc"])

    def test_docker_layout(self):
        index, manifest, _, _ = self.parts()
        docker = json.loads(self.file("manifest.json"))[0]
        self.assertEqual(docker["RepoTags"], ["localhost/kroc:dev"])
        self.assertEqual(docker["Config"], "blobs/" + manifest["config"]["digest"].replace(":", "/"))
        self.assertEqual(docker["Layers"], ["blobs/" + x["digest"].replace(":", "/") for x in manifest["layers"]])

    def test_user_is_not_root(self):
        self.assertEqual(self.parts()[2]["config"]["User"], f"{USER}:{USER}")
        with open(os.path.join(self.unpacked(), "etc/passwd")) as f:
            self.assertIn(f":x:{USER}:{USER}:", f.read())

    def test_same_inputs_same_bytes(self):
        with open(self.archive, "rb") as a, open(self.build("again.tar", TZ="Asia/Tokyo", LC_ALL="C"), "rb") as b:
            self.assertEqual(hashlib.sha256(a.read()).digest(), hashlib.sha256(b.read()).digest())

    def test_what_only_debuggers_want_leaves_no_trace(self):
        """Debug information names the folders of a build, and the build's id is a hash of it: another folder, same image."""
        other = os.path.join(self.dir, "other-kroc")
        note = os.path.join(self.dir, "note")
        with open(note, "wb") as f:
            f.write(b"\4\0\0\0\x14\0\0\0\3\0\0\0GNU\0" + bytes(20))
        subprocess.run(["objcopy", "--strip-debug", "--update-section", f".note.gnu.build-id={note}", OPTIONS.kroc, other], check=True)
        with open(OPTIONS.kroc, "rb") as a, open(other, "rb") as b:
            self.assertNotEqual(a.read(), b.read())
        digests = []
        for kroc in (OPTIONS.kroc, other):
            with open(self.build("image-of-other.tar", "--kroc", kroc), "rb") as f:
                digests.append(hashlib.sha256(f.read()).hexdigest())
        self.assertEqual(*digests)

    def test_sysroot_finds_the_same_libraries(self):
        """What a cross build uses, tried on this machine's own root: the same files in the base layer."""
        def names(archive):
            with tarfile.open(archive) as tar:
                manifest = json.loads(tar.extractfile("manifest.json").read())[0]
                with tarfile.open(fileobj=io.BytesIO(tar.extractfile(manifest["Layers"][0]).read())) as layer:
                    return sorted(os.path.basename(m.name) for m in layer if ".so" in m.name and m.isfile())

        other = self.build("sysroot.tar", "--sysroot", "/", "--version", "v0.0.0")
        self.assertEqual(names(other), names(self.archive))
        self.assertTrue(names(other))

    def test_labels_say_what_it_is(self):
        with open(OPTIONS.kroc, "rb") as f:
            machine = f.read(20)[18]
        config = self.parts()[2]
        labels = config["config"]["Labels"]
        stamp = json.loads(subprocess.run([OPTIONS.kroc, "version", "-o", "json"], capture_output=True, text=True).stdout)
        self.assertEqual(labels["org.opencontainers.image.version"], stamp["version"])
        self.assertEqual(labels["org.opencontainers.image.revision"], stamp["commit"])
        self.assertEqual(labels["org.opencontainers.image.licenses"], "Apache-2.0")
        self.assertEqual(labels["org.opencontainers.image.created"], config["created"])
        if "SOURCE_DATE_EPOCH" not in os.environ and stamp["date"] != "unknown":
            self.assertEqual(config["created"], stamp["date"])
        self.assertEqual(config["architecture"], {0x3E: "amd64", 0xB7: "arm64"}[machine])

    def test_sbom_names_every_file(self):
        root = self.unpacked()
        with open(os.path.join(root, "usr/share/kroc/sbom.spdx.json")) as f:
            sbom = json.load(f)
        self.assertEqual((sbom["spdxVersion"], sbom["SPDXID"]), ("SPDX-2.3", "SPDXRef-DOCUMENT"))
        ids = [x["SPDXID"] for x in sbom["packages"] + sbom["files"]]
        self.assertEqual(len(ids), len(set(ids)), "an identifier comes twice")
        for x in ids:
            self.assertRegex(x, r"^SPDXRef-[A-Za-z0-9.-]+$")
        for r in sbom["relationships"]:
            for end in (r["spdxElementId"], r["relatedSpdxElement"]):
                self.assertIn(end, ids + ["SPDXRef-DOCUMENT"])
        listed = {f["fileName"][1:]: f["checksums"][0]["checksumValue"] for f in sbom["files"]}
        for name, digest in listed.items():
            with open(root + name, "rb") as f:
                self.assertEqual(hashlib.sha256(f.read()).hexdigest(), digest, name)
        here = {os.path.join(d, f)[len(root):] for d, _, files in os.walk(root) for f in files if ".so" in f or f == "kroc"}
        self.assertEqual(here - set(listed), set(), "not in the list")
        packages = {p["name"]: p["versionInfo"] for p in sbom["packages"]}
        self.assertIn("kroc", packages)
        if shutil.which("dpkg-query"):
            self.assertRegex(packages["libc6"], r"^\d")
            self.assertRegex(packages["tzdata"], r"^\d")

    def test_nothing_tells_who_built_it(self):
        for layer in self.parts()[3]:
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                times = set()
                for m in tar:
                    self.assertEqual((m.uid, m.gid, m.uname, m.gname), (0, 0, "", ""), m.name)
                    self.assertFalse(m.mode & 0o6000, f"{m.name} is setuid")
                    self.assertTrue(m.name.endswith("/tmp") or not m.mode & 0o022, f"{m.name} is writable for others")
                    times.add(m.mtime)
                self.assertEqual(len(times), 1)

    def test_size(self):
        self.assertLess(os.path.getsize(self.archive), SIZE_MAX)

    def test_what_it_brings(self):
        root = self.unpacked()
        for name in ("kroc", "etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo/Europe/Berlin", "etc/nsswitch.conf"):
            self.assertGreater(os.path.getsize(os.path.join(root, name)), 0, name)
        self.assertFalse(os.path.exists(os.path.join(root, "bin/sh")))

    def test_binary_runs_in_it(self):
        root = self.unpacked()
        if os.getuid() == 0:
            argv = ["chroot", f"--userspec={USER}:{USER}", root, "/kroc", "version"]
        else:
            loader = next(os.path.join(d, f) for d in (root + "/lib64", root + "/lib") if os.path.isdir(d)
                          for f in os.listdir(d) if f.startswith("ld-linux"))
            libs = ":".join(d for d, _, files in os.walk(root + "/lib") if any(".so" in f for f in files))
            argv = [loader, "--inhibit-cache", "--library-path", libs, root + "/kroc", "version"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"^kroc \S+")
        here = subprocess.run([OPTIONS.kroc, "version"], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.stdout, here.stdout)

    # --- engines: stand-ins that write down what they are asked -------------------------------

    def hand_over(self, engine, *installed, code=0):
        """(exit code, stdout, stderr, what the stand-ins were called with)"""
        folder = tempfile.mkdtemp(dir=self.dir)
        tools = {t: shutil.which(t) for t in ("sh", "tar", "gzip", "sha256sum", "od", "ldd", "sed", "tr", "cut", "wc", "date", "git", "find", "cp",
                                              "mv", "mkdir", "rm", "mktemp", "cat", "dirname", "grep", "tail", "sort", "readlink", "basename", "chmod",
                                              "touch", "head", "awk", "dpkg-query", "bash", "env", "uname", "xargs", "ls", "ln", "strip", "stat", "comm")}
        for name, path in tools.items():
            if path:
                os.symlink(path, os.path.join(folder, name))
        for name in installed:
            with open(os.path.join(folder, name), "w") as f:
                f.write(f"#!/bin/sh\necho {name} \"$@\" >>{folder}/calls\necho words >&2\nexit {code}\n")
            os.chmod(f.name, 0o755)
        out = os.path.join(folder, "image.tar")
        done = subprocess.run([SCRIPT, "--kroc", OPTIONS.kroc, "--out", out, "--engine", engine], capture_output=True, text=True,
                              env={**os.environ, "PATH": folder})
        calls = ""
        if os.path.exists(folder + "/calls"):
            with open(folder + "/calls") as f:
                calls = f.read().replace(out, "IMAGE")
        return done.returncode, done.stdout, done.stderr, calls

    def test_an_engine_gets_it(self):
        code, out, err, calls = self.hand_over("auto", "buildah")
        self.assertEqual((code, calls), (0, "buildah pull --quiet docker-archive:IMAGE\n"), err)
        self.assertIn("buildah has localhost/kroc:dev\n", out)

    def test_an_engine_that_refuses(self):
        code, _, err, calls = self.hand_over("auto", "podman", "buildah", "docker", code=3)
        self.assertEqual((code, calls), (1, "docker load --input IMAGE\n"))
        self.assertRegex(err, r"^image.sh: docker does not take .*image.tar: words\n$")

    def test_an_engine_that_is_not_there(self):
        code, _, err, _ = self.hand_over("podman")
        self.assertEqual((code, err), (1, "image.sh: podman is not installed; without --engine the archive alone is written\n"))
        code, _, err, _ = self.hand_over("dockr")
        self.assertEqual((code, err), (1, 'image.sh: --engine is docker, podman, buildah or auto, not "dockr"\n'))

    def test_missing_binary_is_named(self):
        done = subprocess.run([SCRIPT, "--kroc", "/nowhere/kroc", "--out", "/dev/null"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nowhere/kroc is not there", done.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kroc", default=os.path.join(ROOT, "build", "release", "kroc"))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*", metavar="test")
    args = parser.parse_args()
    loader = unittest.defaultTestLoader
    if args.list:
        print("\n".join(loader.getTestCaseNames(Image)))
        return 0
    OPTIONS.kroc = os.path.abspath(args.kroc)
    if "libasan" in subprocess.run(["ldd", OPTIONS.kroc], capture_output=True, text=True).stdout:
        print("image_test: skipped: images are made of builds without sanitizers", file=sys.stderr)
        return SKIPPED
    suite = unittest.TestSuite([Image(n) for n in args.names]) if args.names else loader.loadTestsFromTestCase(Image)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
