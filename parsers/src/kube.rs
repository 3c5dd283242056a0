//! What Kubernetes prints: kube-apiserver and kubelet lines, events, refusals of the API.
//!
//! Sources: `kubernetes/kubernetes: staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/`,
//! `pkg/kubelet/events/event.go`, `pkg/scheduler/`, the kernel's `net/netfilter/nf_conntrack_core.c`.

use std::borrow::Cow;

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, tag_no_case, take_until};
use nom::character::complete::{char, multispace0};
use nom::combinator::{opt, rest};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use crate::errors::fault;
use crate::event::{Cni, Config, ConfigWhat, Exhausted, Fact, Level, Process, Text, Webhook};
use crate::header::unescape;
use crate::signature::{Said, Signature, refuse};
use crate::state::State;

/// The known messages.
pub static SIGNATURES: &[Signature] = &[
    Signature {
        name: "webhook-dry-run-refused",
        printed_by: "istio/istio: pkg/webhooks/validation/controller/controller.go",
        versions: "all",
        meaning: "istiod tested its own validation webhook with an empty Gateway, which has to be refused.",
        points_to: &[],
        examples: &[
            "admission webhook \"validation.istio.io\" denied the request: configuration is invalid: gateway must have at least one server",
        ],
        read: dry_run_refused,
    },
    Signature {
        name: "webhook-call-failed",
        printed_by: "kubernetes/kubernetes: staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/errors/statuserror.go",
        versions: "all",
        meaning: "The API server could not call a webhook, or did not trust the certificate it met there.",
        points_to: &["webhook-unreachable", "webhook-cert-untrusted", "webhook-stale", "istiod-down"],
        examples: &[
            "Failed calling webhook, failing open validation.istio.io: failed calling webhook \"validation.istio.io\": Post https://istiod.istio-system.svc:443/validate?timeout=30s: dial tcp 10.9.5.2:443: connect: connection refused",
            "Error creating: Internal error occurred: failed calling webhook \"namespace.sidecar-injector.istio.io\": failed to call webhook: Post \"https://istiod.istio-system.svc:443/inject?timeout=10s\": context deadline exceeded",
            "Error from server (InternalError): error when creating \"gw.yaml\": Internal error occurred: failed calling webhook \"validation.istio.io\": failed to call webhook: Post \"https://istiod-1-20.istio-system.svc:443/validate?timeout=10s\": service \"istiod-1-20\" not found",
            "Error from server (InternalError): error when creating \"gw.yaml\": Internal error occurred: failed calling admission webhook \"pilot.validation.istio.io\": Post https://istio-galley.istio-system.svc:443/admitpilot?timeout=30s: x509: certificate has expired or is not yet valid",
            "W0602 08:30:00.100200       1 dispatcher.go:170] Failed calling webhook, failing open rev.object.sidecar-injector.istio.io: failed calling webhook \"rev.object.sidecar-injector.istio.io\": failed to call webhook: Post \"https://istiod.istio-system.svc:443/inject?timeout=10s\": no endpoints available for service \"istiod\"",
        ],
        read: webhook_call_failed,
    },
    Signature {
        name: "webhook-denied",
        printed_by: "kubernetes/kubernetes: staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/errors/statuserror.go",
        versions: "all",
        meaning: "A webhook answered and refused the object.",
        points_to: &["config-invalid"],
        examples: &[
            "Error from server: error when creating \"vs.yaml\": admission webhook \"validation.istio.io\" denied the request: configuration is invalid: no destination host",
        ],
        read: webhook_denied,
    },
    Signature {
        name: "resource-refused",
        printed_by: "kubernetes/kubernetes: kubectl, apiserver; istio/istio: istioctl validate",
        versions: "all",
        meaning: "A resource of Istio or the Gateway API does not fit its schema and is not created.",
        points_to: &["config-invalid"],
        examples: &[
            "error: error validating \"gw.yaml\": error validating data: ValidationError(EnvoyFilter.spec): unknown field \"filters\" in io.istio.networking.v1alpha3.EnvoyFilter.spec; if you choose to ignore these errors, turn validation off with --validate=false",
            "Error: 1 error occurred:\n\t* EnvoyFilter/shop/rewrite: cannot parse proto message: unknown field \"filters\" in v1alpha3.EnvoyFilter",
            "Error from server (BadRequest): error when creating \"vs.yaml\": VirtualService in version \"v1beta1\" cannot be handled as a VirtualService: strict decoding error: unknown field \"spec.htp\"",
            "The DestinationRule \"cart\" is invalid: spec.host: Required value",
        ],
        read: resource_refused,
    },
    Signature {
        name: "pod-sandbox-failed",
        printed_by: "kubernetes/kubernetes: pkg/kubelet/kuberuntime/kuberuntime_sandbox.go",
        versions: "all",
        meaning: "The node could not set up a pod's network.",
        points_to: &["cni-failure"],
        examples: &[
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox \"7c2\": plugin type=\"istio-cni\" name=\"istio-cni\" failed (add): unable to push CNI event",
            "Failed create pod sandbox: rpc error: code = Unknown desc = failed to set up sandbox container \"7c2\" network for pod \"cart-1\": NetworkPlugin cni failed to set up pod \"cart-1_shop\" network: exit status 3",
        ],
        read: sandbox_failed,
    },
    Signature {
        name: "token-request-unsupported",
        printed_by: "kubernetes/kubernetes: pkg/kubelet/token/token_manager.go",
        versions: "all",
        meaning: "The API server does not issue the bound token that the proxy's volume asks for.",
        points_to: &["third-party-jwt-unsupported"],
        examples: &[
            "MountVolume.SetUp failed for volume \"istio-token\" : failed to fetch token: the API server does not have TokenRequest endpoints enabled",
        ],
        read: token_request_unsupported,
    },
    Signature {
        name: "killed-for-memory",
        printed_by: "kubernetes/kubernetes: pkg/kubelet/oom/; the kernel's mm/oom_kill.c",
        versions: "all",
        meaning: "The kernel killed a process because memory ran out.",
        points_to: &["resource-exhaustion"],
        examples: &[
            "Memory cgroup out of memory: Killed process 4711 (pilot-discovery) total-vm:5230420kB",
            "    Reason:       OOMKilled",
        ],
        read: killed_for_memory,
    },
    Signature {
        name: "node-low-on-resource",
        printed_by: "kubernetes/kubernetes: pkg/kubelet/eviction/helpers.go",
        versions: "all",
        meaning: "The kubelet evicted a pod because its node ran out of something.",
        points_to: &["resource-exhaustion"],
        examples: &["The node was low on resource: ephemeral-storage. Threshold quantity: 2Gi, available: 900Mi."],
        read: node_low,
    },
    Signature {
        name: "conntrack-table-full",
        printed_by: "linux: net/netfilter/nf_conntrack_core.c",
        versions: "all",
        meaning: "The node's connection table is full: it drops packets of new connections.",
        points_to: &["conntrack-problem"],
        examples: &["[81223.120301] nf_conntrack: nf_conntrack: table full, dropping packet"],
        read: conntrack_full,
    },
    Signature {
        name: "resource-type-missing",
        printed_by: "kubernetes/kubernetes: staging/src/k8s.io/cli-runtime/pkg/resource/",
        versions: "all",
        meaning: "The cluster does not know a resource type: its CRD is not installed.",
        points_to: &["crd-missing"],
        examples: &[
            "error: resource mapping not found for name: \"gw\" namespace: \"shop\" from \"gw.yaml\": no matches for kind \"Gateway\" in version \"gateway.networking.k8s.io/v1\"",
            "error: the server doesn't have a resource type \"gateways\"",
        ],
        read: type_missing,
    },
    Signature {
        name: "object-not-found",
        printed_by: "kubernetes/kubernetes: staging/src/k8s.io/apimachinery/pkg/api/errors/errors.go",
        versions: "all",
        meaning: "An object asked for does not exist.",
        points_to: &["remote-secret-missing", "istiod-remote-missing"],
        examples: &["Error from server (NotFound): endpoints \"istiod\" not found"],
        read: object_not_found,
    },
    Signature {
        name: "proxy-container-missing",
        printed_by: "kubernetes/kubectl: pkg/cmd/logs/; kubernetes/kubernetes: pkg/registry/core/pod/strategy.go",
        versions: "all",
        meaning: "A pod was asked for its sidecar's log, and has no sidecar.",
        points_to: &["injection-missing"],
        examples: &[
            "error: container istio-proxy is not valid for pod web-7c9f",
            "Error from server (BadRequest): container istio-proxy is not valid for pod web-7c9f",
        ],
        read: proxy_container_missing,
    },
    Signature {
        name: "kubectl-remark",
        printed_by: "kubernetes/kubectl: pkg/cmd/exec/, pkg/cmd/logs/",
        versions: "all",
        meaning: "A remark of kubectl about itself.",
        points_to: &[],
        examples: &[
            "command terminated with exit code 7",
            "Defaulted container \"istio-proxy\" out of: istio-proxy, istio-init (init)",
            "Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        ],
        read: remark,
    },
];

/// A Kubernetes event as a fact: what its message says, where that is known, else the event itself.
pub fn event(kind: &str, reason: &str, object: &str, message: &str) -> Fact {
    let said = Said {
        at: None,
        level: Level::Warn,
        scope: Cow::Borrowed(""),
        spans: Cow::Borrowed(""),
        message: Cow::Borrowed(message),
        fields: Vec::new(),
    };
    if kind != "Normal" {
        let told = SIGNATURES.iter().find_map(|signature| (signature.read)(&said).ok());
        if let Some((_, fact)) = told {
            return fact;
        }
    }
    Fact::State(Box::new(State::KubeEvent {
        kind: kind.into(),
        reason: reason.into(),
        object: object.into(),
        message: message.into(),
    }))
}

/// Reads an event without its header: `Warning  Reason  Age  From  Message` of `kubectl describe`,
/// `Age  Warning  Reason  Object  Message` of `kubectl get events`.
pub fn event_row(text: &str) -> Option<Fact> {
    let text = text.trim_start();
    let (first, tail) = text.split_once(char::is_whitespace)?;
    let is_kind = |word: &str| matches!(word, "Warning" | "Normal");
    let is_age = first.len() < 10 && first.starts_with(|c: char| c.is_ascii_digit() || c == '<');
    if !is_kind(first) && !is_age {
        return None;
    }
    let (kind, tail) = match is_kind(first) {
        true => (first, tail),
        // `5m   Warning`, `2m (x14 over 5m)   Warning`.
        false => {
            let at =
                ["  Warning  ", "  Normal  ", "\tWarning\t", "\tNormal\t"].iter().find_map(|kind| text.find(kind))?;
            if at > 40 {
                return None;
            }
            text[at..].trim_start().split_once(char::is_whitespace)?
        }
    };
    let wide: Vec<&str> = tail.split(['\n', '\t']).flat_map(|part| part.split("  ")).map(str::trim).collect();
    let fields: Vec<&str> = wide.into_iter().filter(|field| !field.is_empty()).collect();
    if !is_reason(fields.first()?) {
        return None;
    }
    let (object, message) = match (is_kind(first), fields.as_slice()) {
        (false, [_, object, message @ ..]) => (*object, message),
        // The age or the source may be missing from a shortened copy.
        (true, [_, _age, _from, message @ ..]) if !message.is_empty() => ("", message),
        (_, [_, message @ ..]) => ("", message),
        _ => return None,
    };
    Some(event(kind, fields.first()?, object, &message.join(" ")))
}

/// `FailedCreate`: one word in camel case.
fn is_reason(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase()) && word.bytes().all(|c| c.is_ascii_alphanumeric())
}

