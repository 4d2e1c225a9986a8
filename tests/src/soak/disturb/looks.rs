//! What an operator asks of a gateway at work.

use anyhow::{Context as _, Result, ensure};

use super::World;

/// Each must answer with JSON.
const QUESTIONS: [&[&str]; 6] = [
    &["status", "--interval", "0"],
    &["flows", "--limit", "50"],
    &["pools"],
    &["drops"],
    &["explain", "tcp", "172.16.1.20:40000", "198.51.100.20:443"],
    &["metrics"],
];

pub(super) fn look(world: &mut World<'_>) -> Result<()> {
    for question in QUESTIONS {
        // `status` ends with 3 while something is wrong, and a neighbour may just be unknown.
        let answer = world
            .gateway
            .ctl_output(&[question, &["--json"]].concat())?;
        let code = answer.status.code();
        let said = String::from_utf8_lossy(&answer.stderr);
        let question = question.join(" ");
        ensure!(
            matches!(code, Some(0 | 3)),
            "`snat-ctl {question}` ended with {code:?}: {said}"
        );
        serde_json::from_slice::<serde_json::Value>(&answer.stdout)
            .with_context(|| format!("`snat-ctl {question} --json` printed no JSON; {said}"))?;
    }
    Ok(())
}
