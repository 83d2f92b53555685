//! Every state layout that llama.cpp has had, as data. The parser and the encoder read this table and nothing else.

use std::ops::RangeInclusive;

/// How one range of llama.cpp releases lays out the state of a sequence, and what the bytes mean.
///
/// Each flag is a word, or a group of words, that is on the wire or is not. Adding a release means adding a row, and its
/// name to [`LAYOUTS`].
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// The first llama.cpp release that writes it: the name under which session files refer to it.
    pub id: &'static str,
    /// The first llama.cpp release that is known to write it, where the name is not that one.
    pub since: &'static str,
    /// Patch numbers of the `llama-cpp-sys-2` 0.1.x packages that write it.
    pub crates: RangeInclusive<u32>,
    /// Raw blobs start with a magic word and the sequence id. Sequence files never do.
    pub blob_prefix: bool,
    /// An attention cache starts with the number of its streams.
    pub stream_count: bool,
    /// A stream without cells is its zero count alone. Before, the words and types of all layers followed it.
    pub empty_stream_stops: bool,
    /// What a cell carries besides its position, for the models that need it.
    pub cell_extension: CellExtension,
    /// Whether quantized K and V are rotated, and whether the state says so.
    pub rotation: RotationRule,
    /// Recurrent layers may carry a second row, written directly after the first.
    pub second_rows: bool,
    /// Version word of a sequence file (GGSQ).
    pub sequence_file_version: u32,
    /// Version word of a session file (GGSN).
    pub session_file_version: u32,
}

/// The fields of a cell extension on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellExtension {
    /// Not written, also for models that use 2D positions.
    Absent,
    /// `x` and `y` of a 2D position, for M-RoPE models.
    Position,
    /// `x`, `y` and the token id, for M-RoPE models and those that hash previous tokens.
    PositionAndToken,
}

/// What a release does about the Hadamard rotation of quantized K and V.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationRule {
    /// K and V are stored as they are.
    Never,
    /// Quantized K and V may be rotated; nothing in the state tells.
    Silent,
    /// The state carries the size of the K and V rotations.
    Recorded,
}

const B5485: Layout = Layout {
    id: "b5485",
    since: "b5485",
    crates: 109..=112,
    blob_prefix: false,
    stream_count: false,
    empty_stream_stops: false,
    cell_extension: CellExtension::Absent,
    rotation: RotationRule::Never,
    second_rows: false,
    sequence_file_version: 2,
    session_file_version: 9,
};
const B5913: Layout = Layout {
    id: "b5913",
    since: "b5913",
    crates: 113..=138,
    stream_count: true,
    empty_stream_stops: true,
    ..B5485
};
const B8215: Layout = Layout {
    id: "b8215",
    since: "b8215",
    crates: 139..=141,
    cell_extension: CellExtension::Position,
    ..B5913
};
const B8619: Layout =
    Layout { id: "b8619", since: "b8619", crates: 142..=146, rotation: RotationRule::Silent, ..B8215 };
const B9028: Layout = Layout { id: "b9028", since: "b9028", crates: 147..=156, blob_prefix: true, ..B8619 };
const V0_4_1: Layout = Layout {
    id: "0.4.1",
    since: "0.4.0",
    crates: 157..=159,
    cell_extension: CellExtension::PositionAndToken,
    second_rows: true,
    sequence_file_version: 3,
    session_file_version: 10,
    ..B9028
};
const V0_6_0: Layout = Layout {
    id: "0.6.0",
    since: "0.6.0",
    crates: 160..=161,
    rotation: RotationRule::Recorded,
    sequence_file_version: 4,
    session_file_version: 11,
    ..V0_4_1
};

/// All known layouts, oldest first. Each says what it changes of the one before it, so that a new one edits no history.
pub static LAYOUTS: [Layout; 7] = [B5485, B5913, B8215, B8619, B9028, V0_4_1, V0_6_0];

impl Layout {
    /// The layout of that name, or none when it is not known.
    #[must_use]
    pub fn by_id(id: &str) -> Option<&'static Self> {
        LAYOUTS.iter().find(|layout| layout.id == id)
    }

    /// The layout that `llama-cpp-sys-2` 0.1.`patch` writes, or none when that package is older or newer than the table.
    #[must_use]
    pub fn of_crate(patch: u32) -> Option<&'static Self> {
        LAYOUTS.iter().find(|layout| layout.crates.contains(&patch))
    }

    /// The layout that a release writes, by its name: `b8233`, `0.4.1`, `v0.5.0`, `0.5.0-dev`. None for names of another form,
    /// and for releases before the first layout. What is newer than the table has the newest layout until a state shows
    /// otherwise.
    #[must_use]
    pub fn of_release(name: &str) -> Option<&'static Self> {
        let release = ReleaseName::parse(name)?;
        LAYOUTS
            .iter()
            .rev()
            .find(|layout| ReleaseName::parse(layout.since).is_some_and(|since| since <= release))
    }

    /// The newest layout.
    #[must_use]
    pub fn newest() -> &'static Self {
        &LAYOUTS[LAYOUTS.len() - 1]
    }
}

