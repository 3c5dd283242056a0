//! What NetworkPolicies let into a pod.

use meshwhy_parsers::event::Text;
use meshwhy_parsers::state::object::{Body, Map, NetworkPolicy, Object};

use super::{Cluster, Doc};

impl Cluster {
    /// The NetworkPolicy because of which no packet to a TCP port of a pod is let in, from wherever: policies add up, so
    /// that one which allows the port is enough. `None` also where a policy selects in a way that cannot be followed.
    pub fn shut_by(&self, pod: &Object, port: u16) -> Option<(&Doc<Object>, &NetworkPolicy)> {
        let labels = pod.labels.as_ref()?;
        let mut shut = None;
        for object in self.objects("NetworkPolicy").filter(|object| object.namespace == pod.namespace) {
            let Body::NetworkPolicy(policy) = &object.body else { continue };
            if !policy.limits_ingress {
                continue;
            }
            match selects(&policy.selector, labels) {
                Some(true) if !policy.ingress_ports.iter().any(|ports| allows(ports, port)) => {
                    shut = shut.or(Some((object, policy)));
                }
                Some(false) => {}
                Some(true) | None => return None,
            }
        }
        shut
    }
}

/// Whether a selector selects these labels; `None` where it uses expressions.
fn selects(selector: &Map, labels: &Map) -> Option<bool> {
    // As the reader of objects writes them: `In (a,b)`.
    let is_expression = |value: &Text| value.contains(" (") || ["Exists", "DoesNotExist"].contains(&&**value);
    let (expressions, plain): (Vec<_>, Vec<_>) = selector.iter().partition(|(_, value)| is_expression(value));
    let fits = plain.into_iter().all(|(key, value)| labels.get(key) == Some(value));
    match (fits, expressions.is_empty()) {
        (false, _) => Some(false),
        (true, true) => Some(true),
        (true, false) => None,
    }
}

/// Whether the ports of a rule (`15008`, `8000-9000`, `http`, `53/UDP`, `TCP`; none for all) let a TCP port in. A named
/// port is one that a container of the pod declares, which none does for the mesh's own.
fn allows(ports: &[Text], wanted: u16) -> bool {
    let is_it = |port: &Text| {
        if &**port == "TCP" {
            return true;
        }
        match port.split_once('-') {
            Some((from, to)) => match (from.parse::<u16>(), to.parse::<u16>()) {
                (Ok(from), Ok(to)) => (from..=to).contains(&wanted),
                _ => false,
            },
            None => port.parse() == Ok(wanted),
        }
    };
    ports.is_empty() || ports.iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(ports: &[&str]) -> Vec<Text> {
        ports.iter().map(|port| Text::from(*port)).collect()
    }

    #[test]
    fn a_rule_lets_in_what_its_ports_name() {
        for open in [&[][..], &["15008"], &["http", "15000-15100"], &["TCP"]] {
            assert!(allows(&ports(open), 15008), "{open:?}");
        }
        for shut in [&["5000"][..], &["http"], &["15008/UDP"], &["1000-15007"], &["UDP"]] {
            assert!(!allows(&ports(shut), 15008), "{shut:?}");
        }
    }

    #[test]
    fn a_selector_with_expressions_is_followed_as_far_as_its_labels_go() {
        let map = |pairs: &[(&str, &str)]| -> Map {
            pairs.iter().map(|(key, value)| (Text::from(*key), Text::from(*value))).collect()
        };
        let labels = map(&[("app", "cart"), ("tier", "web")]);
        assert_eq!(selects(&map(&[]), &labels), Some(true));
        assert_eq!(selects(&map(&[("app", "cart")]), &labels), Some(true));
        assert_eq!(selects(&map(&[("app", "shop")]), &labels), Some(false));
        assert_eq!(selects(&map(&[("tier", "In (web,api)")]), &labels), None);
        assert_eq!(selects(&map(&[("tier", "Exists")]), &labels), None);
        assert_eq!(selects(&map(&[("app", "shop"), ("tier", "Exists")]), &labels), Some(false));
    }
}
