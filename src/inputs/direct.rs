//! Admin and debug endpoints at addresses that a person names, where no API server forwards their ports.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use hyper::body::Bytes;
use meshwhy_parsers::document::{self, Found};
use meshwhy_parsers::event::Fact;
use meshwhy_parsers::origin::{Origin, Role, SharedOrigin, UNNAMED};
use meshwhy_parsers::state::State;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::admin::{self, Declined, Program, Request};
use super::clock::now;
use super::kube::gather::{Answer, Gathered, Refused, What};
use super::source::{Deaf, Feed, LiveLimits, Read, Said, Status};

/// How often what is named is asked while it is watched.
const PERIOD: Duration = Duration::from_secs(30);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// An address of an admin or debug endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    program: Program,
    /// Cluster, namespace and pod as they were named; empty where they were not.
    name: [String; 3],
    at: At,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    /// Host and port.
    Tcp(String),
    /// A socket of this machine.
    Unix(PathBuf),
}

impl Address {
    /// Reads `http://127.0.0.1:15000`, `unix:///run/envoy.sock`, `east=http://10.0.0.7:15014`,
    /// `east/shop/cart-1=http://127.0.0.1:15000`.
    pub fn parse(program: Program, text: &str) -> anyhow::Result<Address> {
        let hint = "hint: [CLUSTER[/NAMESPACE/POD]=]http://HOST:PORT, or unix:///PATH";
        let (name, url) = match text.split_once('=') {
            Some((name, url)) if !name.contains(':') => (name, url),
            _ => ("", text),
        };
        let parts: Vec<&str> = name.split('/').collect();
        let name = match parts[..] {
            [cluster] => [cluster, "", ""],
            [cluster, namespace, pod] if !parts.contains(&"") => [cluster, namespace, pod],
            _ => bail!("cannot read {name:?} as the name of a pod\n{hint}"),
        };
        let at = match url.split_once(':') {
            Some(("unix", path)) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                if !path.starts_with('/') {
                    bail!("cannot read {url:?} as the path of a socket\n{hint}");
                }
                At::Unix(PathBuf::from(path))
            }
            Some(("http", rest)) => {
                let authority = rest.trim_start_matches('/').trim_end_matches('/');
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
                let port = authority
                    .rsplit_once(':')
                    .and_then(|(host, port)| port.parse::<u16>().ok().filter(|port| 0 < *port && !host.is_empty()));
                if port.is_none() || !authority.bytes().all(is_plain) {
                    bail!("cannot read {url:?} as an address: it is a host and a port, without a path\n{hint}");
                }
                At::Tcp(authority.to_string())
            }
            Some(("https", _)) => bail!("cannot ask {url}: these ports speak http without TLS\n{hint}"),
            _ => bail!("cannot read {text:?} as an address\n{hint}"),
        };
        Ok(Address { program, name: name.map(String::from), at })
    }

    fn title(&self) -> String {
        match &self.at {
            At::Tcp(authority) => authority.clone(),
            At::Unix(path) => path.display().to_string(),
        }
    }

    /// The cluster that was named; else the only one that is known.
    fn cluster(&self, only: Option<&str>) -> String {
        match &*self.name[0] {
            "" => only.unwrap_or_default().to_string(),
            cluster => cluster.to_string(),
        }
    }

    async fn get(&self, request: &Request, bytes_max: usize) -> anyhow::Result<Bytes> {
        let title = self.title();
        let asked = async {
            match &self.at {
                At::Tcp(authority) => {
                    let stream =
                        TcpStream::connect(authority).await.with_context(|| format!("cannot reach {title}"))?;
                    admin::exchange(stream, &title, request, bytes_max).await
                }
                At::Unix(path) => {
                    let stream = UnixStream::connect(path).await.with_context(|| format!("cannot reach {title}"))?;
                    admin::exchange(stream, &title, request, bytes_max).await
                }
            }
        };
        timeout(ANSWER_TIMEOUT, asked).await.with_context(|| format!("no answer from {title}{}", request.path()))?
    }

    /// Asks all there is to ask. Who it is, is told by its name, else by its first answer.
    async fn ask(&self, only: Option<&str>, bytes_max: usize, answers: &mut Vec<Answer>) -> anyhow::Result<()> {
        let mut whose = Origin {
            cluster: self.cluster(only).into(),
            namespace: self.name[1].as_str().into(),
            pod: self.name[2].as_str().into(),
            role: match self.program {
                Program::Istiod => Role::Istiod,
                Program::Ztunnel => Role::Ztunnel,
                Program::Envoy => Role::Sidecar,
            },
            ..Origin::default()
        };
        for path in self.program.questions() {
            let Ok(request) = Request::new(self.program, path) else { continue };
            let bytes = match self.get(&request, bytes_max).await {
                Ok(bytes) => bytes,
                Err(error) if error.is::<Declined>() => continue,
                Err(error) => return Err(error),
            };
            if whose.cluster.is_empty() || whose.pod.is_empty() {
                introduce(&mut whose, &bytes, path);
            }
            let answer = Answer {
                origin: place(&whose, &self.title(), path),
                command: String::new(),
                taken: now(),
                what: What::Document,
                bytes: bytes.into(),
            };
            answers.push(answer);
        }
        Ok(())
    }
}

