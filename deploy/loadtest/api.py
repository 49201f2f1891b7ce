# SPDX-License-Identifier: Apache-2.0
"""The cluster under test: where it is, requests to it, watches on it, and the controllers that run beside it.

    Sandbox    `kroc sandbox`, started here
    Local      tests/cluster: etcd, kube-apiserver, kube-controller-manager, started here
    Current    whatever kubectl points to, with its credentials
"""
import base64
import http.client
import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CRDS = os.path.join(ROOT, "deploy", "crds")
TIMEOUT_S = 60
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class Failed(Exception):
    pass


def wait_for(what, check, seconds, every=0.05):
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(every)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def terminate(process, seconds=30):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Api:
    """Requests to one server, a connection a thread."""

    def __init__(self, host, port, token=None, context=None):
        self.host, self.port, self.token, self.context = host, port, token, context
        self.threads = threading.local()

    def connect(self):
        if self.context:
            return http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT_S, context=self.context)
        return http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)

    def headers(self, content_type="application/json"):
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        return headers

    def call(self, method, path, body=None, content_type="application/json"):
        """(code, parsed body or text). A connection that the server has closed is opened anew."""
        data = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        for last in (False, True):
            connection = getattr(self.threads, "connection", None) or self.connect()
            self.threads.connection = connection
            try:
                connection.request(method, path, data, self.headers(content_type))
                answer = connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException):
                connection.close()
                self.threads.connection = None
                if last:
                    raise
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text.decode(errors="replace")

    def ask(self, method, path, body=None, content_type="application/json", also=()):
        code, answer = self.call(method, path, body, content_type)
        if not 200 <= code < 300 and code not in also:
            words = answer.get("message") if isinstance(answer, dict) else answer
            raise Failed(f"{method} {path}: {code} {words}")
        return answer


