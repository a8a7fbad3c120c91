//! The letters and labels of word tags, and the schemes they follow.

use strum::{VariantArray, VariantNames};

use crate::error::Error;

/// Scheme by which tags mark where entities begin and end (seqeval `scheme.py`).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    VariantArray,
    VariantNames,
)]
#[strum(
    serialize_all = "lowercase",
    ascii_case_insensitive,
    parse_err_ty = Error,
    parse_err_fn = unknown_scheme
)]
pub enum Scheme {
    /// `I`, and `B` only between two entities of one label (CoNLL-2003 as published).
    Iob1,
    /// `B` at every start, also called BIO.
    #[strum(to_string = "iob2", serialize = "bio")]
    Iob2,
    /// `I`, and `E` only between two entities of one label.
    Ioe1,
    /// `E` at every end.
    Ioe2,
    /// `B`, `I`, `E`, and `S` for a single word; also called BIOES.
    #[strum(to_string = "iobes", serialize = "bioes")]
    Iobes,
    /// [`Iobes`](Self::Iobes) with `L` for the last word and `U` for a single one.
    Bilou,
    /// [`Iobes`](Self::Iobes) with `M` for the words between.
    Bmes,
    /// [`Bmes`](Self::Bmes) with `W` for a single word.
    Bmewo,
}

/// Position of a word in its entity, in the letters of [`Scheme::Iobes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    O,
    B,
    I,
    E,
    S,
}

/// A tag taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    pub(super) prefix: Prefix,
    /// `_` for tags without a label, as in seqeval.
    pub(super) label: &'a str,
}

impl Tag<'_> {
    /// Beyond both ends of a sentence.
    pub(super) const OUTSIDE: Self = Self {
        prefix: Prefix::O,
        label: "_",
    };
}

impl Scheme {
    /// Every scheme.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The letters a tag of this scheme may begin with.
    pub const fn letters(self) -> &'static str {
        match self {
            Self::Iob1 | Self::Iob2 => "OBI",
            Self::Ioe1 | Self::Ioe2 => "OIE",
            Self::Iobes => "OBIES",
            Self::Bilou => "OBILU",
            Self::Bmes => "OBMES",
            Self::Bmewo => "OBMEW",
        }
    }
}

/// Takes `tag` apart if it is `O`, or one of `letters`, alone or followed by `-` and a label.
pub(super) fn parse<'a>(tag: &'a str, letters: &str) -> Option<Tag<'a>> {
    let mut rest = tag.chars();
    let letter = rest.next().filter(|letter| letters.contains(*letter))?;
    let prefix = match letter {
        'B' => Prefix::B,
        'I' | 'M' => Prefix::I,
        'E' | 'L' => Prefix::E,
        'S' | 'U' | 'W' => Prefix::S,
        // A label cannot be outside.
        _ => return (tag == "O").then_some(Tag::OUTSIDE),
    };
    let label = match rest.as_str() {
        "" | "-" => "_",
        label => label.strip_prefix('-')?,
    };
    Some(Tag { prefix, label })
}

fn unknown_scheme(name: &str) -> Error {
    Error::UnknownChoice {
        what: "tag scheme",
        name: name.to_owned(),
        known: <Scheme as VariantNames>::VARIANTS.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_apart() {
        let parts = |tag| parse(tag, "OBIESMLUW").map(|tag| (tag.prefix, tag.label));
        assert_eq!(parts("O"), Some((Prefix::O, "_")));
        assert_eq!(parts("B-PER"), Some((Prefix::B, "PER")));
        assert_eq!(parts("M-a-b"), Some((Prefix::I, "a-b")));
        assert_eq!(parts("W"), Some((Prefix::S, "_")));
        assert_eq!(parts("L-"), Some((Prefix::E, "_")));
        assert_eq!(parts("I-\u{5730}"), Some((Prefix::I, "\u{5730}")));
        for tag in ["", "-", "PER", "O-PER", "BPER", "b-PER", "\u{5730}-PER"] {
            assert_eq!(parts(tag), None, "{tag}");
        }
    }

    #[test]
    fn names_round_trip() {
        for &scheme in Scheme::ALL {
            assert_eq!(scheme.to_string().parse::<Scheme>().unwrap(), scheme);
        }
        assert_eq!("BIO".parse::<Scheme>().unwrap(), Scheme::Iob2);
        assert_eq!("bioes".parse::<Scheme>().unwrap(), Scheme::Iobes);
        assert_eq!(Scheme::Iobes.name(), "iobes");
        let error = "bioul".parse::<Scheme>().unwrap_err().to_string();
        assert!(
            error.contains("bioul") && error.contains("bmewo"),
            "{error}"
        );
    }
}
