//! Setters that can be chained, one for a field of options: what is new in a later version takes its default.

/// Writes one setter for each line: `name(argument: type) => value of the field;`.
macro_rules! setters {
    ($($name:ident($given:ident: $of:ty) => $value:expr;)*) => {
        $(
            #[doc = concat!("Sets [`", stringify!($name), "`](Self#structfield.", stringify!($name), ").")]
            #[must_use]
            pub fn $name(mut self, $given: $of) -> Self {
                self.$name = $value;
                self
            }
        )*
    };
}

pub(crate) use setters;
