//! Validated names: past the edge of the program only these travel, never raw strings.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a name was refused; says the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{value}` is not valid: {rule}")]
pub struct InvalidName {
    what: &'static str,
    value: String,
    rule: &'static str,
}

/// An app's name: 1 to 63 of `a-z 0-9 - _ .`, beginning and ending with a letter or digit. It
/// becomes part of container names, which is where the alphabet comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppName(String);

/// A deployment's id as the server gives it: `YYYYMMDDHHMMSS` (UTC), strictly increasing per server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeployId(u64);

/// A host name in lower-case A-label form (RFC 5890), without a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(String);

/// A reference to an image as Docker understands it: `[registry/]repository[:tag][@digest]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRef(String);

/// The digest of a content as OCI writes it (image-spec, descriptor.md): `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// From the SHA-256 of the content, as lower-case hexadecimal.
    pub fn from_sha256_hex(hex: &str) -> Self {
        Self(format!("sha256:{hex}"))
    }

    /// The 64 digits without the algorithm.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The first twelve digits, as Docker shows image ids.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl FromStr for Digest {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        if is_sha256(value) && !value.bytes().any(|b| b.is_ascii_uppercase()) {
            return Ok(Self(value.to_owned()));
        }
        Err(InvalidName { what: "digest", value: value.to_owned(), rule: "it is `sha256:` and 64 lower-case hexadecimal digits" })
    }
}

impl FromStr for AppName {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        let refuse = |rule| Err(InvalidName { what: "app name", value: value.to_owned(), rule });
        if value.is_empty() || value.len() > 63 {
            return refuse("it must have 1 to 63 characters");
        }
        if !value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b)) {
            return refuse("only lower-case letters, digits, `-`, `_` and `.` are allowed");
        }
        let edges = [value.as_bytes()[0], value.as_bytes()[value.len() - 1]];
        if !edges.iter().all(u8::is_ascii_alphanumeric) {
            return refuse("it must begin and end with a letter or a digit");
        }
        Ok(Self(value.to_owned()))
    }
}

impl DeployId {
    /// An id from its number; the caller vouches for the shape (the store keeps ids as numbers).
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }

    pub fn number(self) -> u64 {
        self.0
    }
}

impl FromStr for DeployId {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        let refused = InvalidName { what: "deployment id", value: value.to_owned(), rule: "it has 14 digits, like 20261121093000" };
        if value.len() != 14 || !value.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refused);
        }
        value.parse().map(Self).map_err(|_| refused)
    }
}

impl fmt::Display for DeployId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014}", self.0)
    }
}

impl FromStr for Domain {
    type Err = InvalidName;

    /// Accepts Unicode and any letter case; keeps the A-label form (UTS 46, as browsers do).
    fn from_str(value: &str) -> Result<Self, InvalidName> {
        let refuse = |rule| Err(InvalidName { what: "domain", value: value.to_owned(), rule });
        if value.contains("://") || value.contains('/') {
            return refuse("write the host name alone, without scheme and path");
        }
        if value.contains(':') {
            return refuse("write the host name alone, without a port");
        }
        let Ok(ascii) = idna::domain_to_ascii_strict(value.trim_end_matches('.')) else {
            return refuse("it is not a host name (letters, digits, `-` and dots)");
        };
        if ascii.is_empty() || ascii.len() > 253 {
            return refuse("a host name has 1 to 253 characters");
        }
        if ascii.split('.').any(|label| label.is_empty() || label.len() > 63) {
            return refuse("each part between dots has 1 to 63 characters");
        }
        if !ascii.contains('.') && ascii != "localhost" {
            return refuse("it needs at least one dot, like `app.example.com`");
        }
        if ascii.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
            return refuse("an IP address is not a domain");
        }
        Ok(Self(ascii))
    }
}

impl ImageRef {
    /// The part before tag and digest.
    pub fn repository(&self) -> &str {
        let name = self.0.split('@').next().unwrap_or_default();
        match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => name,
        }
    }

    /// The tag, `latest` when neither tag nor digest is given; `None` when a digest alone names it.
    pub fn tag(&self) -> Option<&str> {
        let name = self.0.split('@').next().unwrap_or_default();
        match name.rsplit_once(':') {
            Some((_, tag)) if !tag.contains('/') => Some(tag),
            _ if self.0.contains('@') => None,
            _ => Some("latest"),
        }
    }
}

