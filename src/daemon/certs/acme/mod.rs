//! Asking a certificate authority (ACME, RFC 8555). One account per authority and contact, kept beside the certificates.

mod error;
mod http;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use instant_acme::{
    Account, AccountCredentials, AuthorizationHandle, AuthorizationStatus, CertificateIdentifier, ChallengeStatus, ChallengeType,
    ExternalAccountKey, Identifier, KeyAuthorization, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use jiff::Timestamp;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsConnector;

pub use self::error::{AcmeError, Refused};
use self::http::Http;
use super::storage::Stored;
use super::trust::{Answer, Posted, Trust};
use crate::config::daemon::{Acme, Challenge, Eab, KeyType};
use crate::error::chain;
use crate::files::{self, FileError};
use crate::names::Domain;
use crate::secret::Secret;
use crate::{crypto, https};

/// How long the authority may take to look at the answers, and to sign.
const PATIENCE: RetryPolicy = RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(90));

/// However seldom or often the authority wants to be asked about renewals (RFC 9773 §4.3.2).
const ASK: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));

/// When the authority wants a certificate renewed (ARI, RFC 9773).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Until it is asked again.
    pub pause: Duration,
}

/// What is ordered, and for whom.
pub struct Wish<'a> {
    pub names: &'a [Domain],
    pub email: Option<&'a str>,
    /// The certificate of ours that the new one takes the place of.
    pub replaces: Option<&'a CertificateDer<'static>>,
}

/// For the names of a failed order that the authority is still looking at.
const SETTLE: Duration = Duration::from_secs(15);
const SETTLE_PAUSE: Duration = Duration::from_millis(500);

/// An authority and how it is spoken to.
pub struct Authority {
    directory: String,
    settings: Acme,
    accounts: PathBuf,
    tls: TlsConnector,
}

impl Authority {
    /// `accounts`: the folder where accounts are kept.
    pub fn new(settings: Acme, accounts: PathBuf) -> Result<Self, AcmeError> {
        let mut roots = https::system_roots();
        if let Some(path) = &settings.ca_file {
            let unreadable =
                |error: rustls_pki_types::pem::Error| AcmeError::Roots(files::context("read", path)(std::io::Error::other(error)));
            let own = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
            roots.add_parsable_certificates(own.collect::<Result<Vec<_>, _>>().map_err(unreadable)?);
        }
        Ok(Self { directory: settings.directory_url(), settings, accounts, tls: https::connector(roots) })
    }

    /// It is somebody's own, and may vouch for any name.
    pub fn is_private(&self) -> bool {
        self.settings.ca_file.is_some()
    }

    /// A certificate for the names with its private key, as one PEM text. `trust` shows the answers to the challenges.
    pub async fn order(&self, trust: &Arc<Trust>, wish: &Wish<'_>) -> Result<Secret, AcmeError> {
        match self.order_once(trust, wish).await {
            // It has forgotten us, as authorities for tests do: another account is as good.
            Err(error) if error.is_kind("accountDoesNotExist") => {
                files::remove_optional(&self.account_file(wish.email)).map_err(AcmeError::Account)?;
                self.order_once(trust, wish).await
            }
            // The library has tried again some times already.
            Err(error) if error.is_kind("badNonce") => self.order_once(trust, wish).await,
            ordered => ordered,
        }
    }

    async fn order_once(&self, trust: &Arc<Trust>, wish: &Wish<'_>) -> Result<Secret, AcmeError> {
        let account = self.account(wish.email).await?;
        let mut order = self.begin(&account, wish).await.map_err(|error| self.failed("order a certificate", error))?;
        let posted = self.answer(&mut order, trust).await?;
        let proven = order.poll_ready(&PATIENCE).await;
        if !matches!(proven, Ok(OrderStatus::Ready)) {
            let refused = refused(&mut order).await;
            return Err(match proven {
                _ if !refused.is_empty() => AcmeError::Names(refused),
                Err(error) => self.failed("prove the domain", error),
                Ok(_) => AcmeError::Names(Vec::new()),
            });
        }
        drop(posted);
        self.sign(order, wish.names).await
    }

