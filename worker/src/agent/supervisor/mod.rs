//! The supervisor: a small process between a worker and one run of a connector. It is a mode of the worker's
//! program ([`run`]), and does without runtime, configuration and logs, so that it starts at once.
//!
//! It guards the start ([`guard`]), starts the connector in a process group of its own, ends that group when it
//! is told to or when the worker dies (end of file on stdin), and says how the connector ended when nothing of
//! the group is left. What it says and is told: [`protocol`].
//!
//! Its streams: orders on stdin, reports on stdout; stderr is the pipe that the connector gets as its stdout and
//! stderr, and nothing of the supervisor's own goes there.
//!
//! Invariants:
//! - the record is written before the start is reported, and removed before the end is;
//! - the connector's process is reaped only after the last signal to its group, so that the group's number
//!   cannot have become another's;
//! - signals that ask this process to end (a shutdown of the machine sends them to everybody) ask for the
//!   connector's end, as the order [`protocol::STOP`] does.

pub mod guard;
mod processes;
pub mod protocol;

use std::{
    fs::{self, File},
    io::{self, BufRead, Read, Write},
    os::{
        fd::AsFd,
        unix::{
            net::UnixStream,
            process::{CommandExt, ExitStatusExt},
        },
    },
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use olake_shared::{
    domain::task::FailureClass,
    step::{Moment, Step, reach},
};
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, getpid, set_child_subreaper, waitid},
};

use self::{
    guard::{Claim, Record},
    protocol::{Exited, KILL, Order, Report, STOP},
};

/// What the rest of the group has between SIGTERM and SIGKILL once its leader ended.
const REST_GRACE: Duration = Duration::from_secs(2);

/// How long processes which left the group are tried to be killed.
const STRAYS_LIMIT: Duration = Duration::from_secs(5);

/// What a run that has to wait for the one before is shown to wait for.
const WAITS_FOR_PREVIOUS: &str = "waiting for the previous run to end";

enum Event {
    Stop,
    Kill,
    /// The worker is dead.
    Orphaned,
    /// The connector's process ended, and waits to be reaped.
    Ended,
}

/// Why the connector does not run.
struct NotStarted {
    class: FailureClass,
    message: String,
}

impl NotStarted {
    /// The machine's fault.
    fn machine(what: &str, error: &io::Error) -> Self {
        Self {
            class: FailureClass::Infrastructure,
            message: format!("The run cannot be started: {what}: {error}"),
        }
    }
}

/// The word that makes one of our programs a supervisor: its first argument.
pub const COMMAND: &str = "supervise";

/// Serves one order from stdin, to its end. To be called first thing in the program.
pub fn run() -> ExitCode {
    let mut line = String::new();
    let order: Order = match io::stdin().lock().read_line(&mut line) {
        Ok(0) => return ExitCode::SUCCESS,
        Ok(_) => match serde_json::from_str(&line) {
            Ok(order) => order,
            Err(_) => return ExitCode::from(2),
        },
        Err(_) => return ExitCode::FAILURE,
    };
    let (sender, events) = channel();
    listen_to_worker(sender.clone());
    if let Err(error) = listen_to_signals(&sender) {
        return refuse(NotStarted::machine("its supervisor cannot listen to signals", &error));
    }
    match serve(&order, &sender, &events) {
        Ok(last) => {
            report(&last);
            ExitCode::SUCCESS
        }
        Err(reason) => refuse(reason),
    }
}

fn refuse(reason: NotStarted) -> ExitCode {
    report(&Report::NotStarted { class: reason.class, message: reason.message });
    ExitCode::FAILURE
}

/// Says something to the worker. If it is dead there is nobody to tell.
fn report(report: &Report) {
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
    }
}

fn listen_to_worker(sender: Sender<Event>) {
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let event = match line.as_str() {
                STOP => Event::Stop,
                KILL => Event::Kill,
                _ => continue,
            };
            if sender.send(event).is_err() {
                return;
            }
        }
        let _ = sender.send(Event::Orphaned);
    });
}

fn listen_to_signals(sender: &Sender<Event>) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let (mut reader, writer) = UnixStream::pair()?;
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
    }
    let sender = sender.clone();
    thread::spawn(move || {
        let mut byte = [0];
        while reader.read_exact(&mut byte).is_ok() && sender.send(Event::Stop).is_ok() {}
    });
    Ok(())
}

/// From the order to its last report. The locks are held until the process ends.
fn serve(order: &Order, sender: &Sender<Event>, events: &Receiver<Event>) -> Result<Report, NotStarted> {
    // What the connector's children leave behind becomes ours, so that it can be found and ended.
    let _ = set_child_subreaper(Some(getpid()));
    let grace = Duration::from_millis(order.grace_millis);
    let files = &order.guard;
    let claim = Claim {
        lock: &files.lock,
        record: Some(&files.record),
        over: Some(&files.over),
        output: None,
        run: &order.run,
        grace,
        only_own: false,
    };
    reach(Step::GuardTaken, Moment::Before);
    let Some(lock) = take(&claim, WAITS_FOR_PREVIOUS, events)? else { return Ok(Report::Stopped) };
    reach(Step::GuardTaken, Moment::After);
    // The holder before is over, and so is its record.
    let _ = fs::remove_file(&files.record);
    let last = serve_guarded(order, sender, events);
    let _ = fs::remove_dir_all(&order.inputs);
    let _ = guard::forget(files);
    // Not closed here: whoever gets the lock next shall find this process ended.
    std::mem::forget(lock);
    last
}

