//! Promises of the contract about what a whole process has one of, its working directory and its log: kept away from the
//! other promises, which are tested side by side in one process.

#[expect(dead_code, reason = "the other tests of the contract use the rest")]
#[path = "contract/desk.rs"]
mod desk;

use std::io;
use std::sync::{Arc, Mutex};

use intact_engine::SaveOptions;

use desk::Desk;

#[test]
fn save_without_a_path_uses_the_session_id_as_file_name_in_the_working_directory() {
    let mut desk = Desk::new();
    let id = desk.chat("madrid-trip");
    std::env::set_current_dir(desk.folder.path()).expect("a working directory");
    desk.engine.save(&id, &SaveOptions::default()).expect("a save");
    assert!(desk.path("madrid-trip.json").is_file());
}

#[test]
fn replacing_a_live_session_is_logged_at_information_level() {
    let mut desk = Desk::new();
    let id = desk.chat("logged");
    let path = desk.save(&id, "logged.json");
    let log = Log::default();
    let lines = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || lines.clone()).finish();
    tracing::subscriber::with_default(subscriber, || desk.load(&path));
    let text = log.text();
    assert!(
        text.lines()
            .any(|line| line.contains("INFO") && line.contains("logged") && line.contains("replaced")),
        "{text}"
    );
}

/// What the log of a test is written to.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("the log")).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
