//! Sizes of memory as Docker's command line takes them: `512m` is 512 × 1024 × 1024 bytes.

use std::num::NonZeroU64;

use super::field::Field;
use super::findings::Findings;

pub const KIB: u64 = 1024;
pub const MIB: u64 = 1024 * KIB;

/// What Docker can be told: its sizes are signed.
const MOST: u64 = i64::MAX as u64;

/// A size of at least `least` bytes.
pub fn read(field: &Field<'_>, least: u64, findings: &mut Findings<'_>) -> Option<NonZeroU64> {
    let written = findings.literal(field)?;
    let Some(bytes) = parse(written) else {
        let found = findings.quoted(field, written);
        findings.mistake(field, format!("`{}` must be a size, not {found}", field.path)).hint("write it like `512m`, `1.5g`, or in bytes");
        return None;
    };
    if bytes < least {
        let found = findings.quoted(field, written);
        let mistake = findings.mistake(field, format!("`{}` must be at least {}, not {found}", field.path, shown(least)));
        // The unit was forgotten.
        if written.parse() == Ok(bytes) && bytes.saturating_mul(MIB) >= least && bytes > 0 {
            mistake.hint(format!("did you mean `{written}m`?"));
        }
        return None;
    }
    NonZeroU64::new(bytes)
}

/// Digits, a fraction perhaps, and `b`, `k`, `m`, `g`, `t` or `p` with `b` or `ib` behind it, in any case.
/// A fraction of a byte is cut off.
fn parse(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let unit: u64 = match unit.as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => KIB,
        "m" | "mb" | "mib" => MIB,
        "g" | "gb" | "gib" => 1024 * MIB,
        "t" | "tb" | "tib" => 1024 * 1024 * MIB,
        "p" | "pb" | "pib" => 1024 * 1024 * 1024 * MIB,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(whole, fraction)| (whole, Some(fraction)));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let whole = Some(whole).filter(|digits| is_number(digits))?.parse::<u64>().ok()?;
    let part = match fraction {
        None => 0,
        Some(digits) if unit > 1 && digits.len() <= 9 && is_number(digits) => part_of(unit, digits)?,
        Some(_) => return None,
    };
    whole.checked_mul(unit)?.checked_add(part).filter(|bytes| *bytes <= MOST)
}

/// `unit` × 0.`digits`.
fn part_of(unit: u64, digits: &str) -> Option<u64> {
    let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    u64::try_from(u128::from(unit) * digits.parse::<u128>().ok()? / scale).ok()
}

fn shown(bytes: u64) -> String {
    match bytes {
        MIB.. => format!("{}m", bytes / MIB),
        KIB.. => format!("{}k", bytes / KIB),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        for (text, bytes) in [
            ("512", 512),
            ("512b", 512),
            ("1k", 1024),
            ("512m", 536_870_912),
            ("512M", 536_870_912),
            ("512MiB", 536_870_912),
            ("512 mb", 536_870_912),
            ("2g", 2_147_483_648),
            ("1.5g", 1_610_612_736),
            ("0.1k", 102),
            ("1T", 1_099_511_627_776),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in ["", "m", "-1", "1.5", "1.5b", ".5g", "1.g", "1,5g", "512  m", "512 m ", "5x", "1.2.3g", "9999999p", "1e3", "0x10"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
