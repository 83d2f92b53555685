//! The worker driver: starts a subject's process, asks it one request at a time, and turns every way in which it can
//! fail into a value. Nothing a worker does can take the harness with it.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod environment;
pub mod interrupt;
mod limits;
mod process;
mod stream;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use intact_base::tool;
use intact_protocol::{
    Answer, Envelope, Hello, HelloRequest, Operation, Outcome, PROTOCOL, Replied, Request, write_line,
};

pub use intact_protocol::WorkerError;
pub use limits::Limits;
use process::{Death, Pretence, Process};
use stream::{Answers, Log, Received, Requests};

/// Stray lines that are tolerated between a request and its reply. Above that, the worker floods.
const TOLERATED_STRAYS: u64 = 100_000;
/// Messages that had come before the deadline and are heard after it. More can only be a stream without end.
const LATE: u32 = 128;
/// How often a worker that is silent is looked at: it may have ended, and something that it started keeps its output open.
const GLANCE: Duration = Duration::from_millis(20);
/// How long the last answer of a process that has ended may be on its way.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A subject's process, and the conversation with it.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    requests: Requests,
    answers: Answers,
    log: Log,
    seq: u64,
    strays: u64,
    /// Since when it is known that its process has ended.
    ended: Option<Instant>,
}

impl Worker {
    /// Starts a process; nothing has been said to it yet. Of the environment it gets what programs need, and `environment`: no
    /// tokens.
    ///
    /// # Errors
    /// [`WorkerError::Spawn`].
    pub fn spawn(
        command: &[String],
        environment: &[(String, String)],
        limits: &Limits,
    ) -> Result<Self, WorkerError> {
        let refused = |reason: String| WorkerError::Spawn { command: command.join(" "), reason };
        let (program, arguments) = command.split_first().ok_or_else(|| refused("no command line".into()))?;
        let mut line = Command::new(Path::new(program));
        line.args(arguments)
            .env_clear()
            .envs(environment::usual())
            .envs(limits.cage_variable())
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Process::spawn(line, limits).map_err(|error| {
            refused(tool::remedy(Path::new(program), &error).unwrap_or_else(|| error.to_string()))
        })?;
        let missing = || refused("its standard streams could not be taken".into());
        let stdout = process.stdout().ok_or_else(missing)?;
        let stderr = process.stderr().ok_or_else(missing)?;
        let stdin = process.stdin().ok_or_else(missing)?;
        let answers = Answers::read(stdout);
        Ok(Self {
            process,
            requests: Requests::write(stdin, &answers),
            answers,
            log: Log::read(stderr),
            seq: 0,
            strays: 0,
            ended: None,
        })
    }

    /// Starts a process and makes sure that it speaks the protocol: it must give a `hello` of the same version, and
    /// answer a request that nobody knows with `unsupported`. The built-in worker may touch no file then: that is for whoever
    /// only asks what it is.
    ///
    /// # Errors
    /// [`WorkerError`]; [`WorkerError::Noncompliant`] says what is wrong with its answers.
    pub fn start(command: &[String], timeout: Duration) -> Result<(Self, Hello), WorkerError> {
        Self::start_in(command, &[], &Limits::default(), timeout)
    }

    /// The same, with these environment variables besides those that every worker gets, and these limits.
    ///
    /// # Errors
    /// [`WorkerError`].
    pub fn start_in(
        command: &[String],
        environment: &[(String, String)],
        limits: &Limits,
        timeout: Duration,
    ) -> Result<(Self, Hello), WorkerError> {
        let mut worker = Self::spawn(command, environment, limits)?;
        let hello = worker.greet(timeout)?;
        worker.probe(timeout)?;
        Ok((worker, hello))
    }

