//! A small HTTPS and WebSocket client: one connection a request, nothing added to what the test says.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Trusts one box's authority and nothing else.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    config: Arc<ClientConfig>,
    /// Sent with each request, when set.
    pub cookie: Option<String>,
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr, authority: CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            address,
            config: Arc::new(config),
            cookie: None,
        }
    }

    pub fn signed_in(&self, cookie: &str) -> Self {
        Self {
            cookie: Some(cookie.to_owned()),
            ..self.clone()
        }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn connect(&self) -> Tls {
        let socket = TcpStream::connect(self.address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let name = ServerName::from(self.address.ip());
        StreamOwned::new(
            ClientConnection::new(self.config.clone(), name).unwrap(),
            socket,
        )
    }

    pub fn get(&self, path: &str) -> Response {
        self.get_with(path, &[])
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.request("GET", path, headers, b"")
    }

    pub fn post(&self, path: &str, body: &serde_json::Value) -> Response {
        self.post_with(path, &[], body.to_string().as_bytes())
    }

    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let length = body.len().to_string();
        let mut all = vec![
            ("Content-Type", "application/json"),
            ("Content-Length", length.as_str()),
        ];
        all.extend(headers);
        self.request("POST", path, &all, body)
    }

    /// `headers` may name `Host` to say another one.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut stream = self.connect();
        let head = self.head(method, path, headers, "Connection: close\r\n");
        // A server that refuses early may close before it has read everything.
        let _ = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body))
            .and_then(|()| stream.flush());
        Response::parse(&read_to_end(&mut stream))
    }

    fn head(&self, method: &str, path: &str, headers: &[(&str, &str)], more: &str) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\n{more}");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += &format!("Host: {}\r\n", self.host());
        }
        if let Some(cookie) = &self.cookie {
            head += &format!("Cookie: theme=dark; {cookie}\r\n");
        }
        headers
            .iter()
            .for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        head + "\r\n"
    }

    /// Asks for a WebSocket; the answer's head, and the stream behind it.
    pub fn upgrade(&self, path: &str, headers: &[(&str, &str)]) -> (Response, Tls) {
        let mut stream = self.connect();
        let more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        stream
            .write_all(self.head("GET", path, headers, more).as_bytes())
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        (Response::parse(&head), stream)
    }
}

impl Response {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("an answer has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        lines
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }

    /// `name=value` of the cookie that was set.
    pub fn cookie(&self) -> String {
        self.header("Set-Cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    }
}

fn read_to_end(stream: &mut Tls) -> Vec<u8> {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return bytes,
            Ok(read) => bytes.extend(&piece[..read]),
            Err(error)
                if [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset]
                    .contains(&error.kind()) =>
            {
                return bytes;
            }
            Err(error) => panic!("{error} after {} bytes", bytes.len()),
        }
    }
}

/// A frame of a WebSocket, as the server sends it: opcode and payload.
pub fn read_frame(stream: &mut Tls) -> (u8, Vec<u8>) {
    try_read_frame(stream).unwrap()
}

/// The same from a server that may end.
pub fn try_read_frame(stream: &mut Tls) -> std::io::Result<(u8, Vec<u8>)> {
    let mut start = [0; 2];
    stream.read_exact(&mut start)?;
    let length = match start[1] {
        126 => {
            let mut bytes = [0; 2];
            stream.read_exact(&mut bytes)?;
            usize::from(u16::from_be_bytes(bytes))
        }
        127 => {
            let mut bytes = [0; 8];
            stream.read_exact(&mut bytes)?;
            u64::from_be_bytes(bytes) as usize
        }
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    Ok((start[0] & 0x0f, payload))
}

/// A short frame of a client: masked, as it must be, with a mask of zeros.
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    [
        &[0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0][..],
        payload,
    ]
    .concat()
}
