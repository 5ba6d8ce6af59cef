"""One API and several workers with a data folder, as processes that are killed, stopped and paused."""

import http.client
import json
import os
import signal
import subprocess

from servers import wait_for

PROJECT = "/api/v1/project/123"
USER, PASSWORD = "chaos", "a password for chaos only"
LEASE, RECONCILE = 3, 1
WORKERS, PLACES = 3, 8
# More than this never run at once: with one worker away there is a place for each, and one more.
ACTIVE = (WORKERS - 1) * PLACES - 2


class Process:
    """A program, its log, and how it is started."""

    def __init__(self, name, command, environment, log):
        self.name, self.command, self.environment, self.log = name, command, environment, log
        self.child = None

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def pid(self):
        return self.child.pid

    def lives(self):
        return self.child is not None and self.child.poll() is None

    def send(self, number):
        if self.lives():
            self.child.send_signal(number)

    def end(self, number=signal.SIGTERM, seconds=90):
        self.send(number)
        self.child.wait(seconds)


class Refused(Exception):
    """The API did not acknowledge: it is away, or answered an error."""


class Client:
    """Calls the API. Safe to use from several threads."""

    def __init__(self, port):
        self.port, self.token = port, None

    def call(self, method, path, body=None, seconds=10):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise Refused(f"{method} {path}: {answer.status} {text[:300]!r}")
            return json.loads(text)["data"]
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Refused(f"{method} {path}: {error}") from error
        finally:
            connection.close()

    def login(self):
        self.token = self.call("POST", "/login", {"username": USER, "password": PASSWORD})["token"]

    def is_ready(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3)
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


class System:
    """Everything of ours. `programs` is the folder of the built programs."""

    def __init__(self, folder, programs, postgres, redis, direct_postgres, port, extra):
        self.folder = folder
        self.data = os.path.join(folder, "system")
        os.makedirs(self.data, exist_ok=True)
        connectors = os.path.join(folder, "connectors.toml")
        sample = json.dumps(os.path.join(programs, "sample-connector"))
        with open(connectors, "w", encoding="utf-8") as file:
            file.write(f'[[connector]]\ntype = "files"\nversions = ["v0.9.4"]\ncommand = [{sample}]\n'
                       'destinations = ["parquet"]\n')
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "OLAKE_DATA_DIR": self.data,
            "OLAKE_CONNECTORS": connectors,
            "OLAKE_DATABASE_URL": f"postgres://olake@127.0.0.1:{postgres}/postgres",
            "OLAKE_DATABASE_MAX_CONNECTIONS": "8",
            "OLAKE_REDIS_URL": f"redis://127.0.0.1:{redis}/0",
            "OLAKE_MASTER_KEY": "a master key for chaos only",
            "OLAKE_ADMIN_USERNAME": USER,
            "OLAKE_ADMIN_PASSWORD": PASSWORD,
            "OLAKE_WORKER_LISTEN": "localhost:0",
            "OLAKE_WORKER_LEASE_SECONDS": str(LEASE),
            "OLAKE_WORKER_RECONCILE_SECONDS": str(RECONCILE),
            "OLAKE_WORKER_PLACES_SYNC": str(PLACES),
            "OLAKE_WORKER_KILL_GRACE_SECONDS": "5",
            **extra,
        }
        direct = dict(environment, OLAKE_DATABASE_URL=f"postgres://olake@127.0.0.1:{direct_postgres}/postgres")
        subprocess.run([os.path.join(programs, "olake-api"), "migrate"], env=direct, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        log = lambda name: os.path.join(folder, f"{name}.log")
        self.api = Process("api", [os.path.join(programs, "olake-api"), "serve", "--listen", f"localhost:{port}"],
                           environment, log("api"))
        self.workers = [
            Process(f"worker-{number}", [os.path.join(programs, "olake-worker"), "run"], environment,
                    log(f"worker-{number}"))
            for number in range(1, WORKERS + 1)
        ]
        self.client = Client(port)

    def start(self):
        for process in [self.api, *self.workers]:
            process.start()
        wait_for("the API to be ready", self.client.is_ready)
        self.client.login()
        wait_for("all workers to work", lambda: all(
            "worker started" in open(worker.log, encoding="utf-8", errors="replace").read()
            for worker in self.workers))

    def heal(self):
        """Nothing is paused, nothing is dead."""
        for process in [self.api, *self.workers]:
            if process.lives():
                process.send(signal.SIGCONT)
            else:
                process.start()

    def stop(self):
        for process in [*self.workers, self.api]:
            process.send(signal.SIGCONT)
            process.send(signal.SIGTERM)
        for process in [*self.workers, self.api]:
            try:
                process.child.wait(90)
            except subprocess.TimeoutExpired:
                process.end(signal.SIGKILL)

    def attempts_left(self):
        """Files of attempts, on disk and in memory."""
        stat = os.stat(self.data)
        memory = f"/dev/shm/olake-{os.geteuid()}-{stat.st_dev:x}-{stat.st_ino:x}"
        places = [os.path.join(self.data, "attempts"), os.path.join(self.data, "inputs"), memory]
        return [os.path.join(place, name) for place in places if os.path.isdir(place) for name in os.listdir(place)]

    def remove_memory(self):
        stat = os.stat(self.data)
        memory = f"/dev/shm/olake-{os.geteuid()}-{stat.st_dev:x}-{stat.st_ino:x}"
        subprocess.run(["rm", "-rf", memory], check=False)

    def processes_left(self):
        """Pids of processes that have a file of the folder open, or name it in an argument; not our own children."""
        own = {os.getpid(), *(process.pid for process in [self.api, *self.workers] if process.lives())}
        return [pid for pid in living() if pid not in own and self._belongs(pid)]

    def _belongs(self, pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read()
            if b"supervise" not in words and b"sample-connector" not in words:
                return False
            if self.data.encode() in words:
                return True
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            return any(link.startswith(self.data) for link in links)
        except OSError:
            return False


def living():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def parents():
    """The parent of each living process."""
    found = {}
    for pid in living():
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                found[pid] = int(file.read().rpartition(") ")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
    return found


def descends(pid, ancestor, parent_of):
    while pid in parent_of:
        pid = parent_of[pid]
        if pid == ancestor:
            return True
    return False
