//! Secrets as types: what they hold is shown by no `Debug`, no `Display` and no error.

use std::io::Read;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::Url;

use crate::limits::PASSWORD_FILE_BYTES_MAX;

/// Whom a camera lets in. `Debug` shows no password.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user's name, as the camera knows it.
    pub username: String,
    /// Where the password is.
    pub password: Password,
}

/// Where a password stands.
#[derive(Debug, Clone)]
pub enum Password {
    /// In the configuration itself.
    Inline(SecretString),
    /// In a file of its own, read at each connection, so that it can be changed while recording.
    File(PathBuf),
}

impl Password {
    /// The password itself. A file's trailing line ending is not part of it.
    ///
    /// # Errors
    ///
    /// [`PasswordFileError`], naming the file, when it cannot be read, is no regular file, is not
    /// UTF-8 text, is empty or longer than a password can be.
    pub fn reveal(&self) -> Result<SecretString, PasswordFileError> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(path) => read_password_file(path).map_err(|reason| PasswordFileError {
                path: path.clone(),
                reason,
            }),
        }
    }
}

/// A password file that gives no password.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the password file {} {reason}", path.display())]
pub struct PasswordFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, to be read after its name.
    pub reason: String,
}

fn read_password_file(path: &Path) -> Result<SecretString, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    // Asked before it is opened: opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(PASSWORD_FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > PASSWORD_FILE_BYTES_MAX {
        return Err(format!("is longer than {PASSWORD_FILE_BYTES_MAX} bytes"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(SecretString::from(text))
}

/// A camera's address without the credentials that may have stood in it.
///
/// `Debug` and `Display` show host, port and path, but no query, and no path that seems to hold a
/// password, as some cameras want it (`/user=admin&password=...`).
#[derive(Clone, PartialEq, Eq)]
pub struct CameraUrl(Url);

impl CameraUrl {
    /// Reads an address and takes the credentials out of it, percent-decoded.
    ///
    /// # Errors
    ///
    /// What is wrong, as `(message, advice)`; neither quotes the address.
    pub(super) fn parse(text: &str) -> Result<(Self, UrlCredentials), (String, String)> {
        const EXAMPLE: &str = "for example \"rtsp://192.168.1.20/stream1\"";
        let wrong = |what: &str| (what.to_owned(), format!("expected {EXAMPLE}"));
        if text.len() > crate::limits::CAMERA_URL_BYTES_MAX {
            return Err(wrong("the address is too long"));
        }
        let mut url = Url::parse(text).map_err(|error| wrong(&format!("not a URL: {error}")))?;
        match url.scheme() {
            "rtsp" => {}
            "rtsps" => {
                return Err((
                    "rtsps:// is not supported yet".to_owned(),
                    "use the camera's rtsp:// address; keep it in a network of its own".to_owned(),
                ));
            }
            // The scheme is not quoted: of "admin:secret@host" it would be the first half.
            _ => return Err(wrong("not an rtsp:// address")),
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("the address has no host"));
        }
        let credentials = UrlCredentials::take_from(&mut url)
            .ok_or_else(|| wrong("user name or password in the address is not UTF-8 text"))?;
        Ok((Self(url), credentials))
    }

    /// The address as a connection needs it: not to be shown.
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// Host and port, as in `192.168.1.20:554`.
    pub fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        format!("{host}:{}", self.0.port().unwrap_or(554))
    }
}

impl std::fmt::Display for CameraUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rtsp://{}", self.0.host_str().unwrap_or_default())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        let path = self.0.path();
        let lower = path.to_ascii_lowercase();
        if ["pass", "pwd", "token", "key="]
            .iter()
            .any(|word| lower.contains(word))
        {
            f.write_str("/…")?;
        } else {
            f.write_str(path)?;
        }
        if self.0.query().is_some() {
            f.write_str("?…")
        } else {
            Ok(())
        }
    }
}

impl std::fmt::Debug for CameraUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CameraUrl({self})")
    }
}

/// What stood before the `@` of an address.
#[derive(Debug, Default)]
pub(super) struct UrlCredentials {
    pub username: Option<String>,
    pub password: Option<SecretString>,
}

impl UrlCredentials {
    fn take_from(url: &mut Url) -> Option<Self> {
        let decode = |text: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .ok()
                .map(String::from)
        };
        let username = match url.username() {
            "" => None,
            name => Some(decode(name)?),
        };
        let password = match url.password() {
            None => None,
            Some(password) => Some(SecretString::from(decode(password)?)),
        };
        // Cannot fail where there is a host, which the caller has seen to.
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        Some(Self { username, password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn credentials_leave_the_address() {
        let (url, credentials) =
            CameraUrl::parse("rtsp://admin:h%40nter%202@10.0.0.2:8554/live?a=b").unwrap();
        assert_eq!(url.expose().as_str(), "rtsp://10.0.0.2:8554/live?a=b");
        assert_eq!(credentials.username.as_deref(), Some("admin"));
        assert_eq!(credentials.password.unwrap().expose_secret(), "h@nter 2");
        assert_eq!(format!("{url} {url:?}").matches("a=b").count(), 0);
        assert_eq!(url.to_string(), "rtsp://10.0.0.2:8554/live?…");
        assert_eq!(url.authority(), "10.0.0.2:8554");
    }

    #[test]
    fn a_password_in_the_path_is_not_shown() {
        let (url, _) =
            CameraUrl::parse("rtsp://10.0.0.2/user=admin&password=x&channel=1.sdp").unwrap();
        assert_eq!(url.to_string(), "rtsp://10.0.0.2/…");
    }

    #[test]
    fn a_bad_address_is_not_quoted() {
        for bad in [
            "admin:hunter2@host",
            "http://u:hunter2@h/",
            "rtsp://u:hunter2@/",
            "hunter2",
        ] {
            let (message, advice) = CameraUrl::parse(bad).unwrap_err();
            assert!(
                !format!("{message}{advice}").contains("hunter2"),
                "{message} {advice}"
            );
        }
    }

    #[test]
    fn a_password_file_says_what_is_wrong_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("front.pw");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Password::File(path.clone()).reveal()
        };
        assert_eq!(read(b"hunter2\r\n").unwrap().expose_secret(), "hunter2");
        assert_eq!(
            read(b" two words \n").unwrap().expose_secret(),
            " two words "
        );
        for (bytes, reason) in [
            (&b"\n"[..], "is empty"),
            (b"\xff\xfe", "is not UTF-8 text"),
            (&[b'a'; 5000], "is longer than 4096 bytes"),
        ] {
            let error = read(bytes).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("the password file {} {reason}", path.display())
            );
        }
        let error = Password::File(dir.path().to_owned())
            .reveal()
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("is not a regular file"), "{error}");
        let error = Password::File(dir.path().join("none"))
            .reveal()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("none cannot be read: No such file"),
            "{error}"
        );
    }
}
