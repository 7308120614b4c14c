//! `sluice key`: makes an API key, says it once, and says what the configuration must know of it.

use std::process::ExitCode;

use anyhow::Context as _;
use sluice_access::NewApiKey;
use sluice_wire::TopicPattern;

/// Make an API key: prints it once, with the line for auth.api_keys, which holds its hash alone
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Whose key it will be; in limits and revocations it is the subject key:<name>
    #[arg(value_parser = name)]
    name: String,
    /// Topics that it may publish to, such as orders/**; may be given several times
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    publish: Vec<TopicPattern>,
    /// Topics that it may read; may be given several times
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    subscribe: Vec<TopicPattern>,
    /// It may revoke tokens (POST /v1/revocations on the publisher's listener)
    #[arg(long)]
    revoke: bool,
}

fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    let fits = (1..=64).contains(&text.len()) && text.chars().all(plain);
    if fits {
        Ok(text.to_owned())
    } else {
        Err("a name has 1 to 64 characters of A-Z a-z 0-9 . _ - @".to_owned())
    }
}

fn pattern(text: &str) -> Result<TopicPattern, sluice_wire::TopicPatternError> {
    TopicPattern::parse(text)
}

/// Makes one and prints it.
#[expect(clippy::print_stdout, reason = "printing is what this verb is for")]
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let NewApiKey { key, hash } = NewApiKey::make().context("the system gives no randomness")?;
    let list = |patterns: &[TopicPattern]| {
        let patterns: Vec<String> = patterns.iter().map(|pattern| format!("\"{pattern}\"")).collect();
        format!("[{}]", patterns.join(", "))
    };
    let mut grants = String::new();
    for (name, patterns) in [("publish", &args.publish), ("subscribe", &args.subscribe)] {
        if !patterns.is_empty() {
            grants.push_str(&format!(", {name} = {}", list(patterns)));
        }
    }
    if args.revoke {
        grants.push_str(", revoke = true");
    }
    println!(
        "The key, for whoever sends it (Authorization: Bearer ..); it is not shown again:\n\n    {key}\n"
    );
    println!("In auth.api_keys, where it is known by its hash:\n");
    println!("    {{ name = \"{}\", hash = \"{hash}\"{grants} }}", args.name);
    if grants.is_empty() {
        println!("\nIt grants nothing yet: add publish = [\"orders/**\"] or subscribe = [..] to it.");
    }
    Ok(ExitCode::SUCCESS)
}
