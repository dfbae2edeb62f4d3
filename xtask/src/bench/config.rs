//! What it takes to read and check a configuration file as long as any that people write.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::judge;
use crate::command;
use crate::failure::{Attempt as _, Outcome};

const MAX_TIME: Duration = Duration::from_millis(30);
const RUNS: usize = 20;
pub const LINES: usize = 500;

/// The median of `haloy validate-config`, from fork to exit.
pub fn run(haloy: &Path) -> Outcome {
    let folder = std::env::temp_dir().join(format!("haloy-bench-config-{}", std::process::id()));
    fs::create_dir_all(&folder).attempt(|| format!("create {}", folder.display()))?;
    let measured = measure(haloy, &folder);
    fs::remove_dir_all(&folder).attempt(|| format!("remove {}", folder.display()))?;
    let (median, slowest) = measured?;
    let text = format!("haloy validate-config, {LINES} lines: median {median:.1?}, slowest {slowest:.1?}, at most {MAX_TIME:.0?}");
    judge(median <= MAX_TIME, &text)
}

fn measure(haloy: &Path, folder: &Path) -> Outcome<(Duration, Duration)> {
    let path = folder.join("haloy.yaml");
    fs::write(&path, text()).attempt(|| format!("write {}", path.display()))?;
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let began = Instant::now();
        command::output(Command::new(haloy).current_dir(folder).args(["validate-config", "--config", "haloy.yaml"]))?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok((times[times.len() / 2], times[times.len() - 1]))
}

/// A valid file of exactly [`LINES`] lines: a root that says much, and targets that take it all.
pub fn text() -> String {
    let mut text = "image:\n  repository: ghcr.io/acme/shop\n  tag: \"1.4.2\"\nacme_email: ops@example.com\nport: 3000\nreplicas: 2\n\
                    resources:\n  memory: 512m\n  cpus: 1.5\nvolumes:\n  - shop-data:/app/data\npre_deploy:\n  - make test\nenv:\n"
        .to_owned();
    for number in 0..60 {
        let _ = write!(text, "  - name: SETTING_{number}\n    value: \"the value number {number}\"\n");
    }
    text.push_str("targets:\n");
    for number in 0.. {
        let target = format!(
            "  shop-{number}:\n    server: server{number}.example.com\n    image:\n      tag: \"1.4.{number}\"\n    domains:\n      \
             - domain: shop{number}.example.com\n        aliases:\n          - www.shop{number}.example.com\n    health_check:\n      \
             path: /health\n      interval: 10s\n    env_merge: true\n    env:\n      - name: SHOP\n        value: \"{number}\"\n"
        );
        if text.lines().count() + target.lines().count() > LINES {
            break;
        }
        text.push_str(&target);
    }
    let missing = LINES - text.lines().count();
    for number in 0..missing {
        let _ = writeln!(text, "# line {number} of what people note at the end");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_as_long_as_promised() {
        assert_eq!(text().lines().count(), LINES);
    }
}
