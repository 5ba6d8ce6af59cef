"""When things happened, from those who know: the database's times of commits, the API server's log, the container
runtime's log, the kernel. All on one machine, so by one clock. Times are seconds since 1970.
"""

import glob
import json
import os
import select
import subprocess
import time
from datetime import datetime

TRIGGERS = """
CREATE TABLE IF NOT EXISTS bench_seen (
    id BIGINT GENERATED ALWAYS AS IDENTITY, what TEXT, task UUID, content TEXT, xid xid8 DEFAULT pg_current_xact_id());
CREATE OR REPLACE FUNCTION bench_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'job_states' THEN
        INSERT INTO bench_seen (what, task, content) VALUES ('state', NEW.task_id, NEW.state);
    ELSIF TG_TABLE_NAME = 'task_attempts' THEN
        INSERT INTO bench_seen (what, task) VALUES ('record', NEW.task_id);
    ELSE
        INSERT INTO bench_seen (what, task, content) VALUES ('status', NEW.id, NEW.status);
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER bench_states AFTER INSERT OR UPDATE ON job_states FOR EACH ROW EXECUTE FUNCTION bench_note();
CREATE OR REPLACE TRIGGER bench_records AFTER UPDATE ON task_attempts FOR EACH ROW
    WHEN (OLD.final_record IS NULL AND NEW.final_record IS NOT NULL) EXECUTE FUNCTION bench_note();
CREATE OR REPLACE TRIGGER bench_statuses AFTER UPDATE ON tasks FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION bench_note();
"""


class Database:
    """What was committed when, of states, final records and statuses: noted by triggers within each transaction."""

    def __init__(self, url):
        self.url = url
        self.sql(TRIGGERS)

    def sql(self, text):
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.url], input=text,
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def of_task(self, task, what):
        """[(time of the commit, content)], in order."""
        found = self.sql(f"""
            SELECT json_build_array(extract(epoch FROM pg_xact_commit_timestamp(xid::xid)), content) FROM bench_seen
            WHERE task = '{task}' AND what = '{what}' ORDER BY id;""")
        return [tuple(json.loads(line)) for line in found.splitlines()]

    def commit_ms(self):
        """The median of a small commit here, in ms."""
        found = self.sql("""
            CREATE UNLOGGED TABLE IF NOT EXISTS bench_times (ms DOUBLE PRECISION);
            CREATE TABLE IF NOT EXISTS bench_small (v TEXT);
            DO $$ DECLARE begun TIMESTAMPTZ; BEGIN
                FOR i IN 1..100 LOOP
                    begun := clock_timestamp();
                    INSERT INTO bench_small VALUES ('x');
                    COMMIT;
                    INSERT INTO bench_times VALUES (extract(epoch FROM clock_timestamp() - begun) * 1000);
                    COMMIT;
                END LOOP;
            END $$;
            SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FROM bench_times;""")
        return float(found)


class AuditLog:
    """When the API server received the request that made a pod."""

    def __init__(self, data):
        self.path = os.path.join(data, "log/audit.log")

    def pods_made(self):
        """A pod's name: the time."""
        found = {}
        with open(self.path, encoding="utf-8") as file:
            for line in file:
                if '"verb":"create"' not in line or '"resource":"pods"' not in line:
                    continue
                event = json.loads(line)
                about = event["objectRef"]
                if event["stage"] == "ResponseComplete" and event["responseStatus"]["code"] == 201 and "subresource" not in about:
                    found[about["name"]] = seconds(event["requestReceivedTimestamp"])
        return found


def first_line_at(data, pod, container="connector"):
    """When the container runtime read the first thing that a container printed; None before that."""
    meta = pod["metadata"]
    pattern = f"{data}/pod-logs/{meta['namespace']}_{meta['name']}_{meta['uid']}/{container}/*.log"
    for path in glob.glob(pattern):
        with open(path, encoding="utf-8", errors="replace") as file:
            line = file.readline()
        if line.endswith("\n"):
            return seconds(line.split(" ", 1)[0])
    return None


def container_made_at(data, pod, container="connector"):
    """When the kubelet told the container runtime to make a container of the pod of this name."""
    sandbox = None
    with open(f"{data}/log/containerd.log", encoding="utf-8", errors="replace") as file:
        for line in file:
            if f"{{Name:{pod}," in line and "returns sandbox id" in line:
                sandbox = line.rpartition("sandbox id")[2].strip(' "\\\n')
            elif sandbox and sandbox in line and f"for container &ContainerMetadata{{Name:{container}," in line:
                return seconds(line.split('"', 2)[1])
    return None


def seconds(text):
    """Of a time as Kubernetes writes it, with up to nine digits after the second."""
    whole, _, rest = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float(f"0.{rest or 0}")


def exit_of(pid, limit):
    """Waits for the end of a process, and answers its time."""
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        return time.time() if poll.poll(limit * 1000) else None
    finally:
        os.close(end)


def memory(pid):
    """Resident memory of a process now and at most, in MB."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        fields = dict(line.split(":", 1) for line in file)
    return tuple(int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))


def processor_seconds(pid):
    """How long a process has computed, its children not counted."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
