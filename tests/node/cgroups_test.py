#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tests/node does to the cgroups of a host, of either version: tried on folders that look like them."""
import errno
import os
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import node  # noqa: E402

NAME = node.PREFIX + "test"


class Version2(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="kroc-cgroups-")
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        patched = mock.patch.object(node, "CGROUPS", self.root)
        patched.start()
        self.addCleanup(patched.stop)
        self.wrote = []
        self.busy = ()

    def host(self, controllers, down):
        for name, text in (("cgroup.controllers", controllers), ("cgroup.subtree_control", down)):
            with open(os.path.join(self.root, name), "w") as f:
                f.write(text + "\n")

    def write(self, path, text):
        self.assertEqual(path, os.path.join(self.root, "cgroup.subtree_control"))
        if text[1:] in self.busy:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        self.wrote.append(text)

    def make(self):
        with mock.patch.object(node, "write_setting", self.write):
            node.make_cgroups(NAME)

    def made(self):
        return os.path.isdir(os.path.join(self.root, NAME))

    def test_what_the_root_does_not_hand_down_yet_it_does_now(self):
        self.host("cpuset cpu io memory hugetlb pids rdma misc", "cpu memory pids")
        self.make()
        self.assertEqual(self.wrote, ["+cpuset", "+hugetlb"])
        self.assertTrue(self.made())

    def test_nothing_is_written_where_all_are_handed_down(self):
        self.host("cpuset cpu memory hugetlb pids", "cpuset cpu memory hugetlb pids")
        self.make()
        self.assertEqual(self.wrote, [])
        self.assertTrue(self.made())

    def test_what_the_kernel_lacks_is_not_asked_of_it(self):
        self.host("cpu memory pids", "")
        self.make()
        self.assertEqual(self.wrote, ["+cpu", "+memory", "+pids"])

    def test_a_host_without_a_controller_that_is_needed_is_told_from_others(self):
        self.host("cpuset cpu pids", "cpu pids")
        with self.assertRaisesRegex(node.Forbidden, "cgroups of this host lack memory"):
            self.make()
        self.assertEqual(self.wrote, [])
        self.assertFalse(self.made())

    def test_a_root_that_has_processes_refuses(self):
        self.host("cpuset cpu memory pids", "")
        self.busy = ("memory",)
        with self.assertRaisesRegex(node.Forbidden, "memory cannot be handed down at .*: Device or resource busy"):
            self.make()
        self.assertFalse(self.made())

    def test_the_setting_itself_is_written(self):
        self.host("cpu memory pids cpuset", "cpu memory pids")
        node.make_cgroups(NAME)
        with open(os.path.join(self.root, "cgroup.subtree_control")) as f:
            self.assertEqual(f.read(), "+cpuset")

    def test_all_that_was_made_goes_and_nothing_else(self):
        self.host("cpu memory pids", "cpu memory pids")
        other = os.path.join(self.root, "system.slice")
        os.makedirs(other)
        self.make()
        os.makedirs(os.path.join(self.root, NAME, "kubepods", "burstable"))
        node.remove_cgroups(NAME)
        self.assertFalse(self.made())
        self.assertTrue(os.path.isdir(other))


class Version1(unittest.TestCase):
    def test_one_for_each_controller_and_a_cpuset_has_what_its_parent_has(self):
        with tempfile.TemporaryDirectory(prefix="kroc-cgroups-") as root:
            memory, cpuset = os.path.join(root, "memory"), os.path.join(root, "cpuset")
            for folder in (memory, cpuset, os.path.join(cpuset, NAME)):
                os.makedirs(folder)
            for path, text in (("cpuset.cpus", "0-1\n"), ("cpuset.mems", "0\n")):
                with open(os.path.join(cpuset, path), "w") as f:
                    f.write(text)
                with open(os.path.join(cpuset, NAME, path), "w") as f:  # the kernel makes them, empty
                    f.write("\n")
            with mock.patch.object(node, "CGROUPS", root), mock.patch.object(node, "hierarchies", lambda: [cpuset, memory]):
                node.make_cgroups(NAME)
            self.assertTrue(os.path.isdir(os.path.join(memory, NAME)))
            with open(os.path.join(cpuset, NAME, "cpuset.cpus")) as f:
                self.assertEqual(f.read(), "0-1\n")


class Probe(unittest.TestCase):
    """What is asked before anything is made."""

    def test_who_is_not_root_is_told_so(self):
        with mock.patch.object(os, "getuid", lambda: 1000), self.assertRaisesRegex(node.Forbidden, "containers need root here"):
            node.probe(["false"])

    def test_a_host_that_refuses_namespaces_is_told_with_its_words(self):
        refusing = ["sh", "-c", "echo unshare: Operation not permitted >&2; exit 1", "probe"]
        with mock.patch.object(os, "getuid", lambda: 0), self.assertRaisesRegex(
                node.Forbidden, "no containers: unshare: Operation not permitted"):
            node.probe(refusing)

    def test_nothing_is_made_when_the_probe_refuses(self):
        made = []
        with tempfile.TemporaryDirectory(prefix="kroc-cgroups-") as root, mock.patch.object(tempfile, "tempdir", root), \
                mock.patch.object(node, "CGROUPS", root), mock.patch.object(node.subprocess, "Popen"), \
                mock.patch.object(node, "hierarchies", lambda: []), mock.patch.object(os, "getuid", lambda: 1000), \
                mock.patch.object(node, "make_cgroups", made.append), self.assertRaises(node.Forbidden):
            node.inside(["true"], made.append)
        self.assertEqual(made, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
