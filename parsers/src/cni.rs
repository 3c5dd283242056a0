//! istio-cni's log: the plugin that the kubelet's runtime calls, the agent on each node, its repair controller.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_until};
use nom::{IResult, Parser};

use crate::errors;
use crate::event::{Cni, Fact, Text};
use crate::signature::{Said, Signature, refuse};

/// The known messages.
pub static SIGNATURES: &[Signature] = &[
    Signature {
        name: "cni-pod-not-captured",
        printed_by: "istio/istio: cni/pkg/nodeagent/informers.go, meshdataplane_linux.go, net_linux.go, cni-watcher.go",
        versions: "1.22+",
        meaning: "The agent could not put a pod into the mesh and gives up, or leaves it half done.",
        points_to: &["cni-failure"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\terror\tcni-agent\tFailed capturing pod, will not retry. AddPodToMesh returned: pod add cannot be retried: failed to open netns\tns=shop name=cart-7d9c-x2",
            "2026-03-02T07:10:46.833156Z\terror\tcni-agent\tfailed to add pod to ztunnel: pod partially added, annotating with pending status\tns=shop name=cart-7d9c-x2",
            "2026-03-02T07:10:46.833156Z\terror\tcni-agent\tfailed to update POD inpod: shop/cart-7d9c-x2 exit status 2",
            "2024-12-02T07:10:46.833156Z\terror\tcni-agent\tpod: shop/cart-7d9c-x2 was not enrolled and is unhealthy: partial add error: no ztunnel connection",
            "2026-03-02T07:10:46.833156Z\terror\tcni-agent\tfailed to handle add event: failed to get pod shop/cart-7d9c-x2: not found\tns=shop name=cart-7d9c-x2",
            "2026-03-02T07:10:46.833156Z\terror\tcni-agent\tfailed to add pod to ipset, pod will fail healthchecks: operation not permitted\tns=shop name=cart-7d9c-x2",
            "2026-03-02T07:10:46.833156Z\terror\tcni-agent\tfailed to reconcile inpod rules for pod, try restarting the pod, or removing and re-adding it to the mesh: exit status 1\tns=shop name=cart-7d9c-x2",
        ],
        read: pod_not_captured,
    },
    Signature {
        name: "cni-ztunnel-link-lost",
        printed_by: "istio/istio: cni/pkg/nodeagent/informers.go, ztunnelserver.go",
        versions: "1.22+",
        meaning: "No ztunnel of the node is connected to the agent; pods are handed over when one comes back.",
        points_to: &["cni-failure"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\twarn\tcni-agent\tUnable to send pod to ztunnel. Will retry. AddPodToMesh returned: no ztunnel connection\tns=shop name=cart-7d9c-x2",
            "2026-03-02T07:10:46.833156Z\terror\tcni-agent\tztunnel connection broken/unwritable, disposing of this connection",
            "2026-03-02T07:10:46.833156Z\terror\tcni-agent\tfailed to wait for ztunnel connection: accept unix /var/run/ztunnel/ztunnel.sock: use of closed network connection",
        ],
        read: ztunnel_link_lost,
    },
    Signature {
        name: "cni-ztunnel-connected",
        printed_by: "istio/istio: cni/pkg/nodeagent/ztunnelserver.go",
        versions: "1.22+",
        meaning: "ztunnel of the node is connected to the agent.",
        points_to: &[],
        examples: &["2026-03-02T07:10:46.833156Z\tinfo\tcni-agent\tnew ztunnel connected, total connected: 1"],
        read: ztunnel_connected,
    },
    Signature {
        name: "cni-plugin-failed",
        printed_by: "istio/istio: cni/pkg/plugin/plugin.go",
        versions: "all",
        meaning: "The plugin failed for a new pod: its sandbox is not made, the pod stays in ContainerCreating.",
        points_to: &["cni-failure"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\terror\tcni-plugin\tistio-cni cmdAdd failed to contact node Istio CNI agent: unable to push CNI event: Post \"http://localhost/cmdadd\": dial unix /var/run/istio-cni/pluginevent.sock: connect: connection refused\tpod=shop/cart-7d9c-x2",
            "2026-03-02T07:10:46.833156Z\terror\tcni-plugin\tistio-cni cmdAdd failed to check if pod is ambient: failed to get pod or namespace info\tpod=shop/cart-7d9c-x2",
            "2026-03-02T07:10:46.833156Z\terror\tcni-plugin\tistio-cni cmdAdd error: nftables rules failed\tpod=shop/cart-7d9c-x2",
            "2024-12-02T07:10:46.833156Z\terror\tcni-plugin\tistio-cni cmdAdd failed to signal node Istio CNI agent: unable to push CNI event (status code 500): partial add error: no ztunnel connection\tpod=shop/cart-7d9c-x2",
        ],
        read: plugin_failed,
    },
    Signature {
        name: "cni-rules-failed",
        printed_by: "istio/istio: cni/pkg/iptables/iptables.go, cni/pkg/nftables/nftables.go, cni/pkg/nodeagent/server_linux.go",
        versions: "1.22+",
        meaning: "iptables or nftables rules could not be installed, on the node or in a pod.",
        points_to: &["cni-failure", "iptables-failure"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\terror\tcni-agent\tfailed to restore iptables rules: exit status 1: iptables-restore: line 12 failed",
            "2026-03-02T07:10:46.833156Z\terror\tcni-agent\tfailed to add host netnamespace iptables rules: exit status 2",
            "2026-03-02T07:10:46.833156Z\terror\tcni-agent\tfailed to program nftable rules in the host network namespace: nftables run failed: exit status 1",
        ],
        read: rules_failed,
    },
    Signature {
        name: "cni-agent-not-installed",
        printed_by: "istio/istio: cni/pkg/cmd/root.go, cni/pkg/install/binaries.go",
        versions: "all",
        meaning: "The node agent could not put its files or its sockets on the node, and stops.",
        points_to: &["cni-failure"],
        examples: &[
            "2025-01-23T14:15:53.782388Z\terror\tcni-agent\tFailed to start up UDS Log Server: failed to create UDS listener: failed to listen on unix socket \"/var/run/istio-cni/log.sock\": listen unix /var/run/istio-cni/log.sock: bind: permission denied",
            "2024-12-05T10:08:28.301281Z\terror\tcni-agent\tInstaller exits with open /host/opt/cni/bin/istio-cni.tmp.2326387490: permission denied",
            "2024-12-05T10:08:28.301281Z\terror\tinstall\tFailed file copy of /opt/cni/bin/istio-cni to /host/opt/cni/bin: read-only file system",
        ],
        read: agent_not_installed,
    },
    Signature {
        name: "cni-repair",
        printed_by: "istio/istio: cni/pkg/repair/repaircontroller.go",
        versions: "all",
        meaning: "The repair controller found a pod that started without redirection and deletes or labels it.",
        points_to: &["cni-failure"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\tinfo\trepair\tPod detected as broken, deleting: shop/cart-7d9c-x2",
            "2026-03-02T07:10:46.833156Z\tinfo\tcni-repair\tPod detected as broken, adding label: shop/cart-7d9c-x2",
        ],
        read: repair,
    },
    Signature {
        name: "cni-known",
        printed_by: "istio/istio: cni/pkg/",
        versions: "all",
        meaning: "Normal operation, or a start that waits for the primary CNI.",
        points_to: &[],
        examples: &[
            "2026-03-02T07:10:46.833156Z\tinfo\tcni-agent\tadding pod to the mesh\tns=shop name=cart-7d9c-x2",
            "2026-03-02T07:10:46.833156Z\twarn\tinstall\tIstio CNI is configured as chained plugin, but cannot find existing CNI network config: no networks found in /host/etc/cni/net.d",
            "2026-03-02T07:10:46.833156Z\tinfo\tcni-plugin\texcluded due to being already injected with istio-init container\tpod=shop/cart-7d9c-x2",
            "2026-03-02T07:10:46.833156Z\tinfo\tcni-agent\tztunnel disconnected, total connected 0",
            "2026-03-02T07:10:46.833156Z\twarn\tcni-agent\tgot an event for pod cart-7d9c-x2 in namespace shop not found in current pod cache, retry 1 of 5",
        ],
        read: known,
    },
];

