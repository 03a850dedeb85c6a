//! `endpoints`: how clients reach the cluster, by the spec.

use std::{fs::File, path::Path};

use super::{
    arguments::endpoints::{Endpoints, EndpointsForm},
    outcome::{Failure, Outcome},
    screen::Screen,
};
use crate::{
    generate::{clients, render},
    spec,
};

pub(super) fn endpoints(wish: &Endpoints, screen: &mut Screen) -> Result<Outcome, Failure> {
    let spec = spec::load(&wish.spec_file())?.spec;
    let is_here = |file: &Path| File::open(file).is_ok();
    match wish.output {
        EndpointsForm::Plain => screen.line(&clients::endpoints(&spec).join(",")),
        EndpointsForm::Json => screen.print(&render::json(&clients::etcdctl(&spec, is_here))),
        EndpointsForm::Shell => {
            let variables = clients::etcdctl(&spec, is_here);
            // What another cluster's exports left would be used.
            let stale: Vec<&str> = clients::TLS_VARIABLES
                .into_iter()
                .filter(|name| !variables.contains_key(*name))
                .collect();
            if !stale.is_empty() {
                screen.line(&format!("unset {}", stale.join(" ")));
            }
            screen.print(&render::shell(&variables));
        }
    }
    Ok(Outcome::Done)
}
