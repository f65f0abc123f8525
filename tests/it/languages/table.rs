//! The table of docs/languages.md.

use super::Guest;
use super::checks::CHECKS;

const BEGIN: &str = "<!-- written by the test languages::the_documentation_has_the_table -->\n";
const END: &str = "<!-- end -->\n";

/// The text with its table replaced by the present one.
pub fn replace(text: &str, guests: &[Guest]) -> String {
    let (before, rest) = text.split_once(BEGIN).expect("docs/languages.md has a place for the table");
    let (_, after) = rest.split_once(END).expect("docs/languages.md has an end of the table");
    format!("{before}{BEGIN}{}{END}{after}", table(guests))
}

fn table(guests: &[Guest]) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    let mut text = format!("| guest | {} |\n", CHECKS.map(|(name, _)| name).join(" | "));
    text += &format!("|---|{}\n", "---|".repeat(CHECKS.len()));
    for Guest { language, generation, cannot, .. } in guests {
        text += &format!("| {language} {generation} |");
        for (check, _) in CHECKS {
            let cell = match cannot.iter().find(|(name, _)| *name == check) {
                None => "yes".into(),
                Some((_, reason)) => format!("no [{}]", number(&mut reasons, reason)),
            };
            text += &format!(" {cell} |");
        }
        text += "\n";
    }
    text += "\n";
    for (at, reason) in reasons.iter().enumerate() {
        text += &format!("{}. {reason}.\n", at + 1);
    }
    text
}

fn number<'a>(reasons: &mut Vec<&'a str>, reason: &'a str) -> usize {
    let at = reasons.iter().position(|known| *known == reason);
    1 + at.unwrap_or_else(|| {
        reasons.push(reason);
        reasons.len() - 1
    })
}
