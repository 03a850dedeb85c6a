//! An agent's seat in a group of many: who it is, what it has promised, which group it is in. Kept
//! in `control/seat`, checksummed; it lies there before the log does.

use std::path::{Path, PathBuf};

use disk::Disk;
use serde::{Deserialize, Serialize};

use super::ControlError;

const SEAT_VERSION: u32 = 1;

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    version: u32,
    /// This control member: random, so that one whose state was lost is another member.
    pub member: u64,
    /// Whether records of a former life are gone: it founds no group.
    pub lost: bool,
    /// Where it stands.
    pub standing: Standing,
}

/// Where an agent stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum Standing {
    /// Bound to no group.
    Blank,
    /// Has promised to found this group, or one of a higher ballot.
    Promised {
        /// The group.
        founding: Founding,
    },
    /// Was among those who founded it.
    Founder {
        /// The group.
        founding: Founding,
    },
    /// A committed change admitted it to a group that was there.
    Enlisted {
        /// The group.
        group: u64,
        /// Its members then: whom to answer until the log says so.
        contacts: Vec<Contact>,
    },
}

/// The record by which a group is founded, the same on all its agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// Later attempts have higher ones.
    pub ballot: u64,
    /// Random number of the group.
    pub group: u64,
    /// All its agents, ordered by member id.
    pub members: Vec<Contact>,
}

/// An agent and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Its control member id.
    pub member: u64,
    /// Its host in the spec.
    pub host: String,
    /// `HOST:PORT`
    pub address: String,
}

impl Founding {
    /// Whether this agent is among those who found it.
    #[must_use]
    pub fn includes(&self, member: u64, host: &str) -> bool {
        self.members.iter().any(|contact| contact.member == member && contact.host == host)
    }
}

impl Seat {
    /// A new agent's, with a number that no other has.
    #[must_use]
    pub fn fresh(lost: bool) -> Self {
        let member = rand::random_range(1..=u64::MAX);
        Self { version: SEAT_VERSION, member, lost, standing: Standing::Blank }
    }

    /// The group that it takes part in.
    #[must_use]
    pub fn group(&self) -> Option<u64> {
        match &self.standing {
            Standing::Blank | Standing::Promised { .. } => None,
            Standing::Founder { founding } => Some(founding.group),
            Standing::Enlisted { group, .. } => Some(*group),
        }
    }

    /// Whom it knew when it took its seat.
    #[must_use]
    pub fn contacts(&self) -> &[Contact] {
        match &self.standing {
            Standing::Blank | Standing::Promised { .. } => &[],
            Standing::Founder { founding } => &founding.members,
            Standing::Enlisted { contacts, .. } => contacts,
        }
    }

    /// Promises to found a group. A promise is kept until one of a higher ballot takes its place: so
    /// of two attempts with a common agent at most one is ever promised by all.
    ///
    /// # Errors
    /// Why not, for the one who asked.
    pub fn promise(&mut self, founding: Founding, host: &str) -> Result<(), String> {
        let member = self.member;
        if self.lost {
            return Err(format!(
                "{host} lost its records, so it founds nothing: a group that is \
                there must admit it"
            ));
        }
        if !founding.includes(member, host) {
            return Err(format!("{host} is agent {member:x}, which the record does not name"));
        }
        match &self.standing {
            Standing::Promised { founding: last } if *last == founding => return Ok(()),
            Standing::Promised { founding: last } if last.ballot >= founding.ballot => {
                let (last, ballot) = (last.ballot, founding.ballot);
                return Err(format!("{host} has promised ballot {last}, not {ballot}"));
            }
            Standing::Blank | Standing::Promised { .. } => {}
            Standing::Founder { .. } | Standing::Enlisted { .. } => {
                return Err(format!("{host} is in a group already"));
            }
        }
        self.standing = Standing::Promised { founding };
        Ok(())
    }

    /// All have promised: takes the seat. Who asks has begun itself, or is this agent after all have
    /// answered; so no other record with the same agents can ever be promised by all.
    ///
    /// # Errors
    /// If this is not what it can follow.
    pub fn begin(&mut self, founding: Founding) -> Result<(), String> {
        match &self.standing {
            Standing::Founder { founding: own } if own.group == founding.group => Ok(()),
            Standing::Promised { founding: last } if last.members == founding.members => {
                self.standing = Standing::Founder { founding };
                Ok(())
            }
            _ => Err(format!("group {:x} is not what was promised last", founding.group)),
        }
    }

    /// Whether its last promise is this one: only then may it begin first.
    #[must_use]
    pub fn stands_by(&self, founding: &Founding) -> bool {
        matches!(&self.standing, Standing::Promised { founding: last } if last == founding)
    }

