//! Tests of the whole: real files, real handshakes over loopback.

mod files;
mod handshakes;
mod issuing;
mod reloading;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use base::{Clock, SystemClock};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    authority::{Authority, Purpose, Request},
    *,
};

/// A folder with an authority and what it issued.
struct Pki {
    folder: TempDir,
    authority: Authority,
}

fn now() -> SystemTime {
    SystemClock.wall()
}

#[expect(clippy::disallowed_methods, reason = "a test's file need not be durable")]
fn put(file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    // A new file, as a tool would put it in place.
    let draft = file.with_extension("new");
    fs::write(&draft, text).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&draft, file).unwrap();
}

impl Pki {
    fn new() -> Self {
        Self::named("test")
    }

    fn named(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(name, now()).unwrap();
        put(&folder.path().join("ca.pem"), &authority.bundle());
        Self { folder, authority }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn bundle(&self) -> PathBuf {
        self.path("ca.pem")
    }

    fn issue(&self, name: &str, hosts: &[&str], purpose: Purpose) -> CertificateFiles {
        self.issue_at(name, hosts, purpose, now())
    }

    fn issue_at(
        &self,
        name: &str,
        hosts: &[&str],
        purpose: Purpose,
        at: SystemTime,
    ) -> CertificateFiles {
        let request = Request {
            common_name: name.to_owned(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            purpose,
            life: Duration::from_secs(3600),
        };
        let issued = self.authority.issue(&request, at).unwrap();
        let files = CertificateFiles {
            certificate: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}-key.pem")),
        };
        put(&files.key, &issued.key);
        put(&files.certificate, &issued.certificate);
        files
    }

    fn server(&self) -> ServerTls {
        let identity = self.issue("server", &["127.0.0.1", "localhost"], Purpose::Server);
        ServerTls::new(ServerSettings::mutual(identity, self.bundle())).unwrap()
    }

    fn client(&self, identity: Option<CertificateFiles>) -> ClientTls {
        ClientTls::new(ClientSettings::new(identity, Roots::File(self.bundle()))).unwrap()
    }
}

/// One connection of `client` to `server` as `host`: what each end says, having sent a byte each way.
async fn meet(
    server: &ServerTls,
    client: &ClientTls,
    host: &str,
) -> (Result<Vec<Certificate>, String>, Result<Vec<Certificate>, String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let accept = async {
        let (io, from) = listener.accept().await.unwrap();
        let mut io = server.accept(io, from).await.map_err(|error| error.to_string())?;
        let byte = io.read_u8().await.map_err(|error| error.to_string())?;
        io.write_u8(byte).await.map_err(|error| error.to_string())?;
        io.shutdown().await.map_err(|error| error.to_string())?;
        Ok(certificates(&io))
    };
    let dial = async {
        let io = TcpStream::connect(address).await.unwrap();
        let mut io = client.connect(host, io).await.map_err(|error| error.to_string())?;
        io.write_u8(7).await.map_err(|error| error.to_string())?;
        io.read_u8().await.map_err(|error| error.to_string())?;
        Ok(certificates(&io))
    };
    tokio::join!(accept, dial)
}

fn certificates(io: &TlsIo) -> Vec<Certificate> {
    io.peer_certificates().iter().map(|der| Certificate::parse(der).unwrap()).collect()
}
