use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;

use super::{CleanupError, MessageSize, keep, open_messages};
use intact_format::message::Role;
use intact_format::parameters::CacheCleanupStrategy as Strategy;

/// `s` system, `u` user, `a` assistant, `t` tool; ten tokens each.
fn chat(roles: &str) -> Vec<MessageSize> {
    let role = |letter| match letter {
        's' => Role::System,
        't' => Role::Tool,
        'u' => Role::User,
        _ => Role::Assistant,
    };
    roles.chars().map(|letter| MessageSize { role: role(letter), tokens: 10 }).collect()
}

const ROOMY: usize = 1000;

#[test]
fn each_strategy_keeps_what_its_name_says() {
    let table: [(Strategy, &str, usize, &[usize]); 21] = [
        (Strategy::KeepSystemPromptOnly, "suauaua", ROOMY, &[0]),
        (Strategy::KeepSystemPromptOnly, "uaua", ROOMY, &[]),
        (Strategy::KeepSystemPromptOnly, "ssua", ROOMY, &[0, 1]),
        (Strategy::KeepSystemPromptOnly, "", ROOMY, &[]),
        (Strategy::KeepSystemPromptAndHalf, "suauauaua", ROOMY, &[0, 5, 6, 7, 8]),
        (Strategy::KeepSystemPromptAndHalf, "suauaua", ROOMY, &[0, 5, 6]),
        (Strategy::KeepSystemPromptAndHalf, "sua", ROOMY, &[0]),
        (Strategy::KeepSystemPromptAndHalf, "suauauaua", 30, &[0, 7, 8]),
        (Strategy::KeepSystemPromptAndFirstUserMessage, "suauaua", ROOMY, &[0, 1]),
        (Strategy::KeepSystemPromptAndFirstUserMessage, "suauaua", 15, &[0]),
        (Strategy::KeepSystemPromptAndFirstUserMessage, "s", ROOMY, &[0]),
        (Strategy::KeepSystemPromptAndLastUserMessage, "suauaua", ROOMY, &[0, 5]),
        (Strategy::KeepSystemPromptAndLastUserMessage, "uau", ROOMY, &[2]),
        (Strategy::KeepSystemPromptAndLastUserMessage, "saa", ROOMY, &[0]),
        (Strategy::RemoveOldestMessages, "suauaua", ROOMY, &[0, 3, 4, 5, 6]),
        (Strategy::RemoveOldestMessages, "suauaua", 50, &[0, 3, 4, 5, 6]),
        (Strategy::RemoveOldestMessages, "suauaua", 49, &[0, 5, 6]),
        (Strategy::RemoveOldestMessages, "suauaua", 29, &[0]),
        (Strategy::RemoveOldestMessages, "uuua", ROOMY, &[1, 2, 3]),
        (Strategy::RemoveOldestMessages, "suaaua", ROOMY, &[0, 4, 5]),
        (Strategy::RemoveOldestMessages, "s", ROOMY, &[0]),
    ];
    for (strategy, roles, budget, expected) in table {
        let kept = keep(strategy, &chat(roles), budget).unwrap();
        assert_eq!(kept, expected, "{strategy:?} of {roles} with room for {budget}");
    }
}

#[test]
fn a_system_prompt_that_does_not_fit_is_an_error_and_says_by_how_much() {
    for strategy in Strategy::ALL {
        let error = keep(strategy, &chat("ssua"), 19).unwrap_err();
        assert_eq!(error, CleanupError::SystemPromptTooLong { tokens: 20, budget: 19 });
        assert!(error.to_string().contains("20 tokens and there is room for 19"));
    }
}

fn any_role() -> impl Generator<Value = Role> {
    prop_oneof![Just(Role::System), Just(Role::User), Just(Role::Assistant)]
}

fn any_chat() -> impl Generator<Value = Vec<MessageSize>> {
    let message = (any_role(), 0..60_usize).prop_map(|(role, tokens)| MessageSize { role, tokens });
    prop::collection::vec(message, 0..24)
}

#[test]
fn what_tools_answer_stays_with_the_message_that_calls_them() {
    for (said, open) in [
        ("", 0),
        ("u", 1),
        ("sua", 1),
        ("suat", 3),
        ("suattt", 5),
        ("suatat", 5),
        ("suauatat", 5),
        ("t", 1),
        ("sut", 2),
        ("sat", 2),
        ("at", 2),
    ] {
        assert_eq!(open_messages(&chat(said)), open, "{said}");
    }
}

proptest! {
    #[test]
    fn the_system_prompt_stays_the_order_is_kept_and_the_rest_fits(
        strategy in prop::sample::select(Strategy::ALL.to_vec()), messages in any_chat(), budget in 0..800_usize,
    ) {
        let system = messages.iter().take_while(|message| message.role == Role::System).count();
        let system_tokens: usize = messages[..system].iter().map(|message| message.tokens).sum();
        match keep(strategy, &messages, budget) {
            Err(error) => {
                prop_assert_eq!(error, CleanupError::SystemPromptTooLong { tokens: system_tokens, budget });
                prop_assert!(system_tokens > budget);
            }
            Ok(kept) => {
                prop_assert!(kept.is_sorted_by(|a, b| a < b));
                prop_assert!(kept.iter().take(system).copied().eq(0..system));
                prop_assert!(kept.iter().map(|index| messages[*index].tokens).sum::<usize>() <= budget);
                let first = kept.get(system).map(|index| messages[*index].role);
                prop_assert_ne!(first, Some(Role::Assistant));
                prop_assert!(kept.len() < messages.len() || system == messages.len() || kept.len() == system + 1);
            }
        }
    }

    /// What the three strategies that keep named messages leave, they leave again; the other two end at the system prompt.
    #[test]
    fn cleaning_up_again_and_again_comes_to_rest(
        strategy in prop::sample::select(Strategy::ALL.to_vec()), messages in any_chat(), budget in 0..800_usize,
    ) {
        let mut current = messages;
        let mut rounds = Vec::new();
        while let Ok(kept) = keep(strategy, &current, budget) {
            let next: Vec<_> = kept.iter().map(|index| current[*index]).collect();
            if next == current {
                break;
            }
            rounds.push(next.len());
            current = next;
        }
        let halving = matches!(strategy, Strategy::KeepSystemPromptAndHalf | Strategy::RemoveOldestMessages);
        prop_assert!(halving || rounds.len() <= 1, "{rounds:?}");
        prop_assert!(rounds.is_sorted_by(|a, b| a > b), "{rounds:?}");
    }
}