fn dry_run_refused<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) =
        take_until("configuration is invalid: gateway must have at least one server").parse(&*said.message)?;
    Ok((rest, Fact::Known))
}

fn webhook_call_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    // Structured klog quotes the whole error: `err="... webhook \"x\": Post \"https://...\": ..."`.
    let plain = if message.contains("\\\"") { Cow::Owned(unescape(message)) } else { Cow::Borrowed(message) };
    match called(&plain) {
        Ok((_, called)) => Ok(("", Fact::Webhook(called))),
        Err(_) => refuse(message),
    }
}

/// `failed calling webhook "name": [failed to call webhook:] [Post "url":] reason`.
fn called(message: &str) -> IResult<&str, Webhook> {
    let quoted = |input| delimited(char('"'), is_not("\""), char('"')).parse(input);
    // `failed calling admission webhook` up to Kubernetes 1.15.
    let called = alt((take_until("ailed calling webhook \""), take_until("ailed calling admission webhook \"")));
    let (tail, name) = preceded((called, take_until("\"")), quoted).parse(message)?;
    let (tail, _) = (opt(char(':')), multispace0).parse(tail)?;
    let (tail, _) = (opt(tag("failed to call webhook:")), multispace0).parse(tail)?;
    let (tail, url) = opt(post).parse(tail)?;
    let reason = folded(tail.trim_start_matches([':', ' ']));
    let fault = fault(&reason);
    Ok(("", Webhook::CallFailed { name: name.into(), url: url.unwrap_or("").into(), fault }))
}

