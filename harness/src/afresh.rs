//! Whether a model goes on after what was loaded as it does after the same tokens, evaluated again by the same worker.

use std::path::Path;

use intact_matrix::Limits;
use intact_protocol::{Logits, Score};

use crate::distance::Distance;

/// Tokens that are compared.
const COMPARED: u32 = 8;
/// What is said.
const CONTINUATION: &str = "The lamp was lit at dusk, and the keeper wrote down every ship that passed.";

/// What a worker is asked. First the copy, whose tokens are evaluated again: the session itself goes on with what it says.
pub(crate) fn scores(session: &str, folder: &Path) -> [Score; 2] {
    [("afresh.logits", true), ("restored.logits", false)].map(|(name, afresh)| Score {
        session: session.to_owned(),
        text: CONTINUATION.to_owned(),
        max_tokens: COMPARED,
        path: folder.join(name),
        afresh,
    })
}

/// Whether what it says after what was loaded, which is called this, is what it says after the same tokens; and how far the two
/// are apart, in words.
pub(crate) fn judged(loaded: &str, reference: &Logits, observed: &Logits, limits: &Limits) -> (bool, String) {
    let Some(distance) = Distance::between(reference, observed) else {
        return (false, "what the model says cannot be compared".to_owned());
    };
    let evidence = format!(
        "after the {loaded} and after its tokens the model differs by KL {:.1e}, and agrees on {:.0} % of the likeliest tokens",
        distance.kl,
        distance.top1_agreement * 100.0
    );
    (distance.bit_equal || distance.is_within_limits(limits), evidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(rows: &[[f32; 2]]) -> Logits {
        let mut logits = Logits::new(2);
        rows.iter().for_each(|row| logits.push(row));
        logits
    }

    #[test]
    fn what_is_said_is_near_or_far_or_cannot_be_compared() {
        let limits = Limits { nmse: 1e-3, kl: 1e-3, top1_agreement: 1.0, source: String::new() };
        let reference = says(&[[1.0, 2.0]]);
        let (is_near, evidence) = judged("state", &reference, &says(&[[1.0, 2.0]]), &limits);
        assert!(is_near && evidence.starts_with("after the state and after its tokens"), "{evidence}");
        let (is_near, evidence) = judged("session", &reference, &says(&[[2.0, 1.0]]), &limits);
        assert!(!is_near && evidence.ends_with("agrees on 0 % of the likeliest tokens"), "{evidence}");
        let (is_near, evidence) = judged("state", &reference, &says(&[[1.0, 2.0], [1.0, 2.0]]), &limits);
        assert_eq!((is_near, evidence.as_str()), (false, "what the model says cannot be compared"));
    }

    #[test]
    fn the_copy_is_asked_first() {
        let [afresh, restored] = scores("it", Path::new("folder"));
        assert!(afresh.afresh && !restored.afresh);
        assert_ne!(afresh.path, restored.path);
        assert_eq!((&afresh.text, afresh.max_tokens), (&restored.text, restored.max_tokens));
    }
}
