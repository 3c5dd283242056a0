//! The pure core: events in, findings out. No clock, no I/O, no randomness; one plain loop.

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod case;
pub mod cause;
pub mod check;
pub mod finding;
pub mod mesh;
pub mod order;
pub mod trace;
pub mod view;
pub mod world;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::event::{Arrival, Event, Fact, Symptom};
use meshwhy_parsers::time::Time;

use case::{Case, Cases};
use cause::{Cause, Confidence, Rule, Severity, Verdict, Within};
use check::{Check, Checked, Item, Outcome, Speaks, Weight};
use finding::{EVIDENCE_MAX, Evidence, Finding, Stage};
use order::{Order, Patience};
use view::View;
use world::World;

/// Slug of the note that says what failed and recovered by itself.
const RECOVERED: &str = "transient-recovered";

/// The engine's limits, all of them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long sources that race are waited for.
    pub patience: Patience,
    /// How many symptoms are followed at once.
    pub cases_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { patience: Patience::default(), cases_max: 2_000 }
    }
}

/// What the engine counted.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Events taken in.
    pub events: u64,
    /// Events behind the watermark.
    pub late: u64,
    /// Symptoms not followed because too many were open.
    pub cases_refused: u64,
    /// Facts not kept because their kind was full.
    pub facts_refused: u64,
    /// Causes whose judgement panicked, disabled for this run.
    pub causes_disabled: Vec<&'static str>,
    /// Symptoms that no cause explains: a sample line and how often.
    pub unexplained: Vec<(String, u64)>,
    /// First and last event time.
    pub span: Option<(Time, Time)>,
}

/// What an engine is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Asks {
    /// Why what fails in the lines fails, with the help of state.
    #[default]
    Why,
    /// What is wrong with the state, whether a line shows it or not.
    State,
    /// No more than what checks say: it holds what is known, for questions of one's own.
    Nothing,
}

/// The correlator.
pub struct Engine {
    causes: Vec<&'static Cause>,
    checks: Vec<&'static Check>,
    asks: Asks,
    limits: Limits,
    order: Order,
    world: World,
    cases: Cases,
    ordinal: u64,
    now: Option<Time>,
    /// The wall clock, where a source tells it.
    clock: Option<Time>,
    ended: bool,
    shown: BTreeMap<String, Shown>,
    out: VecDeque<Finding>,
    findings: Vec<Finding>,
    stats: Stats,
    disabled: BTreeSet<&'static str>,
    checked: Vec<Checked>,
}

/// What was last said about a finding.
struct Shown {
    finding: Finding,
    members: Vec<Symptom>,
}

impl Engine {
    /// An engine for a source that is merged by event time.
    pub fn presorted(causes: Vec<&'static Cause>, limits: Limits) -> Engine {
        Engine::with(causes, limits, Order::presorted())
    }

    /// An engine for sources that race.
    pub fn racing(causes: Vec<&'static Cause>, limits: Limits) -> Engine {
        Engine::with(causes, limits, Order::racing(limits.patience))
    }

    fn with(causes: Vec<&'static Cause>, limits: Limits, order: Order) -> Engine {
        Engine {
            causes,
            checks: Vec::new(),
            asks: Asks::default(),
            limits,
            order,
            world: World::default(),
            cases: Cases::default(),
            ordinal: 0,
            now: None,
            clock: None,
            ended: false,
            shown: BTreeMap::new(),
            out: VecDeque::new(),
            findings: Vec::new(),
            stats: Stats::default(),
            disabled: BTreeSet::new(),
            checked: Vec::new(),
        }
    }

    /// Has it run these checks at the end; what they find broken becomes findings.
    pub fn with_checks(mut self, checks: Vec<&'static Check>, asks: Asks) -> Engine {
        self.checks = checks;
        self.asks = asks;
        self
    }

    /// Takes one arrival and does all the work it allows.
    pub fn feed(&mut self, arrival: Arrival<Event>) {
        if let Arrival::Gap(origin) = &arrival {
            self.world.gap(&origin.cluster, &origin.file);
        }
        let clock = match &arrival {
            Arrival::Clock(now) => Some(*now),
            _ => None,
        };
        self.clock = clock.or(self.clock);
        if let Some(event) = self.order.push(arrival) {
            self.take(event);
        }
        while let Some(event) = self.order.pop() {
            self.take(event);
        }
        if let Some(now) = clock {
            self.judge_due(now);
        }
    }

