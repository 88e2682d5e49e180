//! Choices that people type: one table of names gives `Display`, `FromStr`, `ALL`, the command line and serde alike.

use thiserror::Error;

/// A word that names no choice.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown {kind} `{word}`: use one of {choices}")]
pub struct UnknownName {
    /// What was to be chosen, such as "colour map".
    pub kind: &'static str,
    /// What was typed.
    pub word: String,
    /// The names there are, separated by commas.
    pub choices: String,
}

macro_rules! named {
    ($type:ident, $kind:literal, { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every choice, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name that people type.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::paint::UnknownName;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                let wanted = word.trim();
                Self::ALL
                    .iter()
                    .copied()
                    .find(|choice| choice.name().eq_ignore_ascii_case(wanted))
                    .ok_or_else(|| $crate::paint::UnknownName {
                        kind: $kind,
                        word: wanted.to_owned(),
                        choices: [$($name),+].join(", "),
                    })
            }
        }

        impl clap::ValueEnum for $type {
            fn value_variants<'a>() -> &'a [Self] {
                Self::ALL
            }

            fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
                Some(clap::builder::PossibleValue::new(self.name()))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let word = <String as serde::Deserialize>::deserialize(from)?;
                word.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(super) use named;
