//! The mesh around a call, as far as there is one.

use std::{collections::BTreeMap, path::PathBuf};

use super::Person;
use crate::{mesh::Mesh, secrets::Secrets, services::SERVICES};

/// What can be called by name, and as whom.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// URLs of the gRPC services, by the services' names.
    pub services: BTreeMap<String, String>,
    /// How the users of the mesh log in, once it was started.
    pub people: BTreeMap<Person, Credentials>,
    /// The folder with the mesh's certificates, where it has some in use.
    pub certs: Option<PathBuf>,
}

/// A login.
#[derive(Clone)]
pub struct Credentials {
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Credentials").field(&self.email).finish()
    }
}

impl Surroundings {
    /// What this mesh has.
    pub(crate) fn of(mesh: &Mesh) -> anyhow::Result<Self> {
        let services = SERVICES.iter().filter_map(|service| Some((service.name.to_owned(), service.grpc(mesh)?)));
        let demo = &mesh.settings.demo;
        let people = Secrets::read(&mesh.home.secrets())?.map(|secrets| {
            [
                (Person::Demo, Credentials { email: demo.email.clone(), password: secrets.demo }),
                (Person::Admin, Credentials { email: demo.admin_email.clone(), password: secrets.demo_admin }),
            ]
        });
        let certs = mesh.settings.tls.is_on().then(|| mesh.home.certs());
        Ok(Self { services: services.collect(), people: people.into_iter().flatten().collect(), certs })
    }
}
