//! One JSON record a line: findings at each change, events where asked for, at last the summary. See `schema.json`.

use std::collections::BTreeMap;
use std::io;

use meshwhy_parsers::event::Event;
use meshwhy_parsers::time::Time;
use serde_json::{Value, json};

use super::fields::{fields, word};
use super::{Output, Summary, clusters, json_line, notes, open_causes, recovered, slugs};
use crate::engine::cause::Cause;
use crate::engine::check::Checked;
use crate::engine::finding::{Candidate, Evidence, Finding};
use crate::engine::trace::{Hop, Trace};
use crate::redact::redact;

/// The NDJSON format.
pub struct Ndjson {
    events: bool,
    quiet: bool,
}

impl Ndjson {
    /// All records, with the events that are evidence where `events`; where `quiet` the summary alone.
    pub fn new(events: bool, quiet: bool) -> Ndjson {
        Ndjson { events, quiet }
    }
}

impl Output for Ndjson {
    fn finding(&mut self, out: &mut dyn io::Write, finding: &Finding) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let record = json!({
            "type": "finding",
            "id": finding.id,
            "stage": finding.stage.word(),
            "cause": finding.cause.slug,
            "severity": finding.cause.severity.word(),
            "confidence": finding.confidence.word(),
            "subject": redact(&finding.subject),
            "summary": redact(&finding.summary),
            "remedy": redact(&finding.remedy),
            "verify": redact(&finding.verify),
            "clusters": clusters(finding),
            "first_at": time(finding.first_at),
            "last_at": time(finding.last_at),
            "recovered_at": time(finding.recovered_at),
            "count": finding.count,
            "because": finding.because.iter().map(evidence).collect::<Vec<_>>(),
            "against": finding.against.iter().map(evidence).collect::<Vec<_>>(),
            "names": finding.names.iter().map(name).collect::<Vec<_>>(),
            "candidates": finding.candidates.iter().map(candidate).collect::<Vec<_>>(),
            "settle_by": redact(&finding.settle_by),
            "explains": finding.explains,
            "explained_by": finding.explained_by,
        });
        writeln!(out, "{}", json_line(&record))
    }

    fn event(&mut self, out: &mut dyn io::Write, followed: &Event) -> io::Result<()> {
        writeln!(out, "{}", json_line(&event(followed, &[])))
    }

    fn checks(&mut self, out: &mut dyn io::Write, checked: &[Checked], findings: &[Finding]) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        for (check, item) in checked.iter().flat_map(|of| of.items.iter().map(move |item| (of.check, item))) {
            let finding = findings.iter().find(|finding| item.is_of(finding));
            let record = json!({
                "type": "check",
                "check": check.id,
                "outcome": word(&item.outcome),
                "cluster": redact(&item.cluster),
                "object": redact(&item.object),
                "reason": redact(&item.reason),
                "remedy": redact(&item.remedy),
                "finding": finding.map(|finding| &finding.id),
            });
            writeln!(out, "{}", json_line(&record))?;
        }
        Ok(())
    }

    fn trace(&mut self, out: &mut dyn io::Write, trace: &Trace, finding: Option<&Finding>) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let hop = |hop: &Hop| {
            json!({
                "name": hop.name,
                "place": redact(&hop.place),
                "outcome": word(&hop.outcome),
                "says": redact(&hop.says),
                "told": hop.told.iter().map(evidence).collect::<Vec<_>>(),
            })
        };
        let record = json!({
            "type": "trace",
            "from": redact(&trace.from),
            "to": redact(&trace.to),
            "hops": trace.hops.iter().map(hop).collect::<Vec<_>>(),
            "finding": finding.map(|finding| &finding.id),
        });
        writeln!(out, "{}", json_line(&record))
    }

    fn close(&mut self, out: &mut dyn io::Write, findings: &[Finding], summary: &Summary) -> io::Result<()> {
        if self.events && !self.quiet {
            for (evidence, of) in evidence_of(findings).values() {
                writeln!(out, "{}", json_line(&event(&evidence.event, of)))?;
            }
        }
        let engine = &summary.engine;
        let record = json!({
            "type": "summary",
            "version": env!("CARGO_PKG_VERSION"),
            "causes": slugs(open_causes(findings)),
            "notes": slugs(notes(findings)),
            "recovered": slugs(recovered(findings)),
            "files": summary.files,
            "documents": summary.documents,
            "lines": summary.lines,
            "understood": summary.understood,
            "not_understood": summary.not_understood,
            "first_at": time(engine.span.map(|(from, _)| from)),
            "last_at": time(engine.span.map(|(_, to)| to)),
            "limits_hit": {
                "late": engine.late,
                "symptoms_refused": engine.cases_refused,
                "facts_refused": engine.facts_refused,
                "causes_disabled": engine.causes_disabled,
            },
            "losses": summary.losses.iter().map(|loss| redact(loss)).collect::<Vec<_>>(),
            "templates": summary.templates.iter().map(counted).collect::<Vec<_>>(),
            "unexplained": engine.unexplained.iter().map(counted).collect::<Vec<_>>(),
        });
        writeln!(out, "{}", json_line(&record))
    }
}

