//! How releases lay out the structs that are passed by value, as data: `layouts.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::probe::Probe;

/// Tail padding is less than the alignment of the widest field.
const ALIGNMENT: usize = 8;

/// Both structs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layouts {
    /// `llama_model_params`.
    pub(crate) model: Struct,
    /// `llama_context_params`.
    pub(crate) context: Struct,
}

/// One struct through the releases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Struct {
    fields: BTreeMap<String, Field>,
    layouts: Vec<Layout>,
}

/// A field in whatever release has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    kind: Kind,
    /// Values that a release's own defaults may have there.
    #[serde(default)]
    default: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Bool,
    I32,
    F32,
    Pointer,
}

/// One layout.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layout {
    size: usize,
    /// Runs of bytes that no field covers.
    holes: Vec<[usize; 2]>,
    /// Releases whose header says so.
    releases: Vec<String>,
    offsets: BTreeMap<String, usize>,
}

/// Which layout fits what a library wrote.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fit<'t> {
    /// This one; or, of several that agree in what they share, the one with the fewest fields.
    One(&'t Layout),
    /// None, and why those of a similar size do not.
    None(String),
    /// Several that contradict each other, by their releases.
    Several(String),
}

/// All known layouts.
pub(crate) static LAYOUTS: LazyLock<Layouts> = LazyLock::new(|| {
    toml::from_str(include_str!("../layouts.toml")).expect("an embedded table, which a test reads")
});

impl Struct {
    /// Which layout fits the defaults that a library wrote.
    pub(crate) fn fit(&self, probe: &Probe) -> Fit<'_> {
        self.fit_among(self.layouts.iter(), probe)
    }

    fn fit_among<'t>(&self, layouts: impl Iterator<Item = &'t Layout>, probe: &Probe) -> Fit<'t> {
        let (mut fitting, mut near) = (Vec::new(), Vec::new());
        for layout in layouts {
            match self.misfit(layout, probe) {
                None => fitting.push(layout),
                Some(why) => near.extend(
                    layout.is_near(probe).then(|| format!("\n  not that of {}: {why}", layout.name())),
                ),
            }
        }
        let Some(&least) = fitting.iter().min_by_key(|layout| layout.offsets.len()) else {
            return Fit::None(near.concat());
        };
        if fitting.iter().all(|layout| layout.agrees(least)) {
            return Fit::One(least);
        }
        let names: Vec<String> = fitting.iter().map(|layout| layout.name()).collect();
        Fit::Several(names.join("; "))
    }

    /// Why a layout is not the one that these defaults were written in.
    fn misfit(&self, layout: &Layout, probe: &Probe) -> Option<String> {
        let (size, written) = (layout.size, probe.length());
        if written > size || written + ALIGNMENT <= size {
            return Some(format!("{written} bytes are written, and it has {size}"));
        }
        if let Some(at) = (0..size).find(|&at| !layout.is_hole(at) && !probe.is_written(at)) {
            return Some(format!("byte {at} belongs to a field and is not written"));
        }
        for &[start, end] in &layout.holes {
            let wholly = (start..end).all(|at| probe.is_written(at));
            let partly = (start..end).any(|at| probe.is_written(at));
            if partly && !wholly {
                return Some(format!(
                    "only some of the bytes {start} to {end} between two fields are written"
                ));
            }
            if wholly && probe.bytes(start, end - start).iter().any(|&byte| byte != 0) {
                return Some(format!("the bytes {start} to {end} between two fields are not 0"));
            }
        }
        layout.offsets.iter().find_map(|(name, &at)| {
            let field = self.fields.get(name)?;
            (!field.may_be_default(probe.bytes(at, field.kind.size())))
                .then(|| format!("at {at} there is no default of {name}"))
        })
    }
}

impl Field {
    fn may_be_default(&self, bytes: &[u8]) -> bool {
        let value = match (self.kind, bytes) {
            (Kind::Bool, &[byte]) => f64::from(byte),
            (Kind::I32, &[a, b, c, d]) => f64::from(i32::from_ne_bytes([a, b, c, d])),
            (Kind::F32, &[a, b, c, d]) => f64::from(f32::from_ne_bytes([a, b, c, d])),
            (Kind::Pointer, bytes) => return bytes.iter().all(|&byte| byte == 0),
            _ => return false,
        };
        self.default.iter().any(|default| (default - value).abs() < 1e-6)
    }
}

impl Kind {
    fn size(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::I32 | Self::F32 => 4,
            Self::Pointer => 8,
        }
    }
}

impl Layout {
    /// Where a field is. None where these releases have no such field.
    pub(crate) fn offset(&self, field: &str) -> Option<usize> {
        self.offsets.get(field).copied()
    }

    /// The releases whose headers have it.
    pub(crate) fn name(&self) -> String {
        self.releases.join(", ")
    }

    fn is_hole(&self, at: usize) -> bool {
        self.holes.iter().any(|&[start, end]| (start..end).contains(&at))
    }

    fn is_near(&self, probe: &Probe) -> bool {
        self.size.abs_diff(probe.length()) <= 2 * ALIGNMENT
    }