/// Which way round the matrices lie that gated delta nets keep of all their inputs. They are as wide as they are high in most models,
/// so a state is as long either way, and no version tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaOrder {
    /// As llama.cpp had them at first.
    First,
    /// The other way round.
    Turned,
}

/// The last release that is known to have them as they were at first, and the first one that is known to have turned them.
const DELTA_ORDERS: [ReleaseName; 2] = [ReleaseName::Build(8233), ReleaseName::Build(8352)];

/// Architectures that have gated delta nets.
const DELTA_NETS: [&str; 4] = ["qwen3next", "qwen35", "qwen35moe", "kimi-linear"];

impl DeltaOrder {
    /// Whether models of this architecture have such matrices.
    #[must_use]
    pub fn matters_to(architecture: &str) -> bool {
        DELTA_NETS.contains(&architecture)
    }

    /// The order in a release, by its name. One that is called otherwise, as builds of one's own are, has that of its layout, where all
    /// releases of it have the same. None where it is not known.
    #[must_use]
    pub fn of_release(name: &str, layout: Option<&str>) -> Option<Self> {
        let [last, first] = DELTA_ORDERS;
        if let Some(release) = ReleaseName::parse(name) {
            return match release {
                _ if release <= last => Some(Self::First),
                _ if release >= first => Some(Self::Turned),
                _ => None,
            };
        }
        let at = |id: &str| LAYOUTS.iter().position(|layout| layout.id == id);
        let at = at(layout?)?;
        let since = |layout: &Layout| ReleaseName::parse(layout.since);
        let (begins, ends) = (since(&LAYOUTS[at])?, LAYOUTS.get(at + 1).map(since));
        if begins >= first {
            Some(Self::Turned)
        } else if ends.flatten().is_some_and(|next| next <= last) {
            Some(Self::First)
        } else {
            None
        }
    }
}

/// What llama.cpp calls a release: the number of a build, or a version since mid-2026. Versions are newer than builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ReleaseName {
    Build(u32),
    Version([u32; 3]),
}

impl ReleaseName {
    fn parse(name: &str) -> Option<Self> {
        if let Some(number) = name.strip_prefix('b').and_then(|number| number.parse().ok()) {
            return Some(Self::Build(number));
        }
        let version = name.strip_prefix('v').unwrap_or(name);
        let version = version.split_once('-').map_or(version, |(version, _)| version);
        let mut numbers = version.split('.').map(|number| number.parse().ok());
        let version = [numbers.next()??, numbers.next()??, numbers.next()??];
        numbers.next().is_none().then_some(Self::Version(version))
    }
}

impl CellExtension {
    /// Bytes of one cell extension.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Absent => 0,
            Self::Position => 8,
            Self::PositionAndToken => 12,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_from_109_to_161_has_exactly_one_layout() {
        for patch in 109..=161 {
            let count = LAYOUTS.iter().filter(|layout| layout.crates.contains(&patch)).count();
            assert_eq!(count, 1, "llama-cpp-sys-2 0.1.{patch}");
        }
        assert_eq!(Layout::of_crate(108), None);
        assert_eq!(Layout::of_crate(162), None);
    }

    #[test]
    fn a_release_has_the_layout_of_the_last_one_that_changed_it() {
        let layout = |release| Layout::of_release(release).map(|layout| layout.id);
        for (release, id) in [
            ("b3889", None),
            ("b5484", None),
            ("b5485", Some("b5485")),
            ("b5912", Some("b5485")),
            ("b8233", Some("b8215")),
            ("b10410", Some("b9028")),
            ("v0.4.0", Some("0.4.1")),
            ("0.5.0-dev", Some("0.4.1")),
            ("0.6.0", Some("0.6.0")),
            ("1.0.0", Some("0.6.0")),
            ("unknown", None),
            ("0.5", None),
            ("b", None),
        ] {
            assert_eq!(layout(release), id, "{release}");
        }
    }

    #[test]
    fn the_order_of_delta_nets_is_told_by_the_release_and_else_by_its_layout() {
        use DeltaOrder::{First, Turned};
        for (release, layout, order) in [
            ("b8179", "b5913", Some(First)),
            ("b8233", "b8215", Some(First)),
            ("b8300", "b8215", None),
            ("b8352", "b8215", Some(Turned)),
            ("0.6.0", "0.6.0", Some(Turned)),
            ("mine", "b5913", Some(First)),
            ("mine", "b8215", None),
            ("mine", "b8619", Some(Turned)),
            ("mine", "0.6.0", Some(Turned)),
            ("mine", "unheard-of", None),
        ] {
            assert_eq!(DeltaOrder::of_release(release, Some(layout)), order, "{release} {layout}");
        }
        assert_eq!(DeltaOrder::of_release("mine", None), None);
        assert!(DeltaOrder::matters_to("qwen35") && !DeltaOrder::matters_to("qwen3"));
    }

    #[test]
    fn names_are_unique_and_found() {
        for layout in &LAYOUTS {
            assert_eq!(Layout::by_id(layout.id), Some(layout));
        }
        assert_eq!(Layout::by_id("b1"), None);
    }
}
