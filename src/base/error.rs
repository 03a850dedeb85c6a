//! Prints an error together with its sources, on one line.

use std::{error::Error, fmt};

/// Displays `error: source: source of the source`. Our error types never print their own source.
#[derive(Debug)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(source) = next {
            write!(f, ": {source}")?;
            next = source.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("read control file")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_chain_is_printed_outermost_first() {
        let error = Outer(std::io::Error::other("disk gone"));
        assert_eq!(ErrorChain(&error).to_string(), "read control file: disk gone");
    }
}