    /// Asks state again and judges anew what lines suggest, while the stream goes on: says what is found beside what lines
    /// alone have shown, what has become surer, and what is over.
    pub fn look(&mut self) {
        self.checked = self.run_checks();
        for symptom in self.cases.symptoms() {
            if self.cases.get(&symptom).is_some_and(|case| case.judged) {
                self.judge(&symptom);
                self.announce(symptom);
            }
        }
        let findings = self.conclude();
        let there: BTreeMap<&str, &Finding> = findings.iter().map(|finding| (&*finding.id, finding)).collect();
        for (id, shown) in &mut self.shown {
            let is_open = there.get(&**id).is_some_and(|finding| finding.stage != Stage::Resolved);
            if !is_open && shown.finding.stage != Stage::Resolved {
                shown.finding.stage = Stage::Resolved;
                shown.finding.recovered_at = shown.finding.recovered_at.or(self.clock);
                self.out.push_back(shown.finding.clone());
            }
        }
        for finding in &findings {
            if finding.stage == Stage::Resolved || finding.cause.slug == RECOVERED {
                continue;
            }
            let said = self.shown.get(&finding.id).map(|shown| &shown.finding);
            let stage = match said {
                // What another explains is not worth a word of its own.
                None if finding.explained_by.is_some() => continue,
                Some(said) if said.stage != Stage::Resolved => {
                    let is_same = said.confidence == finding.confidence && said.explained_by == finding.explained_by;
                    // Repeats alone are told when they have doubled.
                    if is_same && finding.count < said.count.saturating_mul(2).max(1) {
                        continue;
                    }
                    Stage::Updated
                }
                _ => Stage::Opened,
            };
            let mut finding = finding.clone();
            finding.stage = stage;
            self.out.push_back(finding.clone());
            let members = self.shown.remove(&finding.id).map(|shown| shown.members).unwrap_or_default();
            self.shown.insert(finding.id.clone(), Shown { finding, members });
        }
    }

    /// Nothing arrived for so long after the last event: judges what has become due meanwhile.
    pub fn idle(&mut self, pause: Duration) {
        let Some(now) = self.now else { return };
        self.judge_due(now.plus(pause));
    }

    /// Nothing more will arrive: judges what is open, with all that is known.
    pub fn finish(&mut self) {
        self.order.finish();
        while let Some(event) = self.order.pop() {
            self.take(event);
        }
        self.ended = true;
        // State first: it weighs what lines suggest.
        self.checked = self.run_checks();
        for symptom in self.cases.symptoms() {
            self.judge(&symptom);
        }
        if self.asks != Asks::Nothing {
            self.findings = self.conclude();
        }
        self.announce_final();
        self.stats.late = self.order.late;
        self.stats.cases_refused = self.cases.refused;
        self.stats.facts_refused = self.world.facts_refused + self.world.mesh().refused;
        self.stats.causes_disabled = self.disabled.iter().copied().collect();
        self.stats.unexplained = self.unexplained();
    }

    /// The next change of a finding; call until `None`.
    pub fn poll(&mut self) -> Option<Finding> {
        let mut finding = self.out.pop_front()?;
        finding.name_addresses(self.world.mesh());
        Some(finding)
    }

    /// The findings at the end, ranked: first what explains others, then by confidence, severity and first seen.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What the checks said, each with its items, in their order.
    pub fn checked(&self) -> &[Checked] {
        &self.checked
    }

    /// A verdict as a finding: `None` where its cause is not judged.
    pub fn finding(&self, slug: &str, verdict: &Verdict) -> Option<Finding> {
        let cause = self.causes.iter().find(|cause| cause.slug == slug)?;
        let mut finding = from_verdict(cause, verdict);
        finding.name_addresses(self.world.mesh());
        Some(finding)
    }

