//! Which method is meant.

use prost_reflect::{DescriptorPool, MethodDescriptor, ServiceDescriptor};

use super::{failure::Failure, reflect::Reflection};

/// What declares a symbol that the server knows.
pub(super) async fn known(reflection: &mut Reflection, symbol: &str) -> Result<DescriptorPool, Failure> {
    if let Some(pool) = reflection.pool(symbol).await? {
        return Ok(pool);
    }
    let services = reflection.services().await?.join(", ");
    Err(Failure::Usage(format!("the server does not know {symbol}; its services are {services}")))
}

/// Finds `package.Service/Method` or `package.Service.Method`; and `Service/Method` and `Method` among the server's own
/// services, where one alone is meant. `list-users`, `list_users`, `listUsers` and `ListUsers` mean the same.
pub(super) async fn find(reflection: &mut Reflection, name: &str) -> Result<MethodDescriptor, Failure> {
    let (service, method) = match name.rsplit_once(['/', '.']) {
        Some((service, method)) => (Some(service), method),
        None => (None, name),
    };
    if let Some(service) = service
        && let Some(pool) = reflection.pool(service).await?
    {
        let found = pool.get_service_by_name(service);
        let named = found.as_ref().and_then(|found| found.methods().find(|of| folded(of.name()) == folded(method)));
        return named.ok_or_else(|| Failure::Usage(unknown_of(service, name, found.as_ref())));
    }
    let mut own = own_services(reflection).await?;
    own.retain(|of| service.is_none_or(|service| is_called(of, service)));
    if let (Some(service), true) = (service, own.is_empty()) {
        return known(reflection, service).await.and_then(|_| Err(Failure::Usage(format!("{service} is not a service"))));
    }
    one_of(&own, name, method)
}

fn unknown_of(service: &str, name: &str, found: Option<&ServiceDescriptor>) -> String {
    let methods = found.map(|found| found.methods().map(|method| method.name().to_owned()).collect::<Vec<_>>().join(", "));
    let methods = methods.unwrap_or_else(|| "none, for it is no service".to_owned());
    format!("{service} has no method {name:?}; its methods are {methods}")
}

fn one_of(services: &[ServiceDescriptor], name: &str, method: &str) -> Result<MethodDescriptor, Failure> {
    let all = || services.iter().flat_map(ServiceDescriptor::methods);
    let mut meant: Vec<_> = all().filter(|of| folded(of.name()) == folded(method)).collect();
    match (meant.pop(), meant.as_slice()) {
        (Some(one), []) => Ok(one),
        (Some(last), others) => {
            let candidates = list(others.iter().chain([&last]));
            Err(Failure::Usage(format!("{name:?} is the name of several methods; give one of:{candidates}")))
        }
        (None, _) => {
            let all: Vec<_> = all().collect();
            Err(Failure::Usage(format!("the server has no method {name:?}; give package.Service/Method, or one of:{}", list(&all))))
        }
    }
}

fn list<'a>(methods: impl IntoIterator<Item = &'a MethodDescriptor>) -> String {
    methods.into_iter().map(|method| format!("\n  {}/{}", method.parent_service().full_name(), method.name())).collect()
}

/// The services of the server itself: without those that gRPC brings along.
async fn own_services(reflection: &mut Reflection) -> Result<Vec<ServiceDescriptor>, Failure> {
    let (mut found, mut pools) = (Vec::new(), Vec::<DescriptorPool>::new());
    for name in reflection.services().await?.into_iter().filter(|name| !name.starts_with("grpc.")) {
        let mut service = pools.iter().find_map(|pool| pool.get_service_by_name(&name));
        if service.is_none()
            && let Some(pool) = reflection.pool(&name).await?
        {
            service = pool.get_service_by_name(&name);
            pools.push(pool);
        }
        found.extend(service);
    }
    Ok(found)
}

/// Whether a service goes by this name: the last part of its own, or more of it.
fn is_called(service: &ServiceDescriptor, name: &str) -> bool {
    let (full, name) = (folded(service.full_name()), folded(name));
    full.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The same for kebab, snake, camel and Pascal case.
fn folded(name: &str) -> String {
    name.chars().filter(|sign| !['-', '_'].contains(sign)).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services() -> Vec<ServiceDescriptor> {
        DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap().services().collect()
    }

    fn found(name: &str) -> Result<String, String> {
        let found = one_of(&services(), name, name);
        found.map(|method| method.full_name().to_owned()).map_err(|failure| failure.text())
    }

    #[test]
    fn a_method_is_found_in_every_way_to_write_it() {
        for name in ["list-users", "list_users", "listUsers", "ListUsers", "LIST-USERS"] {
            assert_eq!(found(name).unwrap(), "throughline.auth.v1.UserService.ListUsers");
        }
        let unknown = found("list-user").unwrap_err();
        assert!(unknown.contains("\"list-user\"") && unknown.contains("\n  throughline.auth.v1.UserService/ListUsers"), "{unknown}");
    }

    #[test]
    fn a_name_that_is_there_twice_is_not_guessed() {
        let twice: Vec<_> = services().into_iter().chain(services()).collect();
        let failure = one_of(&twice, "login", "login").unwrap_err().text();
        assert_eq!(failure.lines().filter(|line| line.trim() == "throughline.auth.v1.AuthService/Login").count(), 2, "{failure}");
    }

    #[test]
    fn a_service_is_called_by_the_end_of_its_name() {
        let users = services().into_iter().find(|service| service.name() == "UserService").unwrap();
        for name in ["UserService", "user-service", "v1.UserService", "throughline.auth.v1.UserService"] {
            assert!(is_called(&users, name), "{name}");
        }
        for name in ["Service", "erService", "auth.v1", "SessionService", "x.throughline.auth.v1.UserService"] {
            assert!(!is_called(&users, name), "{name}");
        }
    }
}
