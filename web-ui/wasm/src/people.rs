//! Claiming, signing in, and opening the keyring.

use hearthkeep_format::passphrase::{self, Params};
use hearthkeep_format::{Identity, Keyring, Random, StoreId, generation, kit};
use zeroize::Zeroizing;

use crate::fields::{Answer, Fields};
use crate::host::Browser;
use crate::{Failure, Vault};

/// passphrase -> why it is too weak, or nothing
pub(crate) fn strength(fields: &mut Fields<'_>, answer: &mut Answer) -> Result<(), Failure> {
    answer.text(
        passphrase::check_strength(fields.text()?)
            .err()
            .unwrap_or_default(),
    );
    Ok(())
}

impl Vault {
    /// store, name, passphrase -> what `POST /api/v1/claim` takes, and the kit. The owner stays here.
    pub(crate) fn prepare_claim(
        &mut self,
        fields: &mut Fields<'_>,
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        let store = store_id(fields.text()?)?;
        let name = fields.text()?;
        let passphrase = fields.text()?;
        passphrase::check_strength_for(passphrase, name).map_err(str::to_owned)?;
        let random = &mut Browser;
        let owner = Identity::generate(random);
        let recovery = Identity::generate(random);
        let created = generation::create_first(&store, &owner, &recovery, random);
        let mut salt = [0; 16];
        random.fill(&mut salt);
        let params = Params::default();
        let derived = passphrase::derive(passphrase, &salt, params).map_err(sentence)?;
        let groups: Vec<_> = kit::groups(&recovery);
        let groups = Zeroizing::new(
            groups
                .iter()
                .map(|group| group.as_str())
                .collect::<Vec<_>>()
                .join(" "),
        );
        let verifying_key = owner.signing_key().verifying_key();
        answer
            .text(&owner.recipient().to_text())
            .bytes(verifying_key.as_bytes())
            .bytes(&salt)
            .number(params.memory_kib.into())
            .number(params.passes.into())
            .number(params.lanes.into())
            .bytes(derived.auth.as_slice())
            .bytes(&derived.seal_identity(&owner, name, random))
            .bytes(&created.statement)
            .bytes(&created.sealed_seed)
            .bytes(&created.sealed_metadata_key)
            .bytes(created.metadata_key.as_bytes())
            .text(&recovery.to_text())
            .text(&groups)
            .text(&verifying_key.fingerprint());
        self.prepared = Some(owner);
        Ok(())
    }

    /// The box took the claim.
    pub(crate) fn claimed(&mut self) -> Result<(), Failure> {
        self.identity = Some(
            self.prepared
                .take()
                .ok_or("nothing was prepared to claim with")?,
        );
        Ok(())
    }

    /// passphrase, salt, memory, passes, lanes -> the half for the box
    pub(crate) fn derive(
        &mut self,
        fields: &mut Fields<'_>,
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        let passphrase = fields.text()?;
        let salt = fields.array()?;
        let params = Params {
            memory_kib: fields.u32()?,
            passes: fields.u32()?,
            lanes: fields.u32()?,
        };
        let derived = passphrase::derive(passphrase, &salt, params).map_err(sentence)?;
        answer.bytes(derived.auth.as_slice());
        self.derived = Some(derived);
        Ok(())
    }

    /// sealed identity, name; uses what `derive` left
    pub(crate) fn open_identity(&mut self, fields: &mut Fields<'_>) -> Result<(), Failure> {
        let derived = self
            .derived
            .take()
            .ok_or("the passphrase has to be entered first")?;
        let sealed = fields.bytes()?;
        self.identity = Some(
            derived
                .open_identity(sealed, fields.text()?)
                .map_err(sentence)?,
        );
        Ok(())
    }

    /// -> the identity, to be wrapped for this browser's own storage
    pub(crate) fn identity_seed(&mut self, answer: &mut Answer) -> Result<(), Failure> {
        answer.bytes(self.identity()?.seed());
        Ok(())
    }

    /// seed
    pub(crate) fn identity_from_seed(&mut self, fields: &mut Fields<'_>) -> Result<(), Failure> {
        self.identity = Some(Identity::from_seed(fields.array()?));
        Ok(())
    }

    /// keyring, store, root key -> newest generation
    pub(crate) fn open_keyring(
        &mut self,
        fields: &mut Fields<'_>,
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        let keyring = Keyring::decode(fields.bytes()?).map_err(sentence)?;
        let store = store_id(fields.text()?)?;
        let root: [u8; 32] = fields.array()?;
        if keyring.store != store {
            return Err("the box sent another store's keyring".into());
        }
        let opened = keyring.open(self.identity()?).map_err(sentence)?;
        if *opened.root().as_bytes() != root {
            return Err("the keyring is not rooted in this box's owner".into());
        }
        answer.number(opened.newest().into());
        self.keyring = Some(opened);
        Ok(())
    }

    fn identity(&self) -> Result<&Identity, Failure> {
        self.identity
            .as_ref()
            .ok_or_else(|| "the vault is closed: sign in again".into())
    }
}

fn store_id(hex: &str) -> Result<StoreId, Failure> {
    StoreId::from_hex(hex).ok_or_else(|| "the box's store id is malformed".into())
}

pub(crate) fn sentence(error: hearthkeep_format::Error) -> Failure {
    error.to_string()
}
