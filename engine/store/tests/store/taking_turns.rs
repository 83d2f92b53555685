//! Several writers of one session.

use std::sync::Arc;

use intact_store::{Expected, SessionStore, StoreError};

use crate::desk::{chunk, document, draft, folder, id, load, memory};

fn save(store: &SessionStore, said: &str, expected: Expected) -> Result<u64, StoreError> {
    let document = document("chat", said);
    store.save(&draft("chat", &document, &[]), expected).map(|saved| saved.generation.0)
}

#[test]
fn whoever_did_not_see_the_last_save_is_told_so() {
    let store = memory();
    assert_eq!(save(&store, "one", Expected::Absent).unwrap(), 1);
    let seen = store.session(&id("chat")).unwrap().generation;
    assert_eq!(save(&store, "two", Expected::At(seen)).unwrap(), 2);
    for stale in [Expected::At(seen), Expected::Absent] {
        let error = save(&store, "three", stale).unwrap_err();
        assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
        assert!(error.to_string().contains("load it again"), "{error}");
    }
    assert_eq!(load(&store, "chat").0, document("chat", "two"));
    assert_eq!(save(&store, "four", Expected::Anything).unwrap(), 3);
}

#[test]
fn a_removed_session_can_be_saved_anew_but_not_gone_on_with() {
    let store = memory();
    save(&store, "one", Expected::Absent).unwrap();
    let seen = store.session(&id("chat")).unwrap().generation;
    assert!(store.remove(&id("chat"), seen).unwrap());
    assert!(!store.remove(&id("chat"), seen).unwrap());
    assert!(matches!(save(&store, "two", Expected::At(seen)), Err(StoreError::Conflict { .. })));
    assert_eq!(save(&store, "two", Expected::Absent).unwrap(), 3);
}

#[test]
fn of_many_threads_that_go_on_from_one_save_exactly_one_succeeds() {
    let folder_path = tempfile::tempdir().unwrap();
    for store in [Arc::new(memory()), Arc::new(folder(folder_path.path()))] {
        save(&store, "start", Expected::Absent).unwrap();
        let seen = store.session(&id("chat")).unwrap().generation;
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8_u8)
                .map(|number| {
                    let store = Arc::clone(&store);
                    scope.spawn(move || {
                        let document = document("chat", &format!("thread {number}"));
                        let chunks = [chunk(number, 1000)];
                        let saved = store.save(&draft("chat", &document, &chunks), Expected::At(seen));
                        saved.map(|_| (document, chunks.to_vec()))
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut winners = outcomes.into_iter().filter_map(|outcome| match outcome {
            Ok(saved) => Some(saved),
            Err(StoreError::Conflict { .. }) => None,
            Err(error) => panic!("{error}"),
        });
        assert_eq!(winners.next(), Some(load(&store, "chat")));
        assert_eq!(winners.next(), None);
    }
}
