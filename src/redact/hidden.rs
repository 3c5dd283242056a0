//! Puts other words in the place of names, and other addresses in that of addresses, wherever they stand: in lines,
//! documents, paths, and in texts that are packed in texts.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};

use meshwhy_parsers::cert;

use super::addresses::{masked_v4, masked_v6, v4, v6};
use super::names::{CODED_MIN, DEPTH_MAX, is_known, tells};

/// What other words are made of, as Kubernetes makes its own: no word of any language comes of it.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz";
const DIGITS: &[u8] = b"2456789";
/// How often another word of the same length is tried before it becomes longer: there are few short ones.
const TRIES_MAX: u64 = 64;
/// How the parts of PEM begin and end.
const PEM_BEGIN: &str = "-----BEGIN ";
const PEM_END: &str = "-----END ";

/// What stands for each name.
pub struct Hidden {
    words: BTreeMap<String, String>,
    key: [u64; 2],
}

impl Hidden {
    /// Finds another word for each of these, which are in lower case.
    pub(super) fn new(words: BTreeSet<String>, key: [u64; 2]) -> Hidden {
        let mut taken = words.clone();
        let mut others = BTreeMap::new();
        for word in words {
            let mut tries = 0;
            let other = loop {
                let other = another(&word, tries, key);
                // What means something of its own stands for nothing else.
                let is_plain = tells(&other) || !word.bytes().any(|byte| byte.is_ascii_alphabetic());
                if is_plain && !is_known(&other) && taken.insert(other.clone()) {
                    break other;
                }
                tries += 1;
            };
            others.insert(word, other);
        }
        Hidden { words: others, key }
    }

    /// A document or lines without names.
    pub fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.text(&String::from_utf8_lossy(bytes)).into_bytes()
    }

    /// A text without names.
    pub fn text(&self, text: &str) -> String {
        self.inside(text, 0)
    }

    fn inside(&self, text: &str, depth: usize) -> String {
        let mut hiding = Hiding { hidden: self, text, at: 0, out: String::with_capacity(text.len()), depth };
        while hiding.at < text.len() {
            hiding.step();
        }
        hiding.out
    }

    /// What stands for a word, in its case.
    fn word<'w>(&self, word: &'w str) -> Cow<'w, str> {
        let lower = word.to_ascii_lowercase();
        let Some(other) = self.words.get(&lower) else { return Cow::Borrowed(word) };
        if lower == word {
            return Cow::Owned(other.clone());
        }
        let is_upper = |at: usize| word.as_bytes().get(at).is_some_and(u8::is_ascii_uppercase);
        let cased = other.char_indices().map(|(at, c)| if is_upper(at) { c.to_ascii_uppercase() } else { c });
        Cow::Owned(cased.collect())
    }

    /// All words of a run of letters, digits and what separates them.
    fn words(&self, run: &str) -> String {
        let mut out = String::with_capacity(run.len());
        for part in run.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
            let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            out.push_str(&self.word(word));
            out.push_str(part.get(word.len()..).unwrap_or_default());
        }
        out
    }
}

/// Another word of the same shape: letters for letters, digits for digits; a longer one where there are too few.
fn another(word: &str, tries: u64, key: [u64; 2]) -> String {
    let longer = std::iter::repeat_n(b'x', usize::try_from(tries / TRIES_MAX).unwrap_or(0));
    let shape = word.bytes().chain(longer).enumerate();
    let pick = |(at, byte): (usize, u8)| {
        let mut hasher = DefaultHasher::new();
        (key, word, tries, at).hash(&mut hasher);
        let from = if byte.is_ascii_digit() { DIGITS } else { LETTERS };
        let at = usize::try_from(hasher.finish() % from.len() as u64).unwrap_or(0);
        char::from(from.get(at).copied().unwrap_or(byte))
    };
    shape.map(pick).collect()
}

