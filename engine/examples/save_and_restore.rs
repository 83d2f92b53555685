//! Saves a session, and goes on with it in another engine: `save_and_restore MODEL.gguf chat.json`

use intact_engine::{Engine, Generation, LoadOptions, SaveOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, file] = arguments.as_slice() else {
        return Err("usage: save_and_restore MODEL.gguf chat.json".into());
    };
    let engine = || Engine::builder(model).context_size(1024).threads(1).build();
    let short = Generation::default().max_tokens(32);

    let mut writer = engine()?;
    writer.send("My name is Ada.", &short, &mut |piece| print!("{piece}"))?;
    let session = writer.current().ok_or("sending starts a session")?.clone();
    writer.save(&session, &SaveOptions::to(file))?;

    let mut reader = engine()?;
    let receipt = reader.load(file, &LoadOptions::default())?.receipt;
    println!(
        "\n[{}: {} tokens restored, {} evaluated]",
        receipt.route, receipt.tokens_restored, receipt.tokens_evaluated
    );
    reader.send("What is my name?", &short, &mut |piece| print!("{piece}"))?;
    println!();
    Ok(())
}
