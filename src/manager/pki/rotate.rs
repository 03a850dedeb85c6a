//! A change of the authority in three phases, each of which can be run again after it was cut off: trust both, reissue all
//! certificates, drop the old one. In between, the operator carries the folders to their hosts.

use std::path::{Path, PathBuf};

use tls::authority::{Authority, Request};

use super::{
    AUTHORITY, NEXT, PkiError, Store,
    issue::{leaf, pair, purpose_of, stem_of},
};

/// A phase of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A new authority is made, and trusted beside the old one.
    Trust,
    /// The new authority signs: all certificates are issued again.
    Reissue,
    /// The old authority is trusted no more.
    Drop,
}

/// How far a rotation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// None is under way.
    Idle,
    /// Both are trusted, the old one signs.
    Trusting,
    /// Both are trusted, the new one signs.
    Reissuing,
}

impl Standing {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Idle => "none",
            Self::Trusting => "trust",
            Self::Reissuing => "reissue",
        }
    }
}

impl Store {
    /// Carries out a phase; returns the files that were written. `carried`: the operator says that what the phase
    /// before wrote is in place on every host.
    ///
    /// # Errors
    /// It comes out of order (nothing was touched), or was cut off: run it again.
    pub fn rotate(&self, phase: Phase, carried: bool) -> Result<Vec<PathBuf>, PkiError> {
        let standing = self.standing()?;
        let refused = |text: &str| Err(PkiError::Refused(text.to_owned()));
        match (phase, standing) {
            (Phase::Trust, Standing::Idle) => self.introduce(),
            (Phase::Trust, Standing::Trusting) => self.spread_trust(),
            (Phase::Trust, Standing::Reissuing) => refused(
                "a rotation is under way and the new authority signs already: finish it with \
                 `pki rotate reissue` and `pki rotate drop` before the next one",
            ),
            (Phase::Reissue, Standing::Idle) => refused(
                "no rotation is under way: begin with `pki rotate trust`, and carry the new bundle to every host",
            ),
            (Phase::Drop, Standing::Trusting) => refused(
                "every certificate in use is still signed by the old authority: `pki rotate reissue` comes first",
            ),
            // Nothing but what a last phase that was cut off may have left.
            (Phase::Drop, Standing::Idle) => self.spread_trust(),
            (Phase::Reissue, Standing::Trusting) if !carried => refused(
                "a host without the new bundle would turn away the new certificates: carry each folder's ca.pem to \
                 its host, then say `pki rotate reissue --carried`",
            ),
            (Phase::Drop, Standing::Reissuing) if !carried => refused(
                "a host that still shows an old certificate would be turned away: carry the new certificates and \
                 keys to their hosts, then say `pki rotate drop --carried`",
            ),
            (Phase::Reissue, Standing::Trusting) => {
                self.put_away(AUTHORITY, AUTHORITY)?;
                self.rename(NEXT, AUTHORITY)?;
                self.reissue()
            }
            (Phase::Reissue, Standing::Reissuing) => self.reissue(),
            (Phase::Drop, Standing::Reissuing) => self.drop_older(),
        }
    }

    pub(super) fn standing(&self) -> Result<Standing, PkiError> {
        Ok(if self.has_next()? {
            Standing::Trusting
        } else if self.authority()?.older() > 0 {
            Standing::Reissuing
        } else {
            Standing::Idle
        })
    }

    fn introduce(&self) -> Result<Vec<PathBuf>, PkiError> {
        let current = leaf(&self.dir.join(AUTHORITY).join(super::BUNDLE))?;
        let name = current.common_name.split(" CA ").next().unwrap_or("etcd").to_owned();
        let next = self.authority()?.succeed(&self.authority_name(&name), self.now)?;
        next.save(&*self.disk, &self.dir.join(NEXT))?;
        self.spread_trust()
    }

    /// Issues again what the authority in use has not signed, under the same names.
    fn reissue(&self) -> Result<Vec<PathBuf>, PkiError> {
        let authority = self.authority()?;
        let mut written = Vec::new();
        for folder in self.carried()? {
            for file in self.leaves(&folder)? {
                if self.is_good(&authority, &folder, &file)? {
                    continue;
                }
                let (certificate, stem) = (leaf(&file)?, stem_of(&file));
                let life = certificate.not_after.duration_since(certificate.not_before);
                let request = Request {
                    common_name: certificate.common_name.clone(),
                    hosts: certificate.names(),
                    purpose: purpose_of(&certificate, &stem),
                    life: life.unwrap_or_default().saturating_sub(tls::authority::BACKDATED),
                };
                let (file, key) = pair(&folder, &stem);
                authority.issue(&request, self.now)?.save(&*self.disk, &file, &key)?;
                written.push(file);
            }
        }
        written.extend(self.spread_trust()?);
        Ok(written)
    }

    /// Signed by the authority in use, and with its own key: a reissue that was cut off leaves a new key beside an old
    /// certificate.
    fn is_good(&self, authority: &Authority, folder: &Path, file: &Path) -> Result<bool, PkiError> {
        let (certificate, key) = pair(folder, &stem_of(file));
        if !tls::is_signed_by(&certificate, authority.certificate(), self.now)? {
            return Ok(false);
        }
        Ok(tls::is_pair(&tls::CertificateFiles { certificate, key }))
    }

    fn drop_older(&self) -> Result<Vec<PathBuf>, PkiError> {
        let mut authority = self.authority()?;
        for folder in self.carried()? {
            for file in self.leaves(&folder)? {
                if !self.is_good(&authority, &folder, &file)? {
                    return Err(PkiError::Refused(format!(
                        "{} is not signed by the new authority: run `pki rotate reissue` again, carry what it \
                         writes, then drop the old one",
                        file.display()
                    )));
                }
            }
        }
        authority.drop_older();
        let bundle = self.dir.join(AUTHORITY).join(super::BUNDLE);
        // The key stays: only the bundle changes.
        self.put_if_other(&bundle, &authority.bundle())?;
        self.spread_trust()
    }
}
