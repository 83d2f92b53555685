//! Saving and restoring a session: the engine's ways, llama.cpp's own way, and the floors under both.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};
use intact_benches::{Failure, Shape, Subject, load_by_llama, most_to_prefill, shapes, write_plainly};
use intact_engine::LoadOptions;
use intact_engine::llama::Part;
use intact_format::route::Route;

fn main() -> Result<(), Failure> {
    let mut criterion = Criterion::default().configure_from_args();
    for shape in shapes() {
        measure(&mut criterion, shape)?;
    }
    criterion.final_summary();
    Ok(())
}

fn measure(criterion: &mut Criterion, shape: Shape) -> Result<(), Failure> {
    let mut subject = Subject::new(shape)?;
    let bytes = subject.state()?.bytes().len() as u64;
    let mut group = criterion.benchmark_group(subject.name());
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(5))
        .throughput(Throughput::Bytes(bytes));
    floors(&mut group, &subject)?;
    llama_files(&mut group, &subject)?;
    saves(&mut group, &mut subject)?;
    group.throughput(Throughput::Bytes(bytes));
    loads(&mut group, &mut subject)?;
    group.finish();
    Ok(())
}

/// What no way of saving or restoring can beat.
fn floors(group: &mut BenchmarkGroup<'_, WallTime>, subject: &Subject) -> Result<(), Failure> {
    let state = subject.state()?;
    let mut copy = vec![0u8; state.bytes().len()];
    group.bench_function("floor/memcpy", |bencher| {
        bencher.iter(|| black_box(&mut copy).copy_from_slice(black_box(state.bytes())));
    });
    drop(copy);
    let context = subject.context()?;
    group.bench_function("floor/get-state", |bencher| {
        bencher.iter(|| context.state(Part::Whole).expect("a state"));
    });
    let mut empty = subject.empty_context()?;
    group.bench_function("floor/set-state", |bencher| {
        bencher.iter(|| empty.restore(&state).expect("the state fits"));
    });
    drop(empty);
    group.bench_function("floor/new-context", |bencher| {
        bencher.iter(|| subject.empty_context().expect("a context"));
    });
    let plain = subject.scratch("plain");
    group.bench_function("floor/write-and-fsync", |bencher| {
        bencher.iter(|| write_plainly(&plain, state.bytes()).expect("written"));
    });
    group.bench_function("floor/read", |bencher| {
        bencher.iter(|| black_box(fs::read(&plain).expect("read")));
    });
    Ok(fs::remove_file(&plain)?)
}

/// llama.cpp's own sequence file: no checks, written in place and not flushed, into a context that is there already.
fn llama_files(group: &mut BenchmarkGroup<'_, WallTime>, subject: &Subject) -> Result<(), Failure> {
    let file = subject.scratch("sequence.ggsq");
    group.bench_function("llama.cpp/save-file", |bencher| {
        bencher.iter(|| subject.save_by_llama(&file).expect("saved"));
    });
    subject.save_by_llama(&file)?;
    let mut empty = subject.empty_context()?;
    group.bench_function("llama.cpp/load-file", |bencher| {
        bencher.iter(|| load_by_llama(&mut empty, &file).expect("loaded"));
    });
    Ok(fs::remove_file(&file)?)
}

/// Sums the times of `timed`, which prepares each of them as it likes.
fn iterate(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut timed: impl FnMut() -> Result<Duration, Failure>,
) {
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| (0..iterations).map(|_| timed().expect("it works")).sum());
    });
}

/// The engine's saves: hashed, atomic, on the disk when they return.
fn saves(group: &mut BenchmarkGroup<'_, WallTime>, subject: &mut Subject) -> Result<(), Failure> {
    let fresh = subject.scratch("fresh");
    let forget = |folder: &Path| {
        fs::remove_dir_all(folder).ok();
        fs::create_dir_all(folder)
    };
    iterate(group, "engine/save-full", || {
        forget(&fresh)?;
        let started = Instant::now();
        subject.save(&fresh.join("session.json"))?;
        Ok(started.elapsed())
    });
    // The session as it was, a turn more, and the save of that turn, with the evaluation of its last token.
    let file = subject.file();
    let turn = |subject: &mut Subject| {
        forget(&fresh)?;
        let grown = fresh.join("session.json");
        subject.load(&file)?;
        subject.save(&grown)?;
        subject.say(128)?;
        let started = Instant::now();
        let saved = subject.save(&grown)?;
        Ok::<_, Failure>((started.elapsed(), saved.bytes))
    };
    let (_, written) = turn(subject)?;
    group.throughput(Throughput::Bytes(written));
    iterate(group, "engine/save-turn", || turn(subject).map(|(time, _)| time));
    fs::remove_dir_all(&fresh)?;
    subject.load(&file)?;
    group.throughput(Throughput::Bytes(subject.save(&file)?.bytes));
    iterate(group, "engine/save-nothing-new", || {
        let started = Instant::now();
        subject.save(&file)?;
        Ok(started.elapsed())
    });
    Ok(())
}

/// The engine's loads: verified, into a context that is not live, and the model has been asked.
fn loads(group: &mut BenchmarkGroup<'_, WallTime>, subject: &mut Subject) -> Result<(), Failure> {
    let file = subject.file();
    expect_route(subject.load(&file)?.receipt.route, Route::Direct)?;
    iterate(group, "engine/load-direct", || {
        // A server empties the context that a session leaves before the next one needs it.
        std::thread::sleep(Duration::from_millis(100));
        let started = Instant::now();
        subject.load(&file)?;
        Ok(started.elapsed())
    });
    iterate(group, "engine/first-token-after-load", || {
        let started = Instant::now();
        subject.load(&file)?;
        subject.first_token()?;
        Ok(started.elapsed())
    });
    let mut without = subject.engine_without_spares()?;
    iterate(group, "engine/load-direct-new-context", || {
        let started = Instant::now();
        without.load(&file, &LoadOptions::default())?;
        Ok(started.elapsed())
    });
    drop(without);
    let mut other = subject.transcoding_engine()?;
    if subject.load_converted(&mut other)?.is_some() {
        iterate(group, "engine/load-transcoded", || {
            let started = Instant::now();
            subject.load_converted(&mut other)?;
            Ok(started.elapsed())
        });
    }
    drop(other);
    subject.load(&file)?;
    if subject.tokens()? <= most_to_prefill() {
        let bare = subject.file_without_image();
        expect_route(subject.load(&bare)?.receipt.route, Route::Reprefilled)?;
        iterate(group, "engine/load-reprefilled", || {
            let started = Instant::now();
            subject.load(&bare)?;
            Ok(started.elapsed())
        });
    }
    Ok(())
}

fn expect_route(taken: Route, expected: Route) -> Result<(), Failure> {
    if taken == expected {
        return Ok(());
    }
    Err(format!("the load went by {}, which is not what is measured: {}", taken.as_str(), expected.as_str())
        .into())
}
