//! The services of the mesh: where each listens, what it needs, and the environment that tells it so.

use std::collections::BTreeMap;

use crate::certs;
use crate::kafka;
use crate::launch::Launch;
use crate::mesh::{Mesh, binary};
use crate::postgres;
use crate::redis;
use crate::scenario;
use crate::secrets::Secrets;
use crate::settings::Ports;

/// What a service speaks on its main port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// The public REST API.
    Http,
    /// gRPC with health and reflection.
    Grpc,
    /// Nothing: it lives on Kafka.
    None,
}

/// Something that a service is told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Database,
    Redis,
    Kafka,
    Signing,
    Mail,
    Auth,
    CatalogCache,
    Orders,
}

/// One service: a crate or binary that bears its name.
#[derive(Debug)]
pub(crate) struct Service {
    /// Binary, `service.name`, and name on the command line.
    pub(crate) name: &'static str,
    /// What it serves on [`Service::port`].
    pub(crate) server: Server,
    needs: &'static [Need],
}

/// In the order in which they start; they stop in the reverse order.
pub(crate) const SERVICES: [Service; 7] = [
    Service { name: "catalog-cache", server: Server::Grpc, needs: &[Need::Database, Need::Redis] },
    Service { name: "auth", server: Server::Grpc, needs: &[Need::Database, Need::Redis, Need::Kafka, Need::Signing] },
    Service { name: "orders", server: Server::Grpc, needs: &[Need::Database, Need::Kafka, Need::CatalogCache] },
    Service { name: "dispatch", server: Server::None, needs: &[Need::Kafka] },
    Service { name: "notification", server: Server::None, needs: &[Need::Kafka, Need::Database, Need::Mail] },
    Service { name: "analytics", server: Server::None, needs: &[Need::Kafka, Need::Database, Need::Redis] },
    Service { name: "gateway", server: Server::Http, needs: &[Need::Auth, Need::CatalogCache, Need::Orders] },
];

/// The service called `name`.
pub(crate) fn find(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}

impl Service {
    /// Key of its main port in the settings, and the port; `None` if it serves nothing.
    pub(crate) fn port(&self, ports: &Ports) -> Option<(&'static str, u16)> {
        self.keyed(ports, "")
    }

    /// Key of its admin port in the settings, and the port.
    pub(crate) fn admin_port(&self, ports: &Ports) -> Option<(&'static str, u16)> {
        self.keyed(ports, "_admin")
    }

    fn keyed(&self, ports: &Ports, suffix: &str) -> Option<(&'static str, u16)> {
        let key = format!("{}{suffix}", self.name.replace('-', "_"));
        ports.entries().into_iter().find(|(known, _)| *known == key)
    }

    /// URL of its admin port.
    pub(crate) fn admin(&self, ports: &Ports) -> String {
        let port = self.admin_port(ports).map_or(0, |(_, port)| port);
        format!("http://127.0.0.1:{port}")
    }

    /// URL of its gRPC server, if it is one.
    pub(crate) fn grpc(&self, mesh: &Mesh) -> Option<String> {
        let (_, port) = self.port(&mesh.ports).filter(|_| self.server == Server::Grpc)?;
        Some(format!("{}://127.0.0.1:{port}", mesh.scheme()))
    }

    /// How it is started: its binary beside ours, told everything by its environment.
    pub(crate) fn launch(&self, mesh: &Mesh, secrets: &Secrets) -> Launch {
        Launch {
            name: self.name,
            program: binary(self.name),
            args: Vec::new(),
            env: self.environment(mesh, secrets),
            user: None,
            dir: mesh.home.root().to_owned(),
        }
    }

