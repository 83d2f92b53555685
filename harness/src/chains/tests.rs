//! Paths over made-up releases, some of which do not read what others saved.

use std::collections::BTreeSet;

use super::desk::Subject;
use super::{Ended, Fate, Form, Path, Play, outcomes, shrunk, walks};

/// Loses a session on these ways, and where it has been in two releases one after the other, whatever lies between them.
struct Made {
    pairs: &'static [(usize, usize)],
    poison: Option<(usize, usize)>,
    played: usize,
}

impl Play for Made {
    fn play(&mut self, path: &[usize]) -> Ended {
        self.played += 1;
        for (at, pair) in path.windows(2).enumerate() {
            let poisoned =
                self.poison.is_some_and(|(first, then)| path[..=at].contains(&first) && pair[1] == then);
            if self.pairs.contains(&(pair[0], pair[1])) || poisoned {
                return Ended { fate: Fate::Wrong, at: at + 1, evidence: "wrong".into(), again: 0 };
            }
        }
        Ended { fate: Fate::Intact, at: path.len() - 1, evidence: String::new(), again: 0 }
    }
}

#[test]
fn walks_are_of_the_seed_and_go_back_and_never_stay() {
    let paths = walks(7, 500, 8, 20);
    assert_eq!(paths, walks(7, 500, 8, 20));
    assert_ne!(paths, walks(8, 500, 8, 20));
    assert_eq!(paths.len(), 500);
    let lengths: BTreeSet<usize> = paths.iter().map(Vec::len).collect();
    assert_eq!(lengths, (2..=8).collect());
    assert!(paths.iter().flatten().all(|place| *place < 20));
    assert!(paths.iter().all(|path| path.windows(2).all(|pair| pair[0] != pair[1])));
    let rolls_back = |path: &Path| path.iter().collect::<BTreeSet<_>>().len() < path.len();
    assert!(paths.iter().filter(|path| rolls_back(path)).count() > 200);
    assert!(walks(7, 5, 8, 1).is_empty() && walks(7, 5, 1, 9).is_empty());
    assert_eq!(walks(1, 9, 2, 2).iter().flatten().collect::<BTreeSet<_>>().len(), 2);
}

#[test]
fn every_failing_path_is_shrunk_to_the_way_that_breaks_it() {
    let mut made = Made { pairs: &[(3, 9), (9, 3)], poison: None, played: 0 };
    let mut failing = 0;
    for path in walks(1, 400, 8, 12) {
        let ended = made.play(&path);
        if ended.fate != Fate::Intact {
            failing += 1;
            let (short, ended) = shrunk(&path, &ended, &mut made);
            assert!([vec![3, 9], vec![9, 3]].contains(&short), "{path:?} to {short:?}");
            assert_eq!((ended.fate, ended.at), (Fate::Wrong, 1));
        }
    }
    assert!(failing > 5, "{failing}");
}

/// No pair fails, and a path does: that is what pairs cannot show.
#[test]
fn what_only_a_longer_path_shows_is_shrunk_to_no_pair() {
    let mut made = Made { pairs: &[], poison: Some((2, 5)), played: 0 };
    let path = [7, 2, 6, 1, 4, 5, 3];
    let ended = made.play(&path);
    assert_eq!(ended.at, 5);
    let (short, _) = shrunk(&path, &ended, &mut made);
    assert_eq!(short, [2, 5], "the ways between have no part in it");
}

#[test]
fn outcomes_count_and_name_the_shortest_first() {
    let form = Form { subject: Subject::Blind, model: "llama".into(), kv: "f16".into() };
    let wrong = |at| Ended { fate: Fate::Wrong, at, evidence: "wrong".into(), again: 1 };
    let fine = Ended { fate: Fate::Intact, at: 2, evidence: String::new(), again: 0 };
    let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
    let played = [
        (vec![0, 1, 2], wrong(2), Some((vec![1, 2], wrong(1)))),
        (vec![1, 2], wrong(1), Some((vec![1, 2], wrong(1)))),
        (vec![0, 2], wrong(1), Some((vec![0, 2], wrong(1)))),
        (vec![0, 1, 0], fine, None),
    ];
    let found = outcomes(&form, &played, &names);
    assert_eq!((found.subject.as_str(), found.form.as_str()), ("blind", "llama f16"));
    assert_eq!((found.paths, found.loads, found.again), (4, 6, 3));
    assert_eq!((found.fates[&Fate::Wrong], found.fates[&Fate::Intact]), (3, 1));
    assert_eq!((found.shortest[0].path.join(" "), found.shortest[0].of), ("b c".to_owned(), 2));
    assert_eq!(found.shortest.len(), 2);
}
