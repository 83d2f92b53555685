//! The protocol under every order of requests that a random search finds: several processes save, load, remove and collect
//! garbage at the same time, requests fail before or after they are carried out, processes are killed, hours pass. After
//! every single step, every session is whole.

mod world;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use intact_format::image::{Chunk, ChunkId};
use intact_format::session_id::SessionId;
use object_store::path::Path;
use proptest::prelude::*;

use crate::bring::Brought;
use crate::error::StoreError;
use crate::head::{self, Head, Summary};
use crate::key::{Generation, Key};
use crate::objects::Objects;
use crate::save::{Draft, Expected};
use crate::surroundings::{PATIENCE, Surroundings};
use crate::sweep::Collection;
use crate::{read, remove, save, sweep};
use world::{Fate, Process, World};

/// What a process does.
#[derive(Clone, Debug)]
enum Task {
    /// Saves a session with these chunks, whatever is there.
    Save { session: u8, chunks: Vec<u8> },
    /// The same; the chunks are brought one by one before.
    Bring { session: u8, chunks: Vec<u8> },
    /// Loads a session, adds a chunk, and saves it with that chunk alone, if nobody else has saved it meanwhile.
    Continue { session: u8, chunk: u8 },
    /// Loads a session and removes it, if nobody else has saved it meanwhile.
    Remove { session: u8 },
    /// Loads a session.
    Load { session: u8 },
    /// Collects garbage, however young.
    Collect,
}

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    /// A waiting request comes through, or not.
    Request(usize, Fate),
    /// A process is killed; a new one goes on with its next task.
    Kill(usize),
    /// Minutes pass.
    Pass(u64),
    /// A request whose failure was reported is carried out after all.
    Arrive,
}

/// What processes reported.
#[derive(Debug, Default)]
struct Log {
    /// Saves that succeeded: session, number, document, when.
    saves: Vec<(u8, Generation, Vec<u8>, Duration)>,
    /// What must never be.
    violations: Vec<String>,
}

type Work = Pin<Box<dyn Future<Output = ()>>>;

fn payload(chunk: u8) -> Vec<u8> {
    vec![chunk; 3]
}

fn name(session: u8) -> SessionId {
    SessionId::new(format!("session {session}")).unwrap()
}

fn draft<'a>(session: u8, document: &'a [u8], needs: &[ChunkId], chunks: &'a [Chunk<'a>]) -> Draft<'a> {
    let needs = needs.iter().map(|id| (*id, 3)).collect();
    Draft { session: name(session), summary: Summary::default(), document, needs, chunks }
}

async fn carry_out(
    process: Process,
    tasks: Vec<(usize, Task)>,
    log: Rc<RefCell<Log>>,
    next: Rc<RefCell<usize>>,
) {
    let objects = Objects::new(Arc::new(process.clone()), Path::default(), "world".into());
    for (number, task) in tasks {
        *next.borrow_mut() = number + 1;
        let outcome = perform(&objects, &process, number, &task, &log).await;
        match outcome {
            Ok(())
            | Err(
                StoreError::Backend { .. }
                | StoreError::Conflict { .. }
                | StoreError::SessionNotFound { .. }
                | StoreError::Superseded { .. }
                | StoreError::TooSlow { .. }
                | StoreError::Contended { .. },
            ) => {}
            Err(error) => log.borrow_mut().violations.push(format!("{task:?}: {error}")),
        }
    }
}

