# SPDX-License-Identifier: Apache-2.0
"""A proxy before the API server that does what bad proxies, clocks and servers do, for the doctor's tests."""
import http.server
import re
import ssl
import threading
import time
import urllib.error
import urllib.request
from email.utils import formatdate

SKIP = {"connection", "transfer-encoding", "content-length", "date", "server", "x-kubernetes-pf-prioritylevel-uid"}


class Proxy:
    """with Proxy(cluster, date_off_s=90) as p: p.kubeconfig is one that goes through it, in plain HTTP/1.1.

    buffering    watches are delivered when they are over
    date_off_s   the Date of the answers is off by so much
    level        uid of the priority level that answers name
    rewrite      [(regex, replacement)]: of bodies
    """

    def __init__(self, cluster, buffering=False, date_off_s=0, level=None, rewrite=()):
        self.cluster, self.buffering, self.date_off_s, self.level, self.rewrite = cluster, buffering, date_off_s, level, rewrite

    def __enter__(self):
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def forward(self):
                proxy.forward(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward

            def date_time_string(self, timestamp=None):
                return formatdate(time.time() + proxy.date_off_s, usegmt=True)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, address):
                pass  # the client has gone: that is its right

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        with open(self.cluster.kubeconfig()) as f:
            text = f.read()
        self.kubeconfig = self.cluster.path(f"proxy-{self.server.server_port}.kubeconfig")
        text = re.sub(r'"certificate-authority-data": "[^"]*"', '"insecure-skip-tls-verify": false', text)
        with open(self.kubeconfig, "w") as f:
            f.write(text.replace(self.cluster.url, f"http://127.0.0.1:{self.server.server_port}"))
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def forward(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length") or 0)) or None
        headers = {k: v for k, v in h.headers.items() if k.lower() not in ("host", "accept-encoding", "connection")}
        headers["Authorization"] = f"Bearer {self.cluster.token('admin')}"  # a client sends none over plain HTTP
        request = urllib.request.Request(self.cluster.url + h.path, data=body, method=h.command, headers=headers)
        try:
            answer = urllib.request.urlopen(request, context=self.tls(), timeout=30)
        except urllib.error.HTTPError as e:
            answer = e
        with answer:
            if "watch=true" in h.path and not self.buffering:
                self.stream(h, answer)
                return
            data = answer.read()
            for pattern, to in self.rewrite:
                data = re.sub(pattern.encode(), to.encode(), data)
            self.head(h, answer)
            h.send_header("Content-Length", str(len(data)))
            h.end_headers()
            h.wfile.write(data)

    def head(self, h, answer):
        h.send_response(answer.status if hasattr(answer, "status") else answer.code)
        for key, value in answer.headers.items():
            if key.lower() not in SKIP:
                h.send_header(key, value)
        if self.level:
            h.send_header("X-Kubernetes-PF-PriorityLevel-UID", self.level)

    def stream(self, h, answer):
        self.head(h, answer)
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        for line in answer:
            h.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            h.wfile.flush()
        h.wfile.write(b"0\r\n\r\n")

    def tls(self):
        return ssl.create_default_context(cafile=self.cluster.path("certs/apiserver.crt"))
