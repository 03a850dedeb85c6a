//! The nearest known name to a misspelt one.

/// The known name that `given` was probably meant to be; none if nothing is near.
pub(super) fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let given = given.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&given, name), name))
        .filter(|(distance, name)| *distance <= name.len().max(3) / 3)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_keyboard_finds_its_key_and_nonsense_finds_none() {
        let known = ["client-port", "peer-port", "host", "flags"];
        assert_eq!(nearest("clinet-port", known), Some("client-port"));
        assert_eq!(nearest("client_port", known), Some("client-port"));
        assert_eq!(nearest("Hots", known), Some("host"));
        assert_eq!(nearest("colour", known), None);
    }
}
