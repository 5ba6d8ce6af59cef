"""The internal port over TLS, with an authority of the installation's own."""

import os
import subprocess

import jobs
from chart import CONNECTORS, NAMESPACE, RELEASE
from jobs import ROWS, Job
from scenario import equal, expect, scenario

SERVICE = f"{RELEASE}-worker-internal.{NAMESPACE}.svc"
CERTIFICATE, AUTHORITY = "olake-e2e-internal", "olake-e2e-authority"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1")


def certificates(folder):
    """Makes an authority, and a certificate of it for the Service; answers the files of the authority, certificate and key."""
    authority, authority_key, certificate, key = (
        os.path.join(folder, f"internal-{name}") for name in ("ca.crt", "ca.key", "tls.crt", "tls.key"))
    openssl("req", "-x509", *KEY, "-subj", "/CN=olake e2e", "-keyout", authority_key, "-out", authority)
    openssl("req", "-x509", *KEY, "-CA", authority, "-CAkey", authority_key, "-subj", "/CN=workers", "-addext",
            f"subjectAltName=DNS:{SERVICE}", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate)
    return authority, certificate, key


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@scenario(ci=True)
def agents_push_over_tls_and_trust_the_authority_that_they_are_given(world):
    authority, certificate, key = certificates(world.folder)
    world.kubectl.run("create", "secret", "tls", CERTIFICATE, "--namespace", NAMESPACE, "--cert", certificate, "--key", key)
    try:
        world.kubectl.run("create", "secret", "generic", AUTHORITY, "--namespace", CONNECTORS, f"--from-file=ca.crt={authority}")
        with world.installed_with(f'worker.internal.tls={{"secretName": "{CERTIFICATE}", "caSecretName": "{AUTHORITY}"}}'):
            expect_pushes_over_tls(world)
    finally:
        world.kubectl.delete("secret", AUTHORITY, CONNECTORS)
        world.kubectl.delete("secret", CERTIFICATE, NAMESPACE)
    task = Job(world, "plain again").sync()
    task.wait_for_end()
    equal(variables(task.pods()[0])["OLAKE_INTERNAL_URL"], f"http://{SERVICE}:8082", "where its agent pushes to")


def expect_pushes_over_tls(world):
    tested = world.client.post("/sources/test", jobs.source())
    equal(tested["connection_result"]["status"], "SUCCEEDED", f"the test of the source ({tested['connection_result']})")
    job = Job(world, "encrypted", {"log_lines": 500})
    task = job.sync()
    equal(task.wait_for_end()["records_read"], ROWS, "rows")
    task.expect_every_line_once(500)
    expect_trusts(task.pods()[0])
    job.expect_next_sync_goes_on()


def expect_trusts(pod):
    equal(variables(pod)["OLAKE_INTERNAL_URL"], f"https://{SERVICE}:8082", "where its agent pushes to")
    volume = next(one for one in pod.first["spec"]["volumes"] if one.get("secret", {}).get("secretName") == AUTHORITY)
    mounts = {container["name"]: [mount["name"] for mount in container["volumeMounts"]]
              for container in (agent(pod), pod.connector)}
    expect(volume["name"] in mounts["agent"] and volume["name"] not in mounts["connector"], f"who has the authority: {mounts}")


def variables(pod):
    """Those of its agent that have a value of their own."""
    return {one["name"]: one.get("value") for one in agent(pod)["env"]}


def agent(pod):
    return next(container for container in pod.first["spec"]["initContainers"] if container["name"] == "agent")