    /// Everything that is known, for questions of one's own.
    pub fn view(&self) -> View<'_> {
        View::new(&self.world, self.ended).asking_state(self.asks != Asks::Why)
    }

    /// What was counted.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn take(&mut self, event: Event) {
        self.ordinal += 1;
        self.stats.events += 1;
        if let Some(at) = event.at.filter(|_| !event.is_document()) {
            self.now = Some(self.now.map_or(at, |now| now.max(at)));
            self.stats.span = Some(self.stats.span.map_or((at, at), |(from, to)| (from.min(at), to.max(at))));
            if self.clock.is_none() {
                self.judge_due(at);
            }
        }
        let event = Arc::new(event);
        let about = event.about();
        self.world.note(&event, self.ordinal);
        for thing in &about.worked {
            for symptom in self.cases.worked(*thing, &event, self.ordinal) {
                self.announce_recovery(symptom);
            }
        }
        let Some(symptom) = about.failed.filter(|_| self.asks == Asks::Why) else { return };
        let at = event.at.or(self.now);
        if !self.cases.failed(symptom, &event, at, self.ordinal, self.limits.cases_max) {
            return;
        }
        // Where there is a wall clock, what is to be known arrives by it: lines may be of last week, or of a clock that is
        // wrong.
        match (self.settle_of(&event.fact), self.clock.or(at)) {
            (settle, Some(at)) if !settle.is_zero() => self.cases.judge_at(at.plus(settle), symptom),
            // Without a time there is nothing to wait for; the end judges it again.
            _ => {
                self.judge(&symptom);
                self.announce(symptom);
            }
        }
    }

    fn judge_due(&mut self, now: Time) {
        while let Some(symptom) = self.cases.pop_due(now) {
            self.judge(&symptom);
            self.announce(symptom);
        }
    }

    /// The longest settle time of the causes a fact can trigger.
    fn settle_of(&self, fact: &Fact) -> Duration {
        let kind = fact.kind();
        let rules = self.causes.iter().flat_map(|cause| cause.rules);
        let settles = rules.filter_map(|rule| match rule {
            Rule::Symptom { trigger, settle, .. } if *trigger == kind => Some(*settle),
            _ => None,
        });
        settles.max().unwrap_or_default()
    }

    fn judge(&mut self, symptom: &Symptom) {
        let Some(case) = self.cases.get(symptom) else { return };
        let trigger = Arc::clone(&case.first);
        let kind = trigger.fact.kind();
        let view = View::new(&self.world, self.ended);
        let mut verdicts: Vec<(&'static Cause, Verdict)> = Vec::new();
        for (cause, rule) in self.causes.iter().flat_map(|cause| cause.rules.iter().map(move |rule| (*cause, rule))) {
            let (fits, judge) = match rule {
                Rule::Symptom { trigger: wanted, judge, .. } => (*wanted == kind, judge),
                Rule::Named { name, judge } => (matches!(&trigger.fact, Fact::User(user) if user.name == *name), judge),
                Rule::Mesh(_) => continue,
            };
            if !fits || self.disabled.contains(cause.slug) {
                continue;
            }
            // A broken judge must not take the others down with it.
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| judge(&view, &trigger))) {
                Ok(Some(verdict)) => verdicts.push((cause, verdict)),
                Ok(None) => {}
                Err(_) => {
                    self.disabled.insert(cause.slug);
                }
            }
        }
        for (cause, verdict) in &mut verdicts {
            self.weigh(cause, verdict);
        }
        verdicts.sort_by(|(a, x), (b, y)| {
            y.confidence.cmp(&x.confidence).then(b.severity.cmp(&a.severity)).then(a.slug.cmp(b.slug))
        });
        if let Some(case) = self.cases.get_mut(symptom) {
            case.verdicts = verdicts;
            case.judged = true;
        }
    }

    /// What state says of what lines suggest: the same, which makes it surer, or the contrary.
    fn weigh(&self, cause: &Cause, verdict: &mut Verdict) {
        let items = || self.checked.iter().flat_map(|checked| &checked.items);
        let mut broken = items().filter_map(|item| item.cause.as_ref().filter(|_| item.outcome == Outcome::Fail));
        if broken.any(|(slug, found)| *slug == cause.slug && found.concerns(verdict)) {
            verdict.confidence = verdict.confidence.raised();
            return;
        }
        weigh_items(items(), cause, verdict);
    }

    /// Says that a case has been named, or that more of it has been seen.
    fn announce(&mut self, symptom: Symptom) {
        let Some(case) = self.cases.get(&symptom) else { return };
        let Some((cause, verdict)) = case.verdicts.first() else { return };
        let id = finding::id(cause.slug, &verdict.subject);
        match self.shown.get_mut(&id) {
            Some(shown) => {
                if !shown.members.contains(&symptom) {
                    shown.members.push(symptom);
                }
                if shown.finding.stage == Stage::Resolved {
                    shown.finding.stage = Stage::Opened;
                    self.out.push_back(shown.finding.clone());
                }
            }
            None => {
                let finding = from_case(cause, verdict, case);
                self.out.push_back(finding.clone());
                self.shown.insert(id, Shown { finding, members: vec![symptom] });
            }
        }
    }

    fn announce_recovery(&mut self, symptom: Symptom) {
        let Some(case) = self.cases.get(&symptom) else { return };
        let Some((cause, verdict)) = case.verdicts.first() else { return };
        let recovered_at = case.worked.as_ref().and_then(|event| event.at);
        let id = finding::id(cause.slug, &verdict.subject);
        let Some(shown) = self.shown.get_mut(&id) else { return };
        let all_well =
            shown.members.iter().all(|member| self.cases.get(member).is_none_or(|case| case.recovered(self.now)));
        if all_well && shown.finding.stage != Stage::Resolved {
            shown.finding.stage = Stage::Resolved;
            shown.finding.recovered_at = recovered_at;
            shown.finding.count =
                shown.members.iter().filter_map(|member| self.cases.get(member)).map(|case| case.count).sum();
            self.out.push_back(shown.finding.clone());
        }
    }

    /// The findings with everything known: cases merged by cause and subject, mesh-wide causes added, the explained silenced.
    fn conclude(&mut self) -> Vec<Finding> {
        let mut merged: Vec<Finding> = Vec::new();
        let mut by_id: BTreeMap<String, usize> = BTreeMap::new();
        let mut open: BTreeMap<String, bool> = BTreeMap::new();
        for symptom in self.cases.symptoms() {
            let Some(case) = self.cases.get(&symptom) else { continue };
            let Some((cause, verdict)) = case.verdicts.first() else { continue };
            let finding = from_case(cause, verdict, case);
            let recovered = case.recovered(self.now);
            *open.entry(finding.id.clone()).or_default() |= !recovered;
            match by_id.get(&finding.id) {
                Some(&at) => merge(&mut merged[at], finding),
                None => {
                    by_id.insert(finding.id.clone(), merged.len());
                    merged.push(finding);
                }
            }
        }
        for (cause, verdict) in self.mesh_verdicts() {
            let finding = from_verdict(cause, &verdict);
            open.insert(finding.id.clone(), true);
            match by_id.get(&finding.id) {
                Some(&at) => merge(&mut merged[at], finding),
                None => {
                    by_id.insert(finding.id.clone(), merged.len());
                    merged.push(finding);
                }
            }
        }
        // What lines and state say of the same thing is one finding, whatever each calls it.
        let of_lines = merged.len();
        for (cause, verdict) in self.check_verdicts() {
            let finding = from_verdict(cause, &verdict);
            let same = |other: &Finding| other.cause.slug == cause.slug && other.concerns(&finding);
            let by_lines = merged.iter().take(of_lines).position(same);
            let Some(at) = by_id.get(&finding.id).copied().or(by_lines) else {
                open.insert(finding.id.clone(), true);
                by_id.insert(finding.id.clone(), merged.len());
                merged.push(finding);
                continue;
            };
            let known = &mut merged[at];
            if is_later_than_recovery(&finding, known) {
                open.insert(known.id.clone(), true);
            }
            if known.subject != finding.subject {
                known.joined.push(finding.subject.clone());
            }
            // Where it is as sure as the lines, state names the object.
            let speaks = known.confidence <= finding.confidence;
            // It is no further symptom.
            merge_as(known, Finding { count: 0, ..finding }, speaks);
        }
        for finding in &mut merged {
            let is_open = open.get(&finding.id).copied().unwrap_or(true);
            finding.stage = if is_open { Stage::Opened } else { Stage::Resolved };
        }
        self.note_recovery(&mut merged);
        silence(&mut merged);
        merged.iter_mut().for_each(|finding| finding.name_addresses(self.world.mesh()));
        merged.sort_by(|a, b| {
            let rank = |finding: &Finding| {
                (
                    finding.explained_by.is_some(),
                    finding.stage == Stage::Resolved,
                    finding.cause.severity == Severity::Info,
                    finding.explains == 0,
                )
            };
            rank(a)
                .cmp(&rank(b))
                .then(b.confidence.cmp(&a.confidence))
                .then(b.cause.severity.cmp(&a.cause.severity))
                .then(a.first_at.unwrap_or(Time::MAX).cmp(&b.first_at.unwrap_or(Time::MAX)))
                .then(a.id.cmp(&b.id))
        });
        merged
    }

    fn run_checks(&mut self) -> Vec<Checked> {
        let view = View::new(&self.world, self.ended).asking_state(self.asks != Asks::Why);
        let mut all = Vec::new();
        for check in &self.checks {
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (check.run)(&view))) {
                Ok(items) => all.push(Checked { check, items }),
                Err(_) => {
                    self.disabled.insert(check.id);
                }
            }
        }
        all
    }

    /// What the checks found broken, as verdicts of the causes they name.
    fn check_verdicts(&self) -> Vec<(&'static Cause, Verdict)> {
        let items = self.checked.iter().flat_map(|checked| &checked.items);
        let broken = items.filter(|item| item.outcome == Outcome::Fail).filter_map(|item| item.cause.as_ref());
        let named = broken.filter_map(|(slug, verdict)| {
            let cause = self.causes.iter().find(|cause| cause.slug == *slug)?;
            let mut verdict = Verdict::clone(verdict);
            // What was tried by hand is told with it; what other state says of the same has been weighed by its check.
            let items = self.checked.iter().flat_map(|checked| &checked.items);
            weigh_items(items.filter(|item| item.is_tried), cause, &mut verdict);
            Some((*cause, verdict))
        });
        named.collect()
    }

    fn mesh_verdicts(&mut self) -> Vec<(&'static Cause, Verdict)> {
        let mut verdicts = Vec::new();
        let view = View::new(&self.world, self.ended);
        let shows_in_state =
            |verdict: &Verdict| verdict.because.iter().all(|evidence| matches!(evidence.event.fact, Fact::State(_)));
        for (cause, rule) in self.causes.iter().flat_map(|cause| cause.rules.iter().map(move |rule| (*cause, rule))) {
            let Rule::Mesh(judge) = rule else { continue };
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| judge(&view))) {
                Ok(found) => {
                    let found = found.into_iter().filter(|verdict| self.asks == Asks::Why || shows_in_state(verdict));
                    verdicts.extend(found.map(|verdict| (cause, verdict)));
                }
                Err(_) => {
                    self.disabled.insert(cause.slug);
                }
            }
        }
        verdicts
    }

    /// One note for everything that failed and works again.
    fn note_recovery(&self, findings: &mut Vec<Finding>) {
        let Some(cause) = self.causes.iter().find(|cause| cause.slug == RECOVERED) else { return };
        let mut note: Option<Finding> = None;
        for symptom in self.cases.symptoms() {
            let Some(case) = self.cases.get(&symptom) else { continue };
            let (true, Some(worked)) = (case.recovered(self.now), case.worked.as_ref()) else { continue };
            let was_info = case.verdicts.first().is_some_and(|(cause, _)| cause.severity == Severity::Info);
            if was_info {
                continue;
            }
            let verdict = Verdict::certain("start-up or rollout")
                .because(&case.last, "failed")
                .because(worked, "and worked afterwards");
            let finding = from_case(cause, &verdict, case);
            match &mut note {
                Some(note) => merge(note, finding),
                None => note = Some(finding),
            }
        }
        if let Some(mut note) = note {
            note.candidates.clear();
            note.stage = Stage::Opened;
            findings.push(note);
        }
    }

    /// Says how each finding ended, where that is not what was said last.
    fn announce_final(&mut self) {
        let final_ids: BTreeSet<&String> = self.findings.iter().map(|finding| &finding.id).collect();
        for (id, shown) in &self.shown {
            if !final_ids.contains(id) && shown.finding.stage != Stage::Resolved {
                let mut gone = shown.finding.clone();
                gone.stage = Stage::Resolved;
                self.out.push_back(gone);
            }
        }
        for finding in &self.findings {
            let mut last = finding.clone();
            match self.shown.get(&finding.id) {
                None => {
                    if finding.stage == Stage::Resolved {
                        last.stage = Stage::Opened;
                        self.out.push_back(last.clone());
                        last.stage = Stage::Resolved;
                    }
                    self.out.push_back(last);
                }
                Some(shown) => {
                    let said = &shown.finding;
                    let same = said.count == finding.count
                        && said.confidence == finding.confidence
                        && said.explained_by == finding.explained_by
                        && said.explains == finding.explains;
                    match (said.stage, finding.stage) {
                        (Stage::Resolved, Stage::Resolved) => {}
                        (Stage::Opened | Stage::Updated, Stage::Opened | Stage::Updated) if same => {}
                        (_, Stage::Resolved) => self.out.push_back(last),
                        (Stage::Resolved, _) => {
                            last.stage = Stage::Opened;
                            self.out.push_back(last);
                        }
                        _ => {
                            last.stage = Stage::Updated;
                            self.out.push_back(last);
                        }
                    }
                }
            }
        }
    }

    fn unexplained(&self) -> Vec<(String, u64)> {
        let mut samples: Vec<(String, u64)> = self
            .cases
            .symptoms()
            .iter()
            .filter_map(|symptom| self.cases.get(symptom))
            .filter(|case| case.verdicts.is_empty() && !case.recovered(self.now))
            .map(|case| (case.first.text.to_string(), case.count))
            .collect();
        samples.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        samples.truncate(5);
        samples
    }
}

