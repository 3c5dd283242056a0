//! Logs of a busy mesh, as large as wanted: the same seed and size give the same bytes.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use k8s_openapi::jiff::Timestamp;

/// How much fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// One destination in a hundred is in trouble: one line in two thousand is a failure.
    Some,
    /// Every destination fails again and again: one line in twenty is a failure.
    Everywhere,
}

impl Trouble {
    /// Of how many lines one fails, and how many of the destinations can fail.
    fn odds(self, destinations: u64) -> (u64, u64) {
        match self {
            Trouble::Some => (2_000, destinations / 100),
            Trouble::Everywhere => (20, destinations),
        }
    }
}

/// The formats, one file each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// ztunnel's access log as text.
    Ztunnel,
    /// ztunnel's access log as JSON.
    ZtunnelJson,
    /// istiod's log.
    Istiod,
    /// Envoy's access log as Istio's default text.
    Envoy,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 4] = [Format::Ztunnel, Format::ZtunnelJson, Format::Istiod, Format::Envoy];

    /// Path of its file below the corpus's folder.
    pub fn path(self) -> &'static str {
        match self {
            Format::Ztunnel => "east/istio-system/ztunnel-4xk2p/istio-proxy.log",
            Format::ZtunnelJson => "west/istio-system/ztunnel-9dq7m/istio-proxy.log",
            Format::Istiod => "east/istio-system/istiod-6b8f7c9d5-w2tzs/discovery.log",
            Format::Envoy => "east/shop/cart-7c5d8f6b9-hx4vn/istio-proxy.log",
        }
    }
}

/// Destinations that are called, each by one workload.
const DESTINATIONS: u64 = 500;
/// Workloads that call.
const SOURCES: u64 = 60;
/// The logs cover this much time.
const HOURS: u64 = 6;
/// 2026-03-01T00:00:00Z, in nanoseconds since the Unix epoch.
const BEGIN_NANOS: u64 = 1_772_323_200_000_000_000;

/// Writes a corpus of about so many bytes below a folder.
pub fn write(folder: &Path, bytes: u64, trouble: Trouble) -> io::Result<()> {
    for format in Format::ALL {
        let path = folder.join(format.path());
        fs::create_dir_all(path.parent().expect("below the folder"))?;
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        log(&mut out, format, bytes / Format::ALL.len() as u64, trouble)?;
        out.flush()?;
    }
    Ok(())
}

/// Writes one log of about so many bytes.
pub fn log(out: &mut dyn Write, format: Format, bytes: u64, trouble: Trouble) -> io::Result<()> {
    let mut random = Random(0x5eed ^ format as u64);
    let step_nanos = HOURS * 3_600_000_000_000 / (bytes / format.line_bytes()).max(1);
    let (mut written, mut nanos) = (0, 0);
    let mut line = Vec::new();
    while written < bytes {
        nanos += 1 + random.below(2 * step_nanos);
        line.clear();
        Call::any(&mut random, trouble).line(&mut line, format, BEGIN_NANOS + nanos)?;
        out.write_all(&line)?;
        written += line.len() as u64;
    }
    Ok(())
}

impl Format {
    fn line_bytes(self) -> u64 {
        match self {
            Format::Ztunnel => 620,
            Format::ZtunnelJson => 720,
            Format::Istiod => 130,
            Format::Envoy => 430,
        }
    }
}

/// What one line is about.
pub struct Call {
    failed: bool,
    destination: u64,
    source: u64,
    size: u64,
    millis: u64,
}

impl Call {
    /// Any call, as likely to fail as the trouble is large.
    pub fn any(random: &mut Random, trouble: Trouble) -> Call {
        Call::to(random, trouble, 0, DESTINATIONS)
    }

    /// The same of a caller that calls so many destinations, from this one on, and those in trouble.
    pub fn to(random: &mut Random, trouble: Trouble, first: u64, count: u64) -> Call {
        let (one_in, failing) = trouble.odds(DESTINATIONS);
        let failed = random.below(one_in) == 0;
        // Those in trouble are among the ones that are called: they also work in between.
        let destination = if failed { random.below(failing) } else { (first + random.below(count)) % DESTINATIONS };
        Call {
            failed,
            destination,
            source: destination % SOURCES,
            size: random.below(20_000),
            millis: random.below(90),
        }
    }

    /// Writes it as a line of this format, printed at this time (nanoseconds since the Unix epoch).
    pub fn line(&self, out: &mut dyn Write, format: Format, nanos: u64) -> io::Result<()> {
        match format {
            Format::Ztunnel => self.ztunnel(out, nanos),
            Format::ZtunnelJson => self.ztunnel_json(out, nanos),
            Format::Istiod => self.istiod(out, nanos),
            Format::Envoy => self.envoy(out, nanos),
        }
    }

