use super::*;

const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn pin(id: &str) -> Pin {
    Pin {
        id: id.into(),
        repo: "owner/name".into(),
        file: "model.gguf".into(),
        sha256: SHA256.into(),
        mmproj: None,
        family: Some("dense".into()),
        packages: Vec::new(),
    }
}

#[test]
fn the_built_in_pins_are_sound() {
    let folder = tempfile::tempdir().expect("a folder");
    let pins = Pins::built_in_and(&folder.path().join("models.toml")).expect("sound");
    assert!(pins.all().iter().any(|pin| pin.id == "qwen3-0.6b-q4_k_m"));
    assert!(pins.all().iter().any(|pin| pin.mmproj.is_some()));
}

#[test]
fn a_pin_is_added_to_the_file_and_its_comments_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("models.toml");
    fs::write(&path, "# mine\nversion = 1\n").expect("written");
    Pins::of_file(&path).expect("sound").add(&pin("mine")).expect("added");

    assert!(fs::read_to_string(&path).expect("a file").starts_with("# mine\n"));
    let read = Pins::of_file(&path).expect("sound");
    assert_eq!(read.all(), [pin("mine")]);
    assert!(Pins::built_in_and(&path).expect("sound").all().contains(&pin("mine")));
}

#[test]
fn an_id_stands_for_one_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pins = Pins::built_in_and(&folder.path().join("models.toml")).expect("sound");
    let first = pins.all()[0].clone();
    pins.add(&first).expect("the same again is nothing new");
    assert!(matches!(pins.add(&pin(&first.id)), Err(HubError::Taken { .. })));
}

#[test]
fn a_pin_file_that_is_wrong_says_where_and_how() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("models.toml");
    let entry = |change: (&str, &str)| {
        let text = format!(
            "version = 1\n[[model]]\nid = \"x\"\nrepo = \"o/n\"\nfile = \"f\"\nsha256 = \"{SHA256}\"\n"
        );
        text.replace(change.0, change.1)
    };
    for (text, reason) in [
        (entry(("version = 1", "version = 2")), "version 2"),
        (entry((SHA256, "abc")), "not a SHA-256"),
        (entry(("o/n", "../n")), "not a repository"),
        (entry(("\"f\"", "\"../f\"")), "not a file"),
        (entry(("\"x\"", "\"X Y\"")), "not an id"),
        (entry(("repo", "repository")), "repository"),
        (
            entry(("", "")) + "packages = [{ name = \"-r\", version = \"1\", member = \"m\" }]\n",
            "not a package",
        ),
        (entry(("", "")) + &entry(("version = 1\n", "")), "twice"),
    ] {
        fs::write(&path, &text).expect("written");
        let message = Pins::of_file(&path).map(|_| ()).expect_err(reason).to_string();
        assert!(message.contains("models.toml") && message.contains(reason), "{reason}: {message}");
    }
}
