//! A write that the database refuses for good (a check, a trigger, a broken index) is not tried for ever: the attempt ends,
//! and the task says why.

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Deployment, WitnessedJob},
    crash_points::TIMERS,
    support::waiting::wait_for,
};

fn ended(cluster: &Cluster, job: &WitnessedJob) -> Value {
    assert!(cluster.ask_for_sync(job));
    wait_for("the sync to end", || {
        let task = cluster.tasks(job)?[0].clone();
        (task["status"] != "running" && task["status"] != "queued").then_some(task)
    })
}

/// A system whose database is made to refuse a write, and then not any more.
fn survives(deployment: Deployment, refuse: &str, allow: &str) {
    let cluster = Cluster::start(deployment, TIMERS, str::to_owned);
    let faults = json!({"take_seconds": 3, "log_lines": 30, "log_lines_per_second": 10});
    let job = cluster.create_job_with(&faults, &json!({"retries": 0}));
    cluster.alter_database(refuse);
    let failed = ended(&cluster, &job);
    assert_eq!((&failed["status"], &failed["failure_class"]), (&json!("failed"), &json!("infrastructure")));
    let words = failed["failure_message"].as_str().unwrap();
    assert!(words.contains("could not be stored") && words.contains("refused by the test"), "{words}");
    assert!(cluster.connectors_and_supervisors().is_empty(), "the connector runs on");

    cluster.alter_database(allow);
    let again = ended(&cluster, &job);
    assert_eq!((&again["status"], &again["attempt"]), (&json!("succeeded"), &json!(1)), "{again:#}");
    // The states of the first run were refused: its rows are read again. Nothing else is wrong.
    assert_eq!(job.story().overlaps, 0);
    assert!(!job.story().runs.is_empty());
}

const POSTGRES: &str = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN RAISE EXCEPTION 'refused by the test'; END $$;";

#[test]
fn a_state_that_postgresql_refuses_for_good_fails_its_task_with_words() {
    let refuse = format!(
        "{POSTGRES} CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON job_states FOR EACH ROW EXECUTE FUNCTION refuse()"
    );
    survives(Deployment::Services, &refuse, "DROP TRIGGER refuse ON job_states");
}

#[test]
fn a_log_that_sqlite_refuses_for_good_fails_its_task_with_words() {
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON task_log_chunks \
                  BEGIN SELECT RAISE(ABORT, 'refused by the test'); END";
    survives(Deployment::Standalone, refuse, "DROP TRIGGER refuse");
}

/// The end itself can be what is refused: then it is written with no more than its reason.
#[test]
fn an_end_whose_totals_are_refused_is_stored_as_a_failure() {
    let refuse = format!(
        "{POSTGRES} CREATE TRIGGER refuse BEFORE UPDATE ON tasks FOR EACH ROW \
         WHEN (NEW.status = 'succeeded') EXECUTE FUNCTION refuse()"
    );
    survives(Deployment::Services, &refuse, "DROP TRIGGER refuse ON tasks");
}
