//! Findings as people read them and as programs do.

use std::fmt;

use serde_json::{Value, json};

use super::finding::{Finding, Level};

/// All findings, area by area.
#[derive(Debug, Default)]
pub(super) struct Report {
    areas: Vec<Area>,
}

#[derive(Debug)]
struct Area {
    name: &'static str,
    /// What was looked at: an address without its password.
    subject: String,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn add(&mut self, name: &'static str, subject: &str, findings: Vec<Finding>) {
        self.areas.push(Area { name, subject: subject.to_owned(), findings });
    }

    /// The level of the worst finding.
    pub(super) fn worst(&self) -> Level {
        self.findings().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }

    /// One object: `summary` counts by level, `areas` names what was looked at, `findings` holds each with
    /// `id`, `level`, `subject` (as in its area), `seen`, `why` and `fix`.
    pub(super) fn json(&self) -> Value {
        let summary: serde_json::Map<_, _> = Level::ALL
            .map(|level| (level.as_str().to_owned(), json!(self.count(level))))
            .into_iter()
            .collect();
        let areas: Vec<_> =
            self.areas.iter().map(|area| json!({"area": area.name, "subject": area.subject})).collect();
        let of = |area: &Area| {
            let told = |finding: &Finding| {
                json!({
                    "id": finding.id,
                    "level": finding.level.as_str(),
                    "subject": area.subject,
                    "seen": finding.seen,
                    "why": finding.why,
                    "fix": finding.fix,
                })
            };
            area.findings.iter().map(told).collect::<Vec<_>>()
        };
        let findings: Vec<_> = self.areas.iter().flat_map(of).collect();
        json!({"version": env!("CARGO_PKG_VERSION"), "summary": summary, "areas": areas, "findings": findings})
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.areas.iter().flat_map(|area| &area.findings)
    }

    fn count(&self, level: Level) -> usize {
        self.findings().filter(|finding| finding.level == level).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.findings().map(|finding| name(finding).len());
        let width = names.max().unwrap_or(0);
        for area in &self.areas {
            writeln!(f, "{}: {}", area.name, area.subject)?;
            for finding in &area.findings {
                writeln!(f, "  {:<7}  {:<width$}  {}", finding.level.as_str(), name(finding), finding.seen)?;
                for (label, text) in [("why", &finding.why), ("fix", &finding.fix)] {
                    for (index, line) in text.lines().enumerate() {
                        let label = if index == 0 { label } else { "" };
                        writeln!(f, "  {:<7}  {:<width$}  {label:<3}  {line}", "", "")?;
                    }
                }
            }
            writeln!(f)?;
        }
        let counts = Level::ALL.map(|level| format!("{} {}", self.count(level), level.as_str()));
        writeln!(f, "{}", counts.join(", "))
    }
}

/// The check without its area.
fn name(finding: &Finding) -> &str {
    finding.id.split_once('.').map_or(finding.id, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new();
        report.add(
            "redis",
            "redis://h",
            vec![
                Finding::ok("redis.version", "7.2"),
                Finding::warning("redis.persistence", "none").why("a restart\nloses").fix("appendonly yes"),
            ],
        );
        report
    }

    #[test]
    fn the_text_is_aligned() {
        let expected = "\
redis: redis://h
  ok       version      7.2
  warning  persistence  none
                        why  a restart
                             loses
                        fix  appendonly yes

1 ok, 0 note, 1 warning, 0 error
";
        assert_eq!(report().to_string(), expected);
    }

    #[test]
    fn the_worst_finding_counts() {
        assert_eq!(report().worst(), Level::Warning);
        assert_eq!(Report::new().worst(), Level::Ok);
    }

    #[test]
    fn the_object_has_a_stable_shape() {
        let json = report().json();
        assert_eq!(json["summary"], json!({"ok": 1, "note": 0, "warning": 1, "error": 0}));
        assert_eq!(
            json["findings"][1],
            json!({"id": "redis.persistence", "level": "warning", "subject": "redis://h", "seen": "none", "why": "a restart\nloses",
                "fix": "appendonly yes"})
        );
    }
}
