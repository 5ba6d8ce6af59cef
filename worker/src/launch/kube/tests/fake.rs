//! A Kubernetes API server without a cluster: pods, Secrets and events of one namespace, with a watch. Statuses are set by
//! the test.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use chrono::{SecondsFormat, TimeDelta};
use futures::stream;
use kube::{Client, Config};
use olake_shared::clock::{Clock, SystemClock};
use poem::{
    Body, Endpoint, EndpointExt, IntoResponse, Request, Response, Server,
    endpoint::make,
    http::{Method, StatusCode},
    listener::{Acceptor, Listener, TcpListener},
};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle};

/// The server. It ends with the last clone's task.
#[derive(Clone)]
pub struct Fake {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    _task: Arc<Ends>,
    pub client: Client,
}

struct Ends(JoinHandle<()>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Default)]
struct State {
    pods: BTreeMap<String, Value>,
    secrets: BTreeMap<String, Value>,
    version: u64,
    /// Watch events, with their versions.
    log: Vec<(u64, String)>,
    calls: Vec<String>,
    is_down: bool,
    is_behind: bool,
    /// Whether pods cannot be read by their names, and how often that was tried.
    refuses_reads: bool,
    reads_refused: u32,
    /// Whether answers to that are held back, and how many are.
    holds_reads: bool,
    reads_held: u32,
    refusal: Option<(u16, String)>,
    forbids_lists: bool,
    /// What the next Secret is refused with.
    secret_refusal: Option<(u16, String)>,
    events: Vec<Value>,
    agent_log: String,
    is_agent_log_lost: bool,
    /// Whether what the next call is about is made anew before it.
    replaces: bool,
    uids: u64,
}