    /// Asks and waits for the reply. Pieces of a streamed reply go to `on_text` as they come.
    ///
    /// # Errors
    /// [`WorkerError`]. After an error the worker is dead, unless it says otherwise: start another.
    pub fn ask(
        &mut self,
        request: Request,
        timeout: Duration,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Outcome, WorkerError> {
        let op = request.operation();
        let envelope = Envelope { seq: self.seq + 1, request };
        let mut line = Vec::new();
        write_line(&mut line, &envelope)
            .map_err(|error| WorkerError::Unwritable { op, reason: error.to_string() })?;
        self.seq += 1;
        self.exchange(op, line, timeout, on_text)
    }

    /// The last lines that the worker wrote on standard error, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Forgets the log so far, so that the next cell starts with an empty one.
    pub fn clear_log(&mut self) {
        self.log.clear();
    }

    /// Lines on standard output that were not of the protocol, since the worker started.
    #[must_use]
    pub fn strays(&self) -> u64 {
        self.strays
    }

    /// Asks the worker to leave, and kills it if it does not.
    pub fn leave(mut self, timeout: Duration) {
        let _said = self.ask(Request::Bye, timeout, &mut |_| {});
        let Self { mut process, requests, .. } = self;
        // The end of its input, for one that does not know the word.
        drop(requests);
        process.settle(timeout);
    }

    fn greet(&mut self, timeout: Duration) -> Result<Hello, WorkerError> {
        let hello = Request::Hello(HelloRequest { protocol: PROTOCOL });
        let outcome = self.ask(hello, timeout, &mut |_| {})?;
        let Outcome::Ok { result } = outcome else {
            return Err(WorkerError::Noncompliant(format!(
                "it answers `hello` with {}",
                outcome_name(&outcome)
            )));
        };
        let Replied::Hello(hello) = *result else {
            return Err(WorkerError::Noncompliant(
                "it answers `hello` with the result of another request".into(),
            ));
        };
        if hello.protocol == PROTOCOL {
            return Ok(hello);
        }
        Err(WorkerError::Noncompliant(format!(
            "it speaks protocol version {}, the harness speaks {PROTOCOL}: build both from the same sources",
            hello.protocol
        )))
    }

    fn probe(&mut self, timeout: Duration) -> Result<(), WorkerError> {
        self.seq += 1;
        let line = format!("{{\"seq\":{},\"request\":{{\"op\":\"compliance-probe\"}}}}\n", self.seq);
        match self.exchange("compliance-probe", line.into_bytes(), timeout, &mut |_| {})? {
            Outcome::Unsupported { .. } => Ok(()),
            other => Err(WorkerError::Noncompliant(format!(
                "it answers a request that nobody knows with {} instead of `unsupported`",
                outcome_name(&other)
            ))),
        }
    }

    fn exchange(
        &mut self,
        op: Operation,
        line: Vec<u8>,
        timeout: Duration,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Outcome, WorkerError> {
        // One that is too far away to be a time never comes.
        let deadline = Instant::now().checked_add(timeout);
        if !self.requests.send(line) {
            return Err(self.died(op, Pretence::ClosedInput));
        }
        let (mut strays, mut late) = (0, 0);
        loop {
            let how = match self.next(deadline, &mut late) {
                Received::Answer(Answer::Event { seq, text }) if seq == self.seq => {
                    on_text(&text);
                    continue;
                }
                Received::Answer(Answer::Reply { seq, outcome }) if seq == self.seq => return Ok(outcome),
                Received::Answer(Answer::Event { seq, .. } | Answer::Reply { seq, .. }) => {
                    format!("it answered request {seq} when {} was asked", self.seq)
                }
                Received::Unreadable(reason) => format!("its answer cannot be read: {reason}"),
                Received::Strays(more) => {
                    strays += more;
                    self.strays += more;
                    if strays <= TOLERATED_STRAYS {
                        continue;
                    }
                    format!("it wrote more than {TOLERATED_STRAYS} lines that are not answers")
                }
                Received::TooLate => {
                    self.process.kill();
                    return Err(WorkerError::Hung { op, seconds: timeout.as_secs() });
                }
                Received::Closed if strays > 0 && self.process.is_alive() => {
                    format!("it closed its standard output after {strays} lines that are not answers")
                }
                Received::Closed => return Err(self.died(op, Pretence::ClosedOutput)),
                Received::Unheard => return Err(self.died(op, Pretence::ClosedInput)),
            };
            self.process.kill();
            return Err(WorkerError::Protocol { op, how });
        }
    }

    /// What comes next, if it comes in time.
    fn next(&mut self, deadline: Option<Instant>, late: &mut u32) -> Received {
        loop {
            let now = Instant::now();
            let left = deadline.map_or(GLANCE, |deadline| deadline.saturating_duration_since(now));
            if left.is_zero() {
                *late += 1;
                return if *late > LATE { Received::TooLate } else { self.answers.next(Duration::ZERO) };
            }
            match self.answers.next(left.min(GLANCE)) {
                Received::TooLate if self.ended.is_some_and(|ended| ended.elapsed() > LAST_WORDS) => {
                    // Something that is out of reach has its output.
                    return Received::Closed;
                }
                Received::TooLate if self.ended.is_none() && self.process.has_ended() => {
                    self.ended = Some(Instant::now());
                }
                Received::TooLate => {}
                received => return received,
            }
        }
    }

    fn died(&mut self, op: &'static str, pretence: Pretence) -> WorkerError {
        let Death { code, how } = self.process.post_mortem(pretence);
        self.log.settle();
        WorkerError::Crashed { op, code, how }
    }
}

/// Has this done to the command of each worker before it is started, from now on; the first to say so is heard.
pub fn prepare_with(prepare: fn(&mut Command)) {
    process::prepare_with(prepare);
}

/// Kills every worker that this program has started, each with its process group.
pub fn kill_all() {
    process::kill_all();
}

fn outcome_name(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok { .. } => "`ok`".into(),
        Outcome::Refused(refusal) => format!("`refused` ({}: {})", refusal.code, refusal.message),
        Outcome::Unsupported { message, .. } => format!("`unsupported` ({message})"),
        Outcome::Error { message, .. } => format!("`error` ({message})"),
    }
}