/// A cause of the catalogue as a record.
pub fn cause(out: &mut dyn io::Write, cause: &Cause) -> io::Result<()> {
    let record = json!({
        "type": "cause",
        "slug": cause.slug,
        "severity": cause.severity.word(),
        "summary": cause.summary,
        "mechanism": cause.mechanism,
        "remedy": cause.remedy,
        "verify": cause.verify,
        "explains": cause.explains.iter().map(|(slug, _)| slug).collect::<Vec<_>>(),
    });
    writeln!(out, "{}", json_line(&record))
}

/// When, in which file, where in it.
type EventKey = (Option<Time>, String, u64);

/// The evidence of all findings, each event once, in the order of their time and place, with the findings it proves.
fn evidence_of(findings: &[Finding]) -> BTreeMap<EventKey, (&Evidence, Vec<&str>)> {
    let mut events: BTreeMap<EventKey, (&Evidence, Vec<&str>)> = BTreeMap::new();
    for finding in findings {
        for evidence in finding.because.iter().chain(&finding.against) {
            let event = &evidence.event;
            let key = (event.at, event.origin.file.to_string(), event.seq);
            let (_, of) = events.entry(key).or_insert((evidence, Vec::new()));
            if !of.contains(&finding.id.as_str()) {
                of.push(&finding.id);
            }
        }
    }
    events
}

fn event(event: &Event, of: &[&str]) -> Value {
    let origin = event.origin();
    let said: serde_json::Map<String, Value> =
        fields(&event.fact).into_iter().map(|(name, value)| (name.to_string(), redact(&value).into())).collect();
    json!({
        "type": "event",
        "place": event.place(),
        "at": time(event.at),
        "origin": {
            "cluster": origin.cluster,
            "namespace": origin.namespace,
            "pod": origin.pod,
            "container": origin.container,
            "file": origin.file,
        },
        "level": word(&event.level),
        "signature": event.signature,
        "kind": word(&event.fact.kind()),
        "fields": said,
        "text": redact(&event.text),
        "evidence_of": of,
    })
}

fn evidence(evidence: &Evidence) -> Value {
    json!({
        "place": evidence.place(),
        "at": time(evidence.event.at),
        "quote": redact(&evidence.quote),
        "shows": redact(&evidence.shows),
    })
}

fn candidate(candidate: &Candidate) -> Value {
    json!({
        "cause": candidate.slug,
        "confidence": candidate.confidence.word(),
        "summary": redact(&candidate.summary),
        "settle_by": redact(&candidate.settle_by),
    })
}

fn name((address, words): &(String, String)) -> Value {
    json!({ "address": address, "is": redact(words) })
}

fn counted((text, count): &(String, u64)) -> Value {
    json!({ "text": redact(text), "count": count })
}

fn time(at: Option<Time>) -> Value {
    at.map_or(Value::Null, |at| at.to_string().into())
}
