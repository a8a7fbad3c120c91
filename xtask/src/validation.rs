//! The Khronos validation layer: how it is switched on, and what it found.

use anyhow::{Result, bail};

/// The variables that switch the layer on. Information is asked for as well: the layer's first message proves it there.
pub(crate) const VARIABLES: &[(&str, &str)] = &[
    ("VK_INSTANCE_LAYERS", "VK_LAYER_KHRONOS_validation"),
    (
        "VK_KHRONOS_VALIDATION_DEBUG_ACTION",
        "VK_DBG_LAYER_ACTION_LOG_MSG",
    ),
    ("VK_KHRONOS_VALIDATION_REPORT_FLAGS", "error,info"),
];

/// Looks through the layer's messages, which are among the output of the tests.
///
/// # Errors
/// If it was not there, or there is an error among them.
pub(crate) fn check(output: &str) -> Result<()> {
    let errors = errors(output)?;
    if let Some(first) = errors.first() {
        bail!(
            "the validation layer has {} errors; the first:\n{first}",
            errors.len()
        );
    }
    eprintln!("the validation layer was on and has no errors");
    Ok(())
}

/// The messages of severity ERROR; each begins with its severity and ends with an empty line.
fn errors(text: &str) -> Result<Vec<String>> {
    if !text.contains("Current Validation Enabled") {
        bail!("the validation layer did not say that it was on");
    }
    let mut errors = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("Validation Error") {
            let rest = lines.by_ref().take_while(|line| !line.trim().is_empty());
            errors.push(
                std::iter::once(line)
                    .chain(rest)
                    .collect::<Vec<_>>()
                    .join("\n"),
            );
        }
    }
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: &str = "Validation Information: [ CURRENT-VALIDATION-ENABLED ] | MessageID = 0xfd7b2292\n\
                      vkCreateInstance(): Current Validation Enabled:\n  - Core Checks\n\nObjects: 1\n\n";

    #[test]
    fn errors_are_told_from_information_and_from_silence() {
        assert!(errors("").is_err());
        assert!(errors(ON).unwrap().is_empty());
        let wrong = format!(
            "{ON}Validation Error: [ VUID-1 ]\nwrong\n\nObjects: 1\n\nValidation Error: [ VUID-2 ]\n"
        );
        let found = errors(&wrong).unwrap();
        assert_eq!(
            found,
            [
                "Validation Error: [ VUID-1 ]\nwrong",
                "Validation Error: [ VUID-2 ]"
            ]
        );
    }
}
