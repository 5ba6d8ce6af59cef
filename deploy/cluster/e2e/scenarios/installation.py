"""Upgrades and uninstalls. These run last."""

import base64

from chart import CONNECTORS, NAMESPACE, RELEASE, objection
from jobs import Job
from scenario import equal, expect, scenario, until

MASTER_KEY = f"{RELEASE}-master-key"


def master_key(world):
    secret = world.kubectl.get("secret", MASTER_KEY, NAMESPACE)
    return base64.b64decode(secret["data"]["master-key"])


def left(world):
    """What is there of the release, as Kubernetes names it."""
    return world.kubectl.run("get", "all,configmaps,secrets,serviceaccounts,roles,rolebindings", "--namespace", NAMESPACE,
                             "--selector", f"app.kubernetes.io/instance={RELEASE}", "--output", "name").split()


def expect_no_connectors_namespace(world):
    expect(world.kubectl.run("get", "namespace", CONNECTORS, "--ignore-not-found").strip() == "",
           "the connectors' namespace is left")


@scenario(ci=True)
def an_upgrade_keeps_the_master_key(world):
    before = master_key(world)
    expect(len(base64.b64decode(before)) == 32, "the master key is not of 32 bytes")
    job = Job(world, "upgraded", {"expected_password": "a secret"}, password="a secret")
    world.chart.upgrade('worker.podAnnotations={"upgraded":"yes"}')
    world.wait_for_workers()
    equal(master_key(world), before, "the master key")
    # The connector gets the password that was sealed before.
    job.sync().wait_for_end()


@scenario(ci=True)
def a_master_key_that_is_rendered_without_a_look_at_the_first_is_refused(world):
    rendered = world.chart.rendered("--show-only", "templates/secrets.yaml")
    refusal = world.kubectl.fails("apply", "--namespace", NAMESPACE, "--filename", "-", given=rendered)
    expect(refusal and "immutable" in refusal, f"another master key was taken: {refusal}")


@scenario(ci=True)
def an_upgrade_with_another_namespace_of_the_connectors_is_refused(world):
    equal(objection(world.chart.try_upgrade, f'connectors.namespace="{CONNECTORS}"'), None, "what is said of the same namespace")
    words = objection(world.chart.try_upgrade, 'connectors.namespace="olake-elsewhere"')
    expect(words and f'cannot be changed by an upgrade, from "{CONNECTORS}" to "olake-elsewhere"' in words
           and "Uninstall first" in words, f"its words: {words}")


@scenario(ci=True)
def an_uninstall_in_the_midst_of_a_sync_leaves_no_finalizer(world):
    task = Job(world, "uninstalled", {"take_seconds": 600}).sync()
    task.wait_for_phase("running")
    world.chart.uninstall()
    expect_no_connectors_namespace(world)
    equal(left(world), [f"secret/{MASTER_KEY}"], "what is left of the release")


@scenario(ci=True)
def an_install_after_an_uninstall_goes_on_with_the_same_key(world):
    world.chart.uninstall_if_installed()
    before = master_key(world)
    world.chart.install()
    equal(master_key(world), before, "the master key")
    world.sign_in()
    world.wait_for_workers()
    Job(world, "installed again").sync().wait_for_end()
    world.chart.uninstall()


@scenario(ci=True)
def an_install_that_fails_on_its_database_can_be_uninstalled_and_leaves_nothing(world):
    world.chart.uninstall_if_installed()
    words = objection(world.chart.install, 'database.url="postgres://olake@nowhere:5432/postgres"', "migrations.backoffLimit=0",
                    timeout="1m")
    expect(words and "pre-install" in words, f"the install does not fail, or otherwise: {words}")
    expect(f"job.batch/{RELEASE}-migrate" in left(world), "the failed migration cannot be looked at")
    expect_no_connectors_namespace(world)
    world.chart.uninstall()
    # The garbage collector takes the pods of a Job after it.
    until("more than the master key is left", lambda: left(world) == [f"secret/{MASTER_KEY}"])
    expect_no_connectors_namespace(world)
