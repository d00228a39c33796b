//! Subjects with wildcards: what matches them, and what the server makes of them when it republishes.

/// A subject as one subscribes to it: `*` stands for one token, `>` for one or more at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    Exact(String),
    /// `a.b.>` as `a.b.`: by far the most frequent one with a wildcard.
    Under(String),
    Tokens(Vec<String>),
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        match text.strip_suffix('>') {
            Some(start) if !start.contains('*') => Self::Under(start.to_owned()),
            None if !text.contains('*') => Self::Exact(text.to_owned()),
            Some(_) | None => Self::Tokens(text.split('.').map(str::to_owned).collect()),
        }
    }

    pub(super) fn matches(&self, subject: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == subject,
            Self::Under(start) => subject.len() > start.len() && subject.starts_with(start),
            Self::Tokens(tokens) => {
                let mut given = subject.split('.');
                for token in tokens {
                    match (token.as_str(), given.next()) {
                        (">", Some(_)) => return true,
                        ("*", Some(_)) => {}
                        (token, Some(given)) if token == given => {}
                        (_, Some(_) | None) => return false,
                    }
                }
                given.next().is_none()
            }
        }
    }

    /// What every subject that matches begins with.
    pub(super) fn start(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Under(text) => text,
            Self::Tokens(tokens) => match tokens.first().map(String::as_str) {
                Some("*" | ">") | None => "",
                Some(first) => first,
            },
        }
    }
}

/// Puts what is under one prefix under another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transform {
    from: String,
    to: String,
}

impl Transform {
    /// Of two patterns that end in `.>`, the only kind there is here.
    pub(super) fn new(from: &str, to: &str) -> Self {
        let prefix = |text: &str| match Pattern::new(text) {
            Pattern::Under(prefix) => prefix,
            Pattern::Exact(_) | Pattern::Tokens(_) => panic!("the twin does not know how to republish {text}"),
        };
        Self { from: prefix(from), to: prefix(to) }
    }

    pub(super) fn apply(&self, subject: &str) -> Option<String> {
        subject.strip_prefix(&self.from).map(|rest| format!("{}{rest}", self.to))
    }
}

/// What the client refuses to send at all.
pub(super) fn is_valid(subject: &str) -> bool {
    !subject.is_empty() && !subject.contains([' ', '\t', '\r', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_they_do_in_nats() {
        let cases = [
            ("a.b", "a.b", true),
            ("a.b", "a.bc", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            ("a.>", "a.", false),
            (">", "a", true),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.b.d", false),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.*", "a", false),
            ("*.b.>", "a.b.c.d", true),
            ("*.b.>", "a.b", false),
        ];
        for (pattern, subject, expected) in cases {
            let pattern = Pattern::new(pattern);
            assert_eq!(pattern.matches(subject), expected, "{pattern:?} {subject}");
            assert!(!expected || subject.starts_with(pattern.start()), "{pattern:?} {subject}");
        }
    }

    #[test]
    fn republishing_changes_the_prefix_only() {
        let transform = Transform::new("kf.rec.05.>", "kf.live.rec.05.>");
        assert_eq!(transform.apply("kf.rec.05.x.secrets.a").as_deref(), Some("kf.live.rec.05.x.secrets.a"));
        assert_eq!(transform.apply("kf.rec.06.x.secrets.a"), None);
    }
}