/// `Post "https://...": ` and the old form without quotes.
fn post(input: &str) -> IResult<&str, &str> {
    let quoted = delimited(char('"'), is_not("\""), char('"'));
    let bare = take_until(": ");
    preceded((tag("Post"), multispace0), alt((quoted, bare))).parse(input)
}

/// A text that was wrapped for a terminal or a page, in one line.
pub fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn webhook_denied<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    let name = |input: &'a str| {
        preceded(
            (take_until("admission webhook "), tag("admission webhook "), opt(char('\\')), char('"')),
            is_not("\\\""),
        )
        .parse(input)
    };
    let (tail, name) = name(message)?;
    let (_, reason) =
        preceded((take_until("denied the request"), tag("denied the request"), opt(tag(": "))), rest).parse(tail)?;
    Ok(("", Fact::Webhook(Webhook::Denied { name: name.into(), reason: folded(reason).into() })))
}

/// A resource that does not fit its schema: told by kubectl, the API server or istioctl.
fn resource_refused<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    const KINDS: [&str; 14] = [
        "VirtualService",
        "DestinationRule",
        "Gateway",
        "ServiceEntry",
        "Sidecar",
        "EnvoyFilter",
        "WorkloadEntry",
        "WorkloadGroup",
        "AuthorizationPolicy",
        "PeerAuthentication",
        "RequestAuthentication",
        "Telemetry",
        "WasmPlugin",
        "HTTPRoute",
    ];
    let text = folded(&said.message);
    let message = &*said.message;
    let reason = match () {
        () if text.contains("error validating data: ") && text.contains("io.istio.") => {
            text.split_once("error validating data: ").map(|(_, reason)| reason)
        }
        () if text.contains(" cannot be handled as a ") => {
            text.split_once(" cannot be handled as a ").map(|(_, reason)| reason)
        }
        () if text.contains("cannot parse proto message: ") => text.split_once("* ").map(|(_, reason)| reason),
        () if text.starts_with("The ") => text.split_once(" is invalid: ").map(|(head, _)| head).and(Some(&*text)),
        () => None,
    };
    let Some(reason) = reason else { return refuse(message) };
    let names = |kind: &&str| text.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word == *kind);
    let Some(kind) = KINDS.iter().find(|kind| names(kind)) else { return refuse(message) };
    let config = Config { resource: (*kind).into(), what: ConfigWhat::Invalid, reason: reason.trim().into() };
    Ok(("", Fact::Config(config)))
}