class Watch:
    """Follows a list in a thread of its own and calls fn(type, object) for each change, until it is closed."""

    def __init__(self, api, path, fn):
        self.api, self.path, self.fn, self.closed = api, path, fn, False
        first = api.ask("GET", path)
        self.version = first["metadata"]["resourceVersion"]
        for o in first["items"]:
            fn("ADDED", o)
        self.connection = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.closed:
            try:
                self._stream()
            except (OSError, http.client.HTTPException, ValueError, AttributeError):
                if not self.closed:
                    time.sleep(0.2)

    def _stream(self):
        self.connection = self.api.connect()
        mark = "&" if "?" in self.path else "?"
        self.connection.request("GET", f"{self.path}{mark}watch=1&allowWatchBookmarks=true&resourceVersion={self.version}",
                                headers=self.api.headers())
        answer = self.connection.getresponse()
        for line in iter(answer.readline, b""):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise Failed(f"watch {self.path}: {event['object'].get('message')}")
            self.version = event["object"]["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                self.fn(event["type"], event["object"])

    def close(self):
        self.closed = True
        if self.connection and self.connection.sock:
            try:
                self.connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.thread.join(5)


# --- where ------------------------------------------------------------------------------------------

class Sandbox:
    name = "kroc sandbox"

    def __init__(self, kroc):
        self.kroc = kroc

    def __enter__(self):
        self.work = tempfile.TemporaryDirectory(prefix="loadtest-")
        self.kubeconfig = os.path.join(self.work.name, "kubeconfig")
        self.process = subprocess.Popen([self.kroc, "sandbox", "--kubeconfig", self.kubeconfig], stdout=subprocess.PIPE, text=True)
        if not self.process.stdout.readline().startswith("KUBECONFIG="):
            raise Failed("the sandbox does not start")
        with open(self.kubeconfig) as f:
            text = f.read()
        host, port = re.search(r"server: https://([^:\s]+):(\d+)", text).groups()
        context = ssl.create_default_context(cadata=base64.b64decode(re.search(r"authority-data: (\S+)", text).group(1)).decode())
        self.api = Api(host, int(port), re.search(r"token: (\S+)", text).group(1), context)
        add_crds(self.api)
        return self

    def __exit__(self, *_):
        terminate(self.process)
        self.process.stdout.close()
        self.work.cleanup()


class Local:
    name = "tests/cluster"

    def __init__(self, bin_folder):
        self.bin = bin_folder

    def __enter__(self):
        sys.path.insert(0, os.path.join(ROOT, "tests", "cluster"))
        import cluster
        try:
            self.cluster = cluster.Cluster(self.bin, controllers=True).start()
        except cluster.Failed as e:
            raise Failed(e) from None
        self.kubeconfig = self.cluster.kubeconfig("admin")
        context = ssl.create_default_context(cafile=self.cluster.path("certs/apiserver.crt"))
        self.api = Api("127.0.0.1", self.cluster.port, self.cluster.token("admin"), context)
        add_crds(self.api)
        return self

    def __exit__(self, *_):
        self.cluster.stop()


class Current:
    """What kubectl's context says, asked directly: a proxy between would add to the times."""

    def __init__(self, context):
        self.context = context
        self.name = context or "kubectl's current context"

    def __enter__(self):
        self.work = tempfile.TemporaryDirectory(prefix="loadtest-")
        self.kubeconfig = os.path.join(self.work.name, "kubeconfig")
        try:
            self.api = self._api(self._config())
            if self.api.call("GET", "/apis/kro.run/v1alpha1")[0] != 200:
                raise Failed("kro's CRDs are not there, or may not be seen: kroc crds --apply brings them")
        except (OSError, http.client.HTTPException) as e:
            self.work.cleanup()
            raise Failed(f"{self.name}: {e}") from None
        except BaseException:
            self.work.cleanup()
            raise
        return self

    def __exit__(self, *_):
        self.work.cleanup()

    def _config(self):
        """The one context alone, kept as a file for the controllers: they must reach the same cluster."""
        argv = ["kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o", "json", *(["--context", self.context] if self.context else [])]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S)
        except OSError as e:
            raise Failed(f"kubectl: {e.strerror}") from None
        if done.returncode != 0:
            raise Failed(f"kubectl: {done.stderr.strip()}")
        with open(os.open(self.kubeconfig, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(done.stdout)
        return json.loads(done.stdout)

    def _api(self, config):
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        url = urllib.parse.urlsplit(cluster["server"])
        if url.path.strip("/"):
            raise Failed(f"{cluster['server']}: a server below a path is not supported")
        if url.scheme != "https":
            return Api(url.hostname, url.port or 80, token_of(user))
        ca = cluster.get("certificate-authority-data")
        context = ssl.create_default_context(cadata=base64.b64decode(ca).decode() if ca else None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._client_certificate(context, user)
        return Api(url.hostname, url.port or 443, token_of(user), context)

    def _client_certificate(self, context, user):
        if not user.get("client-certificate-data"):
            return
        path = os.path.join(self.work.name, "client.pem")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"]))
        context.load_cert_chain(path)


def token_of(user):
    """The user's token, from a plug-in too."""
    plugin = user.get("exec")
    if not plugin:
        return user.get("token")
    env = {**os.environ, **{e["name"]: e["value"] for e in plugin.get("env") or []},
           "KUBERNETES_EXEC_INFO": json.dumps({"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": {"interactive": False}})}
    done = subprocess.run([plugin["command"], *(plugin.get("args") or [])], env=env, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode != 0:
        raise Failed(f"{plugin['command']}: {done.stderr.strip()}")
    return json.loads(done.stdout)["status"].get("token")


def add_crds(api):
    for file in ("resourcegraphdefinitions.yaml", "graphrevisions.yaml"):
        with open(os.path.join(CRDS, file)) as f:
            text = f.read()
        name = re.search(r"^  name: (\S+)$", text, re.M).group(1)
        api.ask("PATCH", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=loadtest&force=true", text, APPLY)


# --- controllers ------------------------------------------------------------------------------------

class Controller:
    """A controller as a command: NAME=COMMAND. {port} and {port2} in the command are free ports, for each
    process others; KUBECONFIG points to the cluster. Without a command: one that runs already."""

    def __init__(self, text):
        self.name, _, command = text.partition("=")
        if not command or not re.fullmatch(r"[A-Za-z0-9._-]+", self.name):
            raise Failed(f"--controller {text}: NAME=COMMAND is wanted")
        self.argv = shlex.split(command)
        self.running = []
        self.used = [0.0, 0]  # CPU seconds of those that ended, largest resident KiB

    def start(self, kubeconfig, log, more=()):
        argv = [a.replace("{port}", str(free_port())).replace("{port2}", str(free_port())) for a in self.argv]
        env = {**os.environ, "KUBECONFIG": kubeconfig}
        with open(log, "ab") as out:
            try:
                process = subprocess.Popen([*argv, *more], stdout=out, stderr=out, env=env)
            except OSError as e:
                raise Failed(f"{argv[0]}: {e.strerror}") from None
        self.running.append(process)
        return process

    def must_run(self, log):
        for p in self.running:
            if p.poll() is not None:
                raise Failed(f"{self.name} ended with code {p.returncode}; its log is {log}")

    def end(self, process, how=signal.SIGTERM):
        self._count(process)
        process.send_signal(how)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.running.remove(process)

    def end_all(self):
        for p in list(self.running):
            self.end(p)

    def _count(self, process):
        cpu, rss = usage(process.pid)
        self.used = [self.used[0] + cpu, max(self.used[1], rss)]

    def usage(self):
        """(CPU seconds, largest resident KiB) of all its processes so far."""
        cpu, rss = self.used
        for p in self.running:
            c, r = usage(p.pid)
            cpu, rss = cpu + c, max(rss, r)
        return cpu, rss


def usage(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        with open(f"/proc/{pid}/status") as f:
            rss = re.search(r"VmHWM:\s+(\d+) kB", f.read())
    except OSError:
        return 0.0, 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(rss.group(1)) if rss else 0
