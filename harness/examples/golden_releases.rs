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

use intact_harness::tags::{built_worker, default_home, releases};
use intact_harness::worker::{Limits, Worker};
use intact_protocol::{Cage, FlashAttention, Forget, Open, Outcome, Request, Save, Say, Settings};

/// What a file is of.
struct Form {
    name: &'static str,
    model: &'static str,
    type_k: &'static str,
    type_v: &'static str,
    flash_attention: FlashAttention,
    /// What the user says, and what the model is made to answer.
    said: (&'static str, &'static str),
}

const SHORT: (&str, &str) = ("Where to?", "To the sea.");
/// Longer than the window of a model with one.
const LONG: (&str, &str) =
    ("What is the weather like in Madrid?", "It is sunny, warm and a little windy today.");

const FORMS: [Form; 6] = [
    form("f16", "llama", ["f16", "f16"], FlashAttention::On, SHORT),
    form("f16-turned", "llama", ["f16", "f16"], FlashAttention::Off, SHORT),
    form("q8_0", "llama", ["q8_0", "q8_0"], FlashAttention::On, SHORT),
    form("q8_0-turned", "llama", ["q8_0", "f16"], FlashAttention::Off, SHORT),
    form("q4_0", "llama", ["q4_0", "q4_0"], FlashAttention::On, SHORT),
    form("q8_0-windowed", "gemma3", ["q8_0", "q8_0"], FlashAttention::On, LONG),
];

const PATIENCE: Duration = Duration::from_secs(60);

const fn form(
    name: &'static str,
    model: &'static str,
    [type_k, type_v]: [&'static str; 2],
    flash_attention: FlashAttention,
    said: (&'static str, &'static str),
) -> Form {
    Form { name, model, type_k, type_v, flash_attention, said }
}

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args_os().nth(1).map(PathBuf::from).ok_or("name the folder to write to")?;
    let home = default_home().ok_or("no home folder is known")?;
    for release in releases() {
        let Some(worker) = built_worker(&home, release) else { continue };
        let folder = out.join(&release.tag);
        fs::create_dir_all(&folder)?;
        for form in FORMS.iter().filter(|form| !folder.join(form.name).with_extension("json").exists()) {
            write(form, &worker, &intact_fixtures::cached(form.model)?, &folder)?;
            println!("{}: {} written", release.tag, form.name);
        }
    }
    Ok(())
}

fn write(form: &Form, worker: &Path, model: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let bare = scratch.path().join("bare.json");
    save(form, worker, &["--subject", "blind"], model, &bare)?;
    fs::copy(bare.with_extension("kv"), folder.join(form.name).with_extension("ggsq"))?;
    save(form, worker, &[], model, &folder.join(form.name).with_extension("json"))
}

fn save(
    form: &Form,
    worker: &Path,
    arguments: &[&str],
    model: &Path,
    path: &Path,
) -> Result<(), Box<dyn Error>> {
    let settings = Settings {
        n_ctx: Some(256),
        threads: Some(1),
        type_k: Some(form.type_k.to_owned()),
        type_v: Some(form.type_v.to_owned()),
        flash_attention: Some(form.flash_attention),
        ..Settings::default()
    };
    let command =
        std::iter::once(worker.display().to_string()).chain(arguments.iter().map(ToString::to_string));
    let write = path.parent().map(Path::to_owned).into_iter().collect();
    let cage = Cage { read: vec![model.to_owned()], write };
    let (mut worker, _) =
        Worker::start_in(&command.collect::<Vec<_>>(), &[], &Limits { cage, ..Limits::default() }, PATIENCE)?;
    let open = Open::new(model, settings);
    let session = "golden".to_owned();
    let (text, reply) = form.said;
    let say = Say {
        session: session.clone(),
        system: None,
        text: text.to_owned(),
        reply: Some(reply.to_owned()),
        max_tokens: None,
        greedy: false,
        cancel_after: None,
        stream: false,
    };
    let save =
        Save { session: session.clone(), path: path.to_owned(), format: None, manifest: false, own: false };
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
