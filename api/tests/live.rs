//! What is told as it happens, and logs as a whole: event streams and the download.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::{collections::HashMap, io::Read, time::Duration};

use flate2::read::GzDecoder;
use olake_shared::{
    events::{Event, What},
    store::{
        logs::LogLine,
        tasks::{
            Fence,
            claim::Claim,
            end::{Final, Outcome},
            limits::Limits,
        },
    },
};
use poem::{Response, http::Method};
use serde_json::{Value, json};
use support::{TestApp, on_both_databases};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader, Lines},
    time::timeout,
};
use uuid::Uuid;

const JOBS: &str = "/api/v1/project/olake/jobs";
const EVENTS: &str = "/api/v1/project/olake/events";
/// Longer than any wait for something that comes.
const SOON: Duration = Duration::from_secs(20);

/// A sync that a worker has claimed.
struct Running {
    job: i64,
    fence: Fence,
}

impl Running {
    async fn start(app: &TestApp) -> Self {
        let side = |kind: &str| json!({"name": kind, "type": kind, "version": "v0.9.4", "config": {}});
        let body = json!({
            "name": "nightly", "source": side("files"), "destination": side("parquet"), "frequency": "1-days",
            "streams_config": {},
        });
        let job = app.user.post(JOBS, body).await.expect(200).data()["id"].as_i64().unwrap();
        let project = app.context.project("olake").await.unwrap();
        let task = project.create_sync(job, app.account.id).await.unwrap().task;
        let queue = app.context.store.queue();
        let claim = queue.claim(task, Uuid::now_v7(), "here", Limits::default()).await.unwrap();
        let Some(Claim::Taken(claimed)) = claim else { panic!("not claimed") };
        Self { job, fence: claimed.fence }
    }

    fn event(&self, app: &TestApp, what: What) {
        let project = olake_shared::domain::project::ProjectId::new("olake");
        app.context.events.publish(Event { task: self.fence.task, project, job: Some(self.job), what });
    }

    /// Writes lines from number `first` on.
    async fn write(&self, app: &TestApp, first: i64, lines: &[LogLine]) {
        app.context.store.queue().append_log(self.fence, first, lines).await.unwrap();
        self.event(app, What::Progress);
    }

    async fn end(&self, app: &TestApp) {
        let ended = app.context.store.queue().end(self.fence, &Final::bare(Outcome::Clean)).await.unwrap();
        app.context.announce_ended(&ended);
    }

    fn stream(&self) -> String {
        format!("{JOBS}/{}/tasks/{}/logs/stream", self.job, self.fence.task)
    }

    fn download(&self) -> String {
        format!("{JOBS}/{}/logs/download?file_path={}", self.job, self.fence.task)
    }
}

fn line(level: &str, message: &str) -> LogLine {
    LogLine { level: level.into(), time: chrono::DateTime::UNIX_EPOCH, message: message.into() }
}

/// The events of an open stream.
struct Stream {
    lines: Lines<BufReader<Box<dyn AsyncRead + Send + Unpin>>>,
}

#[derive(Debug, PartialEq)]
struct Sent {
    name: String,
    id: String,
    data: Value,
}

impl Stream {
    fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.content_type(), Some("text/event-stream"));
        let body: Box<dyn AsyncRead + Send + Unpin> = Box::new(response.into_body().into_async_read());
        Self { lines: BufReader::new(body).lines() }
    }

    /// The next event; none at the end of the stream.
    async fn next(&mut self) -> Option<Sent> {
        let mut fields = HashMap::new();
        loop {
            let line = timeout(SOON, self.lines.next_line()).await.expect("nothing comes").unwrap()?;
            match line.split_once(": ") {
                Some((name, value)) => drop(fields.insert(name.to_owned(), value.to_owned())),
                None if line.is_empty() && fields.contains_key("data") => {
                    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
                    let data = serde_json::from_str(&take("data")).unwrap();
                    return Some(Sent { name: take("event"), id: take("id"), data });
                }
                None => {}
            }
        }
    }

    async fn rest(mut self) -> Vec<Sent> {
        let mut all = Vec::new();
        while let Some(sent) = self.next().await {
            all.push(sent);
        }
        all
    }
}

