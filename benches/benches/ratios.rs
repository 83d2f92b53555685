//! Ways to save and to restore a session, each against what it cannot beat, measured in turn: on a machine that does other
//! things too, only ratios between neighbours mean something.
//!
//! ```text
//! INTACT_BENCH_LARGE=1 INTACT_BENCH_ROUNDS=9 cargo bench --profile dev -p intact-benches --bench ratios
//! ```

use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use intact_benches::{Failure, Shape, Subject, load_by_llama, most_to_prefill, shapes, write_plainly};
use intact_engine::llama::Part;
use intact_engine::{Engine, LoadOptions};
use intact_format::route::Route;

fn main() -> Result<(), Failure> {
    let rounds = std::env::var("INTACT_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    // Run as a test, it only proves that it runs.
    let (shapes, rounds) = if std::env::args().any(|argument| argument == "--test") {
        (shapes()[..1].to_vec(), 1)
    } else {
        (shapes(), rounds)
    };
    println!("| shape | path | median ms | least | most | against | median ratio | least | most |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for shape in shapes {
        for path in measure(shape, rounds)? {
            path.print(shape);
        }
    }
    Ok(())
}

/// One way, and what it is compared with.
struct Way {
    name: &'static str,
    against: Option<&'static str>,
    times: Vec<Duration>,
    ratios: Vec<f64>,
}

/// All ways of one shape.
#[derive(Default)]
struct Ways(Vec<Way>);

impl Ways {
    fn note(&mut self, name: &'static str, against: Option<&'static str>, time: Duration) {
        let reference = against.and_then(|reference| {
            self.0.iter().find(|way| way.name == reference).and_then(|way| way.times.last().copied())
        });
        if !self.0.iter().any(|way| way.name == name) {
            self.0.push(Way { name, against, times: Vec::new(), ratios: Vec::new() });
        }
        if let Some(way) = self.0.iter_mut().find(|way| way.name == name) {
            way.times.push(time);
            way.ratios.extend(reference.map(|reference| time.as_secs_f64() / reference.as_secs_f64()));
        }
    }
}

impl Way {
    fn print(mut self, shape: Shape) {
        self.times.sort();
        self.ratios.sort_by(f64::total_cmp);
        let middle = |count: usize| count.saturating_sub(1) / 2;
        let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e3);
        let times = &self.times;
        print!(
            "| {} | {} | {:.2} | {:.2} | {:.2} |",
            shape.name(),
            self.name,
            ms(times.get(middle(times.len()))),
            ms(times.first()),
            ms(times.last())
        );
        match (self.against, self.ratios.as_slice()) {
            (Some(against), [least, .., most]) => {
                println!(
                    " {against} | {:.3} | {least:.3} | {most:.3} |",
                    self.ratios[middle(self.ratios.len())]
                );
            }
            (Some(against), [only]) => println!(" {against} | {only:.3} | | |"),
            _ => println!(" | | | |"),
        }
    }
}

/// Lets the disk and the threads of what was measured before come to rest, so that the next way does not pay for it; all that
/// are compared start alike.
fn settle() {
    std::thread::sleep(Duration::from_millis(50));
}

fn timed<T>(run: impl FnOnce() -> Result<T, Failure>) -> Result<(Duration, T), Failure> {
    let start = Instant::now();
    let result = run()?;
    Ok((start.elapsed(), result))
}

fn measure(shape: Shape, rounds: usize) -> Result<Vec<Way>, Failure> {
    let mut subject = Subject::new(shape)?;
    let mut ways = Ways::default();
    let state = subject.state()?;
    let mut copy = vec![0u8; state.bytes().len()];
    let mut empty = subject.empty_context()?;
    let (plain, sequence) = (subject.scratch("plain"), subject.scratch("sequence.ggsq"));
    subject.save_by_llama(&sequence)?;
    write_plainly(&plain, state.bytes())?;
    // The first load makes the context that the next ones find.
    subject.load(&subject.file())?;
    for _ in 0..rounds {
        restores(&mut ways, &mut subject, &mut empty, &state, &mut copy, [&plain, &sequence])?;
    }
    for _ in 0..rounds {
        saves(&mut ways, &mut subject, &state, [&plain, &sequence])?;
    }
    fs::remove_file(&plain)?;
    fs::remove_file(&sequence)?;
    drop((state, copy, empty));
    for _ in 0..rounds {
        increments(&mut ways, &mut subject)?;
    }
    others(&mut ways, &mut subject, rounds)?;
    Ok(ways.0)
}

