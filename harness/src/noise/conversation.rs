//! What is said in the sessions of a study. The first message is long enough to be evaluated in batches of several shapes.

/// The system prompt.
pub(super) const SYSTEM: &str = "You keep the log of a lighthouse. Be brief.";

/// What the user says, and the reply that is forced.
pub(super) type Talk = [(&'static str, &'static str); 2];

/// The session that is saved and restored.
pub(super) const TALK: Talk = [
    (
        "Write down what happened last night at the lighthouse, from dusk till dawn: which ships passed, in which \
         direction, under which flags, what the wind was like, whether the lamp burned without a break, and who of the \
         crew kept the watch. Add what was eaten, what was repaired, which letters came with the pilot boat and which went \
         out with it, how much oil is left for the winter, and what the keeper of the next light along the coast had to \
         say about the fog signal, the new buoy and the price of rope.",
        "Three ships passed, all of them to the north, before the wind turned and the fog came in.",
    ),
    ("And the night before?", "Fog. Nothing passed but the pilot boat, twice."),
];

/// Another session, of no fewer tokens.
pub(super) const OTHER: Talk = [
    (
        "Which repairs does the tower need before winter? List the costs if they are known, the tools that have to be \
         borrowed from the harbour, the people who can do the work, and the days on which the tide allows a boat to land at \
         the rock. Say which stones are loose, which panes are cracked, whether the door still closes, how the stairs have \
         held, what the mason said about the mortar on the west side, whether the iron ladder can be painted before the \
         frost, and how long the lamp would have to stay dark for it all, if at all; then go through the list once more and \
         strike out whatever can wait.",
        "Two panes of glass, the door on the east side, and the mortar; the ladder has to wait for spring.",
    ),
    (
        "When is it due, and who is to pay for it?",
        "In May. The mason comes with a spring tide and stays a week.",
    ),
];

/// What is forced afterwards, token by token, to look at the logits.
pub(super) const CONTINUATION: &str =
    "The lamp was lit at dusk, and the keeper wrote down every ship that passed. Nobody came ashore.";
