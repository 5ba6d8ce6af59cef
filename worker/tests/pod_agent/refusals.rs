//! What is refused, with clear words, and changes nothing.

use serde_json::json;

use super::stage::{Stage, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_no_token_or_that_of_another_attempt_is_not_let_in() {
    let stage = Stage::new().await;
    let (task, attempt) = (stage.fence.task, stage.fence.attempt);
    let body = json!({"pod_uid": "a", "pod_name": "p"}).to_string();
    let ask = async |token: Option<&str>, name: &str| {
        let method = if name == "end?incarnation=1" { "GET" } else { "POST" };
        let (status, answer) = stage.call(method, &stage.path(name), token, body.as_bytes()).await;
        (status, answer)
    };
    let other_attempt = stage.keys.attempt_token(task, attempt + 1);
    let other_task = stage.keys.attempt_token(uuid::Uuid::now_v7(), attempt);
    for name in ["register", "push", "end?incarnation=1", "final?incarnation=1"] {
        let (status, answer) = ask(None, name).await;
        assert_eq!(status, 401, "{answer}");
        assert!(answer.contains("token is missing"), "{answer}");
        let (status, answer) = ask(Some("agent1.x.y.z.w"), name).await;
        assert_eq!(status, 401, "{answer}");
        for other in [&other_attempt, &other_task] {
            let (status, answer) = ask(Some(other), name).await;
            assert_eq!(status, 403, "{answer}");
            assert!(answer.contains("the token is that of another attempt or task"), "{answer}");
        }
    }
    // Nobody has been permitted by that.
    assert!(stage.store.queue().close_attempt(stage.fence).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_with_the_token_of_another_attempt_says_so_and_opens_nothing() {
    let stage = Stage::new().await;
    let pod = stage.pod("a");
    let other = stage.keys.attempt_token(stage.fence.task, stage.fence.attempt + 1);
    std::fs::write(pod.secret().join("token"), other).unwrap();
    assert_eq!(pod.start().code().await, 1);
    assert!(!pod.is_open());
    let words = pod.stderr();
    assert!(words.contains("the connector is not permitted to start: 403"), "{words}");
    assert!(words.contains("the token is that of another attempt or task"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_pushes_nonsense_and_states_that_are_none_are_refused() {
    let stage = Stage::new().await;
    let token = stage.token();
    let send = async |name: &str, body: &str| {
        stage.call("POST", &stage.path(name), Some(&token), body.as_bytes()).await
    };
    let register = json!({"pod_uid": "a", "pod_name": "p"}).to_string();
    assert_eq!(send("register", &register).await.0, 200);
    let push = |sequence: i64, state: &str| {
        json!({"incarnation": 1, "sequence": sequence, "state": state}).to_string()
    };
    assert_eq!(send("push", &push(5, r#"{"at":5}"#)).await.0, 200);
    let (status, answer) = send("push", &push(4, r#"{"at":4}"#)).await;
    assert_eq!(status, 409);
    assert!(answer.contains("this push is old: it is number 4, and number 5 is stored"), "{answer}");
    assert!(answer.contains(r#""over":false"#), "{answer}");
    for (body, words) in [
        (push(6, "{}"), "the state is no whole JSON object"),
        (push(6, r#"{"half":"#), "the state is no whole JSON object"),
        (push(6, r#"{"a":1}"#).replace("state", "stats"), "the body is not what is expected here"),
        ("{".to_owned(), "the body is not what is expected here"),
        (json!({"incarnation": 1, "sequence": 6, "first_line": -1}).to_string(), "first_line is negative"),
    ] {
        let (status, answer) = send("push", &body).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer.contains(words), "{answer}");
    }
    let (status, answer) = send("final?incarnation=1", "{\"lines\": \"many\"}").await;
    assert_eq!(status, 400, "{answer}");
    assert_eq!(stage.state().await.as_deref(), Some(r#"{"at":5}"#));
    assert!(stage.record().await.is_none());
    // Its agent is started again: what the one before tells does not count.
    assert_eq!(send("register", &register).await.0, 200);
    let (status, answer) = send("push", &push(7, r#"{"at":7}"#)).await;
    assert_eq!(status, 409, "{answer}");
    assert!(answer.contains(r#""over":true"#), "{answer}");
    assert_eq!(stage.state().await.as_deref(), Some(r#"{"at":5}"#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_of_100_mb_is_refused() {
    let stage = Stage::new().await;
    let token = stage.token();
    let register = json!({"pod_uid": "a", "pod_name": "p"}).to_string();
    stage.call("POST", &stage.path("register"), Some(&token), register.as_bytes()).await;
    let state = format!(r#"{{\"a\":\"{}\"}}"#, "x".repeat(100_000_000));
    let body = format!(r#"{{"incarnation":1,"sequence":1,"state":"{state}"}}"#);
    let (status, answer) = stage.call("POST", &stage.path("push"), Some(&token), body.as_bytes()).await;
    assert_eq!(status, 413, "{answer}");
    assert!(answer.contains("the body is too large"), "{answer}");
    assert_eq!(stage.state().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_attempt_is_not_started() {
    let stage = Stage::new().await;
    let pod = stage.pod("a");
    stage.project.cancel_job(stage.job).await.unwrap();
    assert_eq!(pod.start().code().await, 1);
    assert!(!pod.is_open());
    assert!(pod.stderr().contains("the task is being cancelled"), "{}", pod.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_attempt_is_not_started() {
    let stage = Stage::new().await;
    let pod = stage.pod("a");
    assert!(stage.store.queue().close_attempt(stage.fence).await.unwrap());
    assert_eq!(pod.start().code().await, 1);
    assert!(!pod.is_open());
    assert!(pod.stderr().contains("the attempt is closed"), "{}", pod.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_pods_one_is_permitted_and_goes_on_undisturbed() {
    let stage = Stage::new().await;
    let (one, other) = (stage.pod("a"), stage.pod("b"));
    let agent = one.start_open().await;
    assert_eq!(other.start().code().await, 1);
    assert!(!other.is_open());
    assert!(other.stderr().contains("another pod runs this attempt"), "{}", other.stderr());
    one.connector().state(r#"{"at":1}"#);
    until("the state is stored", async || stage.state().await.as_deref() == Some(r#"{"at":1}"#)).await;
    stage.connector_ended();
    assert_eq!(agent.code().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_that_cannot_be_read_are_told_by_the_exit_code_and_the_last_line() {
    let stage = Stage::new().await;
    // Nothing of ours writes such a state.
    stage.store.queue().push_state(stage.fence, stage.job, 1, "no state at all").await.unwrap();
    let pod = stage.pod("a");
    assert_eq!(pod.start().code().await, 78);
    assert!(!pod.is_open());
    let words = pod.stderr();
    let last = words.lines().last().unwrap();
    assert!(
        last.starts_with("olake agent: the stored state of this job is no state. Put an earlier one back"),
        "{words}"
    );
    assert!(
        stage.store.queue().close_attempt(stage.fence).await.unwrap(),
        "nobody has been permitted by that"
    );
}