/// Beginnings of lines that tell of normal operation, or of a retry whose end is told elsewhere.
const KNOWN: &[&str] = &[
    "adding pod to the mesh",
    "removing pod from mesh",
    "CNI ambient server ",
    "starting listener for CNI plugin events",
    "ztunnel disconnected",
    "received hello from ztunnel",
    "sending pod add to ztunnel",
    "sending pod to ztunnel as part of snapshot",
    "netns is not available for pod",
    "pod netns already gone",
    "failed to find pod netns",
    "failed to remove pod to ztunnel",
    "failed to remove pod from mesh",
    "file modified: ",
    "timed out waiting for valid ztunnel response",
    "got an event for pod ",
    "failed to construct initial",
    "inpod reconcile mode enabled",
    "Namespace ",
    "configuring host-level iptables rules",
    "Adding host netnamespace iptables rules",
    "Adding nftable rules on the host",
    "native nftables enabled",
    "Native nftables is configured",
    "iptables artifacts",
    "detected iptables artifact",
    "Istio CNI is configured as chained plugin",
    "Waiting for CNI network config file",
    "Istio CNI configuration and binaries",
    "initial installation complete",
    "detected changes to the node-level CNI setup",
    "configuration requires updates, (re)writing CNI config",
    "valid Istio config present in node-level CNI file",
    "wrote kubeconfig file",
    "Wrote CNI config to",
    "Copied ",
    "Target folder ",
    "excluded ",
    "pod namespace ",
    "in a degraded state and ",
    "Repairing pod...",
    "pod repaired",
    "starting CNI sidecar repair controller",
    "CNI repair controller is disabled",
    "terminating, ",
    "parent DaemonSet ",
];

