//! `intact seal` and `intact unseal`: a session file encrypted, compressed, or opened again, without a model.

use std::path::{Path, PathBuf};

use clap::Args;
use intact_format::image::Durable;
use intact_format::place::{FileSink, Replaces, SessionSink, copy};
use intact_seal::{Compression, SealOptions, SealedSink, Sealer, Sharing};

use super::Failure;
use super::keys::{KeyArguments, LockArguments};
use super::stored::{Stored, beside, refused, tell, unless_taken};
use crate::exit::Exit;

/// Encrypt a session file with its KV image, compress it, or both
///
/// The new file opens with `intact unseal`, and in the engine with the same keys; any age tool opens its document. What can
/// be seen without a key: its name, that it is a sealed session, how long its document is, and the number and lengths of its
/// chunks. Encryption does not say who made the file: --sign does. The old file stays as it is.
///
/// Examples:
///   intact key ada.key                                    make a key pair, once
///   intact seal chat.json --recipient age1…               for whoever has that key
///   INTACT_PASSPHRASE=… intact seal chat.json             for whoever knows the passphrase
///   intact seal chat.json --compress                      smaller, for everyone to read
///   intact seal chat.json --recipient age1… --sign my.key and signed by me: see --trusted
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Seal {
    /// The session file
    file: PathBuf,

    /// The new file [default: NAME-sealed.json beside the old one]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Compress the KV image
    #[arg(long)]
    compress: bool,

    #[command(flatten)]
    lock: LockArguments,
}

/// Write a sealed or compressed session file as a plain one, which only you can read
#[derive(Debug, Args)]
pub(super) struct Unseal {
    /// The sealed session file
    file: PathBuf,

    /// The new file [default: NAME-plain.json beside the old one]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    keys: KeyArguments,
}

impl Seal {
    pub(super) fn carry_out(&self) -> Result<Exit, Failure> {
        let options = SealOptions {
            lock: self.lock.lock()?,
            sharing: Sharing::Session,
            compression: if self.compress { Compression::Zstd } else { Compression::None },
            signer: self.lock.signer()?,
        };
        if options.is_plain() {
            return Err(Failure::setup("nothing says how the session is to be sealed").help(
                "give --recipient, a passphrase (--passphrase-file or INTACT_PASSPHRASE), or --compress",
            ));
        }
        let out = free(&self.file, self.out.as_deref(), "sealed")?;
        let mut sealer = Sealer::new(options).map_err(Failure::setup)?;
        let file = FileSink::new(&out, Replaces::Nothing, Durable::default());
        let mut sink = SealedSink::new(&mut sealer, file);
        rewrite(&self.file, &self.lock.keys, &mut sink)?;
        println!("{}", out.display());
        eprintln!("{} is still there, as it was.", self.file.display());
        Ok(Exit::Fine)
    }
}

impl Unseal {
    pub(super) fn carry_out(&self) -> Result<Exit, Failure> {
        let out = free(&self.file, self.out.as_deref(), "plain")?;
        // What was for some people is not for everybody who uses this machine.
        let mut sink = FileSink::new(&out, Replaces::Nothing, Durable::default().private());
        rewrite(&self.file, &self.keys, &mut sink)?;
        println!("{}", out.display());
        Ok(Exit::Fine)
    }
}

/// Opens a session file of any form and writes it into `sink`.
fn rewrite(file: &Path, keys: &KeyArguments, sink: &mut dyn SessionSink) -> Result<(), Failure> {
    let mut stored = Stored::open(file, keys)?;
    let read = stored.read().map_err(|error| Failure::setup(format!("{}: {error}", file.display())))?;
    let committed = copy(&mut stored.source, &stored.document, read.document.image.as_ref(), sink)
        .map_err(|error| refused(file, &error))?;
    tell(committed.remark.as_deref());
    Ok(())
}

/// The file to write, which must not be there yet: the one that was named, or one beside the old one.
pub(super) fn free(file: &Path, named: Option<&Path>, what: &str) -> Result<PathBuf, Failure> {
    let out = named.map_or_else(|| beside(file, &format!("-{what}.json")), Path::to_owned);
    unless_taken(&out)?;
    Ok(out)
}
