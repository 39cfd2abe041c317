//! Lists of faults: what a judge has found, and what a test asks of it.

/// Fails the test when there is one.
pub fn assert_none(what: &str, faults: &[String]) {
    let shown = || faults.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(faults.is_empty(), "{what}: {} faults:\n{}", faults.len(), shown());
}

/// Fails the test unless one of them holds the words.
pub fn assert_found(what: &str, faults: &[String], words: &str) {
    let found = faults.iter().any(|fault| fault.contains(words));
    assert!(found, "{what}: no `{words}` in {faults:?}");
}
