//! Signatures as minisign makes them: `bundle.json.minisig` beside `bundle.json`, over the bytes of
//! the file, so that `minisign -Vm bundle.json -p KEY.pub` checks it too. A password is
//! asked for only where the caller says that there is a terminal.

use crate::journal;
use minisign::{PublicKey, PublicKeyBox, SecretKey, SecretKeyBox, SignatureBox};
use std::ffi::OsString;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// The longest key or signature file in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// Why a file is not signed, or its signature is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A key or a signature cannot be read.
    #[error("cannot read {}: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason.
        reason: String,
    },
    /// There is no signature.
    #[error("{} has no signature: there is no {}", bundle.display(), signature.display())]
    Unsigned {
        /// What should be signed.
        bundle: PathBuf,
        /// Where the signature should be.
        signature: PathBuf,
    },
    /// The file is no key.
    #[error("{} is no minisign {what} key: {reason}", file.display())]
    NotAKey {
        /// The file.
        file: PathBuf,
        /// `public` or `secret`.
        what: &'static str,
        /// The reason.
        reason: String,
    },
    /// The key has a password, which was not given.
    #[error("the key {} has a password: give a file that holds it as --password-file", file.display())]
    PasswordNeeded {
        /// The key.
        file: PathBuf,
    },
    /// The key cannot be opened with the password.
    #[error("the key {} cannot be opened: {reason}", file.display())]
    Locked {
        /// The key.
        file: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The signature is not one of this file by this key.
    #[error("the signature {} is not accepted: {reason}", signature.display())]
    Refused {
        /// The signature.
        signature: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The file could not be signed.
    #[error("signing failed: {0}")]
    Failed(String),
}

/// Returns where the signature of a file is: beside it, with `.minisig` after its name.
pub fn signature_path(file: &Path) -> PathBuf {
    let mut name: OsString = file.as_os_str().to_owned();
    name.push(".minisig");
    PathBuf::from(name)
}

/// A key that signs.
pub struct SigningKey(SecretKey);

impl SigningKey {
    /// Opens the key in a file.
    ///
    /// # Errors
    /// The file is no secret key, or the password is missing or wrong.
    pub fn open(file: &Path, password: Option<&str>) -> Result<Self, SignError> {
        let needed = || Err(SignError::PasswordNeeded { file: file.to_path_buf() });
        Self::open_with(file, |key| password.map_or_else(needed, |password| locked(file, key, Some(password))))
    }

    /// Opens the key in a file, and asks for its password at the terminal if it has one.
    ///
    /// # Errors
    /// The file is no secret key, or the password is wrong.
    pub fn open_asking(file: &Path) -> Result<Self, SignError> {
        Self::open_with(file, |key| locked(file, key, None))
    }

    fn open_with(
        file: &Path,
        unlock: impl FnOnce(SecretKeyBox) -> Result<SecretKey, SignError>,
    ) -> Result<Self, SignError> {
        let text = read(file)?;
        let not_a_key = |reason: String| SignError::NotAKey { file: file.to_path_buf(), what: "secret", reason };
        if text.lines().count() < 2 || !text.starts_with("untrusted comment:") {
            return Err(not_a_key("it does not begin with an untrusted comment and a line of base64".to_string()));
        }
        let key = SecretKeyBox::from_string(&text).map_err(|error| not_a_key(error.to_string()))?;
        match key.clone().into_unencrypted_secret_key() {
            Ok(key) => Ok(Self(key)),
            Err(_) => unlock(key).map(Self),
        }
    }

    /// Returns the text of a signature of `bytes`. `comment` is signed too.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign(&self, bytes: &[u8], comment: &str) -> Result<String, SignError> {
        let signed = minisign::sign(None, &self.0, Cursor::new(bytes), Some(comment), Some("signature of maspo"));
        Ok(signed.map_err(|error| SignError::Failed(error.to_string()))?.to_string())
    }
}

/// Opens a key that has a password; without one at hand it is asked for.
fn locked(file: &Path, key: SecretKeyBox, password: Option<&str>) -> Result<SecretKey, SignError> {
    let opened = key.into_secret_key(password.map(str::to_string));
    opened.map_err(|error| SignError::Locked { file: file.to_path_buf(), reason: error.to_string() })
}

/// A key that checks signatures.
pub struct VerifyingKey(PublicKey);

impl VerifyingKey {
    /// Reads a public key: a file as `minisign -G` writes it, or the line of base64 itself.
    ///
    /// # Errors
    /// It is neither.
    pub fn open(key: &str) -> Result<Self, SignError> {
        if !Path::new(key).exists()
            && let Ok(public) = PublicKey::from_base64(key)
        {
            return Ok(Self(public));
        }
        let file = PathBuf::from(key);
        let text = read(&file)?;
        let public = PublicKeyBox::from_string(&text).and_then(PublicKeyBox::into_public_key);
        let not_a_key =
            |error: minisign::PError| SignError::NotAKey { file, what: "public", reason: error.to_string() };
        public.map(Self).map_err(not_a_key)
    }

    /// Checks the signature beside `file`, whose content is `bytes`, and returns its signed
    /// comment.
    ///
    /// # Errors
    /// There is none, or it is not one of these bytes by this key.
    pub fn verify(&self, file: &Path, bytes: &[u8]) -> Result<String, SignError> {
        let signature = signature_path(file);
        if !signature.exists() {
            return Err(SignError::Unsigned { bundle: file.to_path_buf(), signature });
        }
        let text = read(&signature)?;
        let refused =
            |error: minisign::PError| SignError::Refused { signature: signature.clone(), reason: error.to_string() };
        let boxed = SignatureBox::from_string(&text).map_err(refused)?;
        minisign::verify(&self.0, &boxed, Cursor::new(bytes), true, false, false).map_err(refused)?;
        boxed.trusted_comment().map_err(refused)
    }
}

fn read(file: &Path) -> Result<String, SignError> {
    journal::read_text(file, MAX_BYTES).map_err(|reason| SignError::Unreadable { file: file.to_path_buf(), reason })
}
