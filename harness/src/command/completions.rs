//! `intact completions`: shell completions on standard output. What the configuration and the models are called is asked of
//! `intact words` while somebody types.

use clap::Args;
use clap_complete::Shell;

use super::Failure;
use crate::exit::Exit;

/// Print completions for a shell
///
/// For example `intact completions bash > ~/.local/share/bash-completion/completions/intact`. In bash, zsh and fish they know the
/// plans of the configuration in the folder where you are, the cells of the run in `out`, and the models of `intact models list`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "intact", &mut script);
        let script = String::from_utf8_lossy(&script);
        match self.shell {
            Shell::Bash => print!("{script}{BASH}"),
            Shell::Zsh => print!("{}", knowing(&script)),
            Shell::Fish => print!("{script}{FISH}"),
            _ => print!("{script}"),
        }
        Ok(Exit::Fine)
    }
}

/// Before the words that bash knows from the command line come those that it asks for.
const BASH: &str = r#"
_intact_asking() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} kind=
    case $before in
        --plan|plan|run|produce) kind=plans ;;
        repro) kind=cells ;;
        explain) kind=explained ;;
        --tag|bisect|upgrade|upstream|lint-state|chains|fetch|build) kind=releases ;;
        --model|-m) [[ $current == id* ]] && kind=models ;;
    esac
    # A colon ends a word in bash.
    if [[ $before == : && ${COMP_WORDS[COMP_CWORD-2]} == id || $current == : && $before == id ]]; then
        local words
        words=$(intact words models 2>/dev/null)
        COMPREPLY=($(compgen -W "${words//id:/}" -- "${current#:}"))
        return
    fi
    if [[ -n $kind && $current != -* ]]; then
        COMPREPLY=($(compgen -W "$(intact words $kind 2>/dev/null)" -- "$current"))
        return
    fi
    _intact "$@"
}
complete -F _intact_asking -o bashdefault -o default intact
"#;

const FISH: &str = r#"
complete -c intact -n "__fish_seen_subcommand_from run produce plan" -l plan -x -a "(intact words plans 2>/dev/null)"
complete -c intact -n "__fish_seen_subcommand_from plan run produce" -f -a "(intact words plans 2>/dev/null)"
complete -c intact -n "__fish_seen_subcommand_from bisect upgrade upstream lint-state chains fetch build" -f -a "(intact words releases 2>/dev/null)"
complete -c intact -n "__fish_seen_subcommand_from explain" -f -a "(intact words explained 2>/dev/null)"
complete -c intact -l tag -x -a "(intact words releases 2>/dev/null)"
complete -c intact -n "__fish_seen_subcommand_from repro" -f -a "(intact words cells 2>/dev/null)"
complete -c intact -l model -s m -a "(intact words models 2>/dev/null)"
"#;

/// The script of zsh, in which plans are asked for in place of files.
fn knowing(script: &str) -> String {
    let asked = |line: &str| {
        if line.contains("'--plan=[") {
            line.replace(":NAME:_default'", ":NAME:{compadd -- $(intact words plans 2>/dev/null)}'")
        } else if line.contains("'--model=[") || line.contains("'*--model=[") {
            line.replace(":_files'", ":{_files; compadd -- $(intact words models 2>/dev/null)}'")
                .replace(":_default'", ":{_files; compadd -- $(intact words models 2>/dev/null)}'")
        } else if line.contains("':cell -- ") || line.contains("'::cell -- ") {
            line.replace(":_default'", ":{compadd -- $(intact words cells 2>/dev/null)}'")
        } else {
            line.to_owned()
        }
    };
    script.lines().map(|line| asked(line) + "\n").collect()
}