async fn perform(
    objects: &Objects,
    process: &Process,
    number: usize,
    task: &Task,
    log: &RefCell<Log>,
) -> Result<(), StoreError> {
    match task {
        Task::Save { session, chunks } => {
            let document = format!("{process} {number} {chunks:?}").into_bytes();
            let chunks: Vec<_> = chunks.iter().map(|chunk| Chunk::new(payload(*chunk))).collect();
            let needs: Vec<_> = chunks.iter().map(Chunk::id).collect();
            let draft = draft(*session, &document, &needs, &chunks);
            let saved = save::save(objects, process, &draft, Expected::Anything, &Brought::default()).await?;
            log.borrow_mut().saves.push((*session, saved.generation, document, process_time(process)));
            Ok(())
        }
        Task::Bring { session, chunks } => {
            let document = format!("{process} {number} brought {chunks:?}").into_bytes();
            let chunks: Vec<_> = chunks.iter().map(|chunk| Chunk::new(payload(*chunk))).collect();
            let needs: Vec<_> = chunks.iter().map(Chunk::id).collect();
            let start = process.elapsed();
            let mut brought = Brought::default();
            let mut outcome = Ok(());
            for chunk in &chunks {
                outcome = brought.bring(objects, process, std::slice::from_ref(chunk)).await;
                if outcome.is_err() {
                    break;
                }
            }
            let draft = draft(*session, &document, &needs, &[]);
            let saved = match outcome {
                Ok(()) => save::save(objects, process, &draft, Expected::Anything, &brought).await,
                Err(error) => Err(error),
            };
            let released = brought.release(objects).await;
            let saved = match saved {
                // What was announced a day ago counts no longer.
                Err(StoreError::NotSupplied { .. }) if process.elapsed() - start > PATIENCE => return Ok(()),
                saved => saved?,
            };
            log.borrow_mut().saves.push((*session, saved.generation, document, process_time(process)));
            released
        }
        Task::Continue { session, chunk } => {
            let opened = read::open(objects, &name(*session)).await?;
            let chunk = [Chunk::new(payload(*chunk))];
            let old = opened.chunks.iter().map(|chunk| chunk.id);
            let needs: Vec<_> = old.chain([chunk[0].id()]).collect();
            let document = format!("{process} {number} after {}", opened.generation).into_bytes();
            let draft = draft(*session, &document, &needs, &chunk);
            let saved =
                save::save(objects, process, &draft, Expected::At(opened.generation), &Brought::default())
                    .await;
            let saved = match saved {
                // Its last save, and with it its chunks, went before this one came to be.
                Err(StoreError::NotSupplied { .. })
                    if latest(&process.contents(), *session).map(|head| head.generation)
                        != Some(opened.generation) =>
                {
                    return Ok(());
                }
                saved => saved?,
            };
            log.borrow_mut().saves.push((*session, saved.generation, document, process_time(process)));
            Ok(())
        }
        Task::Remove { session } => {
            let opened = read::open(objects, &name(*session)).await?;
            remove::remove(objects, process, &name(*session), opened.generation).await.map(|_| ())
        }
        Task::Load { session } => {
            let opened = read::open(objects, &name(*session)).await?;
            let ids: Vec<_> = opened.chunks.iter().map(|chunk| chunk.id).collect();
            read::chunks(objects, &opened, &ids).await.map(|_| ())
        }
        Task::Collect => {
            let collection = Collection { grace: Duration::ZERO, dry_run: false };
            sweep::collect(objects, process, collection).await.map(|_| ())
        }
    }
}

fn process_time(process: &Process) -> Duration {
    process.elapsed()
}

/// The heads that are there.
fn heads(contents: &BTreeMap<String, Vec<u8>>) -> BTreeMap<SessionId, Head> {
    let mut heads = BTreeMap::new();
    for (path, content) in contents {
        if path.starts_with("sessions/") {
            let head: Head = head::read(content).unwrap();
            heads.insert(head.session.clone(), head);
        }
    }
    heads
}

fn latest(contents: &BTreeMap<String, Vec<u8>>, session: u8) -> Option<Head> {
    heads(contents).remove(&name(session))
}

/// Every latest save has its document and its chunks, with the content that their names say.
fn check_whole(world: &World) -> Result<(), String> {
    let contents = world.contents();
    for head in heads(&contents).values() {
        for reference in head.blobs() {
            let key = Key::Blob(reference.name()).to_string();
            match contents.get(&key) {
                Some(content) if ChunkId::of(content) == reference.id => {}
                Some(_) => return Err(format!("{key} has another content")),
                None => return Err(format!("{} at {} lost {key}", head.session, head.generation)),
            }
        }
    }
    Ok(())
}

/// A save that was reported is there, or a later one.
fn check_saves(world: &World, log: &Log) -> Result<(), String> {
    let contents = world.contents();
    let mut seen: BTreeMap<(u8, Generation), Duration> = BTreeMap::new();
    for (session, generation, document, time) in &log.saves {
        // Numbers begin anew only a day after a removal.
        if let Some(before) = seen.insert((*session, *generation), *time)
            && time.saturating_sub(before) < Duration::from_secs(20 * 3600)
        {
            return Err(format!("two saves of session {session} have the number {generation}"));
        }
        let Some(head) = latest(&contents, *session) else { continue };
        if head.generation == *generation && !head.is_removal() {
            let key = Key::Blob(head.blobs().next().unwrap().name()).to_string();
            if contents[&key] != *document && seen.len() == log.saves.len() {
                return Err(format!("save {generation} of session {session} has another document"));
            }
        }
    }
    Ok(())
}

