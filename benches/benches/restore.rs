//! Saving and restoring a session: the engine's way, llama.cpp's own way, and the floors under both.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};
use intact_benches::{Failure, Shape, Subject, shapes};
use intact_engine::llama::{Container, Part};
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
    let bytes = subject.state()?.bytes().len();
    let mut group = criterion.benchmark_group(subject.name());
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(5))
        .throughput(Throughput::Bytes(bytes as u64));
    floors(&mut group, &subject)?;
    llama_files(&mut group, &subject)?;
    engine(&mut group, &mut subject)?;
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
    let context = subject.context()?;
    group.bench_function("floor/get-state", |bencher| {
        bencher.iter(|| context.state(Part::Whole).expect("a state"));
    });
    let mut empty = subject.empty_context()?;
    group.bench_function("floor/set-state", |bencher| {
        bencher.iter(|| empty.restore(&state).expect("the state fits"));
    });
    group.bench_function("floor/new-context", |bencher| {
        bencher.iter(|| subject.empty_context().expect("a context"));
    });
    Ok(())
}

/// llama.cpp's own sequence file: no checks, written in place, into a context that is there already.
fn llama_files(group: &mut BenchmarkGroup<'_, WallTime>, subject: &Subject) -> Result<(), Failure> {
    let file = subject.scratch("sequence.ggsq");
    group.bench_function("llama.cpp/save-file", |bencher| {
        bencher.iter(|| subject.save_by_llama(&file).expect("saved"));
    });
    subject.save_by_llama(&file)?;
    let mut empty = subject.empty_context()?;
    group.bench_function("llama.cpp/load-file", |bencher| {
        bencher.iter(|| empty.take_back(Container::SequenceFile, &file).expect("loaded"));
    });
    Ok(())
}

/// The engine: hashed, atomic, on the disk when it returns; a load has a context of its own and has asked the model.
fn engine(group: &mut BenchmarkGroup<'_, WallTime>, subject: &mut Subject) -> Result<(), Failure> {
    let fresh = subject.scratch("fresh");
    let forget = |folder: &Path| {
        fs::remove_dir_all(folder).ok();
        fs::create_dir_all(folder).expect("a scratch folder");
    };
    group.bench_function("engine/save", |bencher| {
        bencher.iter_custom(|iterations| {
            (0..iterations)
                .map(|_| {
                    forget(&fresh);
                    let started = Instant::now();
                    subject.save(&fresh.join("session.json")).expect("saved");
                    started.elapsed()
                })
                .sum()
        });
    });
    let file = subject.file();
    group.bench_function("engine/save-again", |bencher| {
        bencher.iter(|| subject.save(&file).expect("saved"));
    });
    expect_route(subject.load(&file)?.receipt.route, Route::Direct)?;
    group.bench_function("engine/load-direct", |bencher| {
        bencher.iter(|| subject.load(&file).expect("loaded"));
    });
    let bare = subject.file_without_image();
    expect_route(subject.load(&bare)?.receipt.route, Route::Reprefilled)?;
    group.bench_function("engine/load-reprefilled", |bencher| {
        bencher.iter(|| subject.load(&bare).expect("loaded"));
    });
    Ok(())
}

fn expect_route(taken: Route, expected: Route) -> Result<(), Failure> {
    if taken == expected {
        return Ok(());
    }
    Err(format!("the load went by {}, which is not what is measured: {}", taken.as_str(), expected.as_str())
        .into())
}
