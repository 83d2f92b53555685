//! Files, programs and signals: Landlock.

use std::path::Path;

use intact_protocol::Cage;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};

/// What is asked of the kernel; an older one keeps what it knows of it. Since this version other processes get no signals.
const ASKED: ABI = ABI::V6;

/// What the standard libraries and llama.cpp read of the system: how many processors there are, what of them and of memory
/// may be used, and what is of this process itself.
const SYSTEM: [&str; 9] = [
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/urandom",
];
const SINK: &str = "/dev/null";

/// Keeps this thread, and all that it starts, to the files of the cage. False where the kernel cannot.
///
/// # Errors
/// Those of a kernel that can, and did not.
pub(super) fn close(cage: &Cage) -> Result<bool, RulesetError> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    // No devices, sockets and pipes, which other programs would open, and no links, which they would follow.
    let write = AccessFs::from_all(ASKED)
        & !make_bitflags!(AccessFs::{Execute | IoctlDev | MakeChar | MakeBlock | MakeSock | MakeFifo | MakeSym});
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(ASKED))?
        .handle_access(AccessNet::from_all(ASKED))?
        .scope(Scope::from_all(ASKED))?
        .create()?;
    let identities = intact_format::identity::user_folder().join("identities");
    let own = std::env::current_exe().ok();
    let seen = SYSTEM.iter().map(Path::new).chain([identities.as_path()]).chain(own.as_deref());
    for path in seen.chain(cage.read.iter().map(AsRef::as_ref)) {
        rules = allow(rules, path, read)?;
    }
    for path in [Path::new(SINK)].into_iter().chain(cage.write.iter().map(AsRef::as_ref)) {
        rules = allow(rules, path, write)?;
    }
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}

/// Allows this with a file, or a folder and what is in it. What is not there is not allowed.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(path) else { return Ok(rules) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(ASKED) };
    rules.add_rule(PathBeneath::new(opened, access))
}