fn from_case(cause: &'static Cause, verdict: &Verdict, case: &Case) -> Finding {
    let mut finding = from_verdict(cause, verdict);
    finding.count = case.count;
    finding.first_at = case.first_at;
    finding.last_at = case.last_at;
    finding.recovered_at = case.worked.as_ref().and_then(|event| event.at);
    finding.candidates = case
        .verdicts
        .iter()
        .skip(1)
        .filter(|(other, _)| other.slug != cause.slug)
        .map(|(other, verdict)| finding::candidate(other, verdict))
        .collect();
    finding.files.push(case.first.origin.file.to_string());
    finding
}

fn from_verdict(cause: &'static Cause, verdict: &Verdict) -> Finding {
    let mut clusters = verdict.clusters.clone();
    clusters.sort();
    clusters.dedup();
    clusters.retain(|name| !name.is_empty());
    let mut because = verdict.because.clone();
    because.truncate(EVIDENCE_MAX);
    // A document tells what was so, not that it began or ended then.
    let times = || {
        because.iter().map(|evidence| &evidence.event).filter(|event| !event.is_document()).filter_map(|event| event.at)
    };
    let mut files: Vec<String> = because.iter().map(|evidence| evidence.event.origin.file.to_string()).collect();
    files.sort();
    files.dedup();
    Finding {
        cause,
        id: finding::id(cause.slug, &verdict.subject),
        stage: Stage::Opened,
        subject: verdict.subject.clone(),
        confidence: verdict.confidence,
        summary: finding::summary(cause, verdict),
        remedy: finding::fill(cause.remedy, &verdict.slots),
        verify: finding::fill(cause.verify, &verdict.slots),
        clusters,
        first_at: times().min(),
        last_at: times().max(),
        recovered_at: None,
        count: 1,
        against: verdict.against.clone(),
        candidates: Vec::new(),
        settle_by: verdict.settle_by.clone(),
        explains: 0,
        explained_by: None,
        tokens: verdict.tokens.clone(),
        files,
        joined: Vec::new(),
        names: Vec::new(),
        because,
    }
}

