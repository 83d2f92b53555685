//! Processes that are killed at random moments, while others go on: `INTACT_KILLS` times, a few by default.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::desk::{Desk, Exported, chunks, session_file};

/// Sessions in play.
const SESSIONS: usize = 6;

/// What a session may be, as far as anybody was told.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The last save that was reported, or none after a removal.
    sure: Option<Exported>,
    /// Saves of killed processes, which may have come through.
    possible: Vec<Exported>,
    /// It may have been removed.
    maybe_removed: bool,
}

struct Game<'f> {
    desk: Desk,
    folder: &'f Path,
    random: StdRng,
    known: BTreeMap<String, Known>,
    saves: usize,
    kills: usize,
}

impl Game<'_> {
    /// A save of some session with content that no save had before.
    fn save(&mut self) -> (String, Exported, Command) {
        self.saves += 1;
        let session = format!("session {}", self.random.random_range(0..SESSIONS));
        let content = Exported {
            said: format!("save {}", self.saves),
            chunks: chunks(self.random.random_range(0..4), &format!("own {}", self.saves), 20_000),
        };
        let file = session_file(self.folder, &session, &content.said, &content.chunks);
        let command = self.desk.command(["import".as_ref(), "--replace".as_ref(), file.as_os_str()]);
        (session, content, command)
    }

    fn round(&mut self, longest: Duration) {
        let (session, content, save) = self.save();
        let collect = self.desk.command(["gc", "--grace", "0s"]);
        let prune = self.desk.command(["prune", "--keep", &(SESSIONS - 1).to_string()]);
        let prunes = self.random.random_ratio(1, 8);
        let commands = if prunes { vec![save, collect, prune] } else { vec![save, collect] };
        let mut children: Vec<Child> =
            commands.into_iter().map(|mut command| command.spawn().expect("the command starts")).collect();
        let victim = self.random.random_range(0..children.len());
        std::thread::sleep(longest.mul_f64(self.random.random::<f64>()));
        if children[victim].try_wait().expect("a child").is_none() {
            children[victim].kill().expect("killed");
            self.kills += 1;
        }
        let saved = children[0].wait().expect("a child").success();
        for child in &mut children[1..] {
            child.wait().expect("a child");
        }
        let known = self.known.entry(session).or_default();
        if saved {
            *known = Known { sure: Some(content), ..Known::default() };
        } else {
            known.possible.push(content);
        }
        if prunes {
            for known in self.known.values_mut() {
                known.maybe_removed = true;
            }
        }
        self.check();
    }

    /// Every session is one of those it may be, whole; afterwards that is what it is.
    fn check(&mut self) {
        let rows = self.desk.json(["ls"]);
        let listed: Vec<&str> =
            rows.as_array().into_iter().flatten().filter_map(|row| row["session"].as_str()).collect();
        for (session, known) in &mut self.known {
            let found = listed.contains(&session.as_str()).then(|| self.desk.export(session, self.folder));
            let allowed = match &found {
                None => known.sure.is_none() || known.maybe_removed,
                Some(found) => known.sure.as_ref() == Some(found) || known.possible.contains(found),
            };
            assert!(allowed, "{session} is {found:?}, and was known as {known:?}");
            *known = Known { sure: found, ..Known::default() };
        }
    }
}

#[test]
fn no_session_is_lost_or_mixed_when_processes_are_killed_at_any_moment() {
    let wanted = std::env::var("INTACT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(12);
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk::at(folder.path().join("store").to_str().expect("UTF-8"));
    let random = StdRng::seed_from_u64(20_261_122);
    let mut game = Game { desk, folder: folder.path(), random, known: BTreeMap::new(), saves: 0, kills: 0 };
    // How long a save takes that nobody disturbs.
    let (session, content, mut save) = game.save();
    let start = Instant::now();
    assert!(save.spawn().expect("it starts").wait().expect("it ends").success());
    let longest = start.elapsed() * 2;
    game.known.insert(session, Known { sure: Some(content), ..Known::default() });

    let mut rounds = 0;
    while game.kills < wanted {
        rounds += 1;
        assert!(rounds < 20 * (wanted + 10), "only {} of {rounds} processes were killed", game.kills);
        game.round(longest);
    }
    assert_eq!(game.desk.run(["verify"]).code, Some(0));
    println!("{} kills in {rounds} rounds of {} saves, no session lost or mixed", game.kills, game.saves);
}

#[test]
fn processes_that_save_one_session_at_once_take_turns() {
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk::at(folder.path().join("store").to_str().expect("UTF-8"));
    let contents: Vec<_> =
        (0..8).map(|number| (format!("writer {number}"), format!("own {number}"))).collect();
    let children: Vec<Child> = contents
        .iter()
        .enumerate()
        .map(|(number, (said, own))| {
            let own_folder = folder.path().join(number.to_string());
            std::fs::create_dir(&own_folder).expect("a folder");
            let file = session_file(&own_folder, "chat", said, &chunks(3, own, 20_000));
            let arguments = ["import".as_ref(), "--replace".as_ref(), file.as_os_str()];
            desk.command(arguments).spawn().expect("it starts")
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(desk.json(["ls"])[0]["save"], 8);
    let found = desk.export("chat", folder.path());
    let (_, own) = contents.iter().find(|(said, _)| *said == found.said).expect("one of them");
    assert_eq!(found.chunks, chunks(3, own, 20_000));
}
