//! What an agent says when it takes a conversation up again: short, since the person was in the middle of something.

/// By the first part of a language tag (BCP 47).
const FILLERS: [(&str, &str); 8] = [
    ("en", "Sorry, we were cut off for a moment. I am back."),
    ("es", "Perdone, se ha cortado un momento. Ya estoy aquí de nuevo."),
    ("pt", "Desculpe, a ligação caiu por um momento. Já estou de volta."),
    ("fr", "Excusez-moi, nous avons été coupés un instant. Je suis de retour."),
    ("de", "Entschuldigung, die Verbindung war kurz weg. Ich bin wieder da."),
    ("it", "Mi scusi, è caduta la linea per un attimo. Sono di nuovo qui."),
    ("nl", "Sorry, de verbinding viel even weg. Ik ben er weer."),
    ("pl", "Przepraszam, na chwilę nas rozłączyło. Już jestem z powrotem."),
];

/// For a language tag; without one, English. Empty for a language that is not here: better that the person speaks first
/// than that they are spoken to in another.
pub(super) fn of(language: Option<&str>) -> &'static str {
    let Some(language) = language else { return FILLERS[0].1 };
    let primary = language.split(['-', '_']).next().unwrap_or_default().trim();
    let known = FILLERS.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(primary));
    known.map_or("", |(_, filler)| filler)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_finds_its_language() {
        assert_eq!(of(None), of(Some("en-GB")));
        for (tag, filler) in FILLERS {
            assert_eq!(of(Some(tag)), filler);
        }
        assert_eq!(of(Some("PT_br")), of(Some("pt")));
        for other in ["ja", "xx-en", "", "english"] {
            assert_eq!(of(Some(other)), "", "{other}");
        }
    }
}