/// Whether state still shows what lines saw recover: a document taken before then does not.
fn is_later_than_recovery(state: &Finding, lines: &Finding) -> bool {
    let taken = state.because.iter().filter_map(|evidence| evidence.event.at).max();
    match (taken, lines.recovered_at) {
        (Some(taken), Some(recovered)) => recovered < taken,
        _ => true,
    }
}

/// Adds what another case says about the same cause and subject.
fn merge(into: &mut Finding, from: Finding) {
    let speaks = from.confidence > into.confidence;
    merge_as(into, from, speaks);
}

fn merge_as(into: &mut Finding, from: Finding, speaks: bool) {
    if speaks {
        // The stronger verdict speaks; its evidence comes first.
        let weaker = std::mem::take(&mut into.because);
        into.summary = from.summary;
        into.remedy = from.remedy;
        into.verify = from.verify;
        into.settle_by = from.settle_by;
        into.confidence = from.confidence;
        into.because = from.because;
        add_evidence(&mut into.because, weaker);
    } else {
        add_evidence(&mut into.because, from.because);
    }
    add_evidence(&mut into.against, from.against);
    into.count += from.count;
    into.first_at = [into.first_at, from.first_at].into_iter().flatten().min();
    into.last_at = [into.last_at, from.last_at].into_iter().flatten().max();
    into.recovered_at = [into.recovered_at, from.recovered_at].into_iter().flatten().max();
    into.clusters.extend(from.clusters);
    into.clusters.sort();
    into.clusters.dedup();
    for token in from.tokens {
        if !into.tokens.contains(&token) {
            into.tokens.push(token);
        }
    }
    for file in from.files {
        if !into.files.contains(&file) {
            into.files.push(file);
        }
    }
    for candidate in from.candidates {
        if !into.candidates.iter().any(|known| known.slug == candidate.slug) {
            into.candidates.push(candidate);
        }
    }
}

