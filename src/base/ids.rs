//! Identifiers and positions as newtypes, so that two of them cannot be swapped unseen.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};

/// A member or cluster id that is not one to sixteen hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id: one to sixteen hexadecimal digits are")]
pub struct ParseIdError {
    /// What was given.
    pub text: String,
    #[source]
    source: ParseIntError,
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// In files and messages it stands as it prints: hexadecimal digits in a string.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(u64);

        impl $name {
            /// Wraps the number.
            #[must_use]
            pub const fn new(id: u64) -> Self {
                Self(id)
            }

            /// The number, as it stands in protobuf messages.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        /// Lower-case hexadecimal without padding: etcd's form in headers, paths and bucket keys.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:x}", self.0)
            }
        }

        impl From<u64> for $name {
            fn from(id: u64) -> Self {
                Self(id)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                u64::from_str_radix(text, 16)
                    .map(Self)
                    .map_err(|source| ParseIdError { text: text.to_owned(), source })
            }
        }
    };
}

macro_rules! position {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        ///
        /// In files and messages it stands as a number.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// Wraps the number.
            #[must_use]
            pub const fn new(number: $inner) -> Self {
                Self(number)
            }

            /// The number, as it stands in protobuf messages.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl From<$inner> for $name {
            fn from(number: $inner) -> Self {
                Self(number)
            }
        }
    };
}

hex_id!(
    /// A raft member. Zero is no member.
    MemberId
);
hex_id!(
    /// An etcd cluster: hash of its bootstrap members.
    ClusterId
);
position!(
    /// A raft term. Zero is before the first election.
    Term,
    u64
);
position!(
    /// A position in the raft log. The first entry has index 1.
    Index,
    u64
);
position!(
    /// A revision of the key space. An empty store is at 1.
    Revision,
    i64
);
position!(
    /// A generation of a cluster's lineage; each recovery takes a higher one.
    Epoch,
    u64
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_without_padding_and_parse_back() {
        let id = MemberId::new(0x00ab);
        assert_eq!(id.to_string(), "ab");
        assert_eq!("ab".parse::<MemberId>(), Ok(id));
        assert!("xyz".parse::<MemberId>().is_err());
        assert!("".parse::<ClusterId>().is_err());
    }
}
