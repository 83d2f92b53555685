//! One request, one reply, until `bye` or the end of input.

use std::any::Any;
use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use intact_protocol::{
    Answer, Envelope, LineError, Outcome, Request, UnknownRequest, parse_envelope, write_line,
};

use crate::outcome::unsupported;
use crate::serve::Server;

/// How long a request may go on after whoever asked is gone.
const GRACE: Duration = Duration::from_secs(5);

/// Serves requests. An orderly end of input ends it; one in the middle of a request ends the process after a grace period,
/// because nobody is left to hear the answer.
pub(crate) fn run(mut server: Server, mut output: impl Write) -> io::Result<()> {
    for line in lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let (seq, outcome, last) = match parse_envelope(&line) {
            Ok(Envelope { seq, request }) => {
                let last = matches!(request, Request::Bye);
                (seq, carried_out(&mut server, seq, request, &mut output), last)
            }
            Err(LineError::Unknown(UnknownRequest { seq, op })) => {
                (seq, unsupported(format!("the operation `{op}` is not known")), false)
            }
            Err(LineError::Malformed(error)) => {
                let message = format!("not a request: {error}");
                (sequence_number(&line), Outcome::error(message), false)
            }
        };
        write_line(&mut output, &Answer::Reply { seq, outcome })?;
        if last {
            break;
        }
    }
    Ok(())
}

/// Lines of standard input, read on a thread of their own so that its end is noticed during a request.
fn lines() -> Receiver<io::Result<String>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if sender.send(line).is_err() {
                return;
            }
        }
        drop(sender);
        thread::sleep(GRACE);
        eprintln!("intact-worker: input ended during a request");
        std::process::exit(1);
    });
    receiver
}

fn carried_out(server: &mut Server, seq: u64, request: Request, output: &mut impl Write) -> Outcome {
    let mut broken = None;
    let mut event = |text: &str| {
        let line = write_line(&mut *output, &Answer::Event { seq, text: text.to_owned() });
        broken = broken.take().or(line.err());
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| server.handle(request, &mut event)));
    outcome.unwrap_or_else(|panic| Outcome::error(format!("panicked: {}", told(&*panic))))
}

fn told(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

/// The number of a request that could not be read, where at least that can be.
fn sequence_number(line: &str) -> u64 {
    let digits = line.split_once("\"seq\"").map(|(_, rest)| rest.trim_start_matches([':', ' ']));
    let digits = digits.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