    /// Takes a seat in a group that has admitted it.
    ///
    /// # Errors
    /// If it is another member, or in another group.
    pub fn enlist(
        &mut self,
        group: u64,
        member: u64,
        contacts: Vec<Contact>,
    ) -> Result<(), String> {
        if member != self.member {
            return Err(format!("this agent is {:x}, not {member:x}", self.member));
        }
        match self.group() {
            Some(own) if own == group => Ok(()),
            Some(own) => Err(format!("this agent is in group {own:x}")),
            None => {
                self.standing = Standing::Enlisted { group, contacts };
                Ok(())
            }
        }
    }
}

fn path(control: &Path) -> PathBuf {
    control.join("seat")
}

/// Reads the record below a control folder.
///
/// # Errors
/// If it is there and cannot be read (R13).
pub fn read(disk: &dyn Disk, control: &Path) -> Result<Option<Seat>, ControlError> {
    let path = path(control);
    let read = disk::read_checked(disk, &path).map_err(ControlError::Unreadable)?;
    let Some(bytes) = read else { return Ok(None) };
    let seat: Seat = serde_json::from_slice(&bytes)
        .map_err(|source| ControlError::NotUnderstood { path: path.clone(), source })?;
    if seat.version != SEAT_VERSION {
        return Err(ControlError::Broken(format!(
            "{} has version {}, which only a newer build understands",
            path.display(),
            seat.version
        )));
    }
    Ok(Some(seat))
}

/// Writes it durably.
///
/// # Errors
/// The disk's.
pub fn write(disk: &dyn Disk, control: &Path, seat: &Seat) -> Result<(), ControlError> {
    let bytes = serde_json::to_vec(seat).map_err(ControlError::Encode)?;
    disk.create_dir_all(control).map_err(ControlError::Look)?;
    disk::replace_checked(disk, &path(control), &bytes).map_err(ControlError::Look)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn founding(ballot: u64, group: u64, seats: &[&Seat]) -> Founding {
        let contact = |(at, seat): (usize, &&Seat)| Contact {
            member: seat.member,
            host: format!("h{at}"),
            address: String::new(),
        };
        Founding { ballot, group, members: seats.iter().enumerate().map(contact).collect() }
    }

    #[test]
    fn of_two_foundings_at_once_at_most_one_begins() {
        let (mut a, mut b) = (Seat::fresh(false), Seat::fresh(false));
        let (one, two) = (founding(1, 11, &[&a, &b]), founding(2, 22, &[&a, &b]));
        a.promise(one.clone(), "h0").unwrap();
        b.promise(one.clone(), "h1").unwrap();
        // Both have promised the first; then b promises the second.
        b.promise(two.clone(), "h1").unwrap();
        assert!(a.stands_by(&one) && !b.stands_by(&one), "b would not begin the first");
        a.begin(one.clone()).unwrap();
        assert!(a.promise(two, "h0").is_err(), "it has begun: the second is never promised by all");
        assert!(b.promise(one.clone(), "h1").is_err(), "promises never go back");
        b.begin(one).unwrap();
        assert_eq!((a.group(), b.group()), (Some(11), Some(11)), "it follows who has begun");
    }

    #[test]
    fn a_founding_of_other_agents_is_not_followed() {
        let (mut a, b, c) = (Seat::fresh(false), Seat::fresh(false), Seat::fresh(false));
        a.promise(founding(1, 11, &[&a.clone(), &b]), "h0").unwrap();
        assert!(a.begin(founding(2, 22, &[&a.clone(), &c])).is_err());
    }

    #[test]
    fn who_lost_its_records_founds_nothing_and_may_be_admitted() {
        let mut seat = Seat::fresh(true);
        let record = founding(1, 11, &[&seat]);
        assert!(seat.promise(record, "h0").is_err());
        assert!(seat.enlist(11, seat.member ^ 1, Vec::new()).is_err(), "another incarnation");
        seat.enlist(11, seat.member, Vec::new()).unwrap();
        assert!(seat.enlist(12, seat.member, Vec::new()).is_err(), "one group only");
        assert_eq!(seat.group(), Some(11));
    }

    #[test]
    fn a_record_that_is_damaged_is_unreadable_not_absent() {
        let folder = tempfile::tempdir().unwrap();
        let seat = Seat::fresh(false);
        write(&disk::RealDisk, folder.path(), &seat).unwrap();
        assert_eq!(read(&disk::RealDisk, folder.path()).unwrap(), Some(seat));
        disk::replace(&disk::RealDisk, &folder.path().join("seat"), b"checked-1 0 0\nx").unwrap();
        assert!(matches!(read(&disk::RealDisk, folder.path()), Err(ControlError::Unreadable(_))));
    }
}
