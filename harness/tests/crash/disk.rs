//! A disk before and after a power cut.
//!
//! The model: what a file holds is on the disk when the file was flushed, and which names a folder has when the folder was.
//! Of what was not, any part may be there: writes in any order and torn at the borders of blocks, names that came later
//! without those that came before. A rename is there or not; it is never half done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::record::Step;

/// Bytes that a disk writes at once.
const BLOCK: usize = 512;

/// Names below the root, and what is there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    root: PathBuf,
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// What the system calls the files.
    numbers: BTreeMap<u64, PathBuf>,
}

/// What survives of that which was not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Survival {
    /// All of it: the process was killed, and the system lived on.
    All,
    /// Nothing.
    Nothing,
    /// Names, and nothing of what is in the files.
    Names,
    /// Contents, and no names.
    Contents,
    /// Names, and files of their length with nothing in them.
    Lengths,
    /// Any part of it.
    Some,
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Noise(pub(crate) u64);

/// A file whatever its names are.
#[derive(Clone, Debug, Default)]
struct File {
    flushed: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

/// A change of names, in a folder that was not flushed since.
#[derive(Clone, Debug)]
enum Naming {
    Put { path: PathBuf, file: usize },
    Move { from: PathBuf, to: PathBuf, file: usize },
    Remove { path: PathBuf },
    MakeFolder { path: PathBuf },
}

impl Survival {
    /// The plain ones first, then one mixture after the other.
    pub(crate) fn of_round(round: usize) -> Self {
        let plain = [Self::All, Self::Nothing, Self::Names, Self::Contents, Self::Lengths];
        plain.get(round).copied().unwrap_or(Self::Some)
    }
}

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit.max(1) as u64)).expect("small")
    }

    fn is_heads(&mut self) -> bool {
        self.next() & 0x100 != 0
    }
}

impl Naming {
    /// The folders that have to be flushed for it.
    fn folders(&self) -> Vec<&Path> {
        let paths = match self {
            Self::Put { path, .. } | Self::Remove { path } | Self::MakeFolder { path } => vec![path],
            Self::Move { from, to, .. } => vec![from, to],
        };
        paths.into_iter().filter_map(|path| path.parent()).collect()
    }
}

