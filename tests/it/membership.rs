//! Changes of the membership: what is answered, who may come and go, and what the processes do then.

mod answers;
mod crash;
mod etcdctl;
mod grow;
mod v2;
