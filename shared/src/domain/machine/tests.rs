use std::collections::HashSet;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{
    model::{Kind, Model, Row, TABLE, epoch_of},
    *,
};

fn queued() -> TaskView {
    TaskView { status: TaskStatus::Queued, attempt: 0, epoch: 0, owner: None, cancel_requested: false }
}

#[test]
fn a_wish_to_cancel_that_meets_a_clean_end_is_a_success() {
    let running = decide(&queued(), Event::Claim { worker: Uuid::nil() }).unwrap();
    let wished = decide(&running, Event::CancelWish).unwrap();
    assert_eq!(wished.status, TaskStatus::Running);
    assert_eq!(decide(&wished, Event::CleanEnd { epoch: 1 }).unwrap().status, TaskStatus::Succeeded);
    let bad = Event::BadEnd { epoch: 1, class: FailureClass::Connector, retry: true };
    assert_eq!(decide(&wished, bad).unwrap().status, TaskStatus::Cancelled);
    assert_eq!(decide(&wished, Event::Interrupted { epoch: 1 }).unwrap().status, TaskStatus::Cancelled);
}

#[test]
fn a_queued_task_is_cancelled_at_once_and_a_cancelled_one_is_never_claimed() {
    let cancelled = decide(&queued(), Event::CancelWish).unwrap();
    assert_eq!(cancelled.status, TaskStatus::Cancelled);
    assert_eq!(decide(&cancelled, Event::Claim { worker: Uuid::nil() }), Err(Refusal::Ended));
}

#[test]
fn an_old_owner_changes_nothing() {
    let first = decide(&queued(), Event::Claim { worker: Uuid::nil() }).unwrap();
    let back = decide(&first, Event::OwnerLost { epoch: 1 }).unwrap();
    assert_eq!((back.status, back.epoch), (TaskStatus::Queued, 2));
    let second = decide(&back, Event::Claim { worker: Uuid::max() }).unwrap();
    assert_eq!((second.attempt, second.epoch), (2, 3));
    assert_eq!(decide(&second, Event::CleanEnd { epoch: 1 }), Err(Refusal::Fenced));
}

#[test]
fn an_adopted_task_goes_on_with_its_attempt_under_the_new_owner_alone() {
    let first = decide(&queued(), Event::Claim { worker: Uuid::nil() }).unwrap();
    let wished = decide(&first, Event::CancelWish).unwrap();
    let adopted = decide(&wished, Event::Adopt { epoch: 1, worker: Uuid::max() }).unwrap();
    assert_eq!((adopted.status, adopted.attempt, adopted.epoch), (TaskStatus::Running, 1, 2));
    assert_eq!(adopted.owner, Some(Uuid::max()));
    assert!(adopted.cancel_requested, "a wish outlives the owner");
    assert_eq!(decide(&adopted, Event::CleanEnd { epoch: 1 }), Err(Refusal::Fenced));
    let twice = Event::Adopt { epoch: 1, worker: Uuid::nil() };
    assert_eq!(decide(&adopted, twice), Err(Refusal::Fenced), "one of two is faster");
    assert_eq!(decide(&queued(), Event::Adopt { epoch: 0, worker: Uuid::nil() }), Err(Refusal::NotNow));
}

#[test]
fn a_waiting_task_is_claimed_only_once_it_is_promoted() {
    let waiting = TaskView { status: TaskStatus::Waiting, ..queued() };
    let claim = Event::Claim { worker: Uuid::nil() };
    assert_eq!(decide(&waiting, claim), Err(Refusal::NotNow));
    let promoted = decide(&waiting, Event::Promoted).unwrap();
    assert_eq!(promoted, queued());
    assert_eq!(decide(&promoted, Event::Promoted), Err(Refusal::NotNow), "twice is once");
    assert_eq!(decide(&promoted, Event::Abandoned), Err(Refusal::NotNow));
    assert_eq!(decide(&promoted, claim).unwrap().status, TaskStatus::Running);
    assert_eq!(decide(&waiting, Event::Abandoned).unwrap().status, TaskStatus::Cancelled);
    assert_eq!(decide(&waiting, Event::CancelWish).unwrap().status, TaskStatus::Cancelled);
    assert_eq!(decide(&waiting, Event::Unschedulable), Err(Refusal::NotNow));
}

