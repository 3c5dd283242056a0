//! The command above its output: which cluster, namespace and proxy a person asked.

use std::borrow::Cow;

/// The cluster: `--context X`, `--context=X`, also quoted or as a shell variable (`"${CTX_WEST}"` gives `CTX_WEST`).
pub fn context(command: &str) -> Option<&str> {
    option(command, &["--context", "--kube-context"])
}

/// The cluster that later commands ask: `kubectl config use-context X`, `kubectx X`.
pub fn switched(command: &str) -> Option<&str> {
    let mut words = command.split_whitespace();
    let context = match words.next()? {
        "kubectx" => words.next()?,
        _ => words.skip_while(|word| *word != "use-context").nth(1)?,
    };
    Some(bare(context)).filter(|context| !context.is_empty() && !context.starts_with('-'))
}

/// A command with the context in which it was run, where it names none itself.
pub fn in_context<'c>(command: &'c str, current: Option<&str>) -> Cow<'c, str> {
    let tool = ["kubectl ", "istioctl ", "oc ", "helm "].into_iter().find(|tool| command.starts_with(tool));
    match (tool, current) {
        (Some(tool), Some(current)) if context(command).is_none() => {
            format!("{tool}--context {current} {}", &command[tool.len()..]).into()
        }
        _ => command.into(),
    }
}

/// The clusters of all parts of a command: `diff <(kubectl --context east ...) <(kubectl --context west ...)`.
pub fn contexts(command: &str) -> Vec<&str> {
    command.split("<(").filter_map(context).collect()
}

/// What a shell loop puts in a variable's place, as a list: `for c in east west; do ... $c` gives `east, west`.
pub fn looped(command: &str, variable: &str) -> Option<String> {
    let (head, values) = command.trim_start().strip_prefix("for ")?.split_once(" in ")?;
    let (values, _) = values.split_once(';')?;
    let values: Vec<&str> = values.split_whitespace().map(bare).collect();
    (head.trim() == variable && values.len() > 1).then(|| values.join(", "))
}

/// The namespace: `-n X`, `--namespace X`.
pub fn namespace(command: &str) -> Option<&str> {
    option(command, &["-n", "--namespace"])
}

/// The proxy of `istioctl proxy-config <what> <proxy>`.
pub fn proxy(command: &str) -> Option<&str> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let verb = words.iter().position(|word| matches!(*word, "proxy-config" | "pc" | "ztunnel-config" | "zc"))?;
    let mut operands = Vec::new();
    let mut rest = words[verb + 1..].iter();
    while let Some(word) = rest.next() {
        match *word {
            "|" => break,
            // An option with its value apart.
            option if option.starts_with('-') && !option.contains('=') => {
                rest.next();
            }
            option if option.starts_with('-') => {}
            operand => operands.push(operand),
        }
    }
    operands.get(1).copied()
}

/// What `kubectl exec` runs, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Exec<'a> {
    /// Namespace; empty where not named.
    pub namespace: &'a str,
    /// `web-1`, `deploy/web`, or the selector that found the pod: `app=web`.
    pub pod: &'a str,
    /// Container; empty where not named.
    pub container: &'a str,
    /// The command within.
    pub ran: &'a str,
}

/// Reads `kubectl exec [options] <pod> [options] -- <command>`, also within a loop.
pub fn exec(command: &str) -> Option<Exec<'_>> {
    let (head, ran) = command.split_once(" -- ")?;
    let mut words = head.split_whitespace().skip_while(|word| *word != "exec");
    words.next()?;
    let mut pod = "";
    while let Some(word) = words.next() {
        match word {
            "-n" | "--namespace" | "-c" | "--container" | "--context" | "--kubeconfig" => _ = words.next(),
            flag if flag.starts_with('-') => {}
            // "$(kubectl get pod -l app=web -o jsonpath='{.items[0].metadata.name}')"
            inner if inner.trim_start_matches('"').starts_with("$(") => {
                let (_, tail) = head.split_once("$(")?;
                pod = option(tail, &["-l", "--selector"]).unwrap_or("");
                break;
            }
            named => {
                pod = bare(named);
                break;
            }
        }
    }
    Some(Exec {
        namespace: namespace(head).unwrap_or(""),
        pod,
        container: option(head, &["-c", "--container"]).unwrap_or(""),
        ran,
    })
}

/// What curl or wget calls: `helloworld.sample:5000/hello`, without its scheme.
pub fn called(command: &str) -> Option<&str> {
    /// Options whose value is the next word.
    const WITH_VALUE: [&str; 15] = [
        "--max-time",
        "--write-out",
        "--output",
        "--header",
        "--request",
        "--data",
        "--connect-timeout",
        "--retry",
        "--resolve",
        "--user",
        "--user-agent",
        "--timeout",
        "--tries",
        "-A",
        "-u",
    ];
    let ran = exec(command).map_or(command, |exec| exec.ran);
    let mut words = quoted_words(ran).skip_while(|word| !matches!(*word, "curl" | "wget"));
    // Short options may stand together; the last one may have a value: `-so /dev/null`.
    let with_value: &[char] = if words.next()? == "curl" { &['m', 'w', 'o', 'H', 'X', 'd'] } else { &['O', 'T', 't'] };
    while let Some(word) = words.next() {
        match word {
            _ if word.starts_with(['|', '>', ';', '&']) => return None,
            _ if WITH_VALUE.contains(&word) => _ = words.next(),
            _ if word.starts_with('-') && !word.starts_with("--") && word.ends_with(with_value) => _ = words.next(),
            _ if word.starts_with('-') => {}
            _ => {
                let url = word.trim_end_matches(';');
                let to = url.split_once("://").map_or(url, |(_, tail)| tail);
                return Some(to).filter(|to| !to.is_empty());
            }
        }
    }
    None
}

