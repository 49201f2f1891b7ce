# SPDX-License-Identifier: Apache-2.0
"""The program under test, as a process: `kroc controller` started, watched, killed, its log read."""
import os
import subprocess
import urllib.error
import urllib.request

from cluster import Failed, end, free_port, spawn, tail, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DEFAULT_KROC = os.path.join(ROOT, "build", "release", "kroc")


def program(path):
    """The path of a kroc that can be run, or Failed with what to do about it."""
    path = os.path.abspath(path or DEFAULT_KROC)
    if not os.access(path, os.X_OK):
        raise Failed(f"{path} is not there; build it with: make")
    return path


class Controller:
    """One `kroc controller`. Its log is one file over all its starts."""

    def __init__(self, kroc, cluster, alias="controller", args=(), name="kroc", kubeconfig=None):
        self.kroc, self.cluster, self.alias = program(kroc), cluster, alias
        self.args = list(args)
        self.given_kubeconfig = kubeconfig
        self.name = name
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop(check=False)

    @property
    def log_path(self):
        return self.cluster.path(self.name + ".log")

    def start(self, ready=True):
        self.health_port, self.debug_port = free_port(), free_port()  # a flag in args wins: it comes last
        self.process = spawn([
            self.kroc, "controller", "--kubeconfig", self.given_kubeconfig or self.cluster.kubeconfig(self.alias),
            "--metrics-bind-address", "0", "--health-probe-bind-address", f"127.0.0.1:{self.health_port}",
            "--debug-bind-address", f"127.0.0.1:{self.debug_port}", *self.args], self.log_path, env=self._environment())
        if ready:
            wait_for("the controller answers on /readyz", self.is_ready, 30)
        return self

    def is_ready(self):
        self.must_run()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/readyz", timeout=2) as answer:
                return answer.status == 200
        except urllib.error.HTTPError as e:
            raise Failed(f"/readyz answers {e.code}: {e.read().decode(errors='replace').strip()}") from None
        except OSError as e:
            raise Failed(f"/readyz: {e}") from None

    def page(self, path):
        """A page of its health address, as text."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=5) as answer:
            return answer.read().decode()

    def must_run(self):
        code = self.process.poll()
        if code is not None:
            how = f"by signal {-code}" if code < 0 else f"with code {code}"
            raise Died(f"the controller ended {how}; its last lines ({self.log_path}):\n{tail(self.log_path)}")

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        end(self.process, kill=True)

    def stop(self, check=True):
        """Asks it to end (SIGTERM). With check, a bad exit code is a failure: a clean end is part of the contract."""
        if self.process is None:
            return
        code = end(self.process)
        if check and code != 0:
            raise Failed(f"the controller ended with code {code} on SIGTERM; its last lines:\n{tail(self.log_path)}")

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    @staticmethod
    def _environment():
        # Nothing of the caller's may reach it: neither a kubeconfig nor a proxy.
        drop = ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
        return {k: v for k, v in os.environ.items() if k not in drop}


class Died(Exception):
    """Not a Failed: waiting on cannot help."""


def run(kroc, *args, timeout=60):
    """Runs another subcommand of kroc to its end."""
    return subprocess.run([program(kroc), *args], capture_output=True, text=True, timeout=timeout,
                          env=Controller._environment())