fn known<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    let ours = said.scope.starts_with("cni") || matches!(&*said.scope, "install" | "repair" | "ambient");
    match KNOWN.iter().find_map(|begin| message.strip_prefix(begin)) {
        Some(rest) if ours => Ok((rest, Fact::Known)),
        _ => refuse(message),
    }
}

fn setup_failed(said: &Said<'_>, named: Option<&str>, reason: &str) -> Fact {
    let labelled = said.field("ns").zip(said.field("name")).map(|(namespace, name)| format!("{namespace}/{name}"));
    let pod = named.map(Text::from).or(labelled.map(Text::from)).or_else(|| said.field("pod").map(Text::from));
    Fact::Cni(Cni::SetupFailed { pod, fault: errors::fault(reason) })
}

fn pod_not_captured<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    // `pod: <namespace>/<pod> was not enrolled and is unhealthy: <error>` (1.24)
    let unhealthy =
        message.strip_prefix("pod: ").and_then(|rest| rest.split_once(" was not enrolled and is unhealthy: "));
    if let Some((pod, reason)) = unhealthy {
        return Ok(("", setup_failed(said, Some(pod), reason)));
    }
    // `failed to update POD inpod: <namespace>/<pod> <error>` names the pod itself.
    if let Some((pod, reason)) =
        message.strip_prefix("failed to update POD inpod: ").and_then(|rest| rest.split_once(' '))
    {
        return Ok(("", setup_failed(said, Some(pod), reason)));
    }
    let (rest, begin) = alt((
        tag("Failed capturing pod, will not retry. AddPodToMesh returned: "),
        tag("failed to add pod to ztunnel: "),
        tag("failed to handle add event: "),
        tag("failed to add pod to addressSet, "),
        tag("failed to add pod to ipset, "),
        tag("failed to reconcile inpod rules for pod"),
        tag("failed to add workload: "),
    ))
    .parse(message)?;
    let reason = if begin.ends_with("returned: ") || begin.ends_with("event: ") { rest } else { message };
    Ok(("", setup_failed(said, None, reason)))
}

