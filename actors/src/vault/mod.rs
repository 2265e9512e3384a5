//! Personal data: hashed in keys, sealed in values.
//!
//! A company has two keys, sealed by the key provider: one hashes phone numbers into ids, the
//! other seals its people's keys. Everybody's data is sealed by a key of their own, so that
//! destroying that one key erases the person, in append-only history and in backups too.

mod provider;

pub use provider::{Entropy, FileKeys, KeyError, KeyProvider, SystemEntropy};

use crate::entity::Stored;
use crate::keys;
use parking_lot::RwLock;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::HashMap;
use std::sync::Arc;
use tandem_domain::codec;
use tandem_domain::company;
use tandem_domain::id::{CompanyId, CustomerId, Entity};
use tandem_domain::phone::Number;
use tandem_domain::row::RowKey;
use tandem_domain::sealed::Sealed;
use tandem_store::{Read, Store};
use uuid::Uuid;

/// People whose keys are kept in memory.
const PEOPLE_MAX: usize = 65_536;
const KEY_BYTES: usize = 32;

#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultError {
    #[error("there is no such company")]
    NoCompany,
    /// The person has been erased, or the data belongs to somebody else.
    #[error("the data cannot be opened: its key is gone or another")]
    Unopenable,
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the store failed: {0}")]
    Store(String),
    /// The store cannot be reached at the moment: try again.
    #[error("the store is not available: {0}")]
    Unavailable(String),
}

struct CompanyKeys {
    lookup: hmac::Key,
    data: LessSafeKey,
}

/// Keys of companies and people. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    provider: Arc<dyn KeyProvider>,
    entropy: Arc<dyn Entropy>,
    companies: RwLock<HashMap<CompanyId, Arc<CompanyKeys>>>,
    people: RwLock<HashMap<(CompanyId, CustomerId), PersonKey>>,
}

/// The key of one person.
#[derive(Clone)]
pub struct PersonKey {
    inner: Arc<PersonInner>,
    /// The key as it has to be stored, where it is not stored yet: to be sent along with the
    /// command that stores it.
    pub new_key: Option<Vec<u8>>,
}

struct PersonInner {
    key: LessSafeKey,
    customer: CustomerId,
    entropy: Arc<dyn Entropy>,
}

impl Vault {
    pub fn new(store: Arc<dyn Store>, provider: Arc<dyn KeyProvider>, entropy: Arc<dyn Entropy>) -> Self {
        Vault {
            inner: Arc::new(Inner {
                store,
                provider,
                entropy,
                companies: RwLock::default(),
                people: RwLock::default(),
            }),
        }
    }

    /// Fresh keys for a new company, sealed by the key provider.
    ///
    /// # Errors
    /// Where the key provider cannot be asked.
    pub fn new_company_secrets(&self) -> Result<Vec<u8>, VaultError> {
        let mut secrets = [0u8; 2 * KEY_BYTES];
        self.inner.entropy.fill(&mut secrets)?;
        Ok(self.inner.provider.wrap(&secrets)?)
    }