fn add_evidence(into: &mut Vec<Evidence>, from: Vec<Evidence>) {
    for evidence in from {
        // A line is quoted once, whatever else it shows; of a document every part counts.
        let is_line = evidence.event.number > 0 && !evidence.event.is_document();
        let known = into.iter().any(|other| {
            other.quote == evidence.quote
                && (other.shows == evidence.shows || is_line && other.place() == evidence.place())
        });
        if into.len() < EVIDENCE_MAX && !known {
            into.push(evidence);
        }
    }
}

/// What items that name other things say for or against a verdict.
fn weigh_items<'i>(items: impl Iterator<Item = &'i Item>, cause: &Cause, verdict: &mut Verdict) {
    let names = || verdict.clusters.iter().chain(&verdict.tokens).map(String::as_str);
    let clusters: BTreeSet<&String> = verdict.clusters.iter().collect();
    let (clusters, names) = (clusters.len(), names().collect::<BTreeSet<&str>>());
    let weights: Vec<&Weight> = items.flat_map(|item| item.weighs_on(cause.slug, &names, clusters)).collect();
    let confirmed = weights.iter().find(|weight| weight.speaks == Speaks::For).map(|weight| weight.evidence.clone());
    // The first of the strongest.
    let against = weights.iter().rev().filter(|weight| weight.speaks != Speaks::For).max_by_key(|weight| weight.speaks);
    if let Some(evidence) = confirmed {
        verdict.confidence = verdict.confidence.raised();
        verdict.because.push(evidence);
    }
    if let Some(weight) = against {
        verdict.confidence = match weight.speaks {
            Speaks::Over => Confidence::Possible,
            Speaks::For | Speaks::Against => verdict.confidence.lowered(),
        };
        verdict.against.push(weight.evidence.clone());
    }
}

/// A cause that explains another's symptoms silences it and takes over its count.
fn silence(findings: &mut [Finding]) {
    let mut explained: Vec<(usize, usize)> = Vec::new();
    for (at, finding) in findings.iter().enumerate() {
        if finding.confidence == Confidence::Possible {
            continue;
        }
        for (slug, within) in finding.cause.explains {
            for (other_at, other) in findings.iter().enumerate() {
                let fits = other.cause.slug == *slug
                    && other_at != at
                    && (finding.stage != Stage::Resolved || other.stage == Stage::Resolved)
                    && near(finding, other, *within);
                if fits && !explained.iter().any(|(_, silenced)| *silenced == other_at) {
                    explained.push((at, other_at));
                }
            }
        }
    }
    for (by, other) in explained {
        // Two that explain each other: the first one found stays.
        if findings[by].explained_by.is_some() {
            continue;
        }
        findings[other].explained_by = Some(findings[by].id.clone());
        findings[by].explains += findings[other].count;
    }
}

fn near(a: &Finding, b: &Finding, within: Within) -> bool {
    match within {
        Within::Mesh => true,
        Within::Cluster => a.clusters.iter().any(|cluster| b.clusters.contains(cluster)),
        Within::File => a.files.iter().any(|file| b.files.contains(file)),
        Within::Token => a.tokens.iter().any(|token| b.tokens.contains(token)),
    }
}

#[cfg(test)]
mod tests {
    use super::check::Item;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use meshwhy_parsers::errors::{Fault, What};
    use meshwhy_parsers::event::{Kind, Level, Peer, PeerWhat, Thing};
    use meshwhy_parsers::origin::Origin;

    static LINK_DOWN: Cause = Cause { rules: &[Rule::on(Kind::Peer, link_down)], ..EMPTY };
    static LINK_SLOW: Cause = Cause { slug: "link-slow", rules: &[Rule::after(Kind::Peer, 10, link_slow)], ..EMPTY };
    static ROOT: Cause =
        Cause { slug: "root", explains: &[("link-down", Within::Token)], rules: &[Rule::Mesh(root)], ..EMPTY };
    static NOTE: Cause = Cause { slug: RECOVERED, severity: Severity::Info, ..EMPTY };
    static BROKEN: Cause = Cause { slug: "broken", rules: &[Rule::on(Kind::Peer, panics)], ..EMPTY };
    const EMPTY: Cause = Cause {
        slug: "link-down",
        severity: Severity::Error,
        summary: "link to {target} down",
        mechanism: "",
        remedy: "",
        verify: "",
        explains: &[],
        hits: &[],
        near_misses: &[],
        rules: &[],
    };

    fn target(event: &Event) -> &str {
        match &event.fact {
            Fact::Peer(peer) => &peer.target,
            other => panic!("not a peer event: {other:?}"),
        }
    }

    fn link_down(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
        let target = target(event);
        Some(Verdict::likely(target).slot("target", target).token(target).because(event, "cut"))
    }

    fn link_slow(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
        let repeats: u64 = view.known(Kind::Peer).map(|known| known.count).sum();
        (repeats > 2).then(|| Verdict::certain(target(event)))
    }