fn restores(
    ways: &mut Ways,
    subject: &mut Subject,
    empty: &mut intact_engine::llama::Context,
    state: &intact_engine::llama::SequenceState,
    copy: &mut [u8],
    [plain, sequence]: [&Path; 2],
) -> Result<(), Failure> {
    const SET: &str = "set_data from RAM";
    let (time, ()) = timed(|| {
        black_box(&mut *copy).copy_from_slice(black_box(state.bytes()));
        Ok(())
    })?;
    ways.note("memcpy", None, time);
    let (time, _) = timed(|| Ok(black_box(fs::read(plain)?)))?;
    ways.note("plain read", None, time);
    settle();
    let (time, ()) = timed(|| Ok(empty.restore(state)?))?;
    ways.note(SET, None, time);
    settle();
    let (time, _) = timed(|| Ok(load_by_llama(empty, sequence)?))?;
    ways.note("llama.cpp load_file", Some(SET), time);
    // The context that the last load left is emptied by now, as it would be in a server between two requests.
    settle();
    let (total, loaded) = timed(|| subject.load(&subject.file()))?;
    if loaded.receipt.route != Route::Direct {
        return Err(format!("the load went by {}", loaded.receipt.route.as_str()).into());
    }
    eprintln!("{}: load direct: {:?}", subject.name(), loaded.receipt.timings.steps);
    let step = |name: &str| loaded.receipt.timings.steps.get(name).copied().unwrap_or_default();
    let session_ready = total.saturating_sub(step("canary"));
    ways.note("load direct", Some(SET), session_ready);
    ways.note("load direct (of llama.cpp's)", Some("llama.cpp load_file"), session_ready);
    ways.note("load direct, KV alone", Some(SET), step("restore"));
    ways.note("load direct, with canary", Some(SET), total);
    let (time, ()) = timed(|| subject.first_token())?;
    ways.note("first token after load", None, total + time);
    subject.load(&subject.file())?;
    let (time, _) = timed(|| subject.empty_context())?;
    ways.note("new context", None, time);
    Ok(())
}

fn saves(
    ways: &mut Ways,
    subject: &mut Subject,
    state: &intact_engine::llama::SequenceState,
    [plain, sequence]: [&Path; 2],
) -> Result<(), Failure> {
    const WRITE: &str = "plain write + fsync";
    const LLAMA: &str = "llama.cpp save_file (no fsync)";
    for file in [plain, sequence] {
        fs::remove_file(file).ok();
    }
    settle();
    let (time, ()) = timed(|| write_plainly(plain, state.bytes()))?;
    ways.note(WRITE, None, time);
    settle();
    let (time, ()) = timed(|| subject.save_by_llama(sequence))?;
    ways.note(LLAMA, Some(WRITE), time);
    fs::File::open(sequence)?.sync_all()?;
    let fresh = subject.scratch("fresh");
    fs::remove_dir_all(&fresh).ok();
    fs::create_dir_all(&fresh)?;
    settle();
    let (time, _) = timed(|| subject.save_unflushed(&fresh.join("unflushed.json")))?;
    ways.note("save full, not flushed either", Some(LLAMA), time);
    fs::File::open(fresh.join("unflushed.kv"))?.sync_all()?;
    settle();
    let (time, saved) = timed(|| subject.save(&fresh.join("session.json")))?;
    eprintln!("{}: save full: {:?}", subject.name(), saved.timings.steps);
    ways.note("save full", Some(WRITE), time);
    ways.note("save full (of llama.cpp's)", Some(LLAMA), time);
    fs::remove_dir_all(&fresh)?;
    Ok(())
}

/// Writes bytes behind those of a file and flushes them, then replaces a small file: what a save of a turn cannot do without.
fn append_plainly(file: &Path, bytes: &[u8], small: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    let temporary = small.with_extension("tmp");
    write_plainly(&temporary, content)?;
    fs::rename(&temporary, small)?;
    fs::File::open(small.parent().ok_or("a file in a folder")?)?.sync_all()?;
    Ok(())
}