    /// A fresh random id.
    ///
    /// # Errors
    /// Where no randomness is to be had.
    pub fn random_uuid(&self) -> Result<Uuid, VaultError> {
        let mut bytes = [0u8; 16];
        self.inner.entropy.fill(&mut bytes)?;
        Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// # Errors
    /// Where no randomness is to be had.
    pub fn random_bytes<const N: usize>(&self) -> Result<[u8; N], VaultError> {
        let mut bytes = [0u8; N];
        self.inner.entropy.fill(&mut bytes)?;
        Ok(bytes)
    }

    async fn company(&self, company: CompanyId) -> Result<Arc<CompanyKeys>, VaultError> {
        if let Some(keys) = self.inner.companies.read().get(&company) {
            return Ok(keys.clone());
        }
        let row = self.read(&keys::entity_state(Entity::company(company))).await?;
        let stored: Stored<company::State> = match row {
            None => return Err(VaultError::NoCompany),
            Some(bytes) => codec::decode(&bytes).map_err(|e| VaultError::Store(e.to_string()))?,
        };
        let secrets = self.inner.provider.unwrap(&stored.state.secrets)?;
        if secrets.len() != 2 * KEY_BYTES {
            return Err(VaultError::Unopenable);
        }
        let (lookup, data) = secrets.split_at(KEY_BYTES);
        let made =
            Arc::new(CompanyKeys { lookup: hmac::Key::new(hmac::HMAC_SHA256, lookup), data: aead(data)? });
        self.inner.companies.write().insert(company, made.clone());
        Ok(made)
    }

    /// The id of a person: the keyed hash of their number, so that nobody without the company's
    /// key can tell whose it is.
    ///
    /// # Errors
    /// An unknown company, or a failing store or key provider.
    pub async fn customer_id(&self, company: CompanyId, number: &Number) -> Result<CustomerId, VaultError> {
        let keys = self.company(company).await?;
        Ok(hashed(&keys.lookup, number))
    }

    /// Whether the keys of this company can be opened.
    ///
    /// # Errors
    /// Why not: above all, that they were sealed with another key.
    pub async fn check(&self, company: CompanyId) -> Result<(), VaultError> {
        self.company(company).await.map(drop)
    }

    /// The person's key: the stored one, or a fresh one that is still to be stored.
    ///
    /// # Errors
    /// An unknown company, or a failing store or key provider.
    pub async fn person(&self, company: CompanyId, customer: CustomerId) -> Result<PersonKey, VaultError> {
        if let Some(known) = self.inner.people.read().get(&(company, customer)) {
            return Ok(known.clone());
        }
        let keys = self.company(company).await?;
        let row = self.read(&keys::row(&RowKey::CustomerKey { company, customer })).await?;
        let Some(row) = row else {
            let mut fresh = [0u8; KEY_BYTES];
            self.inner.entropy.fill(&mut fresh)?;
            let sealed = seal(&keys.data, &*self.inner.entropy, customer, &fresh)?;
            return self.made(customer, &fresh, Some(sealed));
        };
        let sealed: Vec<u8> = codec::decode(&row).map_err(|e| VaultError::Store(e.to_string()))?;
        let key = open(&keys.data, customer, &sealed)?;
        let person = self.made(customer, &key, None)?;
        let mut people = self.inner.people.write();
        if people.len() >= PEOPLE_MAX {
            // Any half will do: whoever is called next is found in the store.
            let mut keep = false;
            people.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
        people.insert((company, customer), person.clone());
        Ok(person)
    }

    fn made(
        &self,
        customer: CustomerId,
        key: &[u8],
        new_key: Option<Vec<u8>>,
    ) -> Result<PersonKey, VaultError> {
        let inner = PersonInner { key: aead(key)?, customer, entropy: self.inner.entropy.clone() };
        Ok(PersonKey { inner: Arc::new(inner), new_key })
    }

    async fn read(&self, key: &[u8]) -> Result<Option<bytes::Bytes>, VaultError> {
        let mut tx = self.inner.store.begin();
        tx.get(key, Read::Snapshot).await.map_err(|e| {
            if e.is_retryable() {
                VaultError::Unavailable(e.to_string())
            } else {
                VaultError::Store(e.to_string())
            }
        })
    }
}

fn hashed(lookup: &hmac::Key, number: &Number) -> CustomerId {
    let tag = hmac::sign(lookup, number.as_e164().as_bytes());
    let mut id = [0u8; 16];
    id.copy_from_slice(&tag.as_ref()[..16]);
    CustomerId::from_bytes(id)
}

fn aead(key: &[u8]) -> Result<LessSafeKey, VaultError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| VaultError::Unopenable)
}

/// Nonce, ciphertext and tag; bound to the person.
fn seal(
    key: &LessSafeKey,
    entropy: &dyn Entropy,
    customer: CustomerId,
    plain: &[u8],
) -> Result<Vec<u8>, VaultError> {
    let mut nonce = [0u8; NONCE_LEN];
    entropy.fill(&mut nonce)?;
    let mut out = Vec::with_capacity(NONCE_LEN + plain.len() + 16);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(plain);
    let tag = key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(customer.0.as_bytes()),
            &mut out[NONCE_LEN..],
        )
        .map_err(|_| VaultError::Unopenable)?;
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

