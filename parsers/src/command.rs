//! The command above its output: which cluster, namespace and proxy a person asked.

/// The cluster: `--context X`, `--context=X`, also quoted or as a shell variable (`"${CTX_WEST}"` gives `CTX_WEST`).
pub fn context(command: &str) -> Option<&str> {
    option(command, &["--context", "--kube-context"])
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
    fn the_proxy_asked_is_found_among_options() {
        assert_eq!(proxy("istioctl --context a proxy-config endpoint web-1.shop | grep x"), Some("web-1.shop"));
        assert_eq!(proxy("istioctl pc ep -n shop web-1 --cluster y"), Some("web-1"));
        assert_eq!(proxy("istioctl remote-clusters"), None);
    }
}
