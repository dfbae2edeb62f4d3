//! Files that would take a machine down, and values that would not end.

use std::time::{Duration, Instant};

use super::*;

/// What takes longer does not end: each level of a bomb is ten times as large as the one before.
const PATIENCE: Duration = Duration::from_secs(20);

fn nested(first: &str, next: impl Fn(usize) -> String, levels: usize) -> String {
    let rest: String = (1..levels).map(next).collect();
    format!("{first}\n{rest}")
}

#[test]
fn bombs_are_refused() {
    let ten = |level: usize, name: &str| [format!("*{name}{}", level - 1).as_str(); 10].join(", ");
    let lists = nested("x-a0: &a0 [x, x, x, x, x, x, x, x, x, x]", |n| format!("x-a{n}: &a{n} [{}]\n", ten(n, "a")), 20);
    let merges = nested("x-m0: &m0 {a: 1}", |n| format!("x-m{n}: &m{n} {{<<: [{}], k{n}: 1}}\n", ten(n, "m")), 15);
    for bomb in [lists, merges] {
        let began = Instant::now();
        let report = report("haloy.yaml", &bomb);
        assert!(report.contains("too large") && began.elapsed() < PATIENCE, "{report}");
    }
}

#[test]
fn ten_megabytes_are_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    for ending in ["yaml", "toml", "json"] {
        let path = dir.path().join(format!("haloy.{ending}"));
        fs::write(&path, "# nothing\n".repeat(1024 * 1024)).expect("write");
        assert!(matches!(load(&path), Err(ConfigError::TooLarge { .. })));
    }
}

#[test]
fn variables_that_need_each_other_are_named_without_their_values() {
    let text = "name: a\nimage: b\nenv:\n  - name: A\n    value: hunter2 ${B}\n  - name: B\n    value: ${C} hunter2\n  - name: C\n    value: ${A}\n  \
                - name: D\n    value: ${D}\n  - name: E\n    value: $${E} ${UNKNOWN}\n";
    let error = read_text("haloy.yaml", text).expect_err("two circles");
    let report = plain(&error);
    assert!(!report.contains(SECRET) && !format!("{error:?}").contains(SECRET), "{report}");
    let places: Vec<_> = error.mistakes().into_iter().map(|mistake| (mistake.line, mistake.key.unwrap_or_default())).collect();
    assert_eq!(places, [(5, "env[0].value".to_owned()), (11, "env[3].value".to_owned())], "{report}");
    for name in ["`A`", "`B`", "`C`", "`D`"] {
        assert!(report.contains(name), "{report}");
    }
}
