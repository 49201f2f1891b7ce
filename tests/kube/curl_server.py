#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A loopback server for curl_uv_test: HTTP, HTTPS with different certificates, and a CONNECT proxy.

Prints one line "READY DIR HTTP HTTPS OTHER MUTE PROXY H2" (ports), serves until it is killed. Certificates are made by openssl in a temporary folder:
  ca.pem                 signs all that follow, and client certificates (client.pem, client.key)
  https                  a certificate for 127.0.0.1; asks for a client certificate, takes none too
  other                  a certificate for the name other.test alone
  h2                     takes HTTP/2 alone, and hands its bytes to the port that is the argument
  mute                   takes connections and says nothing
  stranger.pem           a CA that signed nothing
"""
import atexit
import ctypes
import http.server
import json
import os
import selectors
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time

DIR = tempfile.mkdtemp(prefix="kroc-curl-")
atexit.register(shutil.rmtree, DIR, True)
ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # dies with the test
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
proxied = 0


def path(name):
    return os.path.join(DIR, name)


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def authority(name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            f"/CN={name}", "-keyout", path(name + ".key"), "-out", path(name + ".pem"))


def certificate(name, san):
    with open(path(name + ".ext"), "w") as f:
        f.write(f"subjectAltName={san}\n" if san else "extendedKeyUsage=clientAuth\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout",
            path(name + ".key"), "-out", path(name + ".csr"))
    openssl("x509", "-req", "-in", path(name + ".csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"), "-CAcreateserial",
            "-days", "2", "-extfile", path(name + ".ext"), "-out", path(name + ".pem"))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def echo(self, body):
        peer = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        subject = dict(x[0] for x in peer["subject"]).get("commonName", "") if peer else ""
        self.answer(200, json.dumps({
            "method": self.command, "path": self.path, "body": body.decode("latin-1"), "client": subject,
            "headers": {k.lower(): v for k, v in self.headers.items()}, "proxied": proxied,
            "name": getattr(self.connection, "asked_name", None) or ""}).encode())

    def stream(self, first, pause):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for i in range(first):
                line = b'{"n":%d}\n' % i
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
                time.sleep(pause)
            time.sleep(60)
        except OSError:
            self.close_connection = True

    def everything(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        what, _, arg = self.path.partition("?")
        if what == "/busy":
            self.answer(429, b"{}", Retry_After=arg.replace("_", " "))
        elif what == "/token":
            good = self.headers.get("Authorization") == "Bearer good"
            self.answer(200 if good else 401, b'{"ok":true}')
        elif what == "/big":
            self.answer(200, b"x" * int(arg))
        elif what == "/slow":
            time.sleep(float(arg))
            self.answer(200, b"{}")
        elif what == "/stream":
            self.stream(int(arg), 0.02)
        elif what == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"x" * 10)
            self.close_connection = True
        elif what == "/drop":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.echo(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = everything


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, context=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.context = context
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, address):
        pass

    def finish_request(self, request, address):
        if self.context:  # the handshake belongs to the connection's own thread
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, address)


def context(name):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(path(name + ".pem"), path(name + ".key"))
    c.load_verify_locations(path("ca.pem"))
    c.verify_mode = ssl.CERT_OPTIONAL

    def asked(sock, asked_name, _):
        sock.asked_name = asked_name
    c.sni_callback = asked
    return c


class Proxy(socketserver.StreamRequestHandler):
    def handle(self):
        global proxied
        _, target, _ = self.rfile.readline().split()
        while self.rfile.readline().strip():
            pass
        host, port = target.decode().rsplit(":", 1)
        proxied += 1
        out = socket.create_connection((host, int(port)))
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Proxy: yes\r\n\r\n")
        threading.Thread(target=self.pump, args=(out, self.connection), daemon=True).start()
        self.pump(self.connection, out)

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Tunnel(socketserver.BaseRequestHandler):
    def handle(self):
        c = context("server")
        c.set_alpn_protocols(["h2"])
        inner = c.wrap_socket(self.request, server_side=True)
        out = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        # One thread for both ways: an SSL socket is not for two.
        inner.setblocking(False)
        out.setblocking(False)
        with selectors.DefaultSelector() as s:
            s.register(inner, selectors.EVENT_READ)
            s.register(out, selectors.EVENT_READ)
            while True:
                s.select(None if inner.pending() == 0 else 0)
                try:
                    for a, b in ((inner, out), (out, inner)):
                        try:
                            data = a.recv(65536)
                        except (BlockingIOError, ssl.SSLWantReadError):
                            continue
                        if not data:
                            return
                        b.setblocking(True)
                        b.sendall(data)
                        b.setblocking(False)
                except OSError:
                    return


class ProxyServer(socketserver.ThreadingTCPServer):
    daemon_threads = True


authority("ca")
authority("stranger")
certificate("server", "IP:127.0.0.1,DNS:localhost")
certificate("other", "DNS:other.test")
certificate("client", "")
mute = socket.create_server(("127.0.0.1", 0))
proxy = ProxyServer(("127.0.0.1", 0), Proxy)
tunnel = ProxyServer(("127.0.0.1", 0), Tunnel)
for server in proxy, tunnel:
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"READY {DIR} {Server().server_port} {Server(context('server')).server_port} {Server(context('other')).server_port} "
      f"{mute.getsockname()[1]} {proxy.server_address[1]} {tunnel.server_address[1]}", flush=True)
while True:
    time.sleep(3600)