fn run(programs: &[Vec<Task>], events: &[Event]) -> Result<(), String> {
    let world = World::default();
    let log = Rc::new(RefCell::new(Log::default()));
    let mut next: Vec<_> = programs.iter().map(|_| Rc::new(RefCell::new(0))).collect();
    let begin = |number: usize, from: usize, next: &Rc<RefCell<usize>>| -> Work {
        let tasks = programs[number].iter().cloned().enumerate().skip(from).collect();
        Box::pin(carry_out(world.process(number), tasks, Rc::clone(&log), Rc::clone(next)))
    };
    let mut processes: Vec<Option<Work>> =
        next.iter().enumerate().map(|(number, next)| Some(begin(number, 0, next))).collect();
    let poll = |processes: &mut Vec<Option<Work>>, number: usize| {
        let Some(work) = &mut processes[number] else { return };
        if work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            processes[number] = None;
        }
    };
    for number in 0..programs.len() {
        poll(&mut processes, number);
    }
    let finish = std::iter::repeat_n(Event::Request(0, Fate::Done), 20_000);
    for event in events.iter().cloned().chain(finish) {
        let waiting = world.waiting();
        if waiting.is_empty() {
            break;
        }
        match event {
            Event::Request(index, fate) => {
                if let Some(number) = world.decide(waiting[index % waiting.len()], fate) {
                    poll(&mut processes, number);
                }
            }
            Event::Kill(number) => {
                let number = number % programs.len();
                processes[number] = None;
                let from = *next[number].borrow();
                next[number] = Rc::new(RefCell::new(from));
                processes[number] = Some(begin(number, from, &next[number]));
                poll(&mut processes, number);
            }
            Event::Pass(minutes) => world.pass(Duration::from_secs(minutes * 60)),
            Event::Arrive => world.arrive(),
        }
        check_whole(&world)?;
    }
    check_saves(&world, &log.borrow())?;
    if let Some(violation) = log.borrow().violations.first() {
        return Err(violation.clone());
    }
    check_clean_up(&world)
}

/// Days later, garbage collection leaves the sessions and nothing else.
fn check_clean_up(world: &World) -> Result<(), String> {
    // What is late by now arrives before the day is over.
    while world.has_late() {
        world.arrive();
        check_whole(world)?;
    }
    for _ in 0..2 {
        world.pass(Duration::from_secs(30 * 3600));
        let process = world.process(99);
        let log = Rc::new(RefCell::new(Log::default()));
        let next = Rc::new(RefCell::new(0));
        let mut work: Work = Box::pin(carry_out(process, vec![(0, Task::Collect)], Rc::clone(&log), next));
        while work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            let waiting = world.waiting();
            let first = *waiting.first().ok_or("the collection waits for nothing")?;
            world.decide(first, Fate::Done);
        }
        check_whole(world)?;
    }
    let contents = world.contents();
    let heads = heads(&contents);
    let live: BTreeSet<String> = heads
        .values()
        .flat_map(|head| head.blobs().map(|blob| Key::Blob(blob.name()).to_string()).collect::<Vec<_>>())
        .collect();
    let left = contents.keys().filter(|path| !path.starts_with("sessions/") && !live.contains(*path));
    match left.collect::<Vec<_>>() {
        left if !left.is_empty() => Err(format!("left behind: {left:?}")),
        _ if heads.values().any(Head::is_removal) => Err("a removal stays for ever".into()),
        _ => Ok(()),
    }
}

fn tasks() -> impl Strategy<Value = Task> {
    let session = 0_u8..2;
    prop_oneof![
        3 => (session.clone(), proptest::collection::vec(0_u8..3, 0..3))
            .prop_map(|(session, chunks)| Task::Save { session, chunks }),
        2 => (session.clone(), proptest::collection::vec(0_u8..3, 0..3))
            .prop_map(|(session, chunks)| Task::Bring { session, chunks }),
        2 => (session.clone(), 0_u8..3).prop_map(|(session, chunk)| Task::Continue { session, chunk }),
        2 => session.clone().prop_map(|session| Task::Remove { session }),
        1 => session.prop_map(|session| Task::Load { session }),
        4 => Just(Task::Collect),
    ]
}

/// Events, of which `hours` in a hundred or so let time pass.
fn events(hours: u32) -> impl Strategy<Value = Vec<Event>> {
    let fates = [Fate::Lost, Fate::Unanswered, Fate::Late];
    let fate = prop_oneof![40 => Just(Fate::Done), 3 => proptest::sample::select(fates.to_vec())];
    let event = prop_oneof![
        100 => (any::<usize>(), fate).prop_map(|(index, fate)| Event::Request(index, fate)),
        2 => any::<usize>().prop_map(Event::Kill),
        2 => Just(Event::Arrive),
        hours => proptest::sample::select(vec![5, 50, 70, 600, 1300]).prop_map(Event::Pass),
    ];
    proptest::collection::vec(event, 0..500)
}

fn programs() -> impl Strategy<Value = Vec<Vec<Task>>> {
    proptest::collection::vec(proptest::collection::vec(tasks(), 1..5), 2..5)
}

fn settings() -> ProptestConfig {
    let cases = std::env::var("INTACT_INTERLEAVINGS").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: cases.unwrap_or(400), max_shrink_iters: 300, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn no_order_of_requests_loses_a_session_or_leaves_garbage(programs in programs(), events in events(3)) {
        run(&programs, &events).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn no_session_is_lost_when_processes_sleep_for_hours(programs in programs(), events in events(40)) {
        run(&programs, &events).map_err(TestCaseError::fail)?;
    }
}
