//! The streams of a worker, written and read by threads of their own, so that no pipe is ever waited for, in bounded memory.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use intact_protocol::{Answer, parse_answer};

use intact_base::files::contain;

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
    /// A line that was to be an answer, and why it cannot be read.
    Unreadable(String),
    /// The request could not be written: the worker has closed its standard input.
    Unheard,
    TooLate,
    Closed,
}

/// Standard input. Whoever writes to it waits for nobody.
#[derive(Debug)]
pub(super) struct Requests {
    lines: Sender<Vec<u8>>,
}

impl Requests {
    /// Writes what it is given; `answers` is told where that fails.
    pub(super) fn write(mut stdin: ChildStdin, answers: &Answers) -> Self {
        let (lines, given) = channel::<Vec<u8>>();
        let unheard = answers.sender.clone();
        thread::spawn(move || {
            for line in given {
                if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
                    let _nobody_asks = unheard.try_send(Received::Unheard);
                    return;
                }
            }
        });
        Self { lines }
    }

    /// Has a line written. Where that cannot be, nobody listens at the other end.
    pub(super) fn send(&self, line: Vec<u8>) -> bool {
        self.lines.send(line).is_ok()
    }
}

/// Standard output, as answers.
#[derive(Debug)]
pub(super) struct Answers {
    receiver: Receiver<Received>,
    sender: SyncSender<Received>,
    reader: JoinHandle<()>,
}

impl Answers {
    pub(super) fn read(stdout: ChildStdout) -> Self {
        let (sender, receiver) = sync_channel(64);
        let forwarded = sender.clone();
        let reader = thread::spawn(move || {
            forward_answers(BufReader::new(stdout), &forwarded);
            let _nobody_asks = forwarded.send(Received::Closed);
        });
        Self { receiver, sender, reader }
    }

    /// What comes next, if it comes in time.
    pub(super) fn next(&self, timeout: Duration) -> Received {
        match self.receiver.recv_timeout(timeout) {
            Ok(received) => received,
            Err(RecvTimeoutError::Timeout) if self.reader.is_finished() => {
                // It has said so, and that was heard before; or it says so now.
                self.receiver.try_recv().unwrap_or(Received::Closed)
            }
            Err(RecvTimeoutError::Timeout) => Received::TooLate,
            Err(RecvTimeoutError::Disconnected) => Received::Closed,
        }
    }
}

fn forward_answers(mut stdout: impl BufRead, sender: &SyncSender<Received>) {
    let mut strays = 0;
    while let Some(line) = next_line(&mut stdout, LONGEST_ANSWER) {
        let received = match Heard::of(&line) {
            Heard::Answer(answer) => Some(Received::Answer(answer)),
            Heard::Unreadable(reason) => Some(Received::Unreadable(reason)),
            Heard::Stray => {
                strays += 1;
                None
            }
        };
        if strays > 0 && (received.is_some() || strays >= STRAY_GROUP) {
            if sender.send(Received::Strays(strays)).is_err() {
                return;
            }
            strays = 0;
        }
        if received.is_some_and(|received| sender.send(received).is_err()) {
            return;
        }
        if line.end == End::Cut {
            // The line is told of before its end is waited for: it need not have one.
            skip_line(&mut stdout);
        }
    }
    if strays > 0 {
        let _nobody_listens = sender.send(Received::Strays(strays));
    }
}

/// What a line on standard output is.
enum Heard {
    Answer(Answer),
    /// It was to be an answer.
    Unreadable(String),
    /// Something that a library has to say.
    Stray,
}

/// Characters of an unreadable answer that are shown.
const SHOWN: usize = 80;

impl Heard {
    fn of(line: &Line) -> Self {
        let reason = match (line.end, std::str::from_utf8(&line.bytes)) {
            (End::Cut, _) => format!("it is longer than {LONGEST_ANSWER} bytes"),
            (_, Err(error)) => error.to_string(),
            (End::Newline, Ok(text)) => match parse_answer(text) {
                Ok(answer) => return Self::Answer(answer),
                Err(error) => error.to_string(),
            },
            // Whoever died in the middle of an answer is judged by that.
            (End::Missing, Ok(_)) => return Self::Stray,
        };
        if !is_meant(&line.bytes) || line.end == End::Missing {
            return Self::Stray;
        }
        let start: String = String::from_utf8_lossy(&line.bytes).chars().take(SHOWN).collect();
        Self::Unreadable(format!("{reason}: {start:?}"))
    }
}

