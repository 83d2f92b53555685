/// A token id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(in crate::llama) struct LlamaToken(pub(in crate::llama) i32);

pub(in crate::llama) mod data {
    use super::LlamaToken;

    /// A candidate of a sampler.
    #[derive(Debug, Clone, Copy)]
    pub(in crate::llama) struct LlamaTokenData(pub(in crate::llama::raw) crate::llama::sys::llama_token_data);

    impl LlamaTokenData {
        pub(in crate::llama) fn new(token: LlamaToken, logit: f32, probability: f32) -> Self {
            Self(crate::llama::sys::llama_token_data { id: token.0, logit, p: probability })
        }
    }
}

pub(in crate::llama) mod data_array {
    use super::LlamaToken;
    use super::data::LlamaTokenData;

    /// The candidates of a sampler, and which one was chosen.
    #[derive(Debug)]
    pub(in crate::llama) struct LlamaTokenDataArray {
        data: Vec<crate::llama::sys::llama_token_data>,
        selected: Option<usize>,
        sorted: bool,
    }

    impl LlamaTokenDataArray {
        pub(in crate::llama) fn from_iter(
            data: impl IntoIterator<Item = LlamaTokenData>,
            sorted: bool,
        ) -> Self {
            Self { data: data.into_iter().map(|candidate| candidate.0).collect(), selected: None, sorted }
        }

        pub(in crate::llama) fn selected_token(&self) -> Option<LlamaToken> {
            self.selected.and_then(|at| self.data.get(at)).map(|candidate| LlamaToken(candidate.id))
        }

        /// Lets `change` see the candidates as llama.cpp does. A sampler may drop and reorder them, never add any.
        pub(in crate::llama::raw) fn lend(
            &mut self,
            change: impl FnOnce(&mut crate::llama::sys::llama_token_data_array),
        ) {
            let mut array = crate::llama::sys::llama_token_data_array {
                data: self.data.as_mut_ptr(),
                size: self.data.len(),
                selected: self.selected.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1),
                sorted: self.sorted,
            };
            change(&mut array);
            self.sorted = array.sorted;
            self.selected = usize::try_from(array.selected).ok();
            self.data.truncate(array.size);
        }
    }
}

pub(in crate::llama) mod logit_bias {
    use super::LlamaToken;

    /// What is added to the logit of a token.
    #[derive(Debug, Clone, Copy)]
    #[repr(transparent)]
    pub(in crate::llama) struct LlamaLogitBias(pub(in crate::llama::raw) crate::llama::sys::llama_logit_bias);

    impl LlamaLogitBias {
        pub(in crate::llama) fn new(token: LlamaToken, bias: f32) -> Self {
            Self(crate::llama::sys::llama_logit_bias { token: token.0, bias })
        }
    }
}