fn sandbox_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    // Before Kubernetes 1.19 without `to`.
    let (tail, _) =
        alt((take_until("ailed to create pod sandbox"), take_until("ailed create pod sandbox"))).parse(message)?;
    let reason = folded(tail.split_once(": ").map_or(tail, |(_, reason)| reason));
    Ok(("", Fact::Cni(Cni::SetupFailed { pod: None, fault: fault(&reason) })))
}

fn token_request_unsupported<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    let (_, _) = take_until("TokenRequest endpoints enabled").parse(message)?;
    Ok(("", Fact::Process(Process::TokenUnsupported(message.trim().into()))))
}

fn exhausted<'a>(what: &str, message: &str) -> IResult<&'a str, Fact> {
    Ok(("", Fact::Exhausted(Exhausted { what: what.into(), reason: message.trim().into() })))
}

fn killed_for_memory<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = said.message.trim();
    // `kubectl describe` and YAML nest it deep; the framing joins what is indented.
    let in_pod = message.contains("OOMKilled") && folded(message).to_ascii_lowercase().contains("reason: oomkilled");
    let in_kernel = message.contains("Memory cgroup out of memory") || message.contains("System OOM encountered");
    if in_pod || in_kernel || message.starts_with("OOMKilled") { exhausted("memory", message) } else { refuse(message) }
}

