#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real Kubernetes control plane on loopback, for the tests and for `make run`.

etcd and kube-apiserver, and kube-controller-manager on request, each a child process with its data
in one temporary folder. Everything listens on 127.0.0.1, dies with this process (also when it is
killed) and leaves nothing behind.

    cluster.py [--bin DIR] [--controllers] [--work DIR]     starts one, prints KUBECONFIG=..., waits

    with Cluster(bin_dir) as c:
        c.kubeconfig("controller")         path of a kubeconfig for one of USERS
        c.kubectl("get", "pods")           kubectl as admin; raises Failed with its words
        c.get("/api/v1/namespaces")        one request over HTTP; raises Refused with code and message
        c.apply(obj), c.patch(path, ...)   server-side apply and the other patches
        m = c.mark(); ...; c.requests("controller", m)    what that user asked since, from the audit log
        c.kill_apiserver(); c.start_apiserver()           a crash and the way back, same port, same data

Authorisation is RBAC; who may do what by itself is in USERS. The audit log has one row per request of
those users, so a test can count what a controller costs. Needs Python 3.9 and openssl, nothing else.
"""
import argparse
import base64
import ctypes
import dataclasses
import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))

MASTERS = "system:masters"
SERVICE_ACCOUNTS = "system:serviceaccounts"

# alias -> (user name, groups). Those outside system:masters have what a test binds to them and no
# more; the last two are the service accounts that the manifests under deploy/ bind their roles to.
USERS = {
    "admin": ("admin", [MASTERS]),
    "controller": ("controller", [MASTERS]),
    "rival": ("rival", [MASTERS]),
    "third": ("third", [MASTERS]),
    "manager": ("manager", [MASTERS]),  # kube-controller-manager
    "nobody": ("nobody", []),
    "standalone": ("system:serviceaccount:kro-system:kroc", [SERVICE_ACCOUNTS, SERVICE_ACCOUNTS + ":kro-system"]),
    "sidecar": ("system:serviceaccount:kroc-sidecar:kroc", [SERVICE_ACCOUNTS, SERVICE_ACCOUNTS + ":kroc-sidecar"]),
}
AUDITED = [name for alias, (name, _) in USERS.items() if alias not in ("admin", "manager")]

# What a workload needs to come into being without nodes, and what cleans up.
CONTROLLERS = ("garbagecollector,namespace,deployment,replicaset,daemonset,statefulset,job,cronjob,"
               "endpoint,endpointslice,serviceaccount")

SSA = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

START_TIMEOUT_S = 120  # the API server needs 3 s when it has a core for itself
STOP_TIMEOUT_S = 8
AUDIT_LAG_S = 0.3  # a row is written when its response is out: this is how long we let it take
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A program ended badly, or something awaited did not come; the text says what was seen instead."""


class Ended(Exception):
    """A program that should run has ended: nothing to wait for any more."""


class Refused(Failed):
    """The API server answered with an error."""

    def __init__(self, method, path, code, body):
        self.code, self.body = code, body
        self.reason = body.get("reason", "") if isinstance(body, dict) else ""
        message = body.get("message", body) if isinstance(body, dict) else body
        super().__init__(f"{method} {path}: {code} {message}")


@dataclasses.dataclass(frozen=True)
class Request:
    """One row of the audit log."""

    verb: str
    path: str  # with the query
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    agent: str
    at: str  # when it came in, to the microsecond: sorts as text

    @property
    def writes(self):
        return self.verb in ("create", "update", "patch", "delete", "deletecollection")

    @property
    def status(self):
        return self.subresource == "status"

    def __str__(self):
        what = self.resource + ("/" + self.subresource if self.subresource else "")
        where = "/".join(x for x in (self.namespace, self.name) if x)
        return f"{self.verb:6} {what} {where} -> {self.code}"


_ports = []  # taken by this process: an abstract socket each, which another process that asks cannot bind


def free_port():
    """A port that nobody listens on, for us alone: below those that the kernel gives to clients, and not one that
    another process has been told. Two control planes start at the same time."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        below = max(int(f.read().split()[0]), 12000)
    for port in random.sample(range(10000, below), 100):
        mine = socket.socket(socket.AF_UNIX)
        try:
            mine.bind(f"\0kroc-test-port-{port}")
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            mine.close()
            continue
        _ports.append(mine)
        return port
    raise Failed("no free port on 127.0.0.1")


def die_with_parent():
    """In the child, between fork and exec: the kernel kills it when its parent goes, however it goes."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def spawn(argv, log, **more):
    """Starts a program that dies with us and whose output goes to the file `log`. Call it from the
    main thread: the kernel's signal follows the thread, not the process."""
    with open(log, "ab") as out:
        return subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
                                preexec_fn=die_with_parent, **more)