/// What happens to a task and to the events of those who know of it.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// Somebody sends an event, as things stand now; it arrives at once, or waits in the post.
    Send { kind: Kind, worker: u8, at_once: bool },
    /// One of the events in the post arrives: late, and in any order.
    Arrive { which: usize },
    /// An event that has arrived before arrives again, however long ago that was.
    Again { which: usize },
}

fn any_move() -> impl Strategy<Value = Move> {
    // Claims and what leads back to the queue come more often, so that a task has many owners.
    let kind = prop_oneof![
        6 => Just(Kind::Claim),
        2 => Just(Kind::OwnerLost),
        2 => Just(Kind::Adopt),
        2 => Just(Kind::Interrupted),
        2 => Just(Kind::BadEndToRetry),
        1 => Just(Kind::BadEnd),
        1 => Just(Kind::CleanEnd),
        1 => Just(Kind::CancelledEnd),
        1 => Just(Kind::CancelWish),
        1 => Just(Kind::Unschedulable),
        2 => Just(Kind::Promoted),
        1 => Just(Kind::Abandoned),
    ];
    prop_oneof![
        5 => (kind, 0..3u8, any::<bool>())
            .prop_map(|(kind, worker, at_once)| Move::Send { kind, worker, at_once }),
        2 => any::<usize>().prop_map(|which| Move::Arrive { which }),
        2 => any::<usize>().prop_map(|which| Move::Again { which }),
    ]
}

fn any_story() -> impl Strategy<Value = (bool, Vec<Move>)> {
    (any::<bool>(), proptest::collection::vec(any_move(), 0..60))
}

/// An event under the epoch that its sender knows.
fn event(kind: Kind, worker: u8, epoch: i64) -> Event {
    let (class, id) = (FailureClass::Connector, Uuid::from_u128(u128::from(worker) + 1));
    match kind {
        Kind::Claim => Event::Claim { worker: id },
        Kind::Adopt => Event::Adopt { epoch, worker: id },
        Kind::CancelWish => Event::CancelWish,
        Kind::CleanEnd => Event::CleanEnd { epoch },
        Kind::BadEndToRetry => Event::BadEnd { epoch, class, retry: true },
        Kind::BadEnd => Event::BadEnd { epoch, class, retry: false },
        Kind::CancelledEnd => Event::BadEnd { epoch, class: FailureClass::Cancelled, retry: true },
        Kind::Interrupted => Event::Interrupted { epoch },
        Kind::OwnerLost => Event::OwnerLost { epoch },
        Kind::Unschedulable => Event::Unschedulable,
        Kind::Promoted => Event::Promoted,
        Kind::Abandoned => Event::Abandoned,
    }
}

/// What a story came to.
#[derive(Default)]
struct Met {
    rows: HashSet<Row>,
    refusals: HashSet<&'static str>,
    /// Events of an earlier owner that arrived while the task had another one.
    from_earlier_owners: usize,
}

/// An event, and the ownership under which it was sent: the how many-th one that was.
type Sent = (Event, i32);

type Decide = fn(&TaskView, Event) -> Result<TaskView, Refusal>;