fn node_low<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    let (tail, _) =
        (take_until("The node was low on resource: "), tag("The node was low on resource: ")).parse(message)?;
    let (_, what) = is_not(". ").parse(tail)?;
    exhausted(what, message)
}

fn conntrack_full<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    let (tail, _) = take_until("conntrack").parse(message)?;
    let (_, _) = take_until("table full, dropping packet").parse(tail)?;
    exhausted("connection tracking", message)
}

fn type_missing<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    let (_, _) = alt((take_until("no matches for kind \""), take_until("the server doesn't have a resource type \"")))
        .parse(message)?;
    Ok(("", Fact::Process(Process::CrdMissing(message.trim().into()))))
}

fn object_not_found<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    let (tail, _) =
        (tag_no_case("error from server (notfound): "), opt((take_until("error when "), take_until(": "), tag(": "))))
            .parse(message)?;
    let (tail, kind) = is_not(" \"").parse(tail)?;
    let (tail, name) = preceded(multispace0, delimited(char('"'), is_not("\""), char('"'))).parse(tail)?;
    let (tail, _) = (multispace0, tag("not found")).parse(tail)?;
    let kind = kind.split('.').next().unwrap_or(kind);
    Ok((
        tail,
        Fact::State(Box::new(State::Missing { kind: kind.into(), namespace: Text::default(), name: name.into() })),
    ))
}

fn proxy_container_missing<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = said.message.trim();
    let (tail, _) = take_until("container istio-proxy is not valid for pod ").parse(message)?;
    Ok((
        tail,
        Fact::State(Box::new(State::Check {
            passed: false,
            name: Text::default(),
            object: Text::default(),
            text: tail.into(),
        })),
    ))
}

fn remark<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = said.message.trim_start();
    let (tail, _) = alt((
        tag("command terminated with "),
        tag("Defaulted container "),
        tag("Warning: v1 Endpoints is deprecated"),
        tag("Error from server (BadRequest): container "),
    ))
    .parse(message)?;
    Ok((tail, Fact::Known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Fact {
        if let Some(fact) = event_row(text) {
            return fact;
        }
        let (said, _) = crate::header::read(text, None);
        let found = SIGNATURES.iter().find_map(|signature| (signature.read)(&said).ok());
        found.map_or(Fact::Known, |(_, fact)| fact)
    }

    #[test]
    fn a_failed_webhook_call_wrapped_over_lines_is_one() {
        let text = "  Warning  FailedCreate  5m   kubelet\n    Error creating: Internal error occurred:\n    failed calling webhook \"namespace.sidecar-injector.istio.io\":\n    failed to call webhook: Post \"https://istiod.istio-system.svc:443/inject?timeout=10s\":\n    context deadline exceeded";
        let Fact::Webhook(Webhook::CallFailed { name, url, fault }) = read(text) else { panic!() };
        assert_eq!(&*name, "namespace.sidecar-injector.istio.io");
        assert_eq!(&*url, "https://istiod.istio-system.svc:443/inject?timeout=10s");
        assert_eq!(&*fault.text, "context deadline exceeded");
    }

    #[test]
    fn the_event_of_another_webhook_keeps_its_name() {
        let Fact::Webhook(Webhook::CallFailed { name, .. }) = read(
            "failed calling webhook \"mutate.kyverno.svc-fail\": Post \"https://kyverno-svc.kyverno.svc:443/mutate\": EOF",
        ) else {
            panic!()
        };
        assert_eq!(&*name, "mutate.kyverno.svc-fail");
    }

    #[test]
    fn probe_events_stay_events() {
        let Fact::State(state) = read(
            "  Warning  Unhealthy  2m (x14 over 5m)  kubelet  Readiness probe failed: HTTP probe failed with statuscode: 503",
        ) else {
            panic!()
        };
        let State::KubeEvent { reason, message, .. } = *state else { panic!() };
        assert_eq!(
            (&*reason, &*message),
            ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
        );
    }

    #[test]
    fn a_missing_object_names_its_kind() {
        let Fact::State(state) =
            read("Error from server (NotFound): clusterroles.rbac.authorization.k8s.io \"reader\" not found")
        else {
            panic!()
        };
        assert_eq!(*state, State::Missing { kind: "clusterroles".into(), namespace: "".into(), name: "reader".into() });
    }
}
