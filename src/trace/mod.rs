//! Walks one call through the mesh as state shows it: why does it not reach the other cluster?

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

use crate::engine::trace::Trace;
use crate::engine::view::View;

/// Who calls: a pod, or a workload by the name of its Deployment, app or service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// Cluster; empty where not given.
    pub cluster: String,
    /// Namespace; `default` where not given.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// What is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct To {
    /// Host: short, with its namespace, or in full.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl From {
    /// Reads `sleep.sample`, `cluster1/sleep.sample`, `sleep`.
    pub fn parse(text: &str) -> Option<From> {
        let (cluster, rest) = text.split_once('/').unwrap_or(("", text));
        let (name, namespace) = rest.split_once('.').unwrap_or((rest, "default"));
        let is_name = |part: &str| !part.is_empty() && !part.contains(['/', ':', ' ']);
        (is_name(name) && is_name(namespace) && !cluster.contains(' ')).then(|| From {
            cluster: cluster.to_string(),
            namespace: namespace.to_string(),
            name: name.to_string(),
        })
    }
}

impl To {
    /// Reads `helloworld.sample:5000`, `http://helloworld.sample.svc.cluster.local:5000/hello`.
    pub fn parse(text: &str) -> Option<To> {
        let (rest, default) = match text.split_once("://") {
            Some(("http", rest)) => (rest, Some(80)),
            Some(("https", rest)) => (rest, Some(443)),
            Some(_) => return None,
            None => (text, None),
        };
        let authority = rest.split('/').next().unwrap_or(rest);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (authority, default),
        };
        let port: u16 = port.filter(|port| *port > 0)?;
        (!host.is_empty() && !host.contains(' ')).then(|| To { host: host.to_string(), port })
    }
}

/// Walks a call. Not built yet: the error says so.
pub fn walk(_: &View<'_>, from: &From, to: &To) -> Result<Trace, String> {
    Err(format!(
        "cannot trace {}.{} to {}:{}: calls are not walked yet\nhint: `meshwhy check` tells what is wrong with the state",
        from.name, from.namespace, to.host, to.port
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_and_hosts_are_read_as_people_write_them() {
        let from = From::parse("cluster1/sleep.sample").expect("a caller");
        assert_eq!((&*from.cluster, &*from.name, &*from.namespace), ("cluster1", "sleep", "sample"));
        assert_eq!(From::parse("sleep").expect("a caller").namespace, "default");
        assert_eq!(From::parse("a b"), None);
        let to = |text: &str| To::parse(text).map(|to| (to.host, to.port));
        assert_eq!(to("helloworld.sample:5000"), Some(("helloworld.sample".to_string(), 5000)));
        assert_eq!(to("http://helloworld.sample/hello"), Some(("helloworld.sample".to_string(), 80)));
        assert_eq!(to("helloworld.sample"), None);
        assert_eq!(to("helloworld.sample:0"), None);
    }
}