fn messages(sent: &[Sent]) -> Vec<&str> {
    sent.iter()
        .filter(|sent| sent.name == "line")
        .map(|sent| sent.data["message"].as_str().unwrap())
        .collect()
}

/// The files of a tar archive.
fn files(tar: &[u8]) -> HashMap<String, Vec<u8>> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.split(|b| *b == 0).next().unwrap().to_vec()).unwrap();
    let (mut files, mut at) = (HashMap::new(), 0);
    while tar[at] != 0 {
        let length = usize::from_str_radix(&text(&tar[at + 124..at + 136]), 8).unwrap();
        files.insert(text(&tar[at..at + 100]), tar[at + 512..at + 512 + length].to_vec());
        at += 512 + length.div_ceil(512) * 512;
    }
    assert_eq!(tar.len(), at + 1024);
    files
}

on_both_databases! {
    async fn a_log_is_followed_while_it_is_written_and_ends_with_its_task(app: TestApp) {
        let running = Running::start(&app).await;
        running.write(&app, 0, &[line("info", "one"), line("debug", "two")]).await;
        let mut stream = Stream::of(app.user.open(&running.stream()).await);
        let first = stream.next().await.unwrap();
        assert_eq!((first.name.as_str(), first.id.as_str()), ("line", "1"));
        assert_eq!(first.data, json!({"level": "info", "time": "1970-01-01T00:00:00+00:00", "message": "one"}));
        assert_eq!(stream.next().await.unwrap().id, "2");
        running.write(&app, 2, &[line("error", "three")]).await;
        assert_eq!(stream.next().await.unwrap().data["message"], "three");
        running.end(&app).await;
        let end = Sent { name: "end".into(), id: "3".into(), data: json!({"status": "succeeded"}) };
        assert_eq!(stream.rest().await, [end]);
    }

    async fn a_stream_goes_on_after_the_last_line_that_the_client_has(app: TestApp) {
        let running = Running::start(&app).await;
        let lines: Vec<_> = (0..450).map(|n| line("info", &format!("line {n}"))).collect();
        running.write(&app, 0, &lines).await;
        running.end(&app).await;
        let all = Stream::of(app.user.open(&running.stream()).await).rest().await;
        assert_eq!((messages(&all).len(), all.last().unwrap().name.as_str()), (450, "end"));
        let again = app.user.with_header("Last-Event-ID", &all[439].id);
        let rest = Stream::of(again.open(&format!("{}?cursor=0", running.stream())).await).rest().await;
        assert_eq!(messages(&rest), (440..450).map(|n| format!("line {n}")).collect::<Vec<_>>());
        let from = Stream::of(app.user.open(&format!("{}?cursor=448", running.stream())).await).rest().await;
        assert_eq!(messages(&from), ["line 448", "line 449"]);
        let at_end = Stream::of(app.user.open(&format!("{}?cursor=-1", running.stream())).await).rest().await;
        assert_eq!((at_end.len(), at_end[0].name.as_str()), (1, "end"));
    }

    async fn a_stream_is_filtered_as_a_page_is(app: TestApp) {
        let running = Running::start(&app).await;
        running.write(&app, 0, &[line("info", "Disk full"), line("error", "disk FULL"), line("error", "no")]).await;
        running.end(&app).await;
        let some = Stream::of(app.user.open(&format!("{}?level=warn&search=disk", running.stream())).await).rest().await;
        assert_eq!(messages(&some), ["disk FULL"]);
    }

    async fn a_page_of_a_log_is_searched_and_filtered(app: TestApp) {
        let running = Running::start(&app).await;
        running.write(&app, 0, &[line("debug", "a disk"), line("info", "Disk full"), line("error", "no"), line("fatal", "DISK")]).await;
        let logs = format!("{JOBS}/{}/task/{}/logs", running.job, running.fence.task);
        let found = async |query: &str| {
            let data = app.user.get(&format!("{logs}?{query}")).await.expect(200).data();
            data["task_logs"].as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found("search=disk").await, ["a disk", "Disk full", "DISK"]);
        assert_eq!(found("search=disk&level=warn").await, ["DISK"]);
        assert_eq!(found("level=info").await, ["Disk full", "no", "DISK"]);
        assert_eq!(found("level=debug").await.len(), 4);
        assert_eq!(found("search=disk&limit=1&direction=newer&cursor=1").await, ["Disk full"]);
        assert_eq!(found("search=disk&cursor=9223372036854775807&limit=1000000000").await.len(), 3);
        app.user.get(&format!("{logs}?search={}", "x".repeat(10_240))).await.expect(400);
        app.user.get(&format!("{logs}?level=loud")).await.expect(400);
        app.user.get(&format!("{logs}?limit=0")).await.expect(400);
    }

    async fn what_happens_to_tasks_is_told_to_the_project(app: TestApp) {
        let mut stream = Stream::of(app.user.open(EVENTS).await);
        let mut other = Stream::of(app.user.open("/api/v1/project/123/events").await);
        let mut chatty = Stream::of(app.user.open(&format!("{EVENTS}?progress=true")).await);
        let running = Running::start(&app).await;
        running.write(&app, 0, &[line("info", "one")]).await;
        running.end(&app).await;
        let sent = stream.next().await.unwrap();
        assert_eq!(sent.name, "task");
        let expected = json!({"task_id": running.fence.task.to_string(), "job_id": running.job, "what": "status", "status": "succeeded"});
        assert_eq!(sent.data, expected);
        assert_eq!(chatty.next().await.unwrap().data["what"], "progress");
        running.event(&app, What::CancelWish);
        assert_eq!(stream.next().await.unwrap().data["what"], "cancel_requested");
        let project = olake_shared::domain::project::ProjectId::new("123");
        app.context.events.publish(Event { task: running.fence.task, project, job: None, what: What::Created });
        assert_eq!(other.next().await.unwrap().data, json!({"task_id": running.fence.task.to_string(), "what": "created"}));
    }

    async fn a_download_holds_the_state_and_the_whole_log(app: TestApp) {
        let running = Running::start(&app).await;
        let lines: Vec<_> = (0..3_000).map(|n| line("info", &format!("line {n} {}", "x".repeat(200)))).collect();
        running.write(&app, 0, &lines).await;
        app.context.store.queue().push_state(running.fence, running.job, 1, "{\"at\": 7}").await.unwrap();
        let response = app.user.with_header("Accept-Encoding", "gzip, br").open(&running.download()).await;
        assert_eq!(response.status(), 200);
        assert_eq!((response.content_type(), response.header("content-encoding")), (Some("application/gzip"), None));
        let name = response.header("content-disposition").unwrap().to_owned();
        assert!(name.starts_with(&format!("attachment; filename=\"job-{}-logs-", running.job)) && name.ends_with(".tar.gz\""), "{name}");
        let packed = response.into_body().into_vec().await.unwrap();
        let mut tar = Vec::new();
        GzDecoder::new(packed.as_slice()).read_to_end(&mut tar).unwrap();
        let files = files(&tar);
        assert_eq!(files["state.json"], b"{\"at\": 7}");
        let log = String::from_utf8(files["olake.log"].clone()).unwrap();
        let read: Vec<LogLine> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, lines);
    }

    async fn the_first_byte_of_a_download_tells_that_it_is_there(app: TestApp) {
        let running = Running::start(&app).await;
        let first = app.user.with_header("Range", "bytes=0-0").open(&running.download()).await;
        assert_eq!((first.status().as_u16(), first.header("content-range")), (206, Some("bytes 0-0/*")));
        let byte = first.into_body().into_vec().await.unwrap();
        let whole = app.user.with_header("Range", "bytes=5-").open(&running.download()).await;
        assert_eq!((whole.status().as_u16(), whole.header("etag")), (200, None), "its log still grows");
        assert_eq!(whole.into_body().into_vec().await.unwrap()[..1], byte);
    }

    async fn a_download_that_broke_off_goes_on_where_it_was(app: TestApp) {
        let running = Running::start(&app).await;
        // Words that do not pack well, so that the archive has several pieces.
        let word = |n: u64| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(n | 1));
        let lines: Vec<_> = (0..20_000).map(|n| line("info", &format!("{} {}", word(n), word(n + 20_000)))).collect();
        for (part, first) in lines.chunks(5_000).zip([0, 5_000, 10_000, 15_000]) {
            running.write(&app, first, part).await;
        }
        running.end(&app).await;
        let whole = app.user.open(&running.download()).await;
        assert_eq!((whole.status().as_u16(), whole.header("accept-ranges")), (200, Some("bytes")));
        let tag = whole.header("etag").unwrap().to_owned();
        assert!(tag.starts_with('"'), "{tag} is weak");
        let whole = whole.into_body().into_vec().await.unwrap();
        let length = whole.len();
        assert!(length > 400_000, "{length}");

        let has = length / 3;
        let resume = app.user.with_header("If-Range", &tag).with_header("Accept-Encoding", "gzip");
        for (range, first, last) in [
            (format!("bytes={has}-"), has, length - 1),
            (format!("bytes={has}-{}", has + 99_999), has, has + 99_999),
            (format!("bytes={}-99999999999", length - 7), length - 7, length - 1),
            ("bytes=-10".to_owned(), length - 10, length - 1),
            ("bytes=1-1".to_owned(), 1, 1),
        ] {
            let rest = resume.with_header("Range", &range).open(&running.download()).await;
            let named = format!("bytes {first}-{last}/{length}");
            assert_eq!((rest.status().as_u16(), rest.header("content-range")), (206, Some(named.as_str())));
            assert_eq!(rest.header("content-length"), Some((last - first + 1).to_string().as_str()));
            assert_eq!((rest.header("etag"), rest.header("content-encoding")), (Some(tag.as_str()), None));
            assert!(rest.into_body().into_vec().await.unwrap() == whole[first..=last], "{range}");
        }
        let first = resume.with_header("Range", "bytes=0-0").open(&running.download()).await;
        assert_eq!((first.status().as_u16(), first.header("etag")), (206, Some(tag.as_str())));

        let beyond = app.user.with_header("Range", &format!("bytes={length}-")).get(&running.download()).await.expect(416);
        assert_eq!(beyond.header("content-range"), Some(format!("bytes */{length}").as_str()));
        assert!(beyond.error().starts_with("Range not satisfiable"), "{}", beyond.error());
        for (range, if_range) in [("bytes=0-1,5-6", tag.as_str()), ("lines=0-1", &tag), ("bytes=5-2", &tag), ("bytes=5-", "\"another\"")] {
            let all = app.user.with_header("If-Range", if_range).with_header("Range", range).open(&running.download()).await;
            assert_eq!(all.status(), 200, "{range} {if_range}");
            assert!(all.into_body().into_vec().await.unwrap() == whole, "{range} {if_range}");
        }

        // Another state of the job is another archive.
        app.user.json(Method::PUT, &format!("{JOBS}/{}/state", running.job), json!({"state": {"type": "STREAM"}})).await.expect(200);
        let changed = resume.with_header("Range", &format!("bytes={has}-")).open(&running.download()).await;
        assert_eq!(changed.status(), 200);
        assert_ne!(changed.header("etag"), Some(tag.as_str()));
    }

    async fn what_is_not_there_or_wrong_is_said(app: TestApp) {
        let running = Running::start(&app).await;
        let (job, task) = (running.job, running.fence.task);
        for (status, path) in [
            (404, format!("{JOBS}/{}/logs/download?file_path={task}", job + 1)),
            (404, format!("/api/v1/project/123/jobs/{job}/logs/download?file_path={task}")),
            (404, format!("{JOBS}/{job}/logs/download?file_path={}", Uuid::now_v7())),
            (400, format!("{JOBS}/{job}/logs/download?file_path=../../etc/passwd")),
            (400, format!("{JOBS}/{job}/logs/download")),
            (404, format!("{JOBS}/{}/tasks/{task}/logs/stream", job + 1)),
            (404, format!("/api/v1/project/123/jobs/{job}/tasks/{task}/logs/stream")),
            (400, format!("{JOBS}/{job}/tasks/1/logs/stream")),
            (400, format!("{}?search={}", running.stream(), "x".repeat(2_000))),
            (404, "/api/v1/project/unknown/events".to_owned()),
        ] {
            app.user.with_header("Range", "bytes=0-0").get(&path).await.expect(status);
        }
        app.user.with_header("Last-Event-ID", "x").get(&running.stream()).await.expect(400);
        app.anon.get(EVENTS).await.expect(401);
    }
}

