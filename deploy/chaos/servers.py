"""A PostgreSQL and a Redis of a run's own, that are restarted and emptied while the system works.

Both are started by deploy/test/services.sh, durable as in production: what PostgreSQL has acknowledged must survive its
immediate restart.
"""

import glob
import os
import pwd
import signal
import socket
import subprocess
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
SERVICES = os.path.join(ROOT, "deploy/test/services.sh")


def wait_for(what, look, seconds=60.0):
    """Looks until there is something; answers it."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(0.05)


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Servers:
    """The two servers, in a folder."""

    def __init__(self, folder):
        self.folder = folder
        environment = dict(os.environ, OLAKE_TEST_DURABLE="1")
        subprocess.run([SERVICES, "up", folder], env=environment, stdout=subprocess.DEVNULL, check=True)
        self.postgres_port = int(self._read("postgres.port"))
        self.redis_port = int(self._read("redis.port"))
        self.data = self._read("postgres.data")

    def _read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            return file.readline().strip()

    def stop(self):
        subprocess.run([SERVICES, "down", self.folder], check=False)

    def restart_postgres(self):
        """As after a crash: every connection is cut, what was not committed is gone."""
        self._postgres("pg_ctl", "restart", "--pgdata", self.data, "--mode", "immediate", "--wait", "--timeout", "60",
                       "--silent", "--log", os.path.join(self.data, "server.log"))
        # services.sh looks for the new process when it stops it.
        pid = self._postgres("head", "-n", "1", os.path.join(self.data, "postmaster.pid")).strip()
        with open(os.path.join(self.folder, "postgres.pid"), "w", encoding="utf-8") as file:
            file.write(pid + "\n")

    def query(self, sql, database="postgres"):
        """The rows of a query, as lists of texts."""
        separator = "\x1f"
        address = f"postgres://olake@127.0.0.1:{self.postgres_port}/{database}"
        printed = self._postgres("psql", "-X", "-A", "-t", "-F", separator, "-d", address, "-c", sql)
        return [line.split(separator) for line in printed.splitlines() if line]

    def _postgres(self, program, *arguments):
        """Runs one of PostgreSQL's programs as the user that it may run as."""
        folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        path = os.path.join(folders[-1], program) if folders else program
        command = [path if os.path.exists(path) else program, *arguments]
        if os.geteuid() == 0:
            try:
                user = pwd.getpwnam("postgres").pw_name
            except KeyError:
                user = "nobody"
            command = ["runuser", "-u", user, "--", *command]
        # The server that pg_ctl starts keeps what it inherits: a pipe would never end.
        output = subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE
        ran = subprocess.run(command, cwd="/", stdout=output, stderr=subprocess.DEVNULL, text=True, check=True)
        return ran.stdout or ""

    def flush_redis(self):
        with socket.create_connection(("127.0.0.1", self.redis_port), timeout=5) as stream:
            stream.sendall(b"FLUSHALL\r\n")
            answer = stream.recv(64)
        if not answer.startswith(b"+OK"):
            raise RuntimeError(f"Redis did not forget: {answer!r}")

    def restart_redis(self, away):
        """Kills it, and starts it again after a while (seconds), empty."""
        pid = int(self._read("redis.pid"))
        os.kill(pid, signal.SIGKILL)
        wait_for("Redis to be dead", lambda: not can_connect(self.redis_port))
        time.sleep(away)
        subprocess.run(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.redis_port), "--save", "", "--appendonly", "no",
             "--daemonize", "yes", "--dir", self.folder, "--pidfile", os.path.join(self.folder, "redis.pid"),
             "--logfile", os.path.join(self.folder, "redis.log")],
            stdout=subprocess.DEVNULL, check=True)
        wait_for("Redis to be back", lambda: can_connect(self.redis_port))
