//! A worker process and a conversation to have with it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use intact_protocol::{
    Answer, Envelope, HelloRequest, Load, Loaded, Logits, Open, Outcome, PROTOCOL, Replied, Request, Save,
    Say, Score, Settings, parse_answer, write_line,
};

pub(crate) struct Worker {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    seq: u64,
}

/// A conversation: what the user says and what the assistant is made to answer.
pub(crate) const CONVERSATION: [(&str, &str); 3] = [
    ("What is the weather like in Madrid?", "It is sunny, warm and a little windy today."),
    ("And in May? Größe 3 — naïve café, 東京.", "Mild. Bring a jacket for the evenings, it can rain."),
    ("Three museums worth a visit?", "The Prado, the Reina Sofía and the Thyssen."),
];

impl Worker {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(arguments, &[])
    }

    /// A worker with these environment variables besides its own.
    pub(crate) fn start_in(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_intact-worker"))
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a worker");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, input, output, seq: 0 }
    }

    /// A worker with a fixture model open.
    pub(crate) fn with_model(arguments: &[&str], model: &str) -> Self {
        Self::with_model_file(arguments, &fixture(model))
    }

    /// A worker with the model of a file open.
    pub(crate) fn with_model_file(arguments: &[&str], model: &Path) -> Self {
        let mut worker = Self::start(arguments);
        worker.done(Request::Hello(HelloRequest { protocol: PROTOCOL }));
        worker.open(model, Settings { n_ctx: Some(1024), ..Settings::default() });
        worker
    }

    pub(crate) fn open(&mut self, model: &Path, settings: Settings) {
        let open = Open::new(model, settings);
        self.done(Request::Open(Box::new(open)));
    }

    pub(crate) fn send(&mut self, request: Request) {
        self.seq += 1;
        write_line(self.input.as_ref().expect("input"), &Envelope { seq: self.seq, request }).expect("sent");
    }

    pub(crate) fn send_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("input");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("sent");
    }

    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        (!line.is_empty()).then(|| parse_answer(&line).unwrap_or_else(|error| panic!("{line}: {error}")))
    }

    pub(crate) fn ask(&mut self, request: Request) -> Outcome {
        self.send(request);
        loop {
            match self.answer().expect("an answer") {
                Answer::Event { .. } => {}
                Answer::Reply { seq, outcome } => {
                    assert_eq!(seq, self.seq, "one answer for each request, in order");
                    return outcome;
                }
            }
        }
    }

    pub(crate) fn done(&mut self, request: Request) -> Replied {
        match self.ask(request) {
            Outcome::Ok { result } => *result,
            outcome => panic!("{outcome:?}"),
        }
    }

    pub(crate) fn say(&mut self, session: &str, (text, reply): (&str, &str)) {
        self.done(Request::Say(Say {
            session: session.into(),
            system: Some("You are a patient guide.".into()),
            text: text.into(),
            reply: Some(reply.into()),
            max_tokens: None,
            greedy: false,
            cancel_after: None,
            stream: false,
        }));
    }

    pub(crate) fn converse(&mut self, session: &str) {
        CONVERSATION.into_iter().for_each(|turn| self.say(session, turn));
    }

    pub(crate) fn save(&mut self, session: &str, path: &Path) {
        self.done(save(session, path));
    }

    pub(crate) fn load(&mut self, path: &Path) -> Loaded {
        match self.done(load(path)) {
            Replied::Load(loaded) => loaded,
            replied => panic!("{replied:?}"),
        }
    }

    /// Bits of the logits after the session's last token and after each of the next ones.
    pub(crate) fn score(&mut self, session: &str, folder: &Path) -> Vec<Vec<u32>> {
        let path = folder.join(format!("{}.logits", self.seq));
        self.done(Request::Score(Score {
            session: session.into(),
            text: "Which has the shortest queue?".into(),
            max_tokens: 16,
            path: path.clone(),
            afresh: false,
        }));
        let logits = Logits::read(&path).expect("logits");
        logits.rows().map(|row| row.iter().map(|logit| logit.to_bits()).collect()).collect()
    }

    /// Ends its input and waits for it.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.input = None;
        self.child.wait().expect("an end").code()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn fixture(id: &str) -> PathBuf {
    intact_fixtures::cached(id).expect("a fixture model")
}

pub(crate) fn save(session: &str, path: &Path) -> Request {
    Request::Save(Save {
        session: session.into(),
        path: path.into(),
        format: None,
        manifest: false,
        own: false,
    })
}

pub(crate) fn load(path: &Path) -> Request {
    Request::Load(Load {
        path: path.into(),
        session: None,
        reader_format: None,
        routes: None,
        parameters: intact_protocol::ParameterSource::Saved,
        manifest: false,
    })
}
