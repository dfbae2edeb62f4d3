//! How much is taken from one client: guesses at tokens by address, calls by token (GCRA, by the governor crate).

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::refusal::Refusal;
use crate::wire::Code;

/// Requests with no valid token, from one address: so many at once, then one a second.
const GUESSES: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
/// Requests with one token: so many at once, then [`CALLS_PER_SECOND`].
const CALLS: NonZeroU32 = NonZeroU32::new(600).expect("not zero");
const CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
/// More keys than that are looked through for those that nobody needs any more.
const MANY: usize = 4096;

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

pub struct RateLimits {
    guesses: Limiter<IpAddr>,
    calls: Limiter<String>,
}

/// Until then nothing is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany(Duration);

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            guesses: RateLimiter::hashmap(Quota::per_second(NonZeroU32::MIN).allow_burst(GUESSES)),
            calls: RateLimiter::hashmap(Quota::per_second(CALLS_PER_SECOND).allow_burst(CALLS)),
        }
    }
}

impl RateLimits {
    /// Counts a request without a valid token. Valid ones are never held up by the guesses of a neighbour.
    pub fn guess(&self, address: IpAddr) -> Result<(), TooMany> {
        count(&self.guesses, &whole_site(address))
    }

    /// Counts a call with the token of this id.
    pub fn call(&self, token: &str) -> Result<(), TooMany> {
        count(&self.calls, &token.to_owned())
    }
}

fn count<K: Clone + Eq + std::hash::Hash>(limiter: &Limiter<K>, key: &K) -> Result<(), TooMany> {
    if limiter.len() > MANY {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|denied| TooMany(denied.wait_time_from(DefaultClock::default().now())))
}

/// Whoever has an IPv6 address has 2^64 of them.
fn whole_site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

impl TooMany {
    /// Whole seconds, at least one.
    fn seconds(self) -> u64 {
        self.0.as_secs() + 1
    }

    pub fn into_response(self) -> Response {
        let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, "too many requests from this client");
        let refusal = refusal.hint(format!("try again in {} s", self.seconds()));
        ([(RETRY_AFTER, self.seconds().to_string())], refusal).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_guesses_and_others_are_not_to_blame() {
        let limits = RateLimits::default();
        let one: IpAddr = "2001:db8::1".parse().expect("an address");
        let neighbour: IpAddr = "2001:db8::ffff:1".parse().expect("an address");
        let other: IpAddr = "2001:db8:0:1::1".parse().expect("an address");
        assert!((0..100).all(|_| limits.guess(one).is_ok()));
        let denied = limits.guess(neighbour).expect_err("the same site");
        assert!(denied.seconds() <= 2, "{denied:?}");
        assert_eq!(limits.guess(other), Ok(()));
        assert!((0..600).all(|_| limits.call("1f0c93ab").is_ok()));
        assert!(limits.call("1f0c93ab").is_err() && limits.call("2f0c93ab").is_ok());
    }
}
