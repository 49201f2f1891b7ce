# SPDX-License-Identifier: Apache-2.0
"""A `kroc sandbox` for the length of a with statement, and plain requests to it."""
import base64
import http.client
import json
import re
import subprocess
import tempfile


class Sandbox:
    def __init__(self, kroc, *args):
        self.work = tempfile.TemporaryDirectory(prefix="sandbox-")
        self.kubeconfig = self.work.name + "/config"
        self.argv = [kroc, "sandbox", "--kubeconfig", self.kubeconfig, *args]

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline().strip()
        assert line == "KUBECONFIG=" + self.kubeconfig, line
        with open(self.kubeconfig) as f:
            config = f.read()
        self.host = re.search(r"server: https?://(\S+)", config).group(1)
        certificate = re.search(r"certificate-authority-data: (\S+)", config)
        self.certificate = base64.b64decode(certificate.group(1)).decode() if certificate else None
        self.token = re.search(r"token: (\S+)", config).group(1)
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        code = self.process.wait(20)
        self.work.cleanup()
        if exc[0] is None:
            assert code == 0, f"the sandbox ended with {code}"

    def connect(self):
        return http.client.HTTPConnection(self.host, timeout=30)

    def request(self, method, path, body=None, connection=None, token=None, headers=None):
        """(status, parsed body)"""
        c = connection or self.connect()
        headers = {"Authorization": "Bearer " + (token or self.token), **(headers or {})}
        c.request(method, path, body if body is None or isinstance(body, (str, bytes)) else json.dumps(body), headers)
        r = c.getresponse()
        text = r.read()
        return r.status, json.loads(text) if text[:1] == b"{" else text
