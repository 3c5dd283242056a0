//! Walks one call through the mesh as state shows it: why does it not reach the other cluster?

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod call;
mod client;
mod far;
mod hops;
mod lines;
mod reach;
mod service;

use call::{Call, Plane};
use hops::Hops;
use reach::Known;

use crate::engine::check::Checked;
use crate::engine::mesh::Cluster;
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

/// Walks a call through what is known and what checks said of it. The error says what was not found, and what is known.
pub fn walk(view: &View<'_>, checked: &[Checked], from: &From, to: &To) -> Result<Trace, String> {
    let call = Call::find(view, checked, from, to)?;
    let title = format!("{}/{}", call.near.title(), call.who());
    let called = format!("{}:{}", call.service.host, call.service.port);
    let mut hops = Hops::default();
    let goes_on = hops.walk(client::client(&call))
        && (call.plane == Plane::Unknown || hops.walk(client::proxy(&call)))
        && hops.walk(service::at_the_client(&call))
        && far::waypoint(&call, call.near).is_none_or(|step| hops.walk(step));
    if goes_on {
        clusters(&call, &mut hops);
    }
    if !hops.fails() {
        lines::traffic(&call).map(|step| hops.walk(step));
    }
    Ok(hops.trace(title, called))
}

/// The ways to all clusters in which the service runs, the own one first: each is walked until it ends.
fn clusters(call: &Call<'_>, hops: &mut Hops) {
    let known = Known::of(call, call.near);
    let runs_here = known.runs();
    if runs_here && hops.walk(reach::endpoints(call, call.near, &known)) {
        hops.walk(far::application(call, call.near, &known));
    }
    let mut runs = runs_here;
    for far in call.others() {
        let known = Known::of(call, far);
        if known.may_run() {
            runs = true;
            crossing(call, far, &known, hops);
        }
    }
    if !runs {
        hops.walk(far::nowhere(call));
    }
}

/// The way into another cluster.
fn crossing(call: &Call<'_>, far: &Cluster, known: &Known<'_>, hops: &mut Hops) -> bool {
    let mut goes_on = |step: Option<hops::Step>| step.is_none_or(|step| hops.walk(step));
    goes_on(service::at_the_server(call, far))
        && goes_on(reach::link(call, far, known))
        && goes_on(Some(reach::endpoints(call, far, known)))
        && goes_on(far::gateway(call, far, known))
        && goes_on(Some(far::trust(call, far)))
        && goes_on(far::waypoint(call, far))
        && goes_on(Some(far::application(call, far, known)))
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