    /// Whether all fields that both have are in the same place, in both.
    fn agrees(&self, other: &Self) -> bool {
        other.offsets.iter().all(|(field, at)| self.offsets.get(field) == Some(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Defaults as a library with this layout writes them.
    fn defaults(of: &Struct, layout: &Layout, padding: bool) -> Probe {
        let mut bytes = vec![Some(0); layout.size];
        for (name, &at) in &layout.offsets {
            let field = &of.fields[name];
            let default = field.default.first().copied().unwrap_or_default();
            #[expect(clippy::cast_possible_truncation, reason = "the table's own small numbers")]
            let written = match field.kind {
                Kind::Bool => vec![default as u8],
                Kind::I32 => (default as i32).to_ne_bytes().to_vec(),
                Kind::F32 => (default as f32).to_ne_bytes().to_vec(),
                Kind::Pointer => vec![0; 8],
            };
            for (place, byte) in bytes[at..].iter_mut().zip(written) {
                *place = Some(byte);
            }
        }
        if !padding {
            for &[start, end] in &layout.holes {
                bytes[start..end].fill(None);
            }
        }
        Probe::of_bytes(&bytes)
    }

    fn structs() -> [&'static Struct; 2] {
        [&LAYOUTS.model, &LAYOUTS.context]
    }

    #[test]
    fn every_layout_of_the_table_is_one_that_a_struct_can_have() {
        for of in structs() {
            assert!(!of.layouts.is_empty());
            for layout in &of.layouts {
                let name = layout.name();
                let mut covered = vec![0u8; layout.size];
                for (field, &at) in &layout.offsets {
                    let kind = of.fields.get(field).unwrap_or_else(|| panic!("{name}: {field}")).kind;
                    assert_eq!(at % kind.size(), 0, "{name}: {field} is not aligned");
                    covered[at..at + kind.size()].iter_mut().for_each(|byte| *byte += 1);
                }
                assert!(covered.iter().all(|&times| times < 2), "{name}: fields overlap");
                assert!(layout.holes.iter().all(|&[start, end]| start < end && end <= layout.size), "{name}");
                let in_holes = layout.offsets.values().find(|&&at| layout.is_hole(at));
                assert_eq!(in_holes, None, "{name}: a field in a hole");
            }
        }
    }

    #[test]
    fn a_library_is_known_by_its_own_row_and_refused_without_it() {
        for of in structs() {
            for (row, layout) in of.layouts.iter().enumerate() {
                for padding in [false, true] {
                    let probe = defaults(of, layout, padding);
                    let Fit::One(found) = of.fit(&probe) else {
                        panic!("{}: {:?}", layout.name(), of.fit(&probe))
                    };
                    assert!(layout.agrees(found), "{} taken for {}", layout.name(), found.name());
                    let others =
                        of.layouts.iter().enumerate().filter(|(at, _)| *at != row).map(|(_, other)| other);
                    match of.fit_among(others, &probe) {
                        Fit::None(_) => {}
                        // A release that only appended a field in what was padding, where padding is written.
                        Fit::One(other) => {
                            let appended = layout.agrees(other) || other.agrees(layout);
                            assert!(padding && appended, "{}: {}", layout.name(), other.name());
                        }
                        Fit::Several(names) => panic!("{}: {names}", layout.name()),
                    }
                }
            }
        }
    }

    /// The compiler knows where the fields of the release are that the workspace links.
    #[test]
    #[expect(unsafe_code, reason = "it calls a linked llama.cpp")]
    fn the_newest_layouts_are_those_of_the_linked_release() {
        use std::mem::{offset_of, size_of};

        use llama_cpp_sys_2 as linked;

        macro_rules! compare {
            ($struct:ident, $defaults:ident, $of:expr, $($field:ident)*) => {
                // SAFETY: the function takes nothing and returns the struct.
                let probe = unsafe { Probe::of(linked::$defaults as *const std::ffi::c_void) };
                let Fit::One(layout) = $of.fit(&probe) else { panic!("{:?}", $of.fit(&probe)) };
                assert_eq!(layout.size, size_of::<linked::$struct>());
                let offsets = [$((stringify!($field).to_owned(), offset_of!(linked::$struct, $field))),*];
                assert_eq!(layout.offsets, BTreeMap::from(offsets));
            };
        }
        compare!(llama_model_params, llama_model_default_params, LAYOUTS.model,
            n_gpu_layers split_mode main_gpu tensor_split progress_callback kv_overrides vocab_only check_tensors
            use_extra_bufts no_host no_alloc load_mode lazy_mode load_mtp devices tensor_buft_overrides);
        compare!(llama_context_params, llama_context_default_params, LAYOUTS.context,
            n_ctx n_batch n_ubatch n_seq_max n_rs_seq n_outputs_max n_outputs_max_per_seq n_threads n_threads_batch ctx_type
            rope_scaling_type pooling_type attention_type flash_attn_type rope_freq_base rope_freq_scale yarn_ext_factor
            yarn_attn_factor yarn_beta_fast yarn_beta_slow yarn_orig_ctx defrag_thold cb_eval type_k type_v abort_callback
            embeddings offload_kqv no_perf op_offload swa_full kv_unified samplers n_samplers ctx_other);
    }

    #[test]
    fn what_is_not_known_is_refused_with_the_reason() {
        let of = &LAYOUTS.context;
        let mut layout: Vec<Option<u8>> = vec![Some(0); 168];
        layout[0] = Some(1);
        let Fit::None(near) = of.fit(&Probe::of_bytes(&layout)) else { panic!("a layout") };
        assert!(near.contains("168 bytes are written, and it has 160"), "{near}");
    }
}