    fn environment(&self, mesh: &Mesh, secrets: &Secrets) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        let mut set = |key: &str, value: String| drop(env.insert(format!("THROUGHLINE_{key}"), value));
        set("LOG__LEVEL", mesh.settings.log.level.clone());
        set("LOG__FORMAT", mesh.settings.log.format.clone());
        set("TELEMETRY__MODE", mesh.settings.telemetry.mode.clone());
        set("RUNTIME__MODEL", mesh.settings.runtime.model.clone());
        set("TELEMETRY__OTLP_ENDPOINT", format!("http://127.0.0.1:{}", mesh.ports.otlp_grpc));
        set("SCENARIOS__DIRECTORY", scenario::directory(mesh).display().to_string());
        set("SCENARIOS__STATE", scenario::state_file(mesh).display().to_string());
        if self.name == "gateway" {
            // off unless somebody asks; here one may try things out
            set("DIAGNOSTICS__ENABLED", "true".to_owned());
        }
        if let Some((_, port)) = self.admin_port(&mesh.ports) {
            set("ADMIN__ADDRESS", format!("127.0.0.1:{port}"));
        }
        if let Some((_, port)) = self.port(&mesh.ports) {
            set("SERVER__ADDRESS", format!("127.0.0.1:{port}"));
            for (key, value) in certs::environment(mesh, self.name) {
                set(key, value);
            }
        }
        for need in self.needs {
            for (key, value) in self.meet(*need, mesh, secrets) {
                set(key, value);
            }
        }
        env.extend(mesh.settings.env.get(self.name).cloned().unwrap_or_default());
        env
    }

    fn meet(&self, need: Need, mesh: &Mesh, secrets: &Secrets) -> Vec<(&'static str, String)> {
        let upstream = |name: &str| find(name).and_then(|service| service.grpc(mesh)).unwrap_or_default();
        match need {
            Need::Database => vec![("DATABASE__URL", self.database(mesh, secrets))],
            Need::Redis => vec![("REDIS__URL", redis::url(mesh))],
            Need::Kafka => vec![("KAFKA__BROKERS", kafka::brokers(mesh))],
            Need::Signing => vec![
                ("JWT__SECRET", secrets.jwt.clone()),
                ("BOOTSTRAP__EMAIL", mesh.settings.demo.admin_email.clone()),
                ("BOOTSTRAP__PASSWORD", secrets.demo_admin.clone()),
            ],
            Need::Auth => vec![("UPSTREAM__AUTH", upstream("auth"))],
            Need::CatalogCache => vec![("UPSTREAM__CATALOG_CACHE", upstream("catalog-cache"))],
            Need::Orders => vec![("UPSTREAM__ORDERS", upstream("orders"))],
            Need::Mail => vec![("MAIL__TRANSPORT", "file".to_owned()), ("MAIL__DIRECTORY", mesh.home.mail().display().to_string())],
        }
    }

    /// Each service has a role of its own in Postgres, with the rights that it needs.
    fn database(&self, mesh: &Mesh, secrets: &Secrets) -> String {
        let (role, password) = match self.name {
            "auth" => ("throughline_auth", &secrets.auth),
            "catalog-cache" => ("throughline_catalog", &secrets.catalog),
            "orders" => ("throughline_orders", &secrets.orders),
            "notification" => ("throughline_notification", &secrets.notification),
            _ => ("throughline_analytics", &secrets.analytics),
        };
        postgres::url(mesh, role, password)
    }
}

/// What the migrate job is told: the admin's URL and the passwords that the roles get.
pub(crate) fn migration_environment(mesh: &Mesh, secrets: &Secrets) -> BTreeMap<String, String> {
    [
        ("DATABASE__URL", postgres::url(mesh, postgres::ADMIN, &secrets.admin)),
        ("ROLES__AUTH", secrets.auth.clone()),
        ("ROLES__CATALOG", secrets.catalog.clone()),
        ("ROLES__ORDERS", secrets.orders.clone()),
        ("ROLES__NOTIFICATION", secrets.notification.clone()),
        ("ROLES__ANALYTICS", secrets.analytics.clone()),
    ]
    .into_iter()
    .map(|(key, value)| (format!("THROUGHLINE_{key}"), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_the_ports_that_it_serves() {
        let ports = Ports::consecutive(100);
        for service in &SERVICES {
            assert!(service.admin_port(&ports).is_some(), "{} has no admin port", service.name);
            assert_eq!(service.port(&ports).is_some(), service.server != Server::None, "{}", service.name);
        }
    }
}