fn open(key: &LessSafeKey, customer: CustomerId, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
    let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(VaultError::Unopenable)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Unopenable)?;
    let mut body = body.to_vec();
    let plain = key
        .open_in_place(nonce, Aad::from(customer.0.as_bytes()), &mut body)
        .map_err(|_| VaultError::Unopenable)?
        .len();
    body.truncate(plain);
    Ok(body)
}

impl PersonKey {
    /// # Errors
    /// Where no randomness is to be had.
    pub fn seal(&self, plain: &[u8]) -> Result<Sealed, VaultError> {
        let sealed = seal(&self.inner.key, &*self.inner.entropy, self.inner.customer, plain)?;
        Ok(Sealed(sealed.into_boxed_slice()))
    }

    /// # Errors
    /// Data sealed with another key.
    pub fn open(&self, sealed: &Sealed) -> Result<Vec<u8>, VaultError> {
        open(&self.inner.key, self.inner.customer, &sealed.0)
    }

    /// # Errors
    /// As [`Self::open`], or a text that is none.
    pub fn open_text(&self, sealed: &Sealed) -> Result<String, VaultError> {
        String::from_utf8(self.open(sealed)?).map_err(|_| VaultError::Unopenable)
    }

    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_value<T: Serialize>(&self, value: &T) -> Result<Sealed, VaultError> {
        self.seal(&codec::encode(value))
    }

    /// # Errors
    /// As [`Self::open`], or a value of another type.
    pub fn open_value<T: DeserializeOwned>(&self, sealed: &Sealed) -> Result<T, VaultError> {
        codec::decode(&self.open(sealed)?).map_err(|_| VaultError::Unopenable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> LessSafeKey {
        aead(&[byte; KEY_BYTES]).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_the_same_person_and_key_only() {
        let (ana, bo) = (CustomerId::from_bytes([1; 16]), CustomerId::from_bytes([2; 16]));
        let sealed = seal(&key(1), &SystemEntropy::default(), ana, b"+15550100").unwrap();
        assert_eq!(open(&key(1), ana, &sealed).unwrap(), b"+15550100");
        assert!(open(&key(1), bo, &sealed).is_err());
        assert!(open(&key(2), ana, &sealed).is_err());
        assert!(open(&key(1), ana, &sealed[..10]).is_err());
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(open(&key(1), ana, &bent).is_err(), "byte {at}");
        }
    }

    #[test]
    fn the_same_text_is_never_sealed_alike() {
        let ana = CustomerId::from_bytes([1; 16]);
        let entropy = SystemEntropy::default();
        let a = seal(&key(1), &entropy, ana, b"x").unwrap();
        let b = seal(&key(1), &entropy, ana, b"x").unwrap();
        assert_ne!(a, b);
    }

    struct Fixed;

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), KeyError> {
            bytes.fill(7);
            Ok(())
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// What is written in the stores of released versions must open for ever.
    #[test]
    fn what_is_sealed_is_sealed_as_ever() {
        let ana = CustomerId::from_bytes([1; 16]);
        let sealed = seal(&key(1), &Fixed, ana, b"+12025550100").unwrap();
        assert_eq!(
            hex(&sealed),
            "070707070707070707070707a6c2d8943d9b849429ab3400c30da50d9f11de2f917a6a1357696502"
        );
    }

    /// Another id for the same number would be another person, who has never opted out.
    #[test]
    fn a_person_has_the_same_id_as_ever() {
        let lookup = hmac::Key::new(hmac::HMAC_SHA256, &[3; KEY_BYTES]);
        let number = Number::parse("+12025550100", None).unwrap();
        assert_eq!(hashed(&lookup, &number).to_string(), "765cfadc-696b-e744-a0e1-b908dd487f91");
    }
}