def end(process, kill=False):
    """Ends a child, by force if it does not listen; returns its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def janitor(folder):
    """A child that outlives us by a moment and removes the folder, for the case that we are killed."""
    return subprocess.Popen(["/bin/sh", "-c", 'read -r _; [ ! -e "$0" ] || { sleep 1; rm -rf "$0"; }', folder],
                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            start_new_session=True)


def tail(path, lines=12):
    try:
        with open(path, errors="replace") as f:
            return "".join(f.readlines()[-lines:]).rstrip() or "(no output)"
    except OSError as e:
        return f"(no log: {e})"


def wait_for(what, check, timeout=30, every=0.05):
    """Calls `check` until it returns something true, and returns that. A Failed it raises is its reason
    to wait on, and is what the caller reads when time is over."""
    deadline = time.monotonic() + timeout
    while True:
        reason = ""
        try:
            value = check()
            if value:
                return value
        except Failed as e:
            reason = f": {e}"
        if time.monotonic() >= deadline:
            raise Failed(f"{what}: not within {timeout} s{reason}")
        time.sleep(every)


def bin_folder(given=None):
    """Where the programs are: as given, from KROC_CLUSTER_BIN, or where build.sh has put them."""
    if given:
        return given
    done = subprocess.run([os.path.join(HERE, "build.sh"), "--where"], capture_output=True, text=True)
    where = done.stdout.strip()
    if done.returncode != 0:
        raise Failed(f"no control plane in {where or 'the cache'}; build it with tests/cluster/build.sh")
    return where


class Cluster:
    """See the head of the file. `controllers` is True for CONTROLLERS, or a list as text; `state` is an
    archive with the data folder of an etcd, `etcd/`, to begin with."""

    def __init__(self, bin_dir=None, controllers=None, work=None, apiserver_args=(), state=None):
        self.bin = os.path.abspath(bin_folder(bin_dir))
        self.controllers = CONTROLLERS if controllers is True else controllers
        self.own_work = work is None
        self.work = None if work is None else os.path.abspath(work)
        self.apiserver_args = list(apiserver_args)
        self.state = state
        self.processes = {}
        self._mapping = {}
        self._context = None

    # --- life ----------------------------------------------------------------

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    def start(self):
        for name in ("etcd", "kube-apiserver") + (("kube-controller-manager",) if self.controllers else ()):
            if not os.access(os.path.join(self.bin, name), os.X_OK):
                raise Failed(f"{name} is not in {self.bin}; build it with tests/cluster/build.sh")
        if self.own_work:
            self.work = tempfile.mkdtemp(prefix="kroc-cluster-")
            self._janitor = janitor(self.work)
        os.makedirs(self.work, exist_ok=True)
        if self.state:
            shutil.unpack_archive(self.state, self.work)
        self._secrets()
        self._start_etcd()
        self.port = free_port()
        self.start_apiserver()
        if self.controllers:
            self._start_manager()
        return self

    def stop(self):
        for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
            process = self.processes.pop(name, None)
            if process:
                # Nothing here is worth a clean end: the data goes with the folder.
                end(process, kill=self.own_work)
        if self.own_work and self.work:
            shutil.rmtree(self.work, ignore_errors=True)
            self._janitor.stdin.close()
            self._janitor.wait()

    def start_apiserver(self):
        if "kube-apiserver" in self.processes:
            raise Failed("the API server is running")
        self._spawn("kube-apiserver", [
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}", "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1", f"--secure-port={self.port}", f"--cert-dir={self.path('certs')}",
            "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.path('sa.key')}",
            f"--service-account-signing-key-file={self.path('sa.key')}",
            "--authorization-mode=RBAC", f"--token-auth-file={self.path('tokens.csv')}",
            # Pods are accepted without their service account's token: no node will run them.
            "--disable-admission-plugins=ServiceAccount", "--allow-privileged",
            f"--audit-policy-file={self.path('audit.json')}", f"--audit-log-path={self.path('audit.log')}",
            "--audit-log-mode=blocking", "--audit-log-maxsize=4000",
            "--max-requests-inflight=4000", "--max-mutating-requests-inflight=2000",
            *self.apiserver_args])
        self._await_ready()

    def kill_apiserver(self):
        """As a crash would: no goodbye to anyone."""
        end(self.processes.pop("kube-apiserver"), kill=True)

    def _start_etcd(self):
        self.etcd_port = free_port()
        self._spawn("etcd", [
            f"--data-dir={self.path('etcd')}", "--unsafe-no-fsync", "--log-level=error",
            f"--listen-client-urls=http://127.0.0.1:{self.etcd_port}",
            f"--advertise-client-urls=http://127.0.0.1:{self.etcd_port}",
            f"--listen-peer-urls=http://127.0.0.1:{free_port()}"])

    def _start_manager(self):
        self._spawn("kube-controller-manager", [
            f"--kubeconfig={self.kubeconfig('manager')}", f"--controllers={self.controllers}",
            "--leader-elect=false", f"--service-account-private-key-file={self.path('sa.key')}",
            "--use-service-account-credentials=false", "--bind-address=127.0.0.1", f"--secure-port={free_port()}",
            f"--cert-dir={self.path('manager-certs')}", "--kube-api-qps=500", "--kube-api-burst=1000"])

    def _spawn(self, name, args):
        self.processes[name] = spawn([os.path.join(self.bin, name), *args], self.path(name + ".log"))

    def _await_ready(self):
        def ready():
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise Ended(f"{name} ended with code {process.returncode}; its last lines:\n"
                                + tail(self.path(name + ".log")))
            if not os.path.exists(self.path("certs/apiserver.crt")):
                return False
            return self.call("GET", "/readyz", timeout=3)[0] == 200

        try:
            wait_for("the API server is ready", ready, START_TIMEOUT_S, every=0.1)
        except Ended as e:
            raise Failed(str(e)) from None

    def _secrets(self):
        if not os.path.exists(self.path("sa.key")):
            try:
                subprocess.run(["openssl", "genrsa", "-out", self.path("sa.key"), "2048"], check=True,
                               capture_output=True)
            except FileNotFoundError:
                raise Failed("openssl is not installed (package openssl)") from None
        with open(self.path("tokens.csv"), "w") as f:
            for alias, (name, groups) in USERS.items():
                f.write(f'{self.token(alias)},{name},{alias},"{",".join(groups)}"\n')
        with open(self.path("audit.json"), "w") as f:
            json.dump({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
                       "rules": [{"level": "Metadata", "users": AUDITED}, {"level": "None"}]}, f)

    # --- access --------------------------------------------------------------

    def path(self, name):
        return os.path.join(self.work, name)

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    @staticmethod
    def token(alias):
        return f"token-of-{alias}"

    def kubeconfig(self, alias="admin", namespace="default"):
        """Writes a kubeconfig for the user and returns its path. It is JSON, which is YAML as well."""
        name = alias if namespace == "default" else f"{alias}-{namespace}"
        path = self.path(name + ".kubeconfig")
        with open(self.path("certs/apiserver.crt"), "rb") as f:
            ca = base64.b64encode(f.read()).decode()
        with open(path, "w") as f:
            json.dump({
                "apiVersion": "v1", "kind": "Config", "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": self.url, "certificate-authority-data": ca}}],
                "users": [{"name": alias, "user": {"token": self.token(alias)}}],
                "contexts": [{"name": "test",
                              "context": {"cluster": "test", "user": alias, "namespace": namespace}}],
            }, f, indent=1)
        return path

    def kubectl(self, *args, user="admin", stdin=None, check=True):
        """Runs kubectl and returns what it printed; with check=False the finished process instead."""
        done = subprocess.run(
            [os.path.join(self.bin, "kubectl"), "--kubeconfig", self.kubeconfig(user), *args], input=stdin, text=True,
            capture_output=True, timeout=120,
            env={**os.environ, "HOME": self.work, "KUBECACHEDIR": self.path("kubectl-cache")})
        if not check:
            return done
        if done.returncode != 0:
            raise Failed(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def call(self, method, path, body=None, user="admin", content_type="application/json", timeout=30):
        """One request. Returns (code, parsed body, or text where it is no JSON); a server that cannot be
        reached has the code 0."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers={
            "Authorization": f"Bearer {self.token(user)}", "Content-Type": content_type, "Accept": "application/json"})
        try:
            with urllib.request.urlopen(request, context=self._tls(), timeout=timeout) as answer:
                raw, code = answer.read(), answer.status
        except urllib.error.HTTPError as e:
            raw, code = e.read(), e.code
        except (OSError, http.client.HTTPException) as e:
            return 0, str(e)
        try:
            return code, json.loads(raw)
        except ValueError:
            return code, raw.decode(errors="replace")

    def ask(self, method, path, body=None, **more):
        """As call, but an error is raised and the body alone is returned."""
        code, answer = self.call(method, path, body, **more)
        if not 200 <= code < 300:
            raise Refused(method, path, code, answer)
        return answer

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def find(self, path, **more):
        """The object, or None where there is none."""
        code, answer = self.call("GET", path, **more)
        if code == 404:
            return None
        if code != 200:
            raise Refused("GET", path, code, answer)
        return answer

    def delete(self, path, **more):
        return self.ask("DELETE", path, **more)

    def patch(self, path, body, content_type=MERGE, manager="test", **more):
        return self.ask("PATCH", f"{path}?fieldManager={manager}", body, content_type=content_type, **more)

    def apply(self, obj, manager="test", **more):
        """Server-side apply, by force."""
        return self.ask("PATCH", f"{self.path_of(obj)}?fieldManager={manager}&force=true", obj, content_type=SSA, **more)

    def path_of(self, obj):
        """The path of an object given as a dict with apiVersion, kind and metadata."""
        root, resource = self._resource(obj["apiVersion"], obj["kind"])
        meta = obj["metadata"]
        namespace = f"namespaces/{meta.get('namespace', 'default')}/" if resource["namespaced"] else ""
        return f"{root}/{namespace}{resource['name']}/{urllib.parse.quote(meta['name'])}"

    def _resource(self, version, kind):
        if (version, kind) not in self._mapping:
            root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
            for r in self.get(root)["resources"]:
                if "/" not in r["name"]:
                    self._mapping[version, r["kind"]] = (root, r)
        if (version, kind) not in self._mapping:
            raise Failed(f"the server has no kind {kind} in {version}")
        return self._mapping[version, kind]

    def _tls(self):
        if self._context is None:
            self._context = ssl.create_default_context(cafile=self.path("certs/apiserver.crt"))
        return self._context

    # --- the audit log -------------------------------------------------------

    def mark(self):
        """A place in the audit log, for requests()."""
        time.sleep(AUDIT_LAG_S)
        return os.path.getsize(self.path("audit.log"))

    def requests(self, alias="controller", since=0):
        """What the user asked after the mark, in the order of arrival: [Request]. A watch counts when it
        begins, not again when it ends."""
        time.sleep(AUDIT_LAG_S)
        name, rows, begun = USERS[alias][0], [], set()
        with open(self.path("audit.log"), "rb") as f:
            f.seek(since)
            for line in f:
                if not line.endswith(b"\n"):
                    break
                e = json.loads(line)
                if e["user"].get("username") != name:
                    continue
                if e["verb"] == "watch":
                    if e["stage"] == "ResponseComplete" and self._began_earlier(e, begun):
                        continue
                    begun.add(e["auditID"])
                elif e["stage"] != "ResponseComplete":
                    continue
                rows.append(self._row(e))
        return sorted(rows, key=lambda r: r.at)

    def settled(self, alias="controller", since=0, quiet=1.0, timeout=30):
        """As requests(), once the user has asked nothing for `quiet` seconds."""
        deadline = time.monotonic() + timeout
        rows, since_when = self.requests(alias, since), time.monotonic()
        while time.monotonic() < since_when + quiet:
            if time.monotonic() > deadline:
                raise Failed(f"{alias} does not come to rest: {len(rows)} requests, the last: {rows[-1]}")
            time.sleep(0.1)
            now = self.requests(alias, since)
            if len(now) != len(rows):
                rows, since_when = now, time.monotonic()
        return rows

    @staticmethod
    def _began_earlier(e, begun):
        # Its beginning lies before the mark, or was counted: the end of a watch that never began (refused
        # before the first byte) is the only one to count.
        return e["auditID"] in begun or e.get("responseStatus", {}).get("code", 0) == 200

    @staticmethod
    def _row(e):
        o = e.get("objectRef", {})
        return Request(e["verb"], e["requestURI"], o.get("resource", ""), o.get("subresource", ""),
                       o.get("namespace", ""), o.get("name", ""), e.get("responseStatus", {}).get("code", 0),
                       e.get("userAgent", ""), e["requestReceivedTimestamp"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", help="folder with the programs; else KROC_CLUSTER_BIN or what build.sh made")
    parser.add_argument("--controllers", action="store_true", help="start kube-controller-manager too")
    parser.add_argument("--work", help="keep the data in this folder")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with Cluster(args.bin, args.controllers, args.work) as c:
            print(f"KUBECONFIG={c.kubeconfig()}", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        return 0
    except Failed as e:
        print(f"cluster.py: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