/// A status and its words.
type Refusal = (u16, &'static str);

impl State {
    fn new_uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }

    /// What a call is about, and whether it may act on it: the uid that it names must be the right one.
    fn checked(&mut self, kind: &str, name: &str, uid: &Value) -> Result<Value, Refusal> {
        let replaces = std::mem::take(&mut self.replaces);
        let new_uid = replaces.then(|| self.new_uid());
        let objects = if kind == "pods" { &mut self.pods } else { &mut self.secrets };
        let Some(found) = objects.get_mut(name) else { return Err((404, "not found")) };
        if let Some(new) = new_uid {
            found["metadata"]["uid"] = json!(new);
        }
        if !uid.is_null() && *uid != found["metadata"]["uid"] {
            return Err((409, "the UID in the precondition is another one"));
        }
        Ok(found.clone())
    }

    fn put(&mut self, kind: &str, name: &str, mut pod: Value) -> Value {
        self.version += 1;
        pod["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.pods.insert(name.to_owned(), pod.clone());
        self.tell(kind, &pod);
        pod
    }

    fn tell(&mut self, kind: &str, pod: &Value) {
        // A watch with our selector loses sight of what no longer has the label.
        let is_ours = pod["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "olake-worker";
        let kind = if is_ours { kind } else { "DELETED" };
        self.log.push((self.version, json!({"type": kind, "object": pod}).to_string() + "\n"));
    }

    fn remove_if_done(&mut self, name: &str) {
        let is_done = self.pods.get(name).is_some_and(|pod| {
            let has_finalizer = pod["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
            pod["metadata"]["deletionTimestamp"].is_string() && !has_finalizer
        });
        if is_done && let Some(pod) = self.pods.remove(name) {
            self.version += 1;
            self.tell("DELETED", &pod);
        }
    }
}

impl Fake {
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let changed = Arc::new(Notify::new());
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
        let address = acceptor.local_addr()[0].as_socket_addr().unwrap().to_owned();
        let app = app(state.clone(), changed.clone());
        let task = tokio::spawn(async move {
            let _ = Server::new_with_acceptor(acceptor).run(app).await;
        });
        let mut config = Config::new(format!("http://{address}").parse().unwrap());
        config.default_retry = false;
        let client = Client::try_from(config).unwrap();
        Self { state, changed, _task: Arc::new(Ends(task)), client }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let done = change(&mut self.state.lock().unwrap());
        self.changed.notify_waiters();
        done
    }

    /// Sets the status of a pod.
    pub fn status(&self, name: &str, status: Value) {
        self.change(name, |pod| pod["status"] = status);
    }

    /// Changes a pod.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        self.with(|state| {
            let mut pod = state.pods.get(name).unwrap_or_else(|| panic!("no pod {name}")).clone();
            change(&mut pod);
            state.put("MODIFIED", name, pod);
        });
    }

    /// Somebody deletes a pod, with so many seconds of grace from now on; less than none: that time is over.
    pub fn delete(&self, name: &str, grace: i64) {
        self.change(name, |pod| delete(pod, grace));
    }

    /// Removes a pod at once, as whoever takes off the finalizer does.
    pub fn lose(&self, name: &str) {
        self.change(name, |pod| {
            pod["metadata"]["finalizers"] = json!([]);
            delete(pod, 0);
        });
        self.with(|state| state.remove_if_done(name));
    }

    /// Holds back what watches are told; calls see everything.
    pub fn set_behind(&self, is_behind: bool) {
        self.with(|state| state.is_behind = is_behind);
    }

    pub fn set_down(&self, is_down: bool) {
        self.with(|state| state.is_down = is_down);
    }

    /// Does not answer who asks for a pod by its name.
    pub fn set_refuses_reads(&self, refuses: bool) {
        self.with(|state| state.refuses_reads = refuses);
    }

    /// Holds back the answers to who asks for a pod by its name.
    pub fn set_holds_reads(&self, holds: bool) {
        self.with(|state| state.holds_reads = holds);
    }

    pub fn reads_held(&self) -> u32 {
        self.with(|state| state.reads_held)
    }

    pub fn reads_refused(&self) -> u32 {
        self.with(|state| state.reads_refused)
    }

    /// Refuses to make pods.
    pub fn refuse(&self, code: u16, message: &str) {
        self.with(|state| state.refusal = Some((code, message.to_owned())));
    }

    /// Lets nobody see what there is.
    pub fn forbid_lists(&self) {
        self.with(|state| state.forbids_lists = true);
    }

    /// Makes pods again.
    pub fn allow(&self) {
        self.with(|state| state.refusal = None);
    }

    /// Refuses to make the next Secret.
    pub fn refuse_secret(&self, code: u16, message: &str) {
        self.with(|state| state.secret_refusal = Some((code, message.to_owned())));
    }

    pub fn add_event(&self, name: &str, reason: &str, message: &str) {
        let event =
            json!({"metadata": {}, "involvedObject": {"name": name}, "reason": reason, "message": message});
        self.with(|state| state.events.push(event));
    }

    pub fn set_agent_log(&self, text: &str) {
        self.with(|state| text.clone_into(&mut state.agent_log));
    }

    /// The node answers to nobody, so that nothing can be read of what the agent has printed.
    pub fn lose_agent_log(&self) {
        self.with(|state| state.is_agent_log_lost = true);
    }

    pub fn pod(&self, name: &str) -> Option<Value> {
        self.with(|state| state.pods.get(name).cloned())
    }

    pub fn secrets(&self) -> Vec<String> {
        self.with(|state| state.secrets.keys().cloned().collect())
    }

    /// The calls that changed something, or tried to.
    pub fn calls(&self) -> Vec<String> {
        self.with(|state| state.calls.clone())
    }

    pub fn put_pod(&self, mut pod: Value) {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        self.with(|state| {
            pod["metadata"]["uid"] = json!(state.new_uid());
            state.put("ADDED", &name, pod)
        });
    }

    pub fn put_secret(&self, mut secret: Value) {
        let name = secret["metadata"]["name"].as_str().unwrap().to_owned();
        self.with(|state| {
            secret["metadata"]["uid"] = json!(state.new_uid());
            state.secrets.insert(name, secret)
        });
    }

    /// The pod or Secret of a name is made anew, by somebody else, before the next call that changes one comes: the watch
    /// has not told of it then.
    pub fn replace_before_next_call(&self) {
        self.with(|state| state.replaces = true);
    }
}