/// Words, of which a quoted one may hold blanks; without the quotes around it.
fn quoted_words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        if matches!(first, '"' | '\'')
            && let Some((word, tail)) = rest[1..].split_once(first)
        {
            rest = tail;
            return Some(word);
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        rest = tail;
        Some(word)
    })
}

/// The value of an option, as `--option value` or `--option=value`.
pub fn option<'a>(command: &'a str, names: &[&str]) -> Option<&'a str> {
    let mut words = command.split_whitespace();
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        if names.contains(&word) {
            return words.next().map(bare).filter(|value| !value.is_empty());
        }
        if let Some((_, value)) = word.split_once('=').filter(|(name, _)| names.contains(name)) {
            return Some(bare(value)).filter(|value| !value.is_empty());
        }
    }
    None
}

/// A word without quotes and the marks of a shell variable.
fn bare(word: &str) -> &str {
    word.trim_matches(['"', '\'', '$', '{', '}'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_over_clusters_names_them_all() {
        let ran = "for c in east \"west\"; do kubectl --context $c get ns; done";
        assert_eq!(looped(ran, "c").as_deref(), Some("east, west"));
        assert_eq!(looped(ran, "d"), None);
        assert_eq!(looped("kubectl --context c get ns", "c"), None);
    }

    #[test]
    fn the_context_is_found_in_every_spelling() {
        for command in [
            "kubectl --context west get ns",
            "istioctl --context=west remote-clusters",
            "kubectl get ns --context=\"west\"",
            "kubectl get ns --context ${west}",
        ] {
            assert_eq!(context(command), Some("west"), "{command}");
        }
        assert_eq!(context("kubectl get ns"), None);
        assert_eq!(context("kubectl exec p -- tool --context other"), None);
    }

    #[test]
    fn a_command_runs_in_the_context_that_was_switched_to() {
        assert_eq!(switched("kubectl config use-context kind-west"), Some("kind-west"));
        assert_eq!(switched("kubectx west"), Some("west"));
        assert_eq!((switched("kubectx -"), switched("kubectl config get-contexts")), (None, None));
        let of = |command| in_context(command, Some("west")).into_owned();
        assert_eq!(of("kubectl exec p -- curl x"), "kubectl --context west exec p -- curl x");
        assert_eq!(of("istioctl --context east pc ep p"), "istioctl --context east pc ep p");
        assert_eq!(of("curl -v gateway"), "curl -v gateway");
        assert_eq!(in_context("kubectl get ns", None), "kubectl get ns");
    }

    #[test]
    fn a_call_from_a_pod_tells_who_called_whom() {
        let of = |command: &str| {
            let exec = exec(command).unwrap_or_default();
            format!("{} {} {} {}", exec.namespace, exec.pod, exec.container, called(command).unwrap_or("-"))
        };
        let ran = "for i in $(seq 10); do kubectl --context=$CTX -n sample exec sleep-dd98-djwdw -c sleep -- curl -s helloworld:5000/hello; done";
        assert_eq!(of(ran), "sample sleep-dd98-djwdw sleep helloworld:5000/hello");
        let ran = "kubectl exec --context=\"${CTX}\" -n sample -c curl \"$(kubectl get pod --context=\"${CTX}\" -n sample -l app=curl -o jsonpath='{.items[0].metadata.name}')\" -- curl -sS helloworld.sample:5000/hello";
        assert_eq!(of(ran), "sample app=curl curl helloworld.sample:5000/hello");
        let ran = "kubectl exec -it deploy/web -n legacy -- curl -s -m 5 -o /dev/null -w '%{http_code} %{time_total}' http://cart.shop.svc.cluster.local:8080/";
        assert_eq!(of(ran), "legacy deploy/web  cart.shop.svc.cluster.local:8080/");
        assert_eq!(of("kubectl exec web-1 -- curl -so /dev/null -H 'Host: a b' https://cart"), " web-1  cart");
        assert_eq!(of("kubectl exec web-1 -- wget -qO- -T 3 cart.shop:80"), " web-1  cart.shop:80");
        assert_eq!(of("curl -v gateway.example.org"), "   gateway.example.org");
        assert_eq!(of("kubectl get pods"), "   -");
    }

    #[test]
    fn the_proxy_asked_is_found_among_options() {
        assert_eq!(proxy("istioctl --context a proxy-config endpoint web-1.shop | grep x"), Some("web-1.shop"));
        assert_eq!(proxy("istioctl pc ep -n shop web-1 --cluster y"), Some("web-1"));
        assert_eq!(proxy("istioctl remote-clusters"), None);
    }
}