/// Learns from an answer who gave it.
fn introduce(whose: &mut Origin, bytes: &[u8], path: &str) {
    let Some(Ok(document)) = document::read(bytes, Found { path: path.trim_start_matches('/'), command: "" }) else {
        return;
    };
    if whose.cluster.is_empty() {
        whose.cluster = document.cluster;
    }
    let proxy = document.facts.iter().find_map(|(_, fact)| match fact {
        Fact::State(state) => match &**state {
            State::Proxy(proxy) => proxy.proxy.split_once('.'),
            _ => None,
        },
        _ => None,
    });
    if let Some((pod, namespace)) = proxy.filter(|_| whose.pod.is_empty()) {
        (whose.pod, whose.namespace) = (pod.into(), namespace.into());
    }
}

/// The origin of an answer: where saved state keeps it, and where nobody said whose it is, by its address.
fn place(whose: &Origin, title: &str, path: &str) -> SharedOrigin {
    let endpoint = path.split('?').next().unwrap_or(path);
    let cluster = if whose.cluster.is_empty() { UNNAMED } else { &whose.cluster };
    let file = match &*whose.pod {
        "" => format!("{cluster}/{title}{endpoint}"),
        pod => format!("{cluster}/{}/{pod}{endpoint}", whose.namespace),
    };
    Arc::new(Origin { cluster: cluster.into(), file: file.into(), ..whose.clone() })
}

/// Asks all addresses once, until the deadline. `only` is the cluster of those that name none.
pub async fn gather(
    addresses: &[Address],
    only: Option<&str>,
    limits: &LiveLimits,
    to: &Sender<Gathered>,
) -> Result<(), Deaf> {
    let deadline = Instant::now() + limits.gather_max;
    for address in addresses {
        let mut answers = Vec::new();
        let asked = timeout_at(deadline, address.ask(only, limits.answer_bytes_max, &mut answers)).await;
        for answer in answers {
            to.send(Gathered::Answer(answer)).await.map_err(|_| Deaf)?;
        }
        let why = match asked {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("no answer from {} in time", address.title()),
        };
        let refused = Refused { cluster: address.cluster(only), what: why, is_all: true };
        to.send(Gathered::Refused(refused)).await.map_err(|_| Deaf)?;
    }
    Ok(())
}

/// Asks an address again and again, gently, until nobody listens.
pub async fn watch(address: Address, only: Option<String>, feed: Feed) -> Result<(), Deaf> {
    let cluster = match &*address.cluster(only.as_deref()) {
        "" => UNNAMED.to_string(),
        cluster => cluster.to_string(),
    };
    let mut is_failing = false;
    let mut lost = None;
    loop {
        let due = Instant::now() + PERIOD;
        let mut answers = Vec::new();
        let asked = address.ask(only.as_deref(), feed.limits.answer_bytes_max, &mut answers).await;
        for answer in answers {
            let losses = match feed.document(&answer.origin, &answer.bytes, answer.taken).await? {
                Read::Broken(error) => vec![error],
                Read::Said(losses) => losses,
                Read::Unknown => Vec::new(),
            };
            // The same answer comes every time.
            if lost.as_ref() != Some(&losses) && !losses.is_empty() {
                for loss in &losses {
                    let what = format!("{}: {loss}", answer.origin.file);
                    feed.say(Said::Status(Status::Lost { what })).await?;
                }
                lost = Some(losses);
            }
        }
        match asked {
            Err(error) if !is_failing => {
                is_failing = true;
                feed.trouble(&cluster, format!("{error:#}; it is tried again")).await?;
            }
            Ok(()) if is_failing => {
                is_failing = false;
                feed.trouble(&cluster, format!("{} answers again", address.title())).await?;
            }
            Ok(()) | Err(_) => {}
        }
        sleep_until(due).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let read = |text: &str| Address::parse(Program::Envoy, text);
        let named = read("east/shop/cart-1=http://127.0.0.1:15000").expect("an address");
        assert_eq!(
            (named.name.join(" "), named.title()),
            ("east shop cart-1".to_string(), "127.0.0.1:15000".to_string())
        );
        assert_eq!(read("http://[::1]:15000/").expect("an address").title(), "[::1]:15000");
        assert_eq!(read("west=unix:///run/envoy.sock").expect("a socket").title(), "/run/envoy.sock");
        for wrong in [
            "https://127.0.0.1:15000",
            "127.0.0.1:15000",
            "http://127.0.0.1",
            "http://127.0.0.1:15000/quitquitquit",
            "http://127.0.0.1:15000?x=y",
            "http://user@host:15000",
            "http://:15000",
            "east/shop=http://127.0.0.1:15000",
            "unix://run/envoy.sock",
            "",
        ] {
            let error = read(wrong).expect_err(wrong).to_string();
            assert!(error.contains("hint: "), "{error}");
        }
    }
}
