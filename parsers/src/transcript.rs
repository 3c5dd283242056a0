//! Documents inside a saved session or an issue text: commands, and between log lines and tables the YAML, JSON and
//! certificates they printed.
//!
//! A document begins where a line can begin nothing else, and ends where its own notation ends, at the latest with the
//! next command or the fence of a code block. Whether it is one that anybody reads is for `document::read` to say.

use std::borrow::Cow;
use std::ops::Range;

use crate::cert;
use crate::command;
use crate::document::Found;
use crate::frame;
use crate::sniff::{self, Format};

/// Most documents of one text; what comes behind stays lines.
pub const DOCUMENTS_MAX: usize = 4_096;

/// After so many JSON log records, a line of JSON is taken for one more of them.
const RECORDS_MAX: usize = 64;

/// Most lines between two certificates of one output: `openssl s_client` names each above its block.
const CERT_GAP_LINES_MAX: usize = 12;

/// A document inside a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded<'t> {
    /// Its first line, counted from 1.
    pub line: usize,
    /// Its bytes within the text, whole lines without the last line end.
    pub range: Range<usize>,
    /// The command above it, without its prompt; empty where none is known.
    pub command: Cow<'t, str>,
    /// The document, without the indentation that all its lines have in common.
    pub text: Cow<'t, str>,
}

impl Embedded<'_> {
    /// Where it was found, for its reader.
    pub fn found<'a>(&'a self, path: &'a str) -> Found<'a> {
        Found { path, command: &self.command }
    }
}

/// Finds the documents of a text, in their order. Texts without any cost a few searches.
pub fn documents(text: &str) -> Vec<Embedded<'_>> {
    if !may_hold(text.as_bytes()) {
        return Vec::new();
    }
    let lines = Lines::of(text);
    let mut found = Vec::new();
    let mut command = Cow::Borrowed("");
    let mut current: Option<String> = None;
    let mut is_answer = false;
    let mut records = 0;
    let mut at = 0;
    while at < lines.count() && found.len() < DOCUMENTS_MAX {
        if let Some((ran, next)) = lines.command(at) {
            if let Some(context) = command::switched(&ran) {
                current = Some(context.to_string());
            }
            command = match command::in_context(&ran, current.as_deref()) {
                Cow::Owned(named) => Cow::Owned(named),
                Cow::Borrowed(_) => ran,
            };
            (at, is_answer) = (next, true);
            continue;
        }
        let line = lines.text(at);
        if line.trim().is_empty() || is_fence(line) {
            at += 1;
            continue;
        }
        let is_yaml = lines.begins_object(at) || is_answer && wants_yaml(&command) && Yaml::may_begin(line);
        let may_be_whole = std::mem::take(&mut is_answer) || line.starts_with("Name: ");
        let end = if is_yaml {
            Some(lines.yaml_end(at))
        } else if line.starts_with(['{', '[']) {
            lines.json_end(at, &mut records)
        } else {
            lines.certs_end(at).or_else(|| may_be_whole.then(|| lines.answer_end(at))?)
        };
        let Some(end) = end else {
            at += 1;
            continue;
        };
        let range = lines.range(at, end);
        let whole = &text[range.clone()];
        let text = if is_yaml { dedented(whole, indent(line)) } else { Cow::Borrowed(whole) };
        found.push(Embedded { line: at + 1, range, command: command.clone(), text });
        at = end;
    }
    found
}

/// The text with empty lines where documents were, so that the others keep their numbers.
pub fn without(text: &str, claimed: &[&Embedded<'_>]) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for one in claimed {
        let (Some(before), Some(document)) = (text.get(from..one.range.start), text.get(one.range.clone())) else {
            continue;
        };
        kept.push_str(before);
        kept.extend(std::iter::repeat_n('\n', memchr::memchr_iter(b'\n', document.as_bytes()).count()));
        from = one.range.end;
    }
    kept.push_str(text.get(from..).unwrap_or_default());
    kept
}