    fn root(view: &View<'_>) -> Vec<Verdict> {
        view.events(Kind::Peer).take(1).map(|event| Verdict::certain("both").token(target(event))).collect()
    }

    fn panics(_: &View<'_>, _: &Arc<Event>) -> Option<Verdict> {
        panic!("on purpose")
    }

    fn event(second: i64, target: &str, what: PeerWhat) -> Event {
        Event {
            at: Some(Time::from_unix(second)),
            origin: Arc::new(Origin::new("east", "east/istiod.log")),
            seq: second as u64,
            number: second as u64,
            level: Level::Warn,
            text: format!("line {second}").into(),
            signature: None,
            fact: Fact::Peer(Peer { target: target.into(), what }),
        }
    }

    fn cut(second: i64, target: &str) -> Event {
        let fault = Fault { what: What::Cut, text: "EOF".into(), code: None, address: None, url: None, by_peer: false };
        event(second, target, PeerWhat::Disconnected(fault))
    }

    fn up(second: i64, target: &str) -> Event {
        event(second, target, PeerWhat::Connected)
    }

    /// Feeds the events and tells every stage change as `slug subject stage xcount`.
    fn run(causes: &[&'static Cause], events: Vec<Event>) -> (Vec<String>, Engine) {
        let mut engine = Engine::presorted(causes.to_vec(), Limits::default());
        for event in events {
            engine.feed(Arrival::Item(event));
        }
        engine.finish();
        let mut said = Vec::new();
        while let Some(finding) = engine.poll() {
            said.push(format!(
                "{} {} {} x{}",
                finding.cause.slug,
                finding.subject,
                finding.stage.word(),
                finding.count
            ));
        }
        (said, engine)
    }

    #[test]
    fn repeats_fold_into_one_finding() {
        let (said, _) = run(&[&LINK_DOWN], vec![cut(1, "west"), cut(2, "west"), cut(3, "west")]);
        assert_eq!(said, ["link-down west opened x1", "link-down west updated x3"]);
    }

    #[test]
    fn what_works_again_is_resolved_and_noted() {
        let (said, engine) = run(&[&LINK_DOWN, &NOTE], vec![cut(1, "west"), up(2, "west")]);
        assert_eq!(said[..2], ["link-down west opened x1", "link-down west resolved x1"]);
        let open: Vec<&str> = engine
            .findings()
            .iter()
            .filter(|finding| finding.stage != Stage::Resolved)
            .map(|finding| finding.cause.slug)
            .collect();
        assert_eq!(open, [RECOVERED]);
    }

    #[test]
    fn a_success_of_something_else_resolves_nothing() {
        let (said, _) = run(&[&LINK_DOWN], vec![cut(1, "west"), up(2, "north")]);
        assert_eq!(said, ["link-down west opened x1"]);
    }

    #[test]
    fn what_fails_again_is_opened_again() {
        let (said, _) = run(&[&LINK_DOWN], vec![cut(1, "west"), up(2, "west"), cut(3, "west")]);
        assert_eq!(said, ["link-down west opened x1", "link-down west resolved x1", "link-down west opened x2"]);
    }

    #[test]
    fn after_many_relapses_one_success_proves_nothing() {
        let flapping: Vec<Event> =
            (0..5).flat_map(|round| [cut(round * 2, "west"), up(round * 2 + 1, "west")]).collect();
        let (_, engine) = run(&[&LINK_DOWN], flapping.clone());
        assert_eq!(engine.findings()[0].stage, Stage::Opened);
        let (_, engine) = run(&[&LINK_DOWN], flapping.into_iter().chain([up(500, "north")]).collect());
        assert_eq!(engine.findings()[0].stage, Stage::Resolved, "it stayed well for minutes");
    }

    #[test]
    fn a_cause_with_a_settle_time_sees_what_is_said_meanwhile() {
        let (said, _) = run(&[&LINK_SLOW], vec![cut(1, "west"), cut(5, "west"), cut(9, "west"), cut(20, "west")]);
        assert_eq!(said[0], "link-slow west opened x3");
    }

    #[test]
    fn an_explained_finding_is_silent_and_counted() {
        let (_, engine) = run(&[&LINK_DOWN, &ROOT], vec![cut(1, "west"), cut(2, "west")]);
        let [first, second] = engine.findings() else { panic!("two findings") };
        assert_eq!((first.cause.slug, first.explains), ("root", 2));
        assert_eq!(second.explained_by.as_ref(), Some(&first.id));
    }

    static SAME: Check = Check {
        id: "same",
        title: "",
        before_linking: true,
        run: |view| {
            let Some(event) = view.events(Kind::Peer).next() else { return Vec::new() };
            let verdict = Verdict::likely("link of state").token("west").because_quote(event, "connected: False", "so");
            vec![Item::fail("east", "link", "it is down", "link-down", verdict)]
        },
    };
    static CONTRARY: Check = Check {
        id: "contrary",
        title: "",
        before_linking: true,
        run: |view| {
            let Some(event) = view.events(Kind::Peer).next() else { return Vec::new() };
            vec![Item::pass("east", "link", "it is up").refuting("link-down", event, "connected: True", "it is up")]
        },
    };

    static TRIED: Check = Check {
        id: "tried",
        title: "",
        before_linking: true,
        run: |view| {
            let Some(event) = view.events(Kind::Peer).next() else { return Vec::new() };
            // Of two clusters: the finding knows only one of them.
            let item = Item::unknown("east, north", "calls", "nobody answered", "look");
            vec![item.confirming("link-down", event, "0 of 9 answered", "calls by hand fail, too")]
        },
    };

    fn with_check(check: &'static Check) -> Finding {
        let mut engine = Engine::presorted(vec![&LINK_DOWN], Limits::default()).with_checks(vec![check], Asks::Why);
        engine.feed(Arrival::Item(cut(1, "west")));
        engine.finish();
        let [finding] = engine.findings() else { panic!("one finding, whatever lines and state call it") };
        finding.clone()
    }

    #[test]
    fn state_that_shows_the_same_joins_the_finding_and_makes_it_surer() {
        let finding = with_check(&SAME);
        assert_eq!((finding.confidence, finding.subject.as_str()), (Confidence::Certain, "west"));
        assert_eq!(finding.because.last().map(|evidence| evidence.quote.as_str()), Some("connected: False"));
    }

    #[test]
    fn state_that_shows_the_contrary_stands_against_and_makes_it_less_sure() {
        let finding = with_check(&CONTRARY);
        assert_eq!(finding.confidence, Confidence::Possible);
        assert_eq!(finding.against.last().map(|evidence| evidence.quote.as_str()), Some("connected: True"));
    }

    #[test]
    fn what_was_tried_by_hand_makes_a_finding_surer_and_stands_with_it() {
        let finding = with_check(&TRIED);
        assert_eq!(finding.confidence, Confidence::Certain);
        assert_eq!(finding.because.last().map(|evidence| evidence.quote.as_str()), Some("0 of 9 answered"));
    }

    #[test]
    fn a_panicking_judge_is_disabled_and_named() {
        let (said, engine) = run(&[&BROKEN, &LINK_DOWN], vec![cut(1, "west"), cut(2, "north")]);
        assert_eq!(engine.stats().causes_disabled, ["broken"]);
        assert_eq!(said, ["link-down west opened x1", "link-down north opened x1"]);
    }

    #[test]
    fn open_cases_are_bounded_and_the_rest_is_counted() {
        let limits = Limits { cases_max: 2, ..Limits::default() };
        let mut engine = Engine::presorted(vec![&LINK_DOWN], limits);
        for event in [cut(1, "a"), cut(2, "b"), cut(3, "c"), up(4, "a"), cut(5, "d")] {
            engine.feed(Arrival::Item(event));
        }
        engine.finish();
        assert_eq!(engine.stats().cases_refused, 1, "c found no room; d took the place of a, which is well");
    }

    /// Judged when it has settled, by what is known then.
    static SETTLES: Cause = Cause { slug: "settles", rules: &[Rule::after(Kind::Peer, 5, link_down)], ..EMPTY };

    #[test]
    fn on_the_wall_clock_a_case_settles_from_when_its_line_arrives_whatever_its_age() {
        for age in [0, 300, 604_800, -300] {
            let mut engine = Engine::racing(vec![&SETTLES], Limits::default());
            let now = 1_000_000;
            let clock = |engine: &mut Engine, second| engine.feed(Arrival::Clock(Time::from_unix(now + second)));
            clock(&mut engine, 0);
            engine.feed(Arrival::Item(cut(now - age, "a")));
            for second in 1..6 {
                clock(&mut engine, second);
                assert!(engine.poll().is_none(), "{age}: it settles");
            }
            // What others say of later times does not hurry it.
            engine.feed(Arrival::Item(up(now - age + 100, "b")));
            clock(&mut engine, 6);
            assert!(engine.poll().is_some(), "{age}");
            assert_eq!(engine.stats().late, 0);
        }
    }

    #[test]
    fn an_idle_hour_says_nothing_and_judges_nothing_again() {
        static JUDGED: AtomicUsize = AtomicUsize::new(0);
        fn counting(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
            JUDGED.fetch_add(1, Ordering::Relaxed);
            link_down(view, event)
        }
        static COUNTS: Cause = Cause { slug: "counts", rules: &[Rule::after(Kind::Peer, 5, counting)], ..EMPTY };
        let mut engine = Engine::racing(vec![&COUNTS], Limits::default());
        engine.feed(Arrival::Clock(Time::from_unix(1_000_000)));
        engine.feed(Arrival::Item(cut(1_000_000, "a")));
        let mut tick = |milliseconds: i64| {
            engine.feed(Arrival::Clock(Time::from_unix(1_000_000).plus(Duration::from_millis(milliseconds as u64))));
            std::iter::from_fn(|| engine.poll()).count()
        };
        assert_eq!((1..200).map(|nth| tick(nth * 50)).sum::<usize>(), 1, "it is opened");
        let judged = JUDGED.load(Ordering::Relaxed);
        assert_eq!((200..72_000).map(|nth| tick(nth * 50)).sum::<usize>(), 0, "nothing is new");
        assert_eq!(JUDGED.load(Ordering::Relaxed), judged, "what is settled is left alone");
    }

    #[test]
    fn equal_names_are_equal_things() {
        assert_eq!(Thing::named(&["a", "b"]), Thing::named(&["a", "b"]));
        assert_ne!(Thing::named(&["ab", ""]), Thing::named(&["a", "b"]));
    }
}