impl FromStr for ImageRef {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        let refuse = |rule| Err(InvalidName { what: "image", value: value.to_owned(), rule });
        if value.is_empty() || value.len() > 4096 {
            return refuse("it must not be empty");
        }
        if value.contains("://") {
            return refuse("write it without a scheme, like `ghcr.io/you/app:1.2`");
        }
        let (name, digest) = match value.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (value, None),
        };
        if digest.is_some_and(|d| !is_sha256(d)) {
            return refuse("a digest is `sha256:` and 64 hexadecimal digits");
        }
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (name, None),
        };
        if tag.is_some_and(|t| !is_tag(t)) {
            return refuse("a tag has 1 to 128 of letters, digits, `_`, `.` and `-`");
        }
        let mut parts = repository.split('/').peekable();
        let host = parts.next_if(|first| repository.contains('/') && (first.contains(['.', ':']) || *first == "localhost"));
        if host.is_some_and(|h| !is_registry(h)) {
            return refuse("its registry is not a host name");
        }
        if parts.peek().is_none() || !parts.all(is_repository_part) {
            return refuse("a repository is lower-case letters, digits, `.`, `_`, `-` and `/`");
        }
        Ok(Self(value.to_owned()))
    }
}

fn is_sha256(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_registry(host: &str) -> bool {
    host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b))
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len()) && !tag.starts_with(['.', '-']) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn is_repository_part(part: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    edge(part.bytes().next())
        && edge(part.bytes().last())
        && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
}

/// Whether a text fits a pattern, in which `*` stands for any characters.
pub fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

/// More containers of one app than one server runs.
pub const MAX_REPLICAS: u16 = 100;

/// A name that every shell can use (POSIX.1-2017 section 3.235), in either letter case.
pub fn is_env_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// What Docker takes for networks.
pub fn is_network_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// What Docker takes for volumes: two characters at least, because one alone looks like a Windows drive.
pub fn is_volume_name(name: &str) -> bool {
    name.len() >= 2 && is_network_name(name)
}

/// A place in a container where something can be mounted: absolute and not the root itself.
pub fn is_container_path(path: &str) -> bool {
    is_host_path(path) && !path.trim_end_matches('/').is_empty()
}

/// A place on the server: absolute on Linux, and nothing in it that Docker's `source:target:options`
/// would cut apart.
pub fn is_host_path(path: &str) -> bool {
    path.starts_with('/') && !path.contains([':', '\0']) && !path.split('/').any(|part| part == "..")
}

/// How labels begin that are haloy's own; nobody else may set these.
pub const OWN_LABELS: &str = "dev.haloy.";

/// Something written, and nothing in it that would end a word or a line.
pub fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// A program or one of its arguments: programs end them with a NUL character.
pub fn is_argument(word: &str) -> bool {
    !word.contains('\0')
}

/// A label's name. Those that begin with [`OWN_LABELS`] are no user's.
pub fn is_label_name(name: &str) -> bool {
    is_plain(name) && !name.contains('=')
}

/// `user`, `uid`, `user:group` or `uid:gid`; a directory service's users have an `@` in their names.
pub fn is_user(user: &str) -> bool {
    let is_name = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-$@".contains(&b));
    user.split(':').count() <= 2 && user.split(':').all(is_name)
}

/// A directory that a program can start in.
pub fn is_working_dir(path: &str) -> bool {
    path.starts_with('/') && !path.contains(char::is_control)
}

/// A name as `/etc/hosts` has it.
pub fn is_host_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// What a request calls the server: a name or an address, with a port perhaps.
pub fn is_http_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b))
}

/// A path with a query perhaps, as it stands in a URL (RFC 3986 section 3.3), without a fragment.
pub fn is_url_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

/// As much of an address as can be told without writing to it.
pub fn is_email(email: &str) -> bool {
    let parts = email.split_once('@');
    parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@')) && is_plain(email)
}

