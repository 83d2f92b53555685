//! The two streams of a worker, read by threads of their own so that no pipe ever fills up, in bounded memory.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStderr, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use intact_protocol::{Answer, parse_answer};

/// Longest line that can be an answer, in bytes.
const LONGEST_ANSWER: usize = 16 << 20;
/// Lines of the log that are kept, and bytes of each.
const LOG_LINES: usize = 60;
const LOG_LINE: usize = 2_000;
/// Stray lines are reported to the driver in groups, so that a flood costs it nothing.
const STRAY_GROUP: u64 = 1_000;
/// How long the end of the log may take to arrive after the process is gone.
const SETTLE: Duration = Duration::from_millis(300);

/// What came from standard output.
#[derive(Debug)]
pub(super) enum Received {
    Answer(Answer),
    /// So many lines that are no answer.
    Strays(u64),
    TooLate,
    Closed,
}

/// Standard output, as answers.
#[derive(Debug)]
pub(super) struct Answers {
    receiver: Receiver<Received>,
}

impl Answers {
    pub(super) fn read(stdout: ChildStdout) -> Self {
        let (sender, receiver) = sync_channel(64);
        thread::spawn(move || forward_answers(BufReader::new(stdout), &sender));
        Self { receiver }
    }

    pub(super) fn next(&self, timeout: Duration) -> Received {
        match self.receiver.recv_timeout(timeout) {
            Ok(received) => received,
            Err(RecvTimeoutError::Timeout) => Received::TooLate,
            Err(RecvTimeoutError::Disconnected) => Received::Closed,
        }
    }
}

fn forward_answers(mut stdout: impl BufRead, sender: &SyncSender<Received>) {
    let mut strays = 0;
    while let Some(line) = next_line(&mut stdout, LONGEST_ANSWER) {
        let answer = line
            .complete
            .then_some(line.bytes)
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| parse_answer(&text).ok());
        if answer.is_none() {
            strays += 1;
        }
        if strays > 0 && (answer.is_some() || strays >= STRAY_GROUP) {
            if sender.send(Received::Strays(strays)).is_err() {
                return;
            }
            strays = 0;
        }
        if let Some(answer) = answer
            && sender.send(Received::Answer(answer)).is_err()
        {
            return;
        }
    }
    if strays > 0 {
        let _nobody_listens = sender.send(Received::Strays(strays));
    }
}

/// Standard error: the last lines.
#[derive(Debug)]
pub(super) struct Log {
    lines: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl Log {
    pub(super) fn read(stderr: ChildStderr) -> Self {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            let mut stderr = BufReader::new(stderr);
            while let Some(line) = next_line(&mut stderr, LOG_LINE) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() == LOG_LINES {
                    kept.pop_front();
                }
                kept.push_back(String::from_utf8_lossy(&line.bytes).into_owned());
            }
        });
        Self { lines, reader }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn clear(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits a moment for the last lines of a process that is gone.
    pub(super) fn settle(&self) {
        let deadline = Instant::now() + SETTLE;
        while !self.reader.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// One line without its end. Of a line longer than the limit only the beginning is kept.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    bytes: Vec<u8>,
    /// It ended with a newline and was not cut.
    complete: bool,
}

fn next_line(reader: &mut impl BufRead, limit: usize) -> Option<Line> {
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(limit as u64 + 1).read_until(b'\n', &mut bytes).ok()?;
    if read == 0 {
        return None;
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        return Some(Line { bytes, complete: true });
    }
    if bytes.len() > limit {
        skip_line(reader);
    }
    Some(Line { bytes, complete: false })
}

fn skip_line(reader: &mut impl BufRead) {
    loop {
        let Ok(buffer) = reader.fill_buf() else { return };
        let (used, done) = match buffer.iter().position(|&byte| byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(used);
        if done {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, limit: usize) -> Vec<(String, bool)> {
        let mut reader = text.as_bytes();
        std::iter::from_fn(|| next_line(&mut reader, limit))
            .map(|line| (String::from_utf8(line.bytes).expect("utf-8"), line.complete))
            .collect()
    }

    #[test]
    fn lines_come_one_by_one_and_a_torn_one_is_marked() {
        let expected = [("a".to_owned(), true), (String::new(), true), ("b".to_owned(), false)];
        assert_eq!(lines("a\n\nb", 9), expected);
    }

    #[test]
    fn a_line_over_the_limit_is_cut_and_the_next_one_is_whole() {
        assert_eq!(lines("aaaaaaaa\nb\n", 3), [("aaaa".to_owned(), false), ("b".to_owned(), true)]);
    }
}