    async fn begin(&self, account: &Account, wish: &Wish<'_>) -> Result<Order, instant_acme::Error> {
        let identifiers: Vec<Identifier> = wish.names.iter().map(|name| Identifier::Dns(name.to_string())).collect();
        let mut request = NewOrder::new(&identifiers);
        if let Some(profile) = &self.settings.profile {
            request = request.profile(profile);
        }
        let replaced = wish.replaces.and_then(|der| CertificateIdentifier::try_from(der).ok());
        let Some(replaced) = replaced else { return account.new_order(&request).await };
        match account.new_order(&request.replaces(replaced)).await {
            // It has no such service, or knows the old certificate no more: the new one is wanted all the same.
            Err(instant_acme::Error::Unsupported(_) | instant_acme::Error::Api(_)) => {
                let plain = Wish { replaces: None, ..*wish };
                Box::pin(self.begin(account, &plain)).await
            }
            ordered => ordered,
        }
    }

    /// When the authority wants a certificate renewed; none when it does not say such things.
    pub async fn advice(&self, certificate: &CertificateDer<'static>, email: Option<&str>) -> Result<Option<Advice>, AcmeError> {
        let Ok(identifier) = CertificateIdentifier::try_from(certificate) else { return Ok(None) };
        let account = self.account(email).await?;
        let (info, pause) = match account.renewal_info(&identifier).await {
            Ok(said) => said,
            Err(instant_acme::Error::Unsupported(_)) => return Ok(None),
            Err(error) => return Err(self.failed("ask about renewals", error)),
        };
        let window = info.suggested_window;
        let time = |time: i64| Timestamp::from_second(time).unwrap_or_default();
        let (from, to) = (time(window.start.unix_timestamp()), time(window.end.unix_timestamp()));
        Ok((from <= to).then(|| Advice { from, to, pause: pause.clamp(ASK.0, ASK.1) }))
    }

    async fn sign(&self, mut order: Order, names: &[Domain]) -> Result<Secret, AcmeError> {
        let key = match self.settings.key_type {
            KeyType::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            KeyType::Rsa => KeyPair::generate_for(&PKCS_RSA_SHA256),
        };
        let key = key.map_err(AcmeError::Key)?;
        let mut params = CertificateParams::new(names.iter().map(Domain::to_string).collect::<Vec<_>>()).map_err(AcmeError::Key)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(AcmeError::Key)?;
        order.finalize_csr(request.der()).await.map_err(|error| self.failed("have the certificate signed", error))?;
        let issued = order.poll_certificate(&PATIENCE).await.map_err(|error| self.failed("get the certificate", error))?;
        let pem = Secret::new(format!("{}\n{}", issued.trim_end(), key.serialize_pem()));
        let stored = Stored::read("issued", pem.expose()).map_err(|error| AcmeError::Unusable(Box::new(error)))?;
        match names.iter().find(|name| !stored.leaf.covers(name)) {
            Some(missing) => Err(AcmeError::Unusable(format!("`{missing}` is not in it").into())),
            None => Ok(pem),
        }
    }