impl Disk {
    /// What is in a folder.
    pub(crate) fn read(root: &Path) -> Self {
        let mut disk = Self { root: root.to_owned(), ..Self::default() };
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    disk.numbers.insert(path.metadata().expect("a file").ino(), path.clone());
                    disk.files.insert(path.clone(), fs::read(&path).expect("readable"));
                }
            }
            disk.folders.insert(folder);
        }
        disk
    }

    /// What may be there when the power is cut after these steps.
    pub(crate) fn after(&self, steps: &[Step], survival: Survival, noise: &mut Noise) -> Self {
        let mut files: Vec<File> =
            self.files.values().map(|bytes| File { flushed: bytes.clone(), pending: Vec::new() }).collect();
        // What the names stand for: flushed, and as the process sees it. Numbers of files are used again by systems.
        let mut durable: BTreeMap<PathBuf, usize> =
            self.files.keys().cloned().enumerate().map(|(at, path)| (path, at)).collect();
        let mut live = durable.clone();
        let mut numbers: BTreeMap<u64, usize> = BTreeMap::new();
        let mut folders = self.folders.clone();
        let mut pending: Vec<Naming> = Vec::new();
        for step in steps {
            match step {
                Step::Create { file, path } => {
                    files.push(File::default());
                    numbers.insert(*file, files.len() - 1);
                    live.insert(path.clone(), files.len() - 1);
                    pending.push(Naming::Put { path: path.clone(), file: files.len() - 1 });
                }
                Step::Write { file, offset, bytes } => {
                    let at = self.number(*file, &mut numbers, &live);
                    files[at].pending.push(Change::Write { offset: *offset, bytes: bytes.clone() });
                }
                Step::Truncate { file, length } => {
                    let at = self.number(*file, &mut numbers, &live);
                    files[at].pending.push(Change::Truncate { length: *length });
                }
                Step::Flush { file } => {
                    let at = self.number(*file, &mut numbers, &live);
                    files[at].flush();
                }
                Step::Rename { from, to } => {
                    if let Some(at) = live.remove(from) {
                        live.insert(to.clone(), at);
                        pending.push(Naming::Move { from: from.clone(), to: to.clone(), file: at });
                    }
                }
                Step::Link { file, to } => {
                    let at = self.number(*file, &mut numbers, &live);
                    live.insert(to.clone(), at);
                    pending.push(Naming::Put { path: to.clone(), file: at });
                }
                Step::Remove { path } => {
                    live.remove(path);
                    pending.push(Naming::Remove { path: path.clone() });
                }
                Step::MakeFolder { path } => pending.push(Naming::MakeFolder { path: path.clone() }),
                Step::FlushFolder { path } => {
                    pending.retain(|naming| {
                        let is_here = naming.folders().contains(&path.as_path());
                        if is_here {
                            apply(naming, &mut durable, &mut folders);
                        }
                        !is_here
                    });
                }
            }
        }
        for naming in &pending {
            let survives = match survival {
                Survival::All | Survival::Names | Survival::Lengths => true,
                Survival::Nothing | Survival::Contents => false,
                Survival::Some => noise.is_heads(),
            };
            if survives {
                apply(naming, &mut durable, &mut folders);
            }
        }
        let contents = durable.into_iter().map(|(path, at)| (path, files[at].after(survival, noise)));
        // A file whose folder did not survive did not either.
        let contents = contents.filter(|(path, _)| {
            path.ancestors()
                .skip(1)
                .take_while(|it| it.starts_with(&self.root))
                .all(|it| folders.contains(it))
        });
        Self {
            root: self.root.clone(),
            files: contents.collect(),
            folders: folders.clone(),
            numbers: BTreeMap::new(),
        }
    }

    /// The file that the system gave a number. One that was there before is looked up the first time.
    fn number(
        &self,
        number: u64,
        numbers: &mut BTreeMap<u64, usize>,
        live: &BTreeMap<PathBuf, usize>,
    ) -> usize {
        *numbers.entry(number).or_insert_with(|| {
            let path = self.numbers.get(&number).unwrap_or_else(|| panic!("no file has the number {number}"));
            live[path]
        })
    }

    /// Makes the folder what the disk says.
    pub(crate) fn write(&self, root: &Path) {
        let moved = |path: &Path| root.join(path.strip_prefix(&self.root).expect("below the root"));
        for folder in &self.folders {
            fs::create_dir_all(moved(folder)).expect("made");
        }
        for (path, bytes) in &self.files {
            fs::write(moved(path), bytes).expect("written");
        }
    }

    /// A number that is the same for the same names and contents.
    pub(crate) fn fingerprint(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (&self.folders, &self.files).hash(&mut hasher);
        hasher.finish()
    }

    /// The names below the root.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let name = |path: &PathBuf| path.strip_prefix(&self.root).expect("below").display().to_string();
        self.files.keys().map(name).collect()
    }

    /// For a person.
    pub(crate) fn listing(&self) -> String {
        let line = |(path, bytes): (&PathBuf, &Vec<u8>)| {
            format!(
                "  {} ({} bytes, {:?}…)\n",
                path.display(),
                bytes.len(),
                String::from_utf8_lossy(&bytes[..bytes.len().min(24)])
            )
        };
        self.files.iter().map(line).collect()
    }
}

fn apply(naming: &Naming, names: &mut BTreeMap<PathBuf, usize>, folders: &mut BTreeSet<PathBuf>) {
    match naming {
        Naming::Put { path, file } => drop(names.insert(path.clone(), *file)),
        Naming::Move { from, to, file } => {
            names.remove(from);
            names.insert(to.clone(), *file);
        }
        Naming::Remove { path } => drop(names.remove(path)),
        Naming::MakeFolder { path } => drop(folders.insert(path.clone())),
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*offset..end].copy_from_slice(bytes);
            }
            Self::Truncate { length } => content.resize(*length, 0),
        }
    }

    /// Some blocks of a write, as they lie in the file.
    fn torn(&self, noise: &mut Noise) -> Vec<Self> {
        let Self::Write { offset, bytes } = self else { return vec![self.clone()] };
        let mut parts = Vec::new();
        let mut from = 0;
        while from < bytes.len() {
            let to = ((offset + from) / BLOCK * BLOCK + BLOCK - offset).min(bytes.len());
            if noise.is_heads() {
                parts.push(Self::Write { offset: offset + from, bytes: bytes[from..to].to_vec() });
            }
            from = to;
        }
        parts
    }
}

impl File {
    fn flush(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.flushed);
        }
    }

    /// What may be in it after a power cut.
    fn after(&self, survival: Survival, noise: &mut Noise) -> Vec<u8> {
        let mut whole = self.flushed.clone();
        self.pending.iter().for_each(|change| change.apply(&mut whole));
        let mut content = self.flushed.clone();
        match survival {
            Survival::All | Survival::Contents => whole,
            Survival::Nothing | Survival::Names => content,
            Survival::Lengths => {
                content.resize(whole.len(), 0);
                content
            }
            Survival::Some => {
                for change in &self.pending {
                    match noise.below(4) {
                        0 => {}
                        1 => change.apply(&mut content),
                        _ => change.torn(noise).iter().for_each(|part| part.apply(&mut content)),
                    }
                }
                // The length may have reached the disk alone.
                if noise.is_heads() && content.len() < whole.len() {
                    content.resize(whole.len(), 0);
                }
                content
            }
        }
    }
}