#[tokio::test]
async fn a_client_that_comes_again_or_falls_behind_is_told_to_read_anew() {
    let app = TestApp::sqlite().await;
    let mut again = Stream::of(app.user.with_header("Last-Event-ID", "1").open(EVENTS).await);
    assert_eq!(again.next().await.unwrap().name, "resync");
    let mut slow = Stream::of(app.user.open(EVENTS).await);
    let project = olake_shared::domain::project::ProjectId::new("olake");
    for _ in 0..5_000 {
        let project = project.clone();
        app.context.events.publish(Event { task: Uuid::now_v7(), project, job: None, what: What::Created });
    }
    assert_eq!(slow.next().await.unwrap().name, "resync");
    assert_eq!(slow.next().await.unwrap().name, "task");
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let app = TestApp::sqlite().await;
    let running = Running::start(&app).await;
    let streams =
        [Stream::of(app.user.open(EVENTS).await), Stream::of(app.user.open(&running.stream()).await)];
    app.context.shutdown.cancel();
    for stream in streams {
        assert_eq!(stream.rest().await, []);
    }
}

#[tokio::test]
async fn streams_end_with_their_session() {
    let app = TestApp::sqlite().await;
    let running = Running::start(&app).await;
    let streams =
        [Stream::of(app.user.open(EVENTS).await), Stream::of(app.user.open(&running.stream()).await)];
    app.user.post_nothing("/logout").await.expect(200);
    for stream in streams {
        assert_eq!(stream.rest().await, []);
    }
}

#[tokio::test]
async fn a_server_with_too_many_streams_says_so() {
    let app = TestApp::sqlite().await;
    let taken = app.context.streams.take_all();
    let refused = app.user.get(EVENTS).await.expect(503);
    assert!(refused.header("retry-after").is_some());
    drop(taken);
    Stream::of(app.user.open(EVENTS).await);
}

#[tokio::test]
async fn an_answer_that_is_long_is_packed_and_an_archive_is_not_packed_twice() {
    let app = TestApp::sqlite().await;
    let client = app.user.with_header("Accept-Encoding", "gzip, deflate, br, zstd");
    let list = client.open(JOBS).await;
    assert_eq!(list.header("content-encoding"), Some("zstd"));
    let tag = list.header("etag").unwrap().to_owned();
    let same = client.with_header("If-None-Match", &tag).open(JOBS).await;
    assert_eq!((same.status().as_u16(), same.header("content-encoding")), (304, None));
    let events = client.open(EVENTS).await;
    assert_eq!(events.header("content-encoding"), None);
}