/// The text that a run of base64 packs, of either alphabet; `None` where it packs none.
pub(super) fn text_of_base64(run: &str) -> Option<String> {
    let run = run.replace('-', "+").replace('_', "/");
    let text = String::from_utf8(cert::base64(run.as_bytes())?).ok()?;
    let is_text = !text.is_empty() && !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    is_text.then_some(text)
}

/// A text on its way.
struct Hiding<'t> {
    hidden: &'t Hidden,
    text: &'t str,
    at: usize,
    out: String,
    depth: usize,
}

impl<'t> Hiding<'t> {
    fn step(&mut self) {
        let rest = self.rest();
        let Some(first) = rest.bytes().next() else { return };
        let is_begin = self.at == 0 || !self.text.as_bytes().get(self.at - 1).is_some_and(u8::is_ascii_alphanumeric);
        match first {
            b'-' if rest.starts_with(PEM_BEGIN) => self.pem(),
            // `\n` before a name is no part of it, however often it is escaped.
            b'\\' => self.copy(escape(rest)),
            b'%' if rest.bytes().skip(1).take(2).filter(u8::is_ascii_hexdigit).count() == 2 => self.copy(3),
            b':' | b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' if is_begin && self.address() => {}
            byte if byte.is_ascii_alphanumeric() => self.run(),
            _ => self.copy(rest.chars().next().map_or(1, char::len_utf8)),
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn copy(&mut self, length: usize) {
        let rest = self.rest();
        self.out.push_str(rest.get(..length).unwrap_or(rest));
        self.at += length;
    }

    fn replace(&mut self, length: usize, with: &str) {
        self.out.push_str(with);
        self.at += length;
    }

    /// Certificates of authorities stay, as trust is told by them; those of workloads carry names that cannot be changed.
    fn pem(&mut self) {
        let rest = self.rest();
        let end = rest.find(PEM_END).and_then(|end| {
            let behind = end + PEM_END.len();
            Some(behind + rest.get(behind..)?.find("-----")? + "-----".len())
        });
        let block = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
        let is_certificate = block.get(..PEM_BEGIN.len() + 24).unwrap_or(block).contains("CERTIFICATE");
        let certs = cert::parse(block.replace("\\n", "\n").as_bytes());
        let is_of_authority = !certs.is_empty() && certs.iter().all(|cert| cert.is_ca);
        let other = match is_certificate && !is_of_authority {
            false => Cow::Borrowed(block),
            true if certs.is_empty() => self.no_certificate(block).unwrap_or_default(),
            true => Cow::Borrowed(""),
        };
        self.replace(block.len(), &other);
    }

    /// What only looks like a certificate may pack a text.
    fn no_certificate(&self, block: &str) -> Option<Cow<'static, str>> {
        let (begin, rest) = block.get(PEM_BEGIN.len()..)?.split_once("-----")?;
        let (body, _) = rest.split_once(PEM_END)?;
        let body: String = body.replace("\\n", "").split_whitespace().collect();
        let text = self.hidden.inside(&text_of_base64(&body)?, self.depth + 1);
        let end_of_line = if block.contains("\\n") { "\\n" } else { "\n" };
        let body = cert::to_base64(text.as_bytes());
        Some(format!("{PEM_BEGIN}{begin}-----{end_of_line}{body}{end_of_line}{PEM_END}{begin}-----").into())
    }

    /// Takes an address, where one stands here.
    fn address(&mut self) -> bool {
        let rest = self.rest();
        let (hex, key) =
            (run_of(rest, |byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')), self.hidden.key);
        let ends = |length: usize| !rest.as_bytes().get(length).is_some_and(u8::is_ascii_alphanumeric);
        for run in [hex, hex.trim_end_matches('.'), hex.trim_end_matches([':', '.'])] {
            let Ok(address) = run.parse::<Ipv6Addr>() else { continue };
            if ends(run.len()) {
                let (bits, mask) = bits(rest, run.len());
                let is_network = bits.is_some_and(|bits| bits <= 128 && masked_v6(address, bits) == address);
                let other = v6(address, key);
                let other = if is_network { masked_v6(other, bits.unwrap_or(128)) } else { other };
                self.replace(run.len() + mask.len(), &format!("{other}{mask}"));
                return true;
            }
        }
        let run = run_of(rest, |byte| byte.is_ascii_digit() || byte == b'.').trim_end_matches('.');
        if let Ok(address) = run.parse::<Ipv4Addr>()
            && ends(run.len())
        {
            let (bits, mask) = bits(rest, run.len());
            let is_network = bits.is_some_and(|bits| bits <= 32 && masked_v4(address, bits) == address);
            let other = v4(address, key);
            let other = if is_network { masked_v4(other, bits.unwrap_or(32)) } else { other };
            self.replace(run.len() + mask.len(), &format!("{other}{mask}"));
            return true;
        }
        // As names of nodes and of pods repeat it: `ip-10-0-1-23.ec2.internal`.
        let run = run_of(rest, |byte| byte.is_ascii_digit() || byte == b'-').trim_end_matches('-');
        if let Ok(address) = run.replace('-', ".").parse::<Ipv4Addr>()
            && ends(run.len())
        {
            self.replace(run.len(), &v4(address, key).to_string().replace('.', "-"));
            return true;
        }
        false
    }

    /// Takes letters and digits: base64 of a text, of an address, or a word.
    fn run(&mut self) {
        let rest = self.rest();
        let is_token = rest.starts_with("eyJ");
        let is_coded = |byte: u8| {
            byte.is_ascii_alphanumeric()
                || if is_token { matches!(byte, b'_' | b'-') } else { matches!(byte, b'+' | b'/') }
        };
        let bare = run_of(rest, is_coded);
        let padding =
            rest.get(bare.len()..).map_or(0, |rest| rest.bytes().take(2).take_while(|byte| *byte == b'=').count());
        let coded = rest.get(..bare.len() + padding).unwrap_or(bare);
        if let Some(other) = self.coded(coded, is_token).or_else(|| self.coded_address(coded)) {
            return self.replace(coded.len(), &other);
        }
        if CODED_MIN <= bare.len() {
            return self.replace(bare.len(), &self.hidden.words(bare));
        }
        let word = run_of(rest, |byte| byte.is_ascii_alphanumeric());
        self.replace(word.len(), &self.hidden.word(word));
    }

    /// Base64 without the names in it; `None` where it is to be read as words.
    fn coded(&self, coded: &str, is_token: bool) -> Option<String> {
        if coded.len() < CODED_MIN || DEPTH_MAX < self.depth {
            return None;
        }
        if let Some(text) = text_of_base64(coded) {
            let changed = self.hidden.inside(&text, self.depth + 1);
            if changed == text {
                // What packs no name stays; what is no base64 at all is read as words.
                return (is_token || text.contains(PEM_BEGIN)).then(|| coded.to_string());
            }
            let other = if changed.trim().is_empty() { String::new() } else { cert::to_base64(changed.as_bytes()) };
            return Some(match is_token {
                true => other.trim_end_matches('=').replace('+', "-").replace('/', "_"),
                false => other,
            });
        }
        let der = cert::base64(coded.as_bytes()).filter(|der| matches!(der[..], [0x30, 0x81 | 0x82, ..]))?;
        let certs = cert::parse(&der);
        match certs.is_empty() {
            true => None,
            false if certs.iter().all(|cert| cert.is_ca) => Some(coded.to_string()),
            false => Some(String::new()),
        }
    }

    /// An address as bytes of protobuf, which JSON carries as a text of its own (`istio/istio: pkg/workloadapi`).
    fn coded_address(&self, coded: &str) -> Option<String> {
        let is_whole = self.out.ends_with('"') && self.text.get(self.at + coded.len()..)?.starts_with('"');
        if !is_whole || !coded.ends_with("==") {
            return None;
        }
        let bytes = cert::base64(coded.as_bytes())?;
        if let Ok(four) = <[u8; 4]>::try_from(&bytes[..]) {
            return Some(cert::to_base64(&v4(four.into(), self.hidden.key).octets()));
        }
        let sixteen = <[u8; 16]>::try_from(&bytes[..]).ok()?;
        Some(cert::to_base64(&v6(sixteen.into(), self.hidden.key).octets()))
    }
}

/// How much of a text such bytes begin it with.
fn run_of(text: &str, is_part: impl Fn(u8) -> bool) -> &str {
    let length = text.bytes().take_while(|byte| is_part(*byte)).count();
    text.get(..length).unwrap_or_default()
}

/// The bits of a network behind an address, `/16`, and how they are written.
fn bits(rest: &str, at: usize) -> (Option<u32>, &str) {
    let behind = rest.get(at..).unwrap_or_default();
    let Some(digits) = behind.strip_prefix('/').map(|rest| run_of(rest, |byte| byte.is_ascii_digit())) else {
        return (None, "");
    };
    match digits.parse() {
        Ok(bits) => (Some(bits), behind.get(..=digits.len()).unwrap_or_default()),
        Err(_) => (None, ""),
    }
}

/// How long an escape is: all of its backslashes, and what they escape.
fn escape(rest: &str) -> usize {
    let slashes = run_of(rest, |byte| byte == b'\\').len();
    let behind = rest.get(slashes..).unwrap_or_default();
    match behind.as_bytes() {
        [b'u', code @ ..] if 4 <= code.len() && code.iter().take(4).all(u8::is_ascii_hexdigit) => slashes + 5,
        [b'n' | b'r' | b't' | b'b' | b'f', ..] => slashes + 1,
        _ => slashes,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Names;

    #[test]
    fn a_name_hides_wherever_it_stands_and_what_belongs_together_still_does() {
        let mut names = Names::default();
        names.name("gke_acmecorp-prodx_zonexy_westq");
        names.read(
            br#"{"kind":"Pod","metadata":{"name":"kartz-7d9f8c6b5-x2x4z","namespace":"shopz","labels":{"teamz":"paymentz"}}}"#,
        );
        names.read(b"error watch error in cluster westq: Get \"https://apiq.acmecorp.example:6443/api\": dial tcp 10.9.8.7:6443");
        let hidden = names.hide([1, 2]);
        let text = |text: &str| hidden.text(text);
        let packed =
            meshwhy_parsers::cert::to_base64(b"server: https://apiq.acmecorp.example:6443 # of westq and kartz");
        for planted in [
            "kartz-7d9f8c6b5-x2x4z.shopz",
            "outbound|80||kartz.shopz.svc.cluster.local",
            "istio-remote-secret-westq",
            "10.9.8.7",
            "KARTZ_SHOPZ",
            "\\nkartz",
            "%2Fkartz",
            "x=\\\\\\nkartz",
            "ip-10-9-8-7.acmecorp",
            &packed,
            "/apis/acmecorp/westq/namespaces/shopz/podsxx",
            "teamz: paymentz",
        ] {
            let after = text(planted).to_lowercase();
            for name in
                ["kartz", "shopz", "westq", "10.9.8.7", "10-9-8-7", "acmecorp", "7d9f8c6b5", "teamz", "paymentz"]
            {
                assert!(!after.contains(name), "{planted} becomes {after}");
            }
            assert!(after != *packed.to_lowercase(), "what is packed changes");
        }
        let of = |name: &str| text(name);
        assert_eq!(
            of("outbound|80||kartz.shopz.svc.cluster.local"),
            format!("outbound|80||{}.{}.svc.cluster.local", of("kartz"), of("shopz"))
        );
        assert_eq!(of("10.9.8.7:6443"), format!("{}:6443", of("10.9.8.7")));
        assert_eq!(text("10.9.0.0/16")[..5], text("10.9.8.7")[..5]);
        for same in [
            "error watch error in cluster : failed",
            "istiod-1.istio-system",
            "2025-11-21T19:34:52.123456Z",
            "12:34:56",
            "istio.io/rev=default",
            "240.240.0.7",
            "127.0.0.1:15000",
            "chain::fade",
            "sha256:0123456789abcdef",
        ] {
            assert_eq!(text(same), same);
        }
    }
}
