use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// What the language means, the page's reader of it too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    cell: Vec<Selected>,
    refuses: BTreeMap<String, (usize, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selected {
    id: String,
    plan: Option<String>,
    verdict: Option<Verdict>,
    route: Option<String>,
    changed: Option<String>,
    dims: Dims,
    selects: Vec<(String, bool)>,
}

fn cases() -> Cases {
    toml::from_str(include_str!("../../../../fixtures/filters.toml")).expect("a table of cases")
}

#[test]
fn every_filter_of_the_table_selects_what_it_says() {
    for cell in cases().cell {
        let is = |change: &Change| Some(change.name()) == cell.changed.as_deref();
        let subject = Subject {
            plan: cell.plan.as_deref(),
            verdict: cell.verdict,
            route: cell.route.as_deref(),
            changed: Change::ALL.into_iter().find(is),
            ..Subject::planned(&cell.id, &cell.dims)
        };
        for (text, expected) in &cell.selects {
            let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(filter.selects(subject), *expected, "{text}");
            assert_eq!(filter.to_string().parse().as_ref(), Ok(&filter), "{text} is printed as {filter}");
        }
    }
}

#[test]
fn every_text_of_the_table_that_is_no_filter_is_refused_at_its_place() {
    for (text, (column, message)) in cases().refuses {
        let error = text.parse::<Filter>().expect_err(&text);
        assert_eq!(text[..error.position].chars().count(), column, "{text}: {error}");
        assert!(error.message.contains(&message), "{text}: {error}");
    }
}

#[test]
fn what_is_known_only_of_cells_that_have_run_is_refused_before() {
    for (text, refused) in [("kv(f16) & verdict(exact)", true), ("changed()", true), ("plan(pr)", false)] {
        let filter: Filter = text.parse().expect("a filter");
        assert_eq!(filter.check_planned(text).is_err(), refused, "{text}");
    }
}

#[test]
fn an_error_is_shown_with_a_caret_under_the_place() {
    let error = "kv(é) kv".parse::<Filter>().expect_err("no operator");
    assert_eq!(
        error.to_string(),
        "the filter cannot be read: expected `&`, `|` or the end\n  kv(é) kv\n        ^"
    );
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest() {
    let text = "kv(f16) & modle(llama)";
    let filter: Filter = text.parse().expect("a filter");
    let error = filter.check_names(text, &["kv", "model"]).expect_err("unknown");
    assert_eq!((error.position, error.message.contains("`model`")), (10, true), "{error}");
    assert_eq!(filter.check_names(text, &["kv", "modle"]), Ok(()));
}

#[test]
fn deep_nesting_is_refused_and_not_a_stack_overflow() {
    for (text, expected) in [
        ("(".repeat(10_000), "deeper"),
        ("!".repeat(10_000), "deeper"),
        ("not ".repeat(4_000), "deeper"),
        ("(".repeat(100_000), "longer"),
    ] {
        let error = text.parse::<Filter>().expect_err("refused");
        assert!(error.message.contains(expected), "{error}");
    }
    let wide = vec!["all()"; 2_000].join("&");
    assert_eq!(wide.parse::<Filter>().map(|filter| filter.selects_dims(&Dims::new())), Ok(true));
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let text = "[a-z0-9_.=,/ )|\\\\-]{0,8}[a-z0-9)| \n\\\\]";
    prop_oneof![
        text.prop_map(Matcher::Exact),
        text.prop_map(Matcher::Contains),
        text.prop_map(|pattern| Matcher::glob(&pattern).expect("a glob")),
        "[a-z/.*]{1,6}"
            .prop_filter_map("an expression", |text| regex::Regex::new(&text).ok().map(Matcher::Regex)),
        (0..4usize, "b[0-9]{1,4}|[0-9]{1,2}\\.[0-9]{1,2}")
            .prop_map(|(sign, version)| Matcher::Version { order: Order::SIGNS[sign].1, version }),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![
        Just(Filter::All),
        Just(Filter::None),
        ("(kv|model|reader_kv)", prop::collection::vec(matcher(), 1..3))
            .prop_map(|(name, matchers)| Filter::Is { name, matchers }),
        Just(Filter::Is { name: "changed".into(), matchers: Vec::new() }),
    ];
    leaf.prop_recursive(5, 24, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Filter::Not(Box::new(inner))),
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| Filter::And(Box::new(left), Box::new(right))),
            (inner.clone(), inner).prop_map(|(left, right)| Filter::Or(Box::new(left), Box::new(right))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_as_the_same_filter(filter in filter()) {
        let text = filter.to_string();
        prop_assert_eq!(text.parse::<Filter>().map_err(|error| TestCaseError::fail(error.to_string()))?, filter);
    }

    #[test]
    fn text_that_is_nearly_a_filter_is_read_or_refused_inside_its_bounds(
        parts in prop::collection::vec("kv|not |and|or|[()!&|/=~#<>\\\\ ]|b[0-9]{1,3}|é|\\PC|\\[\\^", 0..24)
    ) {
        let text = parts.concat();
        match text.parse::<Filter>() {
            Ok(filter) => prop_assert_eq!(filter.to_string().parse::<Filter>().ok(), Some(filter)),
            Err(error) => prop_assert!(text.is_char_boundary(error.position)),
        }
    }

    #[test]
    fn any_text_is_read_or_refused_inside_its_bounds(text in "\\PC{0,40}") {
        if let Err(error) = text.parse::<Filter>() {
            prop_assert!(error.position <= text.len());
            prop_assert!(text.is_char_boundary(error.position));
        }
    }
}