fn app(state: Arc<Mutex<State>>, changed: Arc<Notify>) -> impl Endpoint {
    make(move |request: Request| {
        let (state, changed) = (state.clone(), changed.clone());
        async move { Ok::<_, poem::Error>(answer(request, state, changed).await) }
    })
    .map_to_response()
}

async fn answer(mut request: Request, state: Arc<Mutex<State>>, changed: Arc<Notify>) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body = request.take_body().into_bytes().await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let words: Vec<&str> = path.trim_start_matches("/api/v1/namespaces/olake").split('/').skip(1).collect();
    if query.contains("watch=true") {
        if state.lock().unwrap().is_down {
            return status(503, "the server is going down");
        }
        return watch(&query, state, changed);
    }
    let answer = act(&method, &words, &query, body, &mut state.lock().unwrap());
    changed.notify_waiters();
    if method == Method::GET && matches!(words[..], ["pods", _]) {
        state.lock().unwrap().reads_held += 1;
        when(&state, &changed, |state| (!state.holds_reads).then_some(())).await;
        state.lock().unwrap().reads_held -= 1;
    }
    answer
}

/// What is found in the state, as soon as there is something.
async fn when<T>(state: &Mutex<State>, changed: &Notify, find: impl Fn(&State) -> Option<T>) -> T {
    loop {
        let woken = changed.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let found = find(&state.lock().unwrap());
        match found {
            Some(found) => return found,
            None => woken.await,
        }
    }
}

