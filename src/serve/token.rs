//! The bearer token: made at the start, kept in a file that only its owner reads, compared in
//! constant time.

use rand::TryRng;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// The longest token that a file may hold, in bytes.
const MAX_BYTES: u64 = 4096;

/// The secret that every request carries. It is never printed.
#[derive(Clone)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Returns the token in `file`, or makes one and writes it there. The file must be readable by
    /// its owner only.
    ///
    /// # Errors
    /// The file cannot be read or written, others can read it, or it holds no token.
    pub fn of_file(file: &Path) -> io::Result<Self> {
        match std::fs::symlink_metadata(file) {
            Ok(facts) => read(file, &facts),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let token = Self::random()?;
                token.write(file)?;
                Ok(token)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a token and writes it to `file`, over one that an earlier server left there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn renew(file: &Path) -> io::Result<Self> {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let token = Self::random()?;
        token.write(file)?;
        Ok(token)
    }

    /// Returns a token of this text, for tests.
    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        Self(text.to_string())
    }

    fn random() -> io::Result<Self> {
        let mut bytes = [0u8; 32];
        rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    fn write(&self, file: &Path) -> io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        writeln!(options.open(file)?, "{}", self.0)
    }

    /// Returns whether `given` is this token; the time it takes does not depend on where they
    /// differ.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differences = own.iter().zip(given).fold(0u8, |all, (one, other)| all | (one ^ other));
        std::hint::black_box(differences) == 0 && own.len() == given.len()
    }
}

fn read(file: &Path, facts: &std::fs::Metadata) -> io::Result<Token> {
    let wrong = |reason: &str| io::Error::new(ErrorKind::InvalidData, reason.to_string());
    if !facts.is_file() {
        return Err(wrong("it is no plain file"));
    }
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&facts.permissions()) & 0o077 != 0 {
        return Err(wrong("others than its owner can use it; run chmod 600 on it"));
    }
    if facts.len() > MAX_BYTES {
        return Err(wrong("it is too long for a token"));
    }
    let text = std::fs::read_to_string(file)?;
    let token = text.trim();
    if token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("it must hold one line of at least 16 printable ASCII characters"));
    }
    Ok(Token(token.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let made = Token::of_file(&file).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.trim().len(), 64);
        assert!(made.is(text.trim().as_bytes()) && Token::of_file(&file).unwrap().is(text.trim().as_bytes()));
        assert!(!made.is(b"") && !made.is(&text.trim().as_bytes()[1..]) && !made.is(text.as_bytes()));
        assert!(!format!("{made:?}").contains(text.trim()));
        let renewed = Token::renew(&file).unwrap();
        assert!(!renewed.is(text.trim().as_bytes()));
        std::fs::write(&file, "short").unwrap();
        assert!(Token::of_file(&file).unwrap_err().to_string().contains("16 printable"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
            assert!(Token::of_file(&file).unwrap_err().to_string().contains("chmod 600"));
        }
    }
}