    fn ztunnel(&self, out: &mut dyn Write, nanos: u64) -> io::Result<()> {
        let (level, end) = match self.failed {
            true => (
                "error",
                " error=\"connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: deadline has elapsed\"",
            ),
            false => ("info", ""),
        };
        let Call { destination: to, source: from, size, millis, .. } = self;
        writeln!(
            out,
            "{time}\t{level}\taccess\tconnection complete\tsrc.addr=10.10.{a}.{b}:{port} src.workload=\"front-{from}\" \
             src.namespace=\"shop\" src.identity=\"spiffe://cluster.local/ns/shop/sa/front\" \
             dst.addr=10.{c}.{d}.{e}:15008 dst.hbone_addr=10.{c}.{d}.{e}:8080 dst.service=\"store-{to}.shop.svc.cluster.local\" \
             dst.workload=\"store-{to}-5d8f6b9c7-x2x2x\" dst.namespace=\"shop\" \
             dst.identity=\"spiffe://cluster.local/ns/shop/sa/store-{to}\" direction=\"outbound\" bytes_sent={size} \
             bytes_recv={sent} duration=\"{millis}ms\"{end}",
            time = Clock(nanos),
            a = from / 250,
            b = from % 250 + 1,
            port = 32_768 + size,
            c = 20 + to / 50_000,
            d = to / 200,
            e = to % 200 + 1,
            sent = size * 3,
        )
    }

    fn ztunnel_json(&self, out: &mut dyn Write, nanos: u64) -> io::Result<()> {
        let (level, end) = match self.failed {
            true => ("error", ",\"error\":\"http status: 503 Service Unavailable\""),
            false => ("info", ""),
        };
        let Call { destination: to, source: from, size, millis, .. } = self;
        writeln!(
            out,
            "{{\"level\":\"{level}\",\"time\":\"{time}\",\"scope\":\"access\",\"message\":\"connection complete\",\
             \"src.addr\":\"10.30.{a}.{b}:{port}\",\"src.workload\":\"front-{from}\",\"src.namespace\":\"shop\",\
             \"src.identity\":\"spiffe://cluster.local/ns/shop/sa/front\",\"dst.addr\":\"10.{c}.{d}.{e}:15008\",\
             \"dst.hbone_addr\":\"10.{c}.{d}.{e}:8080\",\"dst.service\":\"store-{to}.shop.svc.cluster.local\",\
             \"dst.workload\":\"store-{to}-5d8f6b9c7-x2x2x\",\"dst.namespace\":\"shop\",\
             \"dst.identity\":\"spiffe://cluster.local/ns/shop/sa/store-{to}\",\"direction\":\"outbound\",\
             \"bytes_sent\":{size},\"bytes_recv\":{sent},\"duration\":\"{millis}ms\"{end}}}",
            time = Clock(nanos),
            a = from / 250,
            b = from % 250 + 1,
            port = 32_768 + size,
            c = 40 + to / 50_000,
            d = to / 200,
            e = to % 200 + 1,
            sent = size * 3,
        )
    }

    fn istiod(&self, out: &mut dyn Write, nanos: u64) -> io::Result<()> {
        let Call { destination: to, source: from, size, .. } = self;
        let time = Clock(nanos);
        if self.failed {
            return writeln!(out, "{time}\terror\tkube\tremote cluster west-{to} failed to sync after 30s");
        }
        match size % 4 {
            0 => writeln!(
                out,
                "{time}\tinfo\tads\tPush debounce stable[{size}] 2 for config ServiceEntry/shop/store-{to}.shop.svc.cluster.local: \
                 101.756916ms since last change, 4.240354719s since last push, full=false"
            ),
            1 => writeln!(
                out,
                "{time}\tinfo\tads\tXDS: Incremental Pushing ConnectedEndpoints:{from} Version:2026-03-01T09:13:50Z/{size}"
            ),
            2 => writeln!(
                out,
                "{time}\tinfo\tdelta\tCDS: PUSH request for node:front-{from}.shop resources:{to} removed:0 size:{size}kB cached:{from}/{to}"
            ),
            _ => writeln!(
                out,
                "{time}\tinfo\tdelta\tEDS: PUSH INC request for node:front-{from}.shop resources:1 removed:0 size:{size}B"
            ),
        }
    }

    fn envoy(&self, out: &mut dyn Write, nanos: u64) -> io::Result<()> {
        let (code, flags, details, failure) = match self.failed {
            true => (
                503,
                "UF,URX",
                "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_timed_out}",
                "\"delayed_connect_error:_Connection_timed_out\"",
            ),
            false => (200, "-", "via_upstream", "\"-\""),
        };
        let Call { destination: to, source: from, size, millis, .. } = self;
        writeln!(
            out,
            "[{time}] \"GET /api/v1/items/{size} HTTP/1.1\" {code} {flags} {details} - {failure} 0 {size} {millis} {millis} \
             \"-\" \"client/2.{from}\" \"{size:08x}-5d2c-4e8a-9f61-0{to:011x}\" \"store-{to}.shop:8080\" \"10.{c}.{d}.{e}:8080\" \
             outbound|8080||store-{to}.shop.svc.cluster.local 10.10.1.7:{port} 10.96.{d}.{e}:8080 10.10.1.7:{port} - default",
            time = Millis(nanos),
            c = 20 + to / 50_000,
            d = to / 200,
            e = to % 200 + 1,
            port = 32_768 + size,
        )
    }
}

/// Nanoseconds since the Unix epoch, printed to the microsecond.
struct Clock(u64);
/// The same to the millisecond.
struct Millis(u64);

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.6}", Timestamp::from_nanosecond(self.0.into()).unwrap_or_default())
    }
}

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3}", Timestamp::from_nanosecond(self.0.into()).unwrap_or_default())
    }
}

/// Numbers that look random (a linear congruential generator with Knuth's constants).
pub struct Random(pub u64);

impl Random {
    /// A number below the end.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }
}