/// Plays a story to the machine and to the model. An error says where they differ, or where an earlier owner counted.
fn play(decide: Decide, waits: bool, moves: &[Move], met: &mut Met) -> Result<(), String> {
    let began = if waits { TaskStatus::Waiting } else { TaskStatus::Queued };
    let (mut task, mut model) = (TaskView { status: began, ..queued() }, Model::new(began));
    let (mut post, mut arrived): (Vec<Sent>, Vec<Sent>) = (Vec::new(), Vec::new());
    // Claims and adoptions that were accepted.
    let mut owners = 0;
    let at = |which: usize, length: usize| (length > 0).then(|| which % length.max(1));
    for step in moves {
        let arrives = match *step {
            Move::Send { kind, worker, at_once } => {
                let sent = (event(kind, worker, task.epoch), owners);
                if at_once {
                    Some(sent)
                } else {
                    post.push(sent);
                    None
                }
            }
            Move::Arrive { which } => at(which, post.len()).map(|at| post.swap_remove(at)),
            Move::Again { which } => at(which, arrived.len()).map(|at| arrived[at]),
        };
        let Some((event, sent_by)) = arrives else { continue };
        arrived.push((event, sent_by));
        let owner = owners;
        let (before, decided, modelled) = (task, decide(&task, event), model.take(event));
        if let Ok(after) = decided {
            task = after;
            owners += i32::from(matches!(event, Event::Claim { .. } | Event::Adopt { .. }));
        }
        let agree = match (decided, modelled) {
            (Ok(_), Ok(row)) => {
                met.rows.insert(row);
                true
            }
            (Err(refused), Err(expected)) => {
                met.refusals.insert(match refused {
                    Refusal::Ended => "ended",
                    Refusal::Fenced => "fenced",
                    Refusal::NotNow => "not now",
                });
                refused == expected
            }
            _ => false,
        };
        if !agree || task != model.view() {
            return Err(format!(
                "{event:?} makes of {before:?} {decided:?}; the model says {modelled:?} and {:?}",
                model.view()
            ));
        }
        let by_an_earlier_owner =
            epoch_of(event).is_some() && before.status == TaskStatus::Running && sent_by != owner;
        met.from_earlier_owners += usize::from(by_an_earlier_owner);
        if by_an_earlier_owner && task != before {
            return Err(format!("{event:?} of owner {sent_by} counted against owner {owner}"));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn doubled_late_and_reordered_events_make_of_a_task_what_the_model_says((waits, moves) in any_story()) {
        let played = play(decide, waits, &moves, &mut Met::default());
        prop_assert!(played.is_ok(), "{}", played.unwrap_err());
    }
}

/// Many stories, the same in each run of the tests.
fn stories() -> impl Iterator<Item = (bool, Vec<Move>)> {
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    (0..1000).map(move |_| any_story().new_tree(&mut runner).unwrap().current())
}

#[test]
fn the_stories_come_by_every_row_of_the_model_and_every_refusal() {
    let mut met = Met::default();
    for (waits, moves) in stories() {
        play(decide, waits, &moves, &mut met).unwrap();
    }
    let missing: Vec<_> = TABLE.iter().filter(|row| !met.rows.contains(row)).collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
    assert_eq!(met.refusals.len(), 3, "{:?}", met.refusals);
    assert!(met.from_earlier_owners > 200, "{}", met.from_earlier_owners);
}

#[test]
fn a_machine_without_the_fence_and_one_that_leaves_an_end_are_found_out() {
    fn without_fence(task: &TaskView, event: Event) -> Result<TaskView, Refusal> {
        let epoch = task.epoch;
        decide(
            task,
            match event {
                Event::CleanEnd { .. } => Event::CleanEnd { epoch },
                Event::BadEnd { class, retry, .. } => Event::BadEnd { epoch, class, retry },
                Event::Interrupted { .. } => Event::Interrupted { epoch },
                Event::OwnerLost { .. } => Event::OwnerLost { epoch },
                Event::Adopt { worker, .. } => Event::Adopt { epoch, worker },
                other => other,
            },
        )
    }
    fn leaves_an_end(task: &TaskView, event: Event) -> Result<TaskView, Refusal> {
        let failed = task.status == TaskStatus::Failed;
        decide(&TaskView { status: if failed { TaskStatus::Queued } else { task.status }, ..*task }, event)
    }
    fn forgets_the_epoch_of_what_comes_back(task: &TaskView, event: Event) -> Result<TaskView, Refusal> {
        let after = decide(task, event)?;
        let epoch = if after.status == TaskStatus::Queued { task.epoch } else { after.epoch };
        Ok(TaskView { epoch, ..after })
    }
    for broken in [without_fence, leaves_an_end, forgets_the_epoch_of_what_comes_back] {
        let found = stories().any(|(waits, moves)| play(broken, waits, &moves, &mut Met::default()).is_err());
        assert!(found, "it passes for the model");
    }
}