fn agent_not_installed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    let begins = ["Failed to start up UDS Log Server: ", "Installer exits with ", "Failed file copy of "];
    let reason = begins.iter().find_map(|begin| message.strip_prefix(begin));
    match reason {
        // The agent is stopped as planned.
        Some(reason) if reason.starts_with("context canceled") => Ok(("", Fact::Known)),
        Some(reason) => Ok(("", setup_failed(said, None, reason.lines().next().unwrap_or(reason)))),
        None => refuse(message),
    }
}

fn ztunnel_link_lost<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    let (rest, begin) = alt((
        tag("Unable to send pod to ztunnel. Will retry. AddPodToMesh returned: "),
        tag("ztunnel connection broken/unwritable"),
        tag("failed to wait for ztunnel connection: "),
    ))
    .parse(message)?;
    let reason = if begin.ends_with(": ") { rest } else { message };
    Ok(("", Fact::Cni(Cni::AgentUnreachable(reason.into()))))
}

fn ztunnel_connected<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = tag("new ztunnel connected").parse(&*said.message)?;
    Ok((rest, Fact::Cni(Cni::AgentConnected)))
}

fn plugin_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = alt((
        tag("istio-cni cmdAdd failed to contact node Istio CNI agent: "),
        tag("istio-cni cmdAdd failed to signal node Istio CNI agent: "),
        tag("istio-cni failed with: "),
        tag("istio-cni cmdAdd failed to check if pod is ambient: "),
        tag("istio-cni cmdAdd failed to parse config "),
        tag("istio-cni cmdAdd error: "),
        tag("redirect failed due to bad params: "),
    ))
    .parse(&*said.message)?;
    Ok(("", setup_failed(said, None, rest)))
}

fn rules_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    let (_, _) = alt((
        tag("failed to restore iptables rules: "),
        tag("failed to add host netnamespace iptables rules: "),
        tag("failed to program nftable rules in the host network namespace: "),
        tag("error initializing the host rules for health checks"),
        tag("failed to setup redirection: "),
        tag("Can't switch to host namespace: "),
    ))
    .parse(message)?;
    Ok(("", Fact::Cni(Cni::RulesFailed(message.into()))))
}

fn repair<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    let (rest, _) = tag("Pod detected as broken, ").parse(message)?;
    let (pod, _) = take_until(": ").parse(rest)?;
    let pod = pod.trim_start_matches(": ").trim();
    let fact = Cni::SetupFailed { pod: Some(pod.into()), fault: errors::fault(message) };
    Ok(("", Fact::Cni(fact)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header;

    fn read(text: &str) -> Option<Fact> {
        let (said, _) = header::read(text, None);
        SIGNATURES.iter().find_map(|signature| (signature.read)(&said).ok().map(|(_, fact)| fact))
    }

    #[test]
    fn the_pod_is_named_by_label_or_by_message() {
        let pod = |text: &str| match read(text) {
            Some(Fact::Cni(Cni::SetupFailed { pod, .. })) => pod.map(|pod| pod.to_string()),
            other => panic!("{other:?}"),
        };
        let labelled = "2026-03-02T07:10:46.833156Z\terror\tcni-agent\tFailed capturing pod, will not retry. AddPodToMesh returned: x\tns=shop name=cart-1";
        let in_message =
            "2026-03-02T07:10:46.833156Z\terror\tcni-agent\tfailed to update POD inpod: shop/cart-1 exit status 2";
        let broken = "2026-03-02T07:10:46.833156Z\tinfo\trepair\tPod detected as broken, deleting: shop/cart-1";
        for text in [labelled, in_message, broken] {
            assert_eq!(pod(text).as_deref(), Some("shop/cart-1"), "{text}");
        }
    }
}
