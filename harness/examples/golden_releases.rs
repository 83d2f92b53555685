//! Writes golden files of llama.cpp releases: a session file with its image, and llama.cpp's own sequence file of the same
//! conversation, for every built worker and every form of the KV cache.
//!
//! ```console
//! cargo run -p intact-harness --example golden_releases -- fixtures/golden/releases
//! ```
//!
//! What is there already stays as it is: golden files say what releases wrote, not what they would write now.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use intact_harness::tags::{Release, built_worker, default_home, releases};
use intact_harness::worker::Worker;
use intact_protocol::{FlashAttention, Forget, Open, Outcome, Request, Save, Say, Settings};

/// The forms: name, type of K, type of V, flash attention.
const FORMS: [(&str, &str, &str, FlashAttention); 5] = [
    ("f16", "f16", "f16", FlashAttention::On),
    ("f16-turned", "f16", "f16", FlashAttention::Off),
    ("q8_0", "q8_0", "q8_0", FlashAttention::On),
    ("q8_0-turned", "q8_0", "f16", FlashAttention::Off),
    ("q4_0", "q4_0", "q4_0", FlashAttention::On),
];

const MODEL: &str = "llama";
const SAID: (&str, &str) = ("Where to?", "To the sea.");
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args_os().nth(1).map(PathBuf::from).ok_or("name the folder to write to")?;
    let home = default_home().ok_or("no home folder is known")?;
    let models = intact_fixtures::default_dir()?;
    let model = intact_fixtures::ensure(MODEL, &models)?;
    for release in releases() {
        if let Some(worker) = built_worker(&home, release) {
            of_release(release, &worker, &model, &out.join(&release.tag))?;
        }
    }
    Ok(())
}

fn of_release(release: &Release, worker: &Path, model: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    if folder.exists() {
        println!("{}: is there already", release.tag);
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    for (name, type_k, type_v, flash_attention) in FORMS {
        let settings = Settings {
            n_ctx: Some(256),
            threads: Some(1),
            type_k: Some(type_k.to_owned()),
            type_v: Some(type_v.to_owned()),
            flash_attention: Some(flash_attention),
            ..Settings::default()
        };
        let session = folder.join(format!("{name}.json"));
        save(worker, &[], model, &settings, &session)?;
        let scratch = tempfile::tempdir()?;
        let bare = scratch.path().join("bare.json");
        save(worker, &["--subject", "blind"], model, &settings, &bare)?;
        fs::copy(bare.with_extension("kv"), folder.join(format!("{name}.ggsq")))?;
    }
    println!("{}: written", release.tag);
    Ok(())
}

fn save(
    worker: &Path,
    arguments: &[&str],
    model: &Path,
    settings: &Settings,
    path: &Path,
) -> Result<(), Box<dyn Error>> {
    let command = std::iter::once(worker.display().to_string()).chain(arguments.iter().map(ToString::to_string));
    let (mut worker, _) = Worker::start(&command.collect::<Vec<_>>(), PATIENCE)?;
    let open = Open {
        model: model.to_owned(),
        settings: settings.clone(),
        preset: None,
        model_repo: None,
        forget_layouts: false,
    };
    let session = "golden".to_owned();
    let (text, reply) = SAID;
    let say = Say {
        session: session.clone(),
        system: None,
        text: text.to_owned(),
        reply: Some(reply.to_owned()),
        max_tokens: None,
        greedy: false,
        stream: false,
    };
    let save = Save { session: session.clone(), path: path.to_owned(), format: None, manifest: false };
    let requests = [
        Request::Open(Box::new(open)),
        Request::Say(say),
        Request::Save(save),
        Request::Forget(Forget { session }),
    ];
    for request in requests {
        match worker.ask(request, PATIENCE, &mut |_| {})? {
            Outcome::Ok { .. } => {}
            other => return Err(format!("{}: {other:?}", path.display()).into()),
        }
    }
    worker.leave(PATIENCE);
    Ok(())
}