fn act(method: &Method, words: &[&str], query: &str, body: Value, state: &mut State) -> Response {
    if *method != Method::GET {
        let grace = body.get("gracePeriodSeconds").map(|grace| format!(" {grace}")).unwrap_or_default();
        let dry = if is_dry_run(query) { " dryRun=All" } else { "" };
        state.calls.push(format!("{method} {}{grace}{dry}", words.first().unwrap_or(&"")));
    }
    if state.is_down {
        return status(503, "the server is going down");
    }
    let version = state.version.to_string();
    let list = |items: Vec<Value>| {
        json(
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": version}, "items": items}),
        )
    };
    match (method.as_str(), words) {
        ("GET", ["pods" | "secrets"]) if state.forbids_lists => status(403, "pods is forbidden: cannot list"),
        ("GET", ["pods"]) => {
            let selected = query.contains("labelSelector");
            let is_ours = |pod: &&Value| {
                !selected || pod["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "olake-worker"
            };
            list(state.pods.values().filter(is_ours).cloned().collect())
        }
        ("GET", ["secrets"]) => list(state.secrets.values().cloned().collect()),
        ("GET", ["events"]) => list(state.events.clone()),
        ("POST", ["pods"]) => {
            if let Some((code, message)) = &state.refusal {
                return status(*code, message);
            }
            let name = body["metadata"]["name"].as_str().unwrap().to_owned();
            if state.pods.contains_key(&name) {
                return status(409, "pods already exists");
            }
            if is_dry_run(query) {
                return json(body);
            }
            let mut pod = body;
            pod["metadata"]["uid"] = json!(state.new_uid());
            pod["status"] = json!({"phase": "Pending"});
            json(state.put("ADDED", &name, pod))
        }
        ("POST", ["secrets"]) => {
            if let Some((code, message)) = state.secret_refusal.take() {
                return status(code, &message);
            }
            let name = body["metadata"]["name"].as_str().unwrap().to_owned();
            if state.secrets.contains_key(&name) {
                return status(409, "secrets already exists");
            }
            let mut secret = body;
            secret["metadata"]["uid"] = json!(state.new_uid());
            state.secrets.insert(name, secret.clone());
            json(secret)
        }
        ("GET", ["pods", _]) if state.refuses_reads => {
            state.reads_refused += 1;
            status(503, "the server is busy")
        }
        ("GET", ["pods", name]) => match state.pods.get(*name) {
            Some(pod) => json(pod.clone()),
            None => status(404, "pods not found"),
        },
        ("GET", ["pods", _, "log"]) if state.is_agent_log_lost => {
            state.reads_refused += 1;
            status(500, "no route to host")
        }
        ("GET", ["pods", _, "log"]) => state.agent_log.clone().into_response(),
        ("PATCH", ["pods", name]) => {
            let mut pod = match state.checked("pods", name, &body["metadata"]["uid"]) {
                Ok(pod) => pod,
                Err((code, why)) => return status(code, why),
            };
            if body["metadata"].get("$deleteFromPrimitiveList/finalizers").is_some() {
                pod["metadata"]["finalizers"] = json!([]);
            }
            if let Some(labels) = body["metadata"]["labels"].as_object() {
                pod["metadata"]["labels"] = json!(labels);
            }
            if let Some(annotations) = body["metadata"]["annotations"].as_object() {
                for (name, value) in annotations {
                    pod["metadata"]["annotations"][name] = value.clone();
                }
            }
            let pod = state.put("MODIFIED", name, pod);
            state.remove_if_done(name);
            json(pod)
        }
        ("DELETE", ["pods", name]) => {
            let mut pod = match state.checked("pods", name, &body["preconditions"]["uid"]) {
                Ok(pod) => pod,
                Err((code, why)) => return status(code, why),
            };
            delete(&mut pod, body["gracePeriodSeconds"].as_i64().unwrap_or(30));
            let pod = state.put("MODIFIED", name, pod);
            state.remove_if_done(name);
            json(pod)
        }
        ("PATCH", ["secrets", name]) => match state.secrets.get(*name) {
            Some(secret) => json(secret.clone()),
            None => status(404, "secrets not found"),
        },
        ("DELETE", ["secrets", name]) => {
            match state.checked("secrets", name, &body["preconditions"]["uid"]) {
                Ok(secret) => {
                    state.secrets.remove(*name);
                    json(secret)
                }
                Err((code, why)) => status(code, why),
            }
        }
        _ => status(404, "no such call"),
    }
}

/// A pod is being deleted, with so many seconds of grace from now on.
fn delete(pod: &mut Value, grace: i64) {
    let at = SystemClock.now() + TimeDelta::seconds(grace);
    pod["metadata"]["deletionTimestamp"] = json!(at.to_rfc3339_opts(SecondsFormat::Secs, true));
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
}

fn is_dry_run(query: &str) -> bool {
    query.split('&').any(|part| part == "dryRun=All")
}

fn watch(query: &str, state: Arc<Mutex<State>>, changed: Arc<Notify>) -> Response {
    let since =
        query.split('&').find_map(|part| part.strip_prefix("resourceVersion=")).and_then(|n| n.parse().ok());
    let lines = stream::unfold((since.unwrap_or(0u64), state, changed), |(at, state, changed)| async move {
        // The new lines, and the newest of their versions; none when the watch ends.
        let told = when(&state, &changed, |state| {
            if state.is_down {
                return Some(None);
            }
            let new: Vec<_> = state.log.iter().filter(|(version, _)| *version > at).collect();
            let (newest, _) = new.last().filter(|_| !state.is_behind)?;
            Some(Some((new.iter().map(|(_, line)| line.as_str()).collect::<String>(), *newest)))
        });
        let (text, newest) = told.await?;
        Some((Ok::<_, std::io::Error>(text), (newest, state, changed)))
    });
    Response::builder().content_type("application/json").body(Body::from_bytes_stream(lines))
}

fn json(value: Value) -> Response {
    Response::builder().content_type("application/json").body(value.to_string())
}

fn status(code: u16, message: &str) -> Response {
    let body =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code});
    Response::builder()
        .status(StatusCode::from_u16(code).unwrap())
        .content_type("application/json")
        .body(body.to_string())
}