/// Whether somebody's commands stand in a text, or fences around code: what begins like one document is several then.
pub fn has_commands(text: &[u8]) -> bool {
    ["\n$ ", "\n```"].iter().any(|mark| memchr::memmem::find(text, mark.as_bytes()).is_some())
}

/// Whether a text may hold a document at all.
fn may_hold(text: &[u8]) -> bool {
    let words: [&[u8]; 13] = [
        b"apiVersion:",
        b"Name:  ",
        b"::health_flags::",
        b"\n# TYPE ",
        b"clientVersion:",
        b"-----BEGIN ",
        b"LS0tLS1CRUdJTiBDRVJU",
        b"\n{",
        b"\n[\n",
        b"\n[\r\n",
        b"\n[{",
        b"yaml",
        b"Certificate:",
    ];
    text.starts_with(b"{")
        || text.starts_with(b"[")
        || words.iter().any(|word| memchr::memmem::find(text, word).is_some())
}

/// The physical lines of a text.
struct Lines<'t> {
    whole: &'t str,
    /// Where each line begins; a last one behind the text.
    begins: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(whole: &'t str) -> Lines<'t> {
        let mut begins = vec![0];
        begins.extend(memchr::memchr_iter(b'\n', whole.as_bytes()).map(|end| end + 1));
        if begins.last() != Some(&whole.len()) {
            begins.push(whole.len());
        }
        Lines { whole, begins }
    }

    fn count(&self) -> usize {
        self.begins.len() - 1
    }

    /// A line without its end; empty behind the last one.
    fn text(&self, at: usize) -> &'t str {
        let (Some(begin), Some(end)) = (self.begins.get(at), self.begins.get(at + 1)) else { return "" };
        self.whole[*begin..*end].trim_end_matches(['\r', '\n'])
    }

    /// The bytes of some lines, without the last line end.
    fn range(&self, from: usize, to: usize) -> Range<usize> {
        let begin = self.begins[from];
        let last = self.begins[to - 1];
        begin..last + self.text(to - 1).len()
    }

    /// The command that is typed here, and the line behind it.
    fn command(&self, at: usize) -> Option<(Cow<'t, str>, usize)> {
        let first = typed(self.text(at))?;
        let Some(begin) = first.strip_suffix('\\') else { return Some((first.into(), at + 1)) };
        let mut whole = begin.trim_end().to_string();
        let mut next = at + 1;
        while next < self.count() {
            let part = self.text(next).trim();
            next += 1;
            whole.push(' ');
            whole.push_str(part.trim_end_matches('\\').trim_end());
            if !part.ends_with('\\') {
                break;
            }
        }
        Some((whole.into(), next))
    }

    fn is_edge(&self, at: usize) -> bool {
        is_fence(self.text(at)) || typed(self.text(at)).is_some()
    }

    /// Whether a Kubernetes object as YAML, or a list of them, begins here.
    fn begins_object(&self, at: usize) -> bool {
        let first = self.text(at);
        let is_version = |line: &str| {
            let key = line.trim_start();
            key.starts_with("apiVersion: ") || key.starts_with("- apiVersion: ")
        };
        let may_stand_above = |line: &str| {
            let key = line.trim_start();
            key == "---" || key == "items:" || key.starts_with("kind: ") || key.starts_with("# ")
        };
        if is_version(first) {
            return true;
        }
        let below = || (at + 1..at + 4).map(|next| self.text(next));
        may_stand_above(first) && below().find(|line| !may_stand_above(line)).is_some_and(is_version)
    }

    /// The line behind a YAML document.
    fn yaml_end(&self, from: usize) -> usize {
        let base = indent(self.text(from));
        let mut has_version = false;
        let mut end = from + 1;
        for at in from..self.count() {
            let line = self.text(at);
            if line.trim().is_empty() {
                continue;
            }
            // What is indented deeper may be anything, a script with commands in it too.
            let is_deeper = line.len() - line.trim_start().len() > base;
            let is_base = indent(line) == base;
            // A second object that no `---` sets apart is the next output.
            let is_version = is_base && line[base..].starts_with("apiVersion:");
            let is_next = is_version && has_version || self.is_edge(at);
            if at > from && !is_deeper && (is_next || !is_base || !Yaml::may_stand(&line[base..])) {
                break;
            }
            has_version = (has_version || is_version) && line.trim() != "---";
            end = at + 1;
        }
        end
    }

    /// The line behind a JSON document. `None`: it is a log record, or no JSON.
    fn json_end(&self, from: usize, records: &mut usize) -> Option<usize> {
        let first = self.text(from);
        let behind = first[1..].trim_start();
        // `[2026-11-21T...] "GET ...` and `[info]` begin with a bracket, too.
        if first.starts_with('[') && !(behind.is_empty() || behind.starts_with(['{', '[', '"', ']'])) {
            return None;
        }
        let is_one_line = first.trim_end().ends_with(['}', ']']);
        if is_one_line && RECORDS_MAX <= *records {
            return None;
        }
        let end = self.balanced(from)?;
        let range = self.range(from, end);
        let is_record =
            matches!(sniff::format(self.whole[range].as_bytes(), ""), Format::Log | Format::Binary | Format::Empty);
        *records += usize::from(is_record);
        (!is_record).then_some(end)
    }

    /// The line behind which all brackets that open here are closed, or the one where somebody cut the document off.
    fn balanced(&self, from: usize) -> Option<usize> {
        let (mut depth, mut in_string, mut is_escaped) = (0usize, false, false);
        for at in from..self.count() {
            if at > from && self.is_edge(at) {
                return Some(at);
            }
            let line = self.text(at).trim_end();
            for (column, byte) in line.bytes().enumerate() {
                match byte {
                    _ if is_escaped => is_escaped = false,
                    b'\\' if in_string => is_escaped = true,
                    b'"' => in_string = !in_string,
                    _ if in_string => {}
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth = depth.saturating_sub(1);
                        if depth == 0 {
                            return (column + 1 == line.len()).then_some(at + 1);
                        }
                    }
                    _ => {}
                }
            }
        }
        Some(self.count())
    }

    /// The line behind an answer that is a document as a whole: a description, what an Envoy says in text, metrics. `None`:
    /// it is lines.
    fn answer_end(&self, from: usize) -> Option<usize> {
        let mut end = from + 1;
        for at in (from + 1..self.count()).take_while(|at| !self.is_edge(*at)) {
            if !self.text(at).trim().is_empty() {
                end = at + 1;
            }
        }
        let format = sniff::format(self.whole[self.range(from, end)].as_bytes(), "");
        matches!(format, Format::Yaml | Format::Document).then_some(end)
    }

    /// The line behind certificates, their description or a private key.
    fn certs_end(&self, from: usize) -> Option<usize> {
        let first = self.text(from);
        let below = || [first.trim_start(), "\n", self.text(from + 1)].concat();
        let is_block = |line: &str| line.trim_start().starts_with("-----BEGIN ");
        let is_description = first == "Certificate:";
        if !(is_block(first) || is_description || first.starts_with("LS0tLS1CRUdJTiBDRVJU"))
            || !cert::is_certs(below().as_bytes())
        {
            return None;
        }
        // Only a full line of base64 goes on in the next.
        let goes_on = |line: &str| matches!(line.len(), 64 | 76) && cert::base64(line.as_bytes()).is_some();
        let mut in_block = false;
        let mut gap = 0;
        let mut end = from + 1;
        for at in from..self.count() {
            let line = self.text(at);
            if at > from && self.is_edge(at) {
                break;
            }
            in_block |= is_block(line);
            let is_ours = in_block
                || is_description && (line.starts_with(' ') || line == "Certificate:")
                || at == from
                || goes_on(self.text(at - 1)) && cert::base64(line.as_bytes()).is_some();
            if line.trim_start().starts_with("-----END ") {
                in_block = false;
            }
            if is_ours {
                (gap, end) = (0, at + 1);
                continue;
            }
            gap += 1;
            if CERT_GAP_LINES_MAX < gap || !line.is_empty() && !is_block(first) {
                break;
            }
        }
        Some(end)
    }
}