fn increments(ways: &mut Ways, subject: &mut Subject) -> Result<(), Failure> {
    const APPEND: &str = "plain append + fsync of a turn, and a file replaced";
    let grown = subject.scratch("grown.json");
    let tokens = subject.tokens()?;
    settle();
    let (time, saved) = timed(|| subject.save(&grown))?;
    let first = saved.bytes;
    ways.note("save full, before a turn", None, time);
    subject.say(128)?;
    let turn = subject.tokens()? - tokens;
    settle();
    let (time, saved) = timed(|| subject.save(&grown))?;
    let canary = saved.timings.steps.get("canary").copied().unwrap_or_default();
    let of_turn = time.saturating_sub(canary);
    ways.note("save of a turn", Some("save full, before a turn"), of_turn);
    ways.note("save of a turn, with canary", Some("save full, before a turn"), time);
    eprintln!("{}: save of a turn: {:?}", subject.name(), saved.timings.steps);
    let document = fs::metadata(&grown)?.len();
    settle();
    let chunks = vec![1; usize::try_from(saved.bytes - document)?];
    let (plain, small) = (subject.scratch("appended"), subject.scratch("small"));
    let (time, ()) = timed(|| append_plainly(&plain, &chunks, &small, &vec![1; usize::try_from(document)?]))?;
    ways.note(APPEND, None, time);
    ways.note("save of a turn (of the same, plain)", Some(APPEND), of_turn);
    let (time, again) = timed(|| subject.save(&grown))?;
    ways.note("save of nothing new", None, time);
    eprintln!(
        "{}: full {first} bytes, a turn of {turn} tokens {} bytes ({:.1} times fewer), nothing new {} bytes",
        subject.name(),
        saved.bytes,
        first as f64 / saved.bytes as f64,
        again.bytes
    );
    fs::remove_file(&grown)?;
    fs::remove_file(grown.with_extension("kv"))?;
    subject.load(&subject.file())?;
    Ok(())
}

/// The first load of a process: the context is new, and its memory was never touched.
fn starts(
    ways: &mut Ways,
    subject: &Subject,
    without: &mut Engine,
    [file, sequence]: [&Path; 2],
) -> Result<(), Failure> {
    const NEW: &str = "new context + set_data from RAM";
    const LLAMA: &str = "new context + llama.cpp load_file";
    let state = subject.state()?;
    let (time, context) = timed(|| {
        let mut context = subject.empty_context()?;
        context.restore(&state)?;
        Ok(context)
    })?;
    ways.note(NEW, None, time);
    drop((context, state));
    let (time, context) = timed(|| {
        let mut context = subject.empty_context()?;
        load_by_llama(&mut context, sequence)?;
        Ok(context)
    })?;
    ways.note(LLAMA, Some(NEW), time);
    drop(context);
    let (time, loaded) = timed(|| Ok(without.load(file, &LoadOptions::default())?))?;
    let canary = loaded.receipt.timings.steps.get("canary").copied().unwrap_or_default();
    let session_ready = time.saturating_sub(canary);
    ways.note("load direct, into a new context", Some(NEW), session_ready);
    ways.note("load direct, into a new context (of llama.cpp's)", Some(LLAMA), session_ready);
    Ok(())
}

fn others(ways: &mut Ways, subject: &mut Subject, rounds: usize) -> Result<(), Failure> {
    let (file, sequence) = (subject.file(), subject.scratch("sequence.ggsq"));
    subject.save_by_llama(&sequence)?;
    let mut transcoding = subject.transcoding_engine()?;
    let mut without = subject.engine_without_spares()?;
    for _ in 0..rounds {
        starts(ways, subject, &mut without, [&file, &sequence])?;
        if let (time, Some(_)) = timed(|| subject.load_converted(&mut transcoding))? {
            ways.note("load transcoded", None, time);
        }
    }
    let context = subject.context()?;
    let (time, _) = timed(|| Ok(context.state(Part::Whole)?))?;
    ways.note("get_data", None, time);
    if subject.tokens()? <= most_to_prefill() {
        let bare = subject.file_without_image();
        let (time, loaded) = timed(|| subject.load(&bare))?;
        if loaded.receipt.route != Route::Reprefilled {
            return Err(format!("the load went by {}", loaded.receipt.route.as_str()).into());
        }
        ways.note("load re-prefilled", Some("load direct, with canary"), time);
    }
    Ok(())
}
