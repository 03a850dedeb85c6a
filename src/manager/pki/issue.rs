//! Issues what a host or a person carries. What is there stays, unless it is to be renewed.

use std::path::{Path, PathBuf};

use tls::{
    Certificate, Role,
    authority::{self, Authority, Purpose, Request},
};

use super::{HOSTS, Holder, Order, PEOPLE, PkiError, Store, names::bare};

/// What became of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It was not there.
    Made,
    /// It was there and is good.
    Kept,
    /// It was there and was replaced.
    Renewed,
}

/// One certificate of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The certificate; its key lies beside it.
    pub file: PathBuf,
    /// What was done.
    pub deed: Deed,
}

/// Names that every host has for itself.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "::1", "localhost"];
/// The etcd user that may do everything, by which the manager changes members where auth is on.
const ROOT: &str = "root";

impl Store {
    /// Issues all certificates of one host or person. May be run again at any time.
    ///
    /// # Errors
    /// There is no authority, a name is none, or what is there lacks a name (then nothing was issued).
    pub fn issue(&self, order: &Order) -> Result<Vec<Done>, PkiError> {
        let name = bare(&order.name);
        check_name(name)?;
        let authority = self.authority()?;
        let kind = if order.holder == Holder::Host { HOSTS } else { PEOPLE };
        let folder = format!("{kind}/{name}");
        let path = self.dir.join(&folder);
        let wanted = requests(order, name);
        for (stem, request) in &wanted {
            self.check_kept(&path.join(format!("{stem}.pem")), request, order)?;
        }
        let made = self.disk.create_dir_all(&path);
        made.map_err(|source| PkiError::Disk { path: path.clone(), source })?;
        let mut done = Vec::new();
        for (stem, request) in wanted {
            done.push(self.issue_one(&authority, (&folder, stem), request, order.renew)?);
        }
        self.put_if_other(&path.join(super::BUNDLE), &self.trusted()?)?;
        Ok(done)
    }

    /// Nothing is issued if one of those that stay is not what was asked for.
    fn check_kept(&self, file: &Path, request: &Request, order: &Order) -> Result<(), PkiError> {
        if order.renew || !self.exists(file)? {
            return Ok(());
        }
        let certificate = leaf(file)?;
        let names = certificate.names();
        let lacking = request.hosts.iter().find(|host| !names.contains(host));
        let (lacks, what) = match lacking {
            Some(host) => (true, format!("is not valid for {host}")),
            None => (
                purpose_of(&certificate, &stem_of(file)) != request.purpose,
                format!("is of another kind ({})", certificate.subject),
            ),
        };
        if !lacks {
            return Ok(());
        }
        Err(PkiError::Refused(format!(
            "{} is there and {what}: say --renew to issue it again, with a new key",
            file.display()
        )))
    }

    fn issue_one(
        &self,
        authority: &Authority,
        (folder, stem): (&str, &str),
        mut request: Request,
        renew: bool,
    ) -> Result<Done, PkiError> {
        let (file, key) = pair(&self.dir.join(folder), stem);
        let is_there = self.exists(&file)?;
        if is_there && !renew && self.exists(&key)? {
            return Ok(Done { file, deed: Deed::Kept });
        }
        if is_there && !renew {
            return Err(PkiError::Refused(format!(
                "{} is there and its key is not: say --renew to issue both anew",
                file.display()
            )));
        }
        if is_there {
            for host in leaf(&file)?.names() {
                if !request.hosts.contains(&host) {
                    request.hosts.push(host);
                }
            }
        } else if self.exists(&key)? {
            // Left by a run that was cut off, or somebody's: never overwritten.
            let label = format!("{}-{stem}-key", folder.replace('/', "-"));
            self.put_away(&format!("{folder}/{stem}-key.pem"), &label)?;
        }
        authority.issue(&request, self.now)?.save(&*self.disk, &file, &key)?;
        Ok(Done { file, deed: if is_there { Deed::Renewed } else { Deed::Made } })
    }
}

/// Certificate and key of a folder.
pub(super) fn pair(folder: &Path, stem: &str) -> (PathBuf, PathBuf) {
    (folder.join(format!("{stem}.pem")), folder.join(format!("{stem}-key.pem")))
}

/// The first certificate of a file.
pub(super) fn leaf(file: &Path) -> Result<Certificate, PkiError> {
    let mut all = authority::inspect(file)?;
    Ok(all.swap_remove(0))
}

pub(super) fn stem_of(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// What a certificate was issued for: its role says it, or its file's name.
pub(super) fn purpose_of(certificate: &Certificate, stem: &str) -> Purpose {
    match (certificate.role(), certificate.host(), stem) {
        (Some(Role::Agent), Some(host), _) => Purpose::Agent(host.to_owned()),
        (Some(role), ..) => Purpose::Person(role),
        (None, _, "peer") => Purpose::Peer,
        (None, _, "server") => Purpose::Server,
        (None, ..) => Purpose::Client,
    }
}

fn requests(order: &Order, name: &str) -> Vec<(&'static str, Request)> {
    let request = |common_name: &str, hosts: &[String], purpose| Request {
        common_name: common_name.to_owned(),
        hosts: hosts.to_vec(),
        purpose,
        life: order.life,
    };
    let person = |purpose| vec![("client", request(name, &[], purpose))];
    match order.holder {
        Holder::Operator => person(Purpose::Person(Role::Operator)),
        Holder::Reader => person(Purpose::Person(Role::Reader)),
        Holder::Client => person(Purpose::Client),
        Holder::Host => {
            let mut hosts: Vec<String> = vec![name.to_owned()];
            let more = order.hosts.iter().map(|host| bare(host));
            for host in more.chain(LOOPBACK) {
                if !hosts.iter().any(|known| known == host) {
                    hosts.push(host.to_owned());
                }
            }
            vec![
                ("agent", request(name, &hosts, Purpose::Agent(name.to_owned()))),
                ("server", request(name, &hosts, Purpose::Server)),
                ("peer", request(name, &hosts, Purpose::Peer)),
                ("client", request(ROOT, &[], Purpose::Client)),
            ]
        }
    }
}

/// It becomes a folder's name and part of a certificate.
fn check_name(name: &str) -> Result<(), PkiError> {
    let legal = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == ':')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || ['.', '_', '-', ':'].contains(&c))
        && name.len() <= 253;
    if legal {
        return Ok(());
    }
    Err(PkiError::Refused(format!(
        "{name:?} is no name: use a host of the spec, or letters, digits, `.`, `_` and `-`"
    )))
}
