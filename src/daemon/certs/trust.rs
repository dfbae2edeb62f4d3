//! What the proxy shows the world: certificates, and answers to an authority's challenges for as long as they are asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::sign::CertifiedKey;

use crate::daemon::publisher::Publisher;
use crate::names::Domain;
use crate::proxy::{Certificates, Challenges};

/// Between two looks whether all workers have an answer; it takes them microseconds.
const LOOK: Duration = Duration::from_millis(2);

pub struct Trust {
    publisher: Arc<Publisher>,
    shown: Mutex<(Certificates, Challenges)>,
}

/// An answer to a challenge.
#[derive(Clone)]
pub enum Answer {
    /// The token, and the key authorization that stands under it.
    Http(String, String),
    /// The certificate that proves the name.
    Tls(Domain, Arc<CertifiedKey>),
}

/// An answer that is given; it goes with this.
pub struct Posted {
    trust: Arc<Trust>,
    answer: Answer,
}

impl Trust {
    /// `default`: for names without a certificate of their own.
    pub fn new(publisher: Arc<Publisher>, certificates: Certificates) -> Self {
        Self { publisher, shown: Mutex::new((certificates, Challenges::default())) }
    }

    /// From now on these are served; the default stays.
    pub fn certify(&self, certificates: Certificates) {
        let mut shown = self.shown();
        let default = shown.0.default.take();
        shown.0 = Certificates { default, ..certificates };
        self.publisher.trust(shown.0.clone(), shown.1.clone());
    }

    /// Gives the answer; when this returns every worker knows it.
    pub async fn post(self: &Arc<Self>, answer: Answer) -> Posted {
        let generation = {
            let mut shown = self.shown();
            match answer.clone() {
                Answer::Http(token, authorization) => drop(shown.1.http.insert(token, authorization)),
                Answer::Tls(name, key) => drop(shown.1.tls.insert(name, key)),
            }
            self.publisher.trust(shown.0.clone(), shown.1.clone())
        };
        let posted = Posted { trust: Arc::clone(self), answer };
        while self.publisher.proxy().adopted() < generation {
            tokio::time::sleep(LOOK).await;
        }
        posted
    }

    fn shown(&self) -> MutexGuard<'_, (Certificates, Challenges)> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Posted {
    fn drop(&mut self) {
        let mut shown = self.trust.shown();
        match &self.answer {
            Answer::Http(token, _) => drop(shown.1.http.remove(token)),
            Answer::Tls(name, _) => drop(shown.1.tls.remove(name)),
        }
        self.trust.publisher.trust(shown.0.clone(), shown.1.clone());
    }
}
