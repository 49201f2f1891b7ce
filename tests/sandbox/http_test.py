#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sandbox's HTTP front, mostly over plain HTTP.

    http_test.py --kroc PATH
"""
import argparse
import http.client
import json
import queue
import resource
import socket
import ssl
import threading
import unittest

from sandbox import Sandbox

MAPS = "/api/v1/namespaces/default/configmaps"
KROC = ""


def open_watch(s, path):
    c = s.connect()
    c.request("GET", path, headers={"Authorization": "Bearer " + s.token})
    return c, c.getresponse()


class Http(unittest.TestCase):
    def test_who_has_no_token_is_refused(self):
        with Sandbox(KROC) as s:
            context = ssl.create_default_context(cadata=s.certificate)
            c = http.client.HTTPSConnection(s.host, timeout=30, context=context)
            self.assertEqual(s.request("GET", MAPS, connection=c, token="x")[0], 401)
            self.assertEqual(s.request("GET", MAPS, connection=c)[0], 200)

    def test_one_connection_carries_many_requests(self):
        with Sandbox(KROC, "--plain") as s:
            c = s.connect()
            for i in range(50):
                status, _ = s.request("POST", MAPS, {"metadata": {"name": f"m{i}"}}, c)
                self.assertEqual(status, 201)
            self.assertEqual(len(s.request("GET", MAPS + "?labelSelector=!x&limit=500", connection=c)[1]["items"]) >= 50, True)

    def test_a_body_over_the_limit_is_refused_and_the_client_hears_it(self):
        large = b"x" * (4 << 20)
        with Sandbox(KROC, "--plain") as s:
            for body in (large, iter([large[:1 << 20]] * 4)):  # with its length, and in chunks
                c = s.connect()
                c.request("POST", MAPS, body, {"Authorization": "Bearer " + s.token, "Content-Type": "application/json"},
                          encode_chunked=not isinstance(body, bytes))
                self.assertEqual(c.getresponse().status, 413)
            c = s.connect()
            c.putrequest("POST", MAPS)
            c.putheader("Authorization", "Bearer " + s.token)
            c.putheader("Content-Length", str(4 << 20))
            c.putheader("Expect", "100-continue")
            c.endheaders()
            self.assertEqual(c.getresponse().status, 413)
            self.assertEqual(s.request("GET", "/readyz")[0], 200)

    def test_a_path_over_the_limit_is_told(self):
        with Sandbox(KROC, "--plain") as s:
            for n, status in ((10000, 200), (20000, 414)):
                c = s.connect()
                c.request("GET", MAPS + "?labelSelector=a!%3D" + "x&y=" + "x" * n)
                self.assertEqual(c.getresponse().status, status)

    def test_a_body_without_end_is_cut_off(self):
        with Sandbox(KROC, "--plain") as s:
            with self.assertRaises((BrokenPipeError, ConnectionResetError)):
                s.connect().request("POST", MAPS, (b"x" * (1 << 20) for _ in range(1000)),
                                    {"Content-Type": "application/json"}, encode_chunked=True)
            self.assertEqual(s.request("GET", "/readyz")[0], 200)

    def test_a_watch_comes_in_pieces_and_ends_at_its_time(self):
        with Sandbox(KROC, "--plain") as s:
            _, r = open_watch(s, MAPS + "?watch=1&timeoutSeconds=1&labelSelector=x%3D1")
            s.request("POST", MAPS, {"metadata": {"name": "a", "labels": {"x": "1"}}})
            self.assertEqual(json.loads(r.readline())["type"], "ADDED")
            self.assertEqual(r.read(), b"")

    def test_a_watch_tells_each_change_without_another_request(self):
        told = queue.Queue()

        def follow(r):
            for line in iter(r.readline, b""):
                told.put(json.loads(line)["object"]["data"]["v"])

        with Sandbox(KROC, "--plain") as s:
            _, r = open_watch(s, MAPS + "?watch=1&labelSelector=x%3D1")
            threading.Thread(target=follow, args=(r,), daemon=True).start()
            c = s.connect()
            s.request("POST", MAPS, {"metadata": {"name": "a", "labels": {"x": "1"}}, "data": {"v": "0"}}, c)
            self.assertEqual(told.get(timeout=10), "0")
            for i in range(1, 100):
                c.request("PATCH", MAPS + "/a", json.dumps({"data": {"v": str(i)}}), {"Content-Type": "application/merge-patch+json"})
                self.assertEqual(c.getresponse().read()[:1], b"{")
                self.assertEqual(told.get(timeout=10), str(i))

    def test_idle_watches_and_a_slow_reader_do_not_disturb_a_writer(self):
        with Sandbox(KROC, "--plain") as s:
            idle = [open_watch(s, MAPS + f"?watch=1&labelSelector=n%3D{i}") for i in range(1000)]
            slow = open_watch(s, MAPS + "?watch=1")
            c = s.connect()
            for i in range(300):
                body = {"metadata": {"name": f"m{i}"}, "data": {"k": "v" * 20000}}
                self.assertEqual(s.request("POST", MAPS, body, c)[0], 201)
            lines = [json.loads(slow[1].readline()) for _ in range(300)]
            self.assertEqual(sum(e["type"] == "ADDED" and e["object"]["metadata"]["name"][0] == "m" for e in lines) >= 299, True)
            s.request("POST", MAPS, {"metadata": {"name": "z", "labels": {"n": "7"}}}, c)
            self.assertEqual(json.loads(idle[7][1].readline())["object"]["metadata"]["name"], "z")

    def test_a_peer_that_goes_frees_its_watch(self):
        with Sandbox(KROC, "--plain") as s:
            for _ in range(3):
                watches = [open_watch(s, MAPS + "?watch=1&labelSelector=x") for _ in range(50)]
                for c, r in watches:
                    r.close()
                    c.close()
            self.assertEqual(s.request("POST", MAPS, {"metadata": {"name": "a", "labels": {"x": ""}}})[0], 201)

    def test_nonsense_does_no_harm(self):
        with Sandbox(KROC, "--plain") as s:
            host, port = s.host.split(":")
            for text in (b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"GET " + b"/" * 40000):
                with socket.create_connection((host, int(port)), 5) as c:
                    c.sendall(text)
                    c.settimeout(0.3)
                    try:
                        c.recv(100)
                    except OSError:
                        pass
            self.assertEqual(s.request("GET", "/readyz")[0], 200)

    def test_every_nth_request_fails_on_purpose(self):
        with Sandbox(KROC, "--plain", "--fault", "every=3,status=503") as s:
            self.assertEqual([s.request("GET", MAPS)[0] for _ in range(6)], [200, 200, 503] * 2)

    def test_faults_can_be_those_of_one_method(self):
        with Sandbox(KROC, "--plain", "--fault", "every=1,status=503,of=POST") as s:
            body = {"metadata": {"name": "a"}}
            self.assertEqual([s.request("GET", MAPS)[0], s.request("POST", MAPS, body)[0], s.request("GET", MAPS)[0]],
                             [200, 503, 200])

    def test_answers_are_cut_on_purpose(self):
        with Sandbox(KROC, "--plain", "--fault", "cut=20") as s:
            with self.assertRaises(http.client.IncompleteRead):
                s.request("GET", "/api/v1")

    def test_objects_outlive_it_in_a_file(self):
        import os
        import tempfile
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "saved")
            for expected in (404, 200):
                with Sandbox(KROC, "--plain", "--save", path) as s:
                    self.assertEqual(s.request("GET", MAPS + "/a")[0], expected)
                    s.request("POST", MAPS, {"metadata": {"name": "a"}})


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kroc", required=True)
    a, rest = p.parse_known_args()
    KROC = a.kroc
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard) if hard > 0 else 8192, hard))  # a thousand watches, twice
    unittest.main(argv=["http_test.py", *rest], warnings="ignore")