    /// Answers one challenge for each name that is not proven yet.
    async fn answer(&self, order: &mut Order, trust: &Arc<Trust>) -> Result<Vec<Posted>, AcmeError> {
        let mut posted = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.failed("look at the order", error))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let name = authorization.identifier().to_string();
            let kind = self.choose(&authorization).ok_or_else(|| AcmeError::NoChallenge(name.clone()))?;
            let mut challenge = authorization.challenge(kind.clone()).ok_or_else(|| AcmeError::NoChallenge(name.clone()))?;
            let answer = match kind {
                ChallengeType::TlsAlpn01 => proof(&name, &challenge.key_authorization())?,
                _ => Answer::Http(challenge.token.clone(), challenge.key_authorization().as_str().to_owned()),
            };
            posted.push(trust.post(answer).await);
            challenge.set_ready().await.map_err(|error| self.failed("answer the challenge", error))?;
        }
        Ok(posted)
    }

    /// The challenge that the settings name; HTTP-01, else TLS-ALPN-01, where they name none.
    fn choose(&self, authorization: &AuthorizationHandle<'_>) -> Option<ChallengeType> {
        let wanted: &[ChallengeType] = match self.settings.challenge {
            Some(Challenge::Http) => &[ChallengeType::Http01],
            Some(Challenge::TlsAlpn) => &[ChallengeType::TlsAlpn01],
            None => &[ChallengeType::Http01, ChallengeType::TlsAlpn01],
        };
        wanted.iter().find(|kind| authorization.challenges.iter().any(|challenge| challenge.r#type == **kind)).cloned()
    }

    /// One for each authority, contact and external account.
    fn account_file(&self, email: Option<&str>) -> PathBuf {
        let kid = self.settings.eab.as_ref().map_or("", |eab| eab.kid.as_str());
        let key = crypto::sha256_hex(format!("{}\n{}\n{kid}", self.directory, email.unwrap_or_default()).as_bytes());
        self.accounts.join(format!("{}.json", &key[..16]))
    }

    /// The kept account, else a new one.
    async fn account(&self, email: Option<&str>) -> Result<Account, AcmeError> {
        let path = self.account_file(email);
        let builder = Account::builder_with_http(Box::new(Http(self.tls.clone())));
        if let Some(kept) = files::read_optional(&path).map_err(AcmeError::Account)? {
            let credentials: AccountCredentials = serde_json::from_str(&kept).map_err(AcmeError::DamagedAccount)?;
            return builder.from_credentials(credentials).await.map_err(|error| self.failed("open the account", error));
        }
        let contact = email.map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let external = self.settings.eab.as_ref().map(external_key);
        let created = builder.create(&new, self.directory.clone(), external.as_ref()).await;
        let (account, credentials) = created.map_err(|error| self.failed("open an account", error))?;
        let text = Secret::new(serde_json::to_string(&credentials).map_err(AcmeError::DamagedAccount)?);
        keep(&path, &text).map_err(AcmeError::Account)?;
        Ok(account)
    }

    fn failed(&self, action: &'static str, source: instant_acme::Error) -> AcmeError {
        AcmeError::Authority { action, directory: self.directory.clone(), source }
    }
}

fn keep(path: &std::path::Path, text: &Secret) -> Result<(), FileError> {
    if let Some(folder) = path.parent() {
        files::private_dir(folder)?;
    }
    files::write_private(path, text.expose().as_bytes())
}

fn external_key(eab: &Eab) -> ExternalAccountKey {
    ExternalAccountKey::new(eab.kid.clone(), &eab.key())
}

/// The certificate of TLS-ALPN-01 (RFC 8737 §3).
fn proof(name: &str, authorization: &KeyAuthorization) -> Result<Answer, AcmeError> {
    let unusable = |error: Box<dyn std::error::Error + Send + Sync>| AcmeError::Unusable(error);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(AcmeError::Key)?;
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(AcmeError::Key)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(authorization.digest().as_ref())];
    let certificate = params.self_signed(&key).map_err(AcmeError::Key)?;
    // Its critical extension is one that only an authority understands.
    let signer = any_ecdsa_type(&PrivatePkcs8KeyDer::from(key.serialize_der()).into()).map_err(|error| unusable(Box::new(error)))?;
    let key = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signer));
    let name = name.parse().map_err(|error: crate::names::InvalidName| unusable(Box::new(error)))?;
    Ok(Answer::Tls(name, key))
}

/// The names that the authority could not be shown, with what it says of each. An order fails with its first name: the
/// authority is still looking at the others, and gets its answers until it has seen them all.
async fn refused(order: &mut Order) -> Vec<Refused> {
    let until = Instant::now() + SETTLE;
    loop {
        let (refused, all_settled) = verdicts(order).await;
        if all_settled || Instant::now() >= until {
            return refused;
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

/// The names that are refused by now, and whether that is the last word on all of them.
async fn verdicts(order: &mut Order) -> (Vec<Refused>, bool) {
    let (mut refused, mut all_settled) = (Vec::new(), true);
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else {
            all_settled = false;
            continue;
        };
        match authorization.refresh().await.map(|state| state.status) {
            Ok(AuthorizationStatus::Invalid) => {}
            Ok(AuthorizationStatus::Pending) => {
                all_settled = false;
                continue;
            }
            Ok(_) => continue,
            Err(error) => {
                tracing::debug!(error = chain(&error), "the authority does not say how it found a name");
                all_settled = false;
                continue;
            }
        }
        let name = authorization.identifier().to_string();
        let failed = authorization.challenges.iter().filter(|challenge| challenge.status == ChallengeStatus::Invalid);
        let problem = failed.filter_map(|challenge| challenge.error.as_ref()).next();
        refused.push(Refused {
            kind: problem.map(error::kind).unwrap_or_default(),
            detail: problem.and_then(|problem| problem.detail.clone()).unwrap_or_else(|| "it does not say why".to_owned()),
            name,
        });
    }
    (refused, all_settled)
}