fn serve_guarded(
    order: &Order,
    sender: &Sender<Event>,
    events: &Receiver<Event>,
) -> Result<Report, NotStarted> {
    let grace = Duration::from_millis(order.grace_millis);
    if let Some(single) = &order.single {
        let claim = Claim {
            lock: &single.lock,
            record: None,
            over: None,
            output: None,
            run: &order.run,
            grace,
            only_own: false,
        };
        match take(&claim, &single.reason, events)? {
            Some(lock) => std::mem::forget(lock),
            None => return Ok(Report::Stopped),
        }
    }
    // A stop that came in just before the start.
    if events.try_recv().is_ok() {
        return Ok(Report::Stopped);
    }
    let spare_reader = File::open("/proc/self/fd/2").ok();
    reach(Step::ConnectorStarted, Moment::Before);
    let mut connector = start(order)?;
    reach(Step::ConnectorStarted, Moment::After);
    let group = connector.id().cast_signed();
    reach(Step::ConnectorRecorded, Moment::Before);
    let recorded = Record::of(order.run.clone(), group).and_then(|record| record.write(&order.guard.record));
    if let Err(error) = recorded {
        processes::signal_group(group, Signal::KILL);
        let _ = connector.wait();
        processes::end_rest_of_group(group, Duration::ZERO);
        return Err(NotStarted::machine("its record cannot be written", &error));
    }
    reach(Step::ConnectorRecorded, Moment::After);
    report(&Report::Started { pid: group });
    let sender = sender.clone();
    thread::spawn(move || {
        wait_for_end(group);
        let _ = sender.send(Event::Ended);
    });
    watch(group, grace, events, spare_reader);
    processes::signal_group(group, Signal::TERM);
    let status =
        connector.wait().map_err(|error| NotStarted::machine("how it ended cannot be read", &error))?;
    reach(Step::GroupEnded, Moment::Before);
    processes::end_rest_of_group(group, REST_GRACE);
    processes::end_strays(STRAYS_LIMIT);
    reach(Step::GroupEnded, Moment::After);
    Ok(Report::Exited(exited(status)))
}

fn take(claim: &Claim<'_>, reason: &str, events: &Receiver<Event>) -> Result<Option<File>, NotStarted> {
    let waits = || report(&Report::Waiting(reason.to_owned()));
    let taken = claim.take(waits, |pause| events.recv_timeout(pause).is_ok());
    let lock = taken.map_err(|error| NotStarted::machine("its lock cannot be taken", &error))?;
    if let Some(lock) = &lock {
        guard::pass_on(lock).map_err(|error| NotStarted::machine("its lock cannot be passed on", &error))?;
    }
    Ok(lock)
}

fn start(order: &Order) -> Result<Child, NotStarted> {
    let machine = |error: io::Error| NotStarted::machine("its console cannot be set up", &error);
    let console = io::stderr().as_fd().try_clone_to_owned().map_err(machine)?;
    let mut command = Command::new(&order.program);
    command.args(&order.args).env_clear().envs(order.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(&order.cwd).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::from(console)).stderr(Stdio::inherit());
    command.spawn().map_err(|error| not_started(order, &error))
}

fn not_started(order: &Order, error: &io::Error) -> NotStarted {
    let is_of_machine = matches!(
        error.raw_os_error().map(Errno::from_raw_os_error),
        Some(Errno::AGAIN | Errno::NOMEM | Errno::NFILE | Errno::MFILE)
    );
    let class = if is_of_machine { FailureClass::Infrastructure } else { FailureClass::Image };
    let hint = match error.kind() {
        io::ErrorKind::NotFound => " (the program, its interpreter or its working directory was not found)",
        io::ErrorKind::PermissionDenied => " (it is not executable for this user)",
        _ => "",
    };
    let program = order.program.display();
    NotStarted {
        class,
        message: format!("The connector's program {program} cannot be started: {error}{hint}"),
    }
}

/// Waits until the process has ended, and leaves it to be reaped.
fn wait_for_end(pid: i32) {
    let Some(pid) = Pid::from_raw(pid) else { return };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
}

/// Until the connector's process has ended: passes on what is asked of it.
fn watch(group: i32, grace: Duration, events: &Receiver<Event>, mut spare_reader: Option<File>) {
    let mut told = false;
    let mut kill_at: Option<Instant> = None;
    loop {
        let event = match kill_at {
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => events.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match event {
            Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(Event::Kill) | Err(RecvTimeoutError::Timeout) => {
                processes::signal_group(group, Signal::KILL);
                told = true;
                kill_at = None;
            }
            Ok(asked @ (Event::Stop | Event::Orphaned)) => {
                if matches!(asked, Event::Orphaned) {
                    drain(spare_reader.take());
                }
                if !told {
                    processes::signal_group(group, Signal::TERM);
                    told = true;
                    kill_at = Some(Instant::now() + grace);
                }
            }
        }
    }
}

/// Reads the console in the place of a dead worker. A connector that prints to a pipe without a reader would be
/// killed by that, or hang on a full one, before it has written its last state.
fn drain(console: Option<File>) {
    if let Some(mut console) = console {
        thread::spawn(move || io::copy(&mut console, &mut io::sink()));
    }
}

fn exited(status: ExitStatus) -> Exited {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exited::Code(code),
        (None, Some(signal)) => Exited::Signal(signal),
        (None, None) => Exited::Code(-1),
    }
}
