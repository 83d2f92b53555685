//! An object store in which nothing happens until the test says so: every request waits to be let through, to fail, or to
//! be cut off by the end of its process. Time passes only when the test lets it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::key::Mark;
use crate::surroundings::Surroundings;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    /// It fails and changed nothing.
    Lost,
    /// It is carried out, and its answer gets lost.
    Unanswered,
    /// It fails, and is carried out all the same some hours later.
    Late,
}

/// What a request changes.
#[derive(Clone, Debug)]
enum Change {
    Put { path: Path, content: Vec<u8>, create: bool },
    Remove { path: Path },
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<Path, (Vec<u8>, Duration)>,
    now: Duration,
    marks: u128,
    requests: u64,
    waiting: BTreeMap<u64, Request>,
    late: Vec<(Duration, Change)>,
}

#[derive(Debug)]
struct Request {
    process: usize,
    since: Duration,
    fate: Option<Fate>,
    waker: Option<Waker>,
}

/// What all processes share.
#[derive(Clone, Debug, Default)]
pub(super) struct World(Arc<Mutex<State>>);

/// A request that waits, until it is answered or nobody waits for its answer any more.
#[derive(Debug)]
struct Ticket {
    world: World,
    number: u64,
}

/// The world as one process sees it.
#[derive(Clone, Debug)]
pub(super) struct Process {
    world: World,
    number: usize,
}

impl World {
    pub(super) fn process(&self, number: usize) -> Process {
        Process { world: self.clone(), number }
    }

    /// The requests that wait to be let through.
    pub(super) fn waiting(&self) -> Vec<u64> {
        self.state().waiting.keys().copied().collect()
    }

    /// Decides a request; gives the process that made it.
    pub(super) fn decide(&self, request: u64, fate: Fate) -> Option<usize> {
        let mut state = self.state();
        let request = state.waiting.get_mut(&request)?;
        request.fate = Some(fate);
        if let Some(waker) = request.waker.take() {
            waker.wake();
        }
        Some(request.process)
    }

    /// Lets time pass, but not so much that a request takes a day.
    pub(super) fn pass(&self, time: Duration) {
        let mut state = self.state();
        let longest = Duration::from_secs(22 * 3600);
        let now = state.now + time;
        let waiting = state.waiting.values().map(|request| request.since);
        if waiting.chain(state.late.iter().map(|(since, _)| *since)).all(|since| now - since < longest) {
            state.now = now;
        }
    }

    /// Lets the oldest late request be carried out.
    pub(super) fn arrive(&self) {
        let mut state = self.state();
        if !state.late.is_empty() {
            let (_, change) = state.late.remove(0);
            // Nobody waits for the answer.
            let _ = state.apply(change);
        }
    }

    pub(super) fn has_late(&self) -> bool {
        !self.state().late.is_empty()
    }

    pub(super) fn now(&self) -> Duration {
        self.state().now
    }

    pub(super) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        state.objects.iter().map(|(path, (content, _))| (path.to_string(), content.clone())).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn apply(&mut self, change: Change) -> Result<()> {
        match change {
            Change::Put { path, create: true, .. } if self.objects.contains_key(&path) => {
                Err(Error::AlreadyExists { path: path.to_string(), source: "there it is".into() })
            }
            Change::Put { path, content, .. } => {
                self.objects.insert(path, (content, self.now));
                Ok(())
            }
            Change::Remove { path } => self.objects.remove(&path).map(|_| ()).ok_or_else(|| missing(&path)),
        }
    }
}

impl Process {
    pub(super) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        self.world.contents()
    }

    /// Waits until the test decides, and fails if that is what it decided.
    async fn ask(&self) -> Result<Fate> {
        let ticket = self.ticket();
        let fate = poll_fn(|context| {
            let mut state = self.world.state();
            let Some(request) = state.waiting.get_mut(&ticket.number) else { return Poll::Pending };
            request.waker = Some(context.waker().clone());
            request.fate.map_or(Poll::Pending, Poll::Ready)
        });
        match fate.await {
            Fate::Lost => Err(failed()),
            fate => Ok(fate),
        }
    }

    fn ticket(&self) -> Ticket {
        let mut state = self.world.state();
        state.requests += 1;
        let number = state.requests;
        let request = Request { process: self.number, since: state.now, fate: None, waker: None };
        state.waiting.insert(number, request);
        Ticket { world: self.world.clone(), number }
    }

    async fn change(&self, change: Change) -> Result<()> {
        let fate = self.ask().await?;
        let mut state = self.world.state();
        if fate == Fate::Late {
            let now = state.now;
            state.late.push((now, change));
            return Err(failed());
        }
        let outcome = state.apply(change);
        answer(fate).and(outcome)
    }

    /// Like a folder: names first, then each file is looked at, and those that went meanwhile are left out.
    async fn list_all(&self, prefix: Option<Path>) -> Result<Vec<ObjectMeta>> {
        let fate = self.ask().await?;
        let names: Vec<Path> = {
            let state = self.world.state();
            let below = |path: &&Path| prefix.as_ref().is_none_or(|prefix| path.prefix_matches(prefix));
            state.objects.keys().filter(below).cloned().collect()
        };
        answer(fate)?;
        answer(self.ask().await?)?;
        let state = self.world.state();
        Ok(names.iter().filter_map(|path| meta(&state, path)).collect())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Its waker may own what drops this, so it goes after the lock.
        let request = self.world.state().waiting.remove(&self.number);
        drop(request);
    }
}

impl Surroundings for Process {
    fn elapsed(&self) -> Duration {
        self.world.now()
    }

    fn mark(&self) -> Mark {
        let mut state = self.world.state();
        state.marks += 1;
        Mark::new(state.marks)
    }
}

fn meta(state: &State, path: &Path) -> Option<ObjectMeta> {
    let (content, modified) = state.objects.get(path)?;
    Some(ObjectMeta {
        location: path.clone(),
        last_modified: DateTime::<Utc>::UNIX_EPOCH + *modified,
        size: content.len() as u64,
        e_tag: None,
        version: None,
    })
}

fn answer(fate: Fate) -> Result<()> {
    if fate == Fate::Done { Ok(()) } else { Err(failed()) }
}

fn failed() -> Error {
    Error::Generic { store: "world", source: "the connection broke".into() }
}

fn missing(path: &Path) -> Error {
    Error::NotFound { path: path.to_string(), source: "no such object".into() }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.number)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Process {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let content = payload.iter().flat_map(|part| part.to_vec()).collect();
        let create = options.mode == PutMode::Create;
        self.change(Change::Put { path: path.clone(), content, create }).await?;
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn get_opts(&self, path: &Path, _: GetOptions) -> Result<GetResult> {
        answer(self.ask().await?)?;
        let state = self.world.state();
        let meta = meta(&state, path).ok_or_else(|| missing(path))?;
        let content = state.objects[path].0.clone();
        let range = 0..meta.size;
        let payload = GetResultPayload::Stream(stream::once(async move { Ok(content.into()) }).boxed());
        Ok(GetResult {
            payload,
            meta,
            range,
            attributes: Attributes::default(),
            extensions: Default::default(),
        })
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let process = self.clone();
        paths
            .then(move |path| {
                let process = process.clone();
                async move {
                    let path = path?;
                    process.change(Change::Remove { path: path.clone() }).await.map(|()| path)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (process, prefix) = (self.clone(), prefix.cloned());
        async move {
            match process.list_all(prefix).await {
                Ok(listed) => listed.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        }
        .map(stream::iter)
        .flatten_stream()
        .boxed()
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(failed())
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(failed())
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(failed())
    }
}
