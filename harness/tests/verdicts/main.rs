//! Every way in which a worker can misbehave, and the verdict that a whole run comes to.
//!
//! This test's own program is the worker: started with `--as-worker` it is the fake one.

mod budget;
mod depot;
mod driver;
mod folder;
mod foreign;
mod gate;
mod numbers;
mod owned;
mod pipes;
mod planted;
mod scene;

use std::process::ExitCode;

use intact_fake_worker::MISBEHAVIOURS;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|argument| argument == scene::AS_WORKER) {
        return intact_fake_worker::run(arguments[1..].iter().cloned());
    }
    let table = MISBEHAVIOURS.iter().map(|row| {
        Trial::test(format!("a worker of the kind `{}` is judged `{}`", row.name, row.verdict), || {
            scene::judged_as_the_table_says(row);
            Ok(())
        })
    });
    let others = scene::TESTS
        .iter()
        .chain(budget::TESTS)
        .chain(depot::TESTS)
        .chain(driver::TESTS)
        .chain(folder::TESTS)
        .chain(foreign::TESTS)
        .chain(gate::TESTS)
        .chain(numbers::TESTS)
        .chain(owned::TESTS)
        .chain(pipes::TESTS)
        .chain(planted::TESTS)
        .map(|(name, test)| {
            Trial::test(*name, || {
                test();
                Ok(())
            })
        });
    libtest_mimic::run(&Arguments::from_args(), table.chain(others).collect()).exit_code()
}
