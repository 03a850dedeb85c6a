//! Who calls an agent, and what that one may do: by the role in the certificate. On the unix socket, whose mode is
//! 0600, and in plain text nobody is asked.

use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use tls::{Certificate, Role, TlsIo};
use tonic::{
    Status,
    body::Body,
    codegen::{
        Service,
        http::{Request, Response},
    },
};

/// Calls that change nothing; all others of the service for operators change something.
const LOOKS: [&str; 6] = ["Hello", "Plan", "Status", "Logs", "ReadLogs", "Events"];

/// The other end of a connection with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    name: String,
    role: Option<Role>,
    /// The host whose agent it is.
    host: Option<String>,
}

impl Caller {
    /// As its certificate says; none without TLS.
    pub(crate) fn of(io: &TlsIo) -> Option<Self> {
        if matches!(io, TlsIo::Plain(_)) {
            return None;
        }
        let nobody = || Self { name: "nobody".to_owned(), role: None, host: None };
        let leaf = io.peer_certificates().first().and_then(|der| Certificate::parse(der).ok());
        Some(leaf.map_or_else(nobody, |leaf| Self {
            name: leaf.subject.clone(),
            role: leaf.role(),
            host: leaf.host().map(str::to_owned),
        }))
    }

    /// Whether it may make this call, a path such as `/agentpb.Agent/Apply`.
    fn may(&self, path: &str) -> Result<(), Status> {
        let needed = needed(path);
        if self.role.is_some_and(|role| role >= needed) {
            return Ok(());
        }
        let call = path.rsplit('/').next().unwrap_or_default().to_lowercase();
        let role = self.role.map_or_else(|| "no role".to_owned(), |role| format!("role {role}"));
        Err(Status::permission_denied(format!(
            "the certificate of {} has {role}, and {call} needs {needed}: `etcd-manager pki issue` makes one (docs/pki.md)",
            self.name
        )))
    }

    /// Whether it speaks for the agent of this host.
    pub(crate) fn is_agent_of(&self, host: &str) -> bool {
        self.role == Some(Role::Agent) && self.host.as_deref() == Some(crate::pki::bare(host))
    }
}

fn needed(path: &str) -> Role {
    match path.rsplit_once('/') {
        Some(("/agentpb.Agent", call)) if LOOKS.contains(&call) => Role::Reader,
        Some(("/agentpb.Agent", _)) => Role::Operator,
        _ => Role::Agent,
    }
}

/// In front of all services of an address: no call passes without the role for it.
#[derive(Debug, Clone)]
pub(crate) struct Guard<S>(pub(crate) S);

impl<S> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Set for every connection of the address: absent, the call did not come from there.
        let caller = request.extensions().get::<Option<Caller>>();
        let judged = match caller {
            Some(Some(caller)) => caller.may(request.uri().path()),
            Some(None) => Ok(()),
            None => Err(Status::permission_denied("who calls is not known")),
        };
        match judged {
            Ok(()) => Either::Left(self.0.call(request)),
            Err(status) => Either::Right(ready(Ok(status.into_http()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_is_its_own_and_what_is_below() {
        let calls = [
            ("/agentpb.Agent/Status", Role::Reader),
            ("/agentpb.Agent/Plan", Role::Reader),
            ("/agentpb.Agent/Events", Role::Reader),
            ("/agentpb.Agent/Apply", Role::Operator),
            ("/agentpb.Agent/Stop", Role::Operator),
            ("/agentpb.Agent/Shutdown", Role::Operator),
            // What nobody has thought of is not for readers.
            ("/agentpb.Agent/Anything", Role::Operator),
            ("/agentpb.Peers/Post", Role::Agent),
            ("/agentpb.Peers/Greet", Role::Agent),
            ("/else", Role::Agent),
        ];
        for (call, needed) in calls {
            for role in [Role::Reader, Role::Operator, Role::Agent] {
                let caller = Caller { name: "ann".to_owned(), role: Some(role), host: None };
                assert_eq!(caller.may(call).is_ok(), role >= needed, "{role} {call}");
            }
            let nobody = Caller { name: "CN=x".to_owned(), role: None, host: None };
            assert!(nobody.may(call).is_err(), "{call}");
        }
    }

    #[test]
    fn a_refusal_names_who_asked_for_what() {
        let reader = Caller { name: "CN=bob".to_owned(), role: Some(Role::Reader), host: None };
        let refused = reader.may("/agentpb.Agent/Apply").unwrap_err();
        let text = refused.message();
        assert!(text.contains("CN=bob has role reader, and apply needs operator"), "{text}");
    }

    #[test]
    fn an_agent_speaks_for_its_own_host_only() {
        let host = Some("10.0.0.1".to_owned());
        let agent = Caller { name: "CN=a".to_owned(), role: Some(Role::Agent), host };
        assert!(agent.is_agent_of("10.0.0.1") && !agent.is_agent_of("10.0.0.2"));
        let operator = Caller { role: Some(Role::Operator), ..agent };
        assert!(!operator.is_agent_of("10.0.0.1"));
    }
}