/// Whether a line is meant as an answer: an object with one of the members that answers have, or a refusal without what is
/// around it.
fn is_meant(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(4096)];
    let has = |member: &&str| contain(head, member);
    let refuses = contain(head, "\"status\"") && ["\"refused\"", "\"unsupported\""].iter().any(has);
    head.trim_ascii_start().starts_with(b"{")
        && (["\"kind\"", "\"seq\"", "\"outcome\""].iter().any(has) || refuses)
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
                {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    if kept.len() == LOG_LINES {
                        kept.pop_front();
                    }
                    kept.push_back(String::from_utf8_lossy(&line.bytes).into_owned());
                }
                if line.end == End::Cut {
                    skip_line(&mut stderr);
                }
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
    end: End,
}

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With a newline.
    Newline,
    /// There is more of it than the limit, which has not been read.
    Cut,
    /// With the stream.
    Missing,
}

fn next_line(reader: &mut impl BufRead, limit: usize) -> Option<Line> {
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(limit as u64 + 1).read_until(b'\n', &mut bytes).ok()?;
    if read == 0 {
        return None;
    }
    let end = if bytes.last() == Some(&b'\n') {
        bytes.pop();
        End::Newline
    } else if bytes.len() > limit {
        End::Cut
    } else {
        End::Missing
    };
    Some(Line { bytes, end })
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

    fn lines(text: &str, limit: usize) -> Vec<(String, End)> {
        let mut reader = text.as_bytes();
        std::iter::from_fn(|| {
            let line = next_line(&mut reader, limit)?;
            if line.end == End::Cut {
                skip_line(&mut reader);
            }
            Some(line)
        })
        .map(|line| (String::from_utf8(line.bytes).expect("utf-8"), line.end))
        .collect()
    }

    #[test]
    fn lines_come_one_by_one_and_a_torn_one_is_marked() {
        let expected =
            [("a".to_owned(), End::Newline), (String::new(), End::Newline), ("b".to_owned(), End::Missing)];
        assert_eq!(lines("a\n\nb", 9), expected);
    }

    #[test]
    fn a_line_over_the_limit_is_cut_and_the_next_one_is_whole() {
        let expected = [("aaaa".to_owned(), End::Cut), ("b".to_owned(), End::Newline)];
        assert_eq!(lines("aaaaaaaa\nb\n", 3), expected);
    }

    #[test]
    fn what_was_meant_as_an_answer_is_told_from_what_a_library_has_to_say() {
        let heard = |bytes: &[u8], end| match Heard::of(&Line { bytes: bytes.to_vec(), end }) {
            Heard::Answer(_) => "an answer",
            Heard::Unreadable(_) => "unreadable",
            Heard::Stray => "a stray",
        };
        let answer = br#"{"kind":"event","seq":1,"text":"a"}"#;
        for (bytes, end, expected) in [
            (answer.as_slice(), End::Newline, "an answer"),
            (&answer[..20], End::Newline, "unreadable"),
            (&answer[..20], End::Missing, "a stray"),
            (br#"{"kind":"event","seq":1,"text":7}"#, End::Newline, "unreadable"),
            (b"{\"kind\":\"event\",\"seq\":1,\"text\":\"\xff\"}", End::Newline, "unreadable"),
            (answer, End::Cut, "unreadable"),
            (br#"{"status":"refused","message":"no"}"#, End::Newline, "unreadable"),
            (br#"{"status":"ok"}"#, End::Newline, "a stray"),
            (b"ggml_init: done", End::Newline, "a stray"),
            (br#"{"progress": 0.5}"#, End::Newline, "a stray"),
            (b"", End::Newline, "a stray"),
        ] {
            assert_eq!(heard(bytes, end), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
