//! What must hold in `intact.toml` beyond its form.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;

use super::{AxisConfig, Config, ProfileConfig, RunConfig};
use intact_base::nearest::{hint, nearest};

use crate::filter::Filter;
use crate::recipe::{Recipe, Target};

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Fault {
    pub span: Range<usize>,
    pub message: String,
}

type Checked = Result<(), Fault>;

pub(super) fn check(config: &Config) -> Checked {
    if config.version != 1 {
        return Err(general(format!(
            "version {} of intact.toml is not known; this is version 1",
            config.version
        )));
    }
    check_bounds(&config.run)?;
    for (name, profile) in &config.profiles {
        check_values(&format!("profiles.{name}"), &profile_values(profile))?;
    }
    unique("subject", config.subjects.iter().map(|subject| subject.name.as_str()))?;
    unique("model", config.models.iter().map(|model| model.name.as_str()))?;
    unique("axis", config.axes.iter().map(|axis| axis.name.as_str()))?;
    config.axes.iter().try_for_each(|axis| check_axis(config, axis))?;
    for model in &config.models {
        if model.fixture.is_some() == model.path.is_some() {
            return Err(general(format!("model `{}` needs either `fixture` or `path`", model.name)));
        }
    }
    for subject in &config.subjects {
        for axis in &subject.inapplicable {
            known_axis(config, axis, 0..0)?;
        }
        if let Some(other) = &subject.controls_of
            && !config.subjects.iter().any(|known| known.name == *other)
        {
            return Err(general(format!(
                "subject `{}` has the controls of `{other}`, which is not a subject",
                subject.name
            )));
        }
        let versions = subject.installed.as_deref().unwrap_or_default();
        if let Some(version) = subject.require.iter().find(|version| !versions.contains(version)) {
            return Err(general(format!(
                "subject `{}` requires version {version}, which is none that `installed` names",
                subject.name
            )));
        }
        if subject.command.is_empty() != subject.installed.is_some() {
            let name = &subject.name;
            return Err(general(format!("subject `{name}` needs either `command` or `installed`")));
        }
    }
    if let Some(message) = config.thresholds.fault() {
        return Err(general(message));
    }
    config.forbid.iter().try_for_each(|forbid| check_filter(config, &forbid.when))?;
    for block in config.plans.values().flat_map(|plan| &plan.blocks) {
        for axis in block.axes.iter().chain(&block.each).chain(&block.strengthen) {
            known_axis(config, axis.get_ref(), axis.span())?;
        }
        block.only.iter().try_for_each(|only| check_filter(config, only))?;
    }
    let below = config.plans.values().filter_map(|plan| plan.builds_on.as_ref());
    if let Some(unknown) = below.chain([&config.run.plan]).find(|name| !config.plans.contains_key(*name)) {
        let known: Vec<&str> = config.plans.keys().map(String::as_str).collect();
        return Err(general(format!("there is no plan `{unknown}`; {}", hint(unknown, &known))));
    }
    Ok(())
}

/// Seconds in a year: whoever waits longer waits for ever.
const LONGEST: u64 = 365 * 24 * 3600;
/// What a value of `run` may be at least and at most, by its name.
const BOUNDS: [(&str, u64, u64); 5] = [
    ("timeout_seconds", 1, LONGEST),
    ("cell_timeout_seconds", 1, LONGEST),
    ("scored_tokens", 1, 1 << 20),
    ("sampled_tokens", 1, 1 << 20),
    // A worker without a model takes some tens.
    ("worker_memory_mib", 64, 1 << 40),
];

/// Values of `run`, in the order of their bounds.
type Values = [Option<u64>; BOUNDS.len()];

fn check_bounds(run: &RunConfig) -> Checked {
    let values = [
        Some(run.timeout_seconds),
        run.cell_timeout_seconds,
        Some(run.scored_tokens.into()),
        Some(run.sampled_tokens.into()),
        run.worker_memory_mib,
    ];
    check_values("run", &values)
}

fn profile_values(profile: &ProfileConfig) -> Values {
    [
        profile.timeout_seconds,
        profile.cell_timeout_seconds,
        profile.scored_tokens.map(u64::from),
        profile.sampled_tokens.map(u64::from),
        profile.worker_memory_mib,
    ]
}

fn check_values(table: &str, values: &Values) -> Checked {
    for ((name, least, most), value) in BOUNDS.iter().zip(values) {
        if let Some(value) = value.filter(|value| !(*least..=*most).contains(value)) {
            return Err(general(format!(
                "`{table}.{name}` is {value}: it must be at least {least} and at most {most}"
            )));
        }
    }
    Ok(())
}

fn check_axis(config: &Config, axis: &AxisConfig) -> Checked {
    if axis.values.is_empty() != axis.releases && !axis.subjects {
        return Err(general(format!("axis `{}` needs `values`, `releases` or `subjects`", axis.name)));
    }
    for other in axis.mirrors.iter().chain(&axis.controlled_by) {
        known_axis(config, other, 0..0)?;
    }
    let targets: Vec<Target> = axis
        .sets
        .iter()
        .map(|target| {
            let name = target.get_ref();
            Target::from_name(name).ok_or_else(|| {
                let hint = nearest(name, &Target::names()).map_or_else(
                    || format!("known are {}", Target::names().join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                Fault { span: target.span(), message: format!("nothing is called `{name}`; {hint}") }
            })
        })
        .collect::<Result<_, _>>()?;
    if targets.contains(&Target::Model) && !config.models.is_empty() {
        let models: Vec<&str> = config.models.iter().map(|model| model.name.as_str()).collect();
        if let Some(unknown) = axis.values.iter().find(|value| !models.contains(&value.get_ref().as_str())) {
            let name = unknown.get_ref();
            let message = format!("there is no model `{name}`; {}", hint(name, &models));
            return Err(Fault { span: unknown.span(), message });
        }
    }
    for value in &axis.values {
        for target in &targets {
            Recipe::default().set(*target, value.get_ref(), config.names()).map_err(|message| Fault {
                span: value.span(),
                message: format!("`{}` cannot have this value: {message}", axis.name),
            })?;
        }
    }
    axis.control.iter().try_for_each(|control| check_filter(config, control))
}

fn check_filter(config: &Config, text: &Spanned<String>) -> Checked {
    let checked = text.get_ref().parse::<Filter>().and_then(|filter| {
        filter.check_names(text.get_ref(), &config.dimensions())?;
        filter.check_planned(text.get_ref())
    });
    checked.map_err(|error| {
        // The text in the file begins after its quote.
        let start = (text.span().start + 1 + error.position).min(text.span().end);
        Fault { span: start..start + 1, message: error.message }
    })
}

fn known_axis(config: &Config, name: &str, span: Range<usize>) -> Checked {
    if config.axis(name).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = config.axes.iter().map(|axis| axis.name.as_str()).collect();
    let hint = nearest(name, &known)
        .map_or_else(|| format!("there are {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
    Err(Fault { span, message: format!("there is no axis `{name}`; {hint}") })
}

fn unique<'a>(kind: &str, names: impl Iterator<Item = &'a str>) -> Checked {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(general(format!("there are two {kind} entries called `{name}`")));
        }
    }
    Ok(())
}

/// A fault of the file as a whole.
fn general(message: String) -> Fault {
    Fault { span: 0..0, message }
}
