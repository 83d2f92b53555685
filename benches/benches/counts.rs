//! Instructions that the pure parts take, counted by valgrind: the same on every run, so a change is a change of the code.
//!
//! ```text
//! cargo install gungraun-runner --version 0.20.0
//! cargo bench -p intact-benches --bench counts
//! ```

use std::process::{Command, ExitCode, Stdio};

fn main() -> ExitCode {
    // valgrind runs this program again for every count; then everything is there.
    let counting = std::env::args().nth(1).is_some_and(|argument| argument == "--gungraun-run");
    let missing: Vec<&str> =
        ["valgrind", "gungraun-runner"].into_iter().filter(|tool| !is_here(tool)).collect();
    if counting || missing.is_empty() {
        counts::run();
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "NOT COUNTED: {} not found in the search path, so no instructions were counted",
        missing.join(" and ")
    );
    ExitCode::SUCCESS
}

fn is_here(tool: &str) -> bool {
    let asked = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok()
}

#[expect(unused_qualifications, reason = "what gungraun expands to")]
mod counts {
    use std::hint::black_box;

    use gungraun::{library_benchmark, library_benchmark_group, main};
    use intact_benches::golden::{Image, document, image};
    use intact_format::image::{Chunk, CutOptions, Target, assemble, cut};
    use intact_format::layout::{Container, encode, parse};
    use intact_format::session::{read, write};
    use intact_format::version::FormatVersion;

    #[library_benchmark]
    #[bench::golden(document())]
    fn read_document(bytes: Vec<u8>) -> usize {
        black_box(read(&bytes, FormatVersion::CURRENT)).expect("a session").document.history.len()
    }

    #[library_benchmark]
    #[bench::golden(read(&document(), FormatVersion::CURRENT).expect("a session"))]
    fn write_document(session: intact_format::session::Read) -> usize {
        black_box(write(&session.document, FormatVersion::CURRENT)).expect("written").bytes.len()
    }

    #[library_benchmark]
    #[bench::golden(image())]
    fn hash_chunks(image: Image) -> usize {
        let chunks = image.chunks.iter().map(|chunk| Chunk::new(chunk.payload().to_vec()));
        black_box(chunks.collect::<Vec<_>>()).len()
    }

    #[library_benchmark]
    #[bench::golden(image())]
    fn parse_state(image: Image) -> usize {
        let state = parse(&image.state, image.layout, &image.shape, Container::Blob).expect("a state");
        black_box(state).sections.len()
    }

    #[library_benchmark]
    #[bench::golden(image())]
    fn encode_state(image: Image) -> usize {
        let state = parse(&image.state, image.layout, &image.shape, Container::Blob).expect("a state");
        black_box(encode(&state, image.layout, Container::Blob)).expect("encoded").len()
    }

    #[library_benchmark]
    #[bench::golden(image())]
    fn cut_state(image: Image) -> usize {
        let state = parse(&image.state, image.layout, &image.shape, Container::Blob).expect("a state");
        black_box(cut(&state, image.layout, CutOptions::default())).expect("cut").chunks.len()
    }

    #[library_benchmark]
    #[bench::golden(image())]
    fn assemble_image(image: Image) -> usize {
        let target = Target::blob(image.layout);
        black_box(assemble(&image.reference, &image.chunks, &target)).expect("assembled").len()
    }

    library_benchmark_group!(
        name = pure;
        benchmarks =
            read_document,
            write_document,
            hash_chunks,
            parse_state,
            encode_state,
            cut_state,
            assemble_image
    );

    main!(library_benchmark_groups = pure);

    pub(super) fn run() {
        main();
    }
}