/// The conversions every textual name shares: as text, from and to serde.
macro_rules! textual {
    ($($name:ident),*) => {$(
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}
textual!(AppName, Domain, ImageRef, Digest);

macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
serde_as_text!(AppName, Domain, ImageRef, DeployId, Digest);

/// In the API's description every name is a string.
macro_rules! schema_as_text {
    ($($name:ident),*) => {$(
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                String::schema()
            }
        }

        impl utoipa::ToSchema for $name {}
    )*};
}
schema_as_text!(AppName, Domain, ImageRef, DeployId, Digest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_names() {
        for good in ["a", "my-app", "a.b_c-1", &"x".repeat(63)] {
            assert!(good.parse::<AppName>().is_ok(), "{good}");
        }
        for bad in ["", "My", "-a", "a-", "a b", "a/b", "ä", &"x".repeat(64)] {
            assert!(bad.parse::<AppName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn domains_are_kept_as_lower_case_a_labels() {
        let domain = |s: &str| s.parse::<Domain>().map(|d| d.to_string());
        assert_eq!(domain("Shop.Example.com."), Ok("shop.example.com".to_owned()));
        assert_eq!(domain("bücher.example"), Ok("xn--bcher-kva.example".to_owned()));
        assert_eq!(domain("localhost"), Ok("localhost".to_owned()));
        for bad in ["", "shop", "a..b", "http://a.b", "a.b/c", "a.b:80", "1.2.3.4", "a b.c", "-a.b", "*.a.b"] {
            assert!(domain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn image_references() {
        let parts = |s: &str| s.parse::<ImageRef>().map(|i| (i.repository().to_owned(), i.tag().map(str::to_owned)));
        assert_eq!(parts("app"), Ok(("app".into(), Some("latest".into()))));
        assert_eq!(parts("localhost:5000/a/b:v1"), Ok(("localhost:5000/a/b".into(), Some("v1".into()))));
        assert_eq!(parts("ghcr.io/you/app"), Ok(("ghcr.io/you/app".into(), Some("latest".into()))));
        let digest = format!("app@sha256:{}", "0".repeat(64));
        assert_eq!(parts(&digest), Ok(("app".into(), None)));
        for bad in ["", "App", "a:", "a@sha256:12", "https://a/b", "a//b", "a:b c", "../a"] {
            assert!(parts(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_with_stars() {
        for (pattern, good, bad) in [
            ("v*", &["v", "v1.2"][..], &["1", "xv"][..]),
            ("*", &["", "anything"], &[]),
            ("1.*.0", &["1.2.0", "1..0"], &["1.0", "1.2.1", "2.1.0"]),
            ("v1", &["v1"], &["v10", ""]),
            ("a*b*c", &["abc", "aXbXc", "abcbc"], &["acb", "ab"]),
        ] {
            assert!(good.iter().all(|text| fits(pattern, text)), "{pattern}");
            assert!(!bad.iter().any(|text| fits(pattern, text)), "{pattern}");
        }
    }

    #[test]
    fn names_and_paths_as_docker_and_shells_take_them() {
        type Rule = fn(&str) -> bool;
        let table: [(Rule, &[&str], &[&str]); 13] = [
            (is_env_name, &["A", "_b1", "PATH"], &["", "9A", "A=B", "A-B", "Ä"]),
            (is_network_name, &["a", "my_net.1", "0"], &["", "-a", "a b", "a/b", "container:x"]),
            (is_volume_name, &["data", "d1"], &["", "d", ".data", "da/ta"]),
            (is_container_path, &["/data", "/a/b/"], &["", "data", "/", "//", "/a:ro", "/a/../b", "/a\0"]),
            (is_host_path, &["/", "/srv/shop"], &["", "./srv", "~/x", "/srv:1", "/srv/.."]),
            (is_plain, &["json-file", "ü"], &["", "a b", "a\n", "a\0"]),
            (is_argument, &["", "a b"], &["a\0"]),
            (is_label_name, &["com.example.team", "a"], &["", "a b", "a=b"]),
            (is_user, &["app", "0", "app:1000", "kim@corp.example", "vm$"], &["", "a:", ":a", "a:b:c", "a b"]),
            (is_working_dir, &["/", "/a b"], &["", "srv", "/a\0", "/a\nb"]),
            (is_http_host, &["shop.example.com:80", "[::1]"], &["", "a b", "a/b", "ä"]),
            (is_url_path, &["/", "/up?full=1"], &["", "up", "/a b", "/a#b", "/ä"]),
            (is_email, &["kim@example.com", "ü@example.com"], &["", "kim", "@a", "a@", "a@b@c", "a @b", "a@b\u{a0}"]),
        ];
        for (rule, good, bad) in table {
            assert!(good.iter().all(|name| rule(name)), "{good:?}");
            assert!(bad.iter().all(|name| !rule(name)), "{bad:?}");
        }
    }

    #[test]
    fn deployment_ids_order_by_time() {
        let id = |s: &str| s.parse::<DeployId>();
        assert!(id("20261121093000").unwrap() < id("20261121093001").unwrap());
        assert_eq!(id("20261121093000").unwrap().to_string(), "20261121093000");
        assert!(id("2026112109300").is_err() && id("2026112109300x").is_err());
    }
}