/// What the lines of a YAML document look like.
struct Yaml;

impl Yaml {
    /// A key with or without a value. Capital letters begin sentences (`Warning: ...`), not keys.
    fn is_key(line: &str) -> bool {
        let Some((key, value)) = line.split_once(':') else { return false };
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./\"".contains(&byte);
        let is_sentence = matches!(key, "error" | "warning" | "info" | "note" | "level");
        !is_sentence
            && key.starts_with(|c: char| c.is_ascii_lowercase() || c == '"')
            && key.bytes().all(is_word)
            && (value.is_empty() || value.starts_with(' '))
    }

    /// Whether a line without the document's indentation can be of its outermost level.
    fn may_stand(line: &str) -> bool {
        line.starts_with(['#', ' ']) || line == "-" || line.starts_with("- ") || line == "---" || Yaml::is_key(line)
    }

    fn may_begin(line: &str) -> bool {
        let line = line.trim_start();
        line == "---" || Yaml::is_key(line.strip_prefix("- ").unwrap_or(line))
    }
}

/// The command typed on a line: behind a prompt, or alone as people write it above what it printed.
fn typed(line: &str) -> Option<&str> {
    const TOOLS: [&str; 6] = ["kubectl ", "istioctl ", "oc ", "curl ", "openssl ", "helm "];
    let line = line.trim();
    frame::command_of(line).or_else(|| {
        // `- kubectl ...`, `**kubectl ...**`, `# kubectl ...` and `root@host:~# kubectl ...`.
        let bare = line.rsplit_once("# ").map_or(line, |(_, command)| command);
        let bare = bare.trim_matches(|c: char| matches!(c, '`' | '*' | '>' | '+' | '-' | ' '));
        let is_command = TOOLS.iter().any(|tool| bare.starts_with(tool)) && !bare.ends_with('.') && line.len() < 2_000;
        is_command.then_some(bare)
    })
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

fn wants_yaml(command: &str) -> bool {
    ["-o yaml", "-oyaml", "-o=yaml", "--output yaml", "--output=yaml"].iter().any(|option| command.contains(option))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The lines without so many blanks in front.
fn dedented(text: &str, indent: usize) -> Cow<'_, str> {
    if indent == 0 {
        return Cow::Borrowed(text);
    }
    let without = |line: &str| line.get(indent..).unwrap_or("").to_string();
    Cow::Owned(text.lines().map(without).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each document: first line, command, first and last line of its text.
    fn show(text: &str) -> Vec<String> {
        let found = documents(text);
        for one in &found {
            assert_eq!(text[one.range.clone()].lines().count(), one.text.lines().count());
        }
        let ends =
            |text: &str| format!("{} .. {}", text.lines().next().unwrap_or(""), text.lines().last().unwrap_or(""));
        found.iter().map(|one| format!("{} [{}] {}", one.line, one.command, ends(&one.text))).collect()
    }

    fn rest_of(text: &str) -> String {
        without(text, &documents(text).iter().collect::<Vec<_>>())
    }

    const SESSION: &str = "$ kubectl --context west get ns istio-system -o yaml
apiVersion: v1
kind: Namespace
metadata:
  annotations:
    note: |
      two lines

      $ kubectl is text here
  labels:
    topology.istio.io/network: network2
  name: istio-system
spec:
  finalizers:
  - kubernetes
status:
  phase: Active
$ kubectl --context west get pods -n sample
NAME                             READY   STATUS    RESTARTS   AGE
helloworld-v2-5b46bc9f84-ndq6v   2/2     Running   0          3d2h
$ istioctl --context west proxy-config endpoints \\
    helloworld-v2-5b46bc9f84-ndq6v.sample -o json
[
    {
        \"name\": \"outbound|5000||helloworld.sample.svc.cluster.local\",
        \"addedViaApi\": true
    }
]
$ kubectl --context west logs deploy/istiod -n istio-system --tail 2
2026-11-21T03:38:13.842000Z\tinfo\tads\tADS: new connection for node:helloworld-v2-5b46bc9f84-ndq6v.sample-12
{\"level\":\"error\",\"time\":\"2026-11-21T03:38:13Z\",\"msg\":\"x\"}
";

    #[test]
    fn a_session_is_told_apart_into_documents_and_lines() {
        assert_eq!(
            show(SESSION),
            [
                "2 [kubectl --context west get ns istio-system -o yaml] apiVersion: v1 ..   phase: Active",
                "23 [istioctl --context west proxy-config endpoints helloworld-v2-5b46bc9f84-ndq6v.sample -o json] [ .. ]",
            ]
        );
        let rest = rest_of(SESSION);
        assert_eq!(rest.lines().count(), SESSION.lines().count());
        assert!(!rest.contains("apiVersion") && !rest.contains("addedViaApi"));
        assert_eq!(rest.lines().nth(18), SESSION.lines().nth(18));
        assert_eq!(rest.lines().last(), SESSION.lines().last());
        assert_eq!(without(&SESSION.replace('\n', "\r\n"), &[]), SESSION.replace('\n', "\r\n"));
    }

    #[test]
    fn line_ends_of_windows_change_nothing() {
        let shown: Vec<String> = show(SESSION);
        assert_eq!(show(&SESSION.replace('\n', "\r\n")), shown);
    }

    #[test]
    fn code_blocks_of_an_issue_end_documents() {
        let issue = "### Bug Description\n\nThe gateway of west:\n\n```yaml\nkind: Service\napiVersion: v1\nmetadata:\n  name: istio-eastwestgateway\n```\n\nand kubectl get svc -o yaml of east is:\n\n   ```\n   apiVersion: v1\n   kind: Service\n   metadata:\n     name: cart\n\n   ```\nExpected: the same\n";
        assert_eq!(
            show(issue),
            ["6 [] kind: Service ..   name: istio-eastwestgateway", "15 [] apiVersion: v1 ..   name: cart",]
        );
    }

    #[test]
    fn outputs_that_follow_each_other_are_documents_of_their_own() {
        let text = "apiVersion: v1\nkind: Service\n---\napiVersion: v1\nkind: Secret\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\nWarning: deprecated\nerror: no\n";
        assert_eq!(show(text), ["1 [] apiVersion: v1 .. kind: Secret", "6 [] apiVersion: v1 ..   kind: Pod"]);
    }

    #[test]
    fn yaml_of_other_kinds_is_known_by_its_command() {
        let list = "- certChain:\n  - pem: LS0t\n  identity: spiffe://cluster.local/ns/a/sa/b\n";
        let text =
            format!("> istioctl zc certs -o yaml\n\n{list}\nroot@bastion:~# kubectl get cm -oyaml\nerror: not found\n");
        assert_eq!(
            show(&text),
            ["3 [istioctl zc certs -o yaml] - certChain: ..   identity: spiffe://cluster.local/ns/a/sa/b"]
        );
        assert!(show(list).is_empty());
    }

    #[test]
    fn a_context_that_was_switched_to_counts_for_what_follows() {
        let text = "$ kubectl config use-context west\nSwitched to context \"west\".\n$ kubectl get ns x -o yaml\napiVersion: v1\nkind: Namespace\n";
        assert_eq!(show(text), ["4 [kubectl --context west get ns x -o yaml] apiVersion: v1 .. kind: Namespace"]);
    }

    #[test]
    fn an_answer_that_is_a_document_as_a_whole_ends_with_the_next_command() {
        let description = "Name:         istio-system\nLabels:       topology.istio.io/network=network1\nAnnotations:  <none>\nStatus:       Active\n\nNo resource quota.";
        let text = format!("$ kubectl describe ns istio-system\n{description}\n\n$ kubectl get ns\nNAME   STATUS\n");
        assert_eq!(
            show(&text),
            ["2 [kubectl describe ns istio-system] Name:         istio-system .. No resource quota."]
        );
        let issue = format!("It says\n```\n{description}\n```\nand nothing else.\n");
        assert_eq!(show(&issue), ["3 [] Name:         istio-system .. No resource quota."]);
        let clusters = "outbound|80||web.shop.svc.cluster.local::observability_name::outbound|80||web.shop.svc.cluster.local\noutbound|80||web.shop.svc.cluster.local::10.1.0.4:80::health_flags::healthy\n";
        let text = format!("$ kubectl exec web-1 -- curl -s localhost:15000/clusters\n{clusters}$ date\n");
        assert_eq!(documents(&text).len(), 1);
        assert!(show("$ kubectl get ns\nNAME   STATUS\nName:  x\n").is_empty());
    }

    #[test]
    fn json_records_stay_lines() {
        let record = "{\"level\":\"info\",\"time\":\"2026-11-21T03:38:13Z\",\"scope\":\"ads\",\"msg\":\"x\"}\n";
        assert!(show(&record.repeat(200)).is_empty());
        let text = format!("{}{{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"Pod\"\n}}\n", record.repeat(200));
        assert_eq!(show(&text), ["201 [] { .. }"]);
        for line in
            ["[2026-11-21T03:38:13Z] \"GET / HTTP/1.1\" 200\n", "[info] apiVersion: v1\n", "{x} y\n", "[\n", "{\n"]
        {
            let found = documents(line);
            assert!(found.iter().all(|one| one.text.trim().len() < 2), "{line}: {found:?}");
        }
    }

    #[test]
    fn a_document_that_was_cut_off_ends_with_the_next_command() {
        let text = "$ kubectl get pod -o json\n{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n...\n$ kubectl get ns\nNAME\n";
        assert_eq!(show(text), ["2 [kubectl get pod -o json] { .. ..."]);
    }

    #[test]
    fn certificates_are_found_and_keys_with_them() {
        let text = "$ openssl s_client -connect 172.18.7.130:15443 -showcerts
CONNECTED(00000003)
---
Certificate chain
 0 s:
   i:O = cluster.local
-----BEGIN CERTIFICATE-----
MIIB
-----END CERTIFICATE-----
 1 s:O = cluster.local
   i:O = cluster.local
-----BEGIN CERTIFICATE-----
MIIC
-----END CERTIFICATE-----
---
Server certificate
subject=
issuer=O = cluster.local
$ cat key.pem
-----BEGIN EC PRIVATE KEY-----
MHcC
-----END EC PRIVATE KEY-----
$ openssl x509 -in root-cert.pem -noout -text
Certificate:
    Data:
        Version: 3 (0x2)
        Subject: O = cluster.local
$ kubectl get secret cacerts -n istio-system -o jsonpath='{.data.root-cert\\.pem}'
LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t
done
";
        assert_eq!(
            show(text),
            [
                "7 [openssl s_client -connect 172.18.7.130:15443 -showcerts] -----BEGIN CERTIFICATE----- .. -----END CERTIFICATE-----",
                "20 [cat key.pem] -----BEGIN EC PRIVATE KEY----- .. -----END EC PRIVATE KEY-----",
                "24 [openssl x509 -in root-cert.pem -noout -text] Certificate: ..         Subject: O = cluster.local",
                "29 [kubectl get secret cacerts -n istio-system -o jsonpath='{.data.root-cert\\.pem}'] LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t .. LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
            ]
        );
        assert_eq!(documents(text)[0].text.matches("BEGIN").count(), 2);
    }

    #[test]
    fn any_cut_of_a_text_is_read() {
        for end in (0..SESSION.len()).filter(|end| SESSION.is_char_boundary(*end)) {
            let _ = rest_of(&SESSION[..end]);
            let _ = documents(&SESSION[end..]);
        }
        let odd = "apiVersion: v1\n\u{a0}kind: \u{feff}é\n   \u{2003}x\n é: y\n`\u{301}``\n";
        assert_eq!(documents(odd).len(), 1);
    }
}
