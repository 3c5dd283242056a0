//! What may be asked of a cluster, and what is there to ask: told by access reviews, and where these are refused, by trying.

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{LogParams, PostParams, WatchParams};
use meshwhy_parsers::origin::Role;

use super::objects::{Kind, all_kinds};
use super::question::{Part, Questions};
use super::{Cluster, plain};
use crate::inputs::admin::{self, Program, Request};
use crate::inputs::source::LiveLimits;

/// How many reviews are asked for at the same time.
const AT_ONCE: usize = 8;
/// The minor version of Kubernetes from which on a forwarded port needs `create` beside `get`.
///
/// kubernetes/kubernetes: pkg/features/kube_features.go, `AuthorizePodWebsocketUpgradeCreatePermission`.
const PORTS_NEED_CREATE: u32 = 35;

/// What a cluster says of itself and of who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// Cluster.
    pub cluster: String,
    /// Why nothing could be asked.
    pub unreachable: Option<String>,
    /// The API server's version; empty where it does not tell.
    pub version: String,
    /// API groups that are installed; `None` where that cannot be told.
    pub groups: Option<Vec<String>>,
    /// How many pods of each role were found; `None` where pods cannot be listed.
    pub found: Option<Vec<(Role, usize)>>,
    /// What is needed, and whether it is permitted.
    pub permissions: Vec<Permission>,
}

/// Something that is needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// Resource, with its subresource: `pods`, `pods/log`.
    pub resource: String,
    /// API group; empty for the core group.
    pub group: String,
    /// The one namespace in which it is asked for; empty for all.
    pub namespace: String,
    /// The one object that is asked for; empty for all.
    pub name: String,
    /// Verb.
    pub verb: &'static str,
    /// Whether it is permitted.
    pub permitted: Permitted,
}

/// Whether something is permitted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permitted {
    /// It is.
    Yes,
    /// It is not, for this reason; empty where none is given.
    No(String),
    /// It cannot be told, for this reason.
    Unknown(String),
}

impl Permission {
    /// Something that is needed, of which nothing is known yet.
    fn needed(resource: &str, verb: &'static str) -> Permission {
        Permission {
            resource: resource.to_string(),
            group: String::new(),
            namespace: String::new(),
            name: String::new(),
            verb,
            permitted: Permitted::Unknown(String::new()),
        }
    }

    fn of(kind: &Kind, verb: &'static str, istio_namespace: &str) -> Permission {
        Permission {
            group: kind.group.to_string(),
            namespace: kind.namespace(istio_namespace).to_string(),
            name: kind.name.to_string(),
            ..Permission::needed(kind.plural, verb)
        }
    }
}

/// Everything that is needed where istiod is in this namespace, with nothing known of it: what the program lists, watches
/// and reads.
pub fn needed(istio_namespace: &str) -> Vec<Permission> {
    let kinds = all_kinds().flat_map(|kind| ["list", "watch"].map(|verb| Permission::of(kind, verb, istio_namespace)));
    let parts = [Permission::needed("pods/log", "get"), Permission::needed("pods/portforward", "get")];
    kinds.chain(parts).collect()
}

/// Asks a cluster what may be asked of it. Nothing is an error: what cannot be told is said so.
pub async fn review(cluster: &Cluster, limits: &LiveLimits) -> Review {
    let questions = Questions::of(cluster, limits);
    let mut review = Review { cluster: cluster.name.clone(), ..Review::default() };
    match questions.reach().await {
        Ok(version) => review.version = version,
        Err(why) => {
            review.unreachable = Some(why);
            return review;
        }
    }
    review.groups = questions.put(|| questions.client.list_api_groups().boxed()).await.ok().map(|list| {
        let names = list.groups.into_iter().map(|group| group.name);
        names.collect()
    });
    let mut parts = Vec::new();
    if let Some(pods) = all_kinds().find(|kind| kind.kind == "Pod")
        && questions.list(pods, "", &mut Vec::new(), &mut parts).await.is_ok()
    {
        let roles = [Role::Istiod, Role::Gateway, Role::Waypoint, Role::Ztunnel, Role::Cni, Role::Sidecar];
        let count = |role| parts.iter().filter(|part: &&Part| part.origin.role == role).count();
        review.found = Some(roles.into_iter().map(|role| (role, count(role))).collect());
    }
    let istiod = parts.iter().find(|part| part.origin.role == Role::Istiod);
    let namespace = istiod.map_or(cluster.istio_namespace.clone(), |part| part.origin.namespace.to_string());
    let mut needed = needed(&namespace);
    let asker = Asker { questions, parts };
    if minor(&review.version).is_some_and(|minor| PORTS_NEED_CREATE <= minor) {
        needed.push(Permission::needed("pods/portforward", "create"));
    }
    let asked: Vec<BoxFuture<'_, Permission>> = needed.into_iter().map(|need| asker.ask(need).boxed()).collect();
    review.permissions = stream::iter(asked).buffered(AT_ONCE).collect().await;
    review
}

/// `33` of `v1.33.1`.
fn minor(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').nth(1)?.parse().ok()
}

struct Asker<'a> {
    questions: Questions<'a>,
    parts: Vec<Part>,
}

impl Asker<'_> {
    async fn ask(&self, need: Permission) -> Permission {
        let permitted = match self.reviewed(&need).await {
            Ok(permitted) => permitted,
            // Who may not ask may still do.
            Err(_) => self.tried(&need).await,
        };
        Permission { permitted, ..need }
    }

    async fn reviewed(&self, need: &Permission) -> Result<Permitted, String> {
        let (resource, part) = need.resource.split_once('/').unwrap_or((&need.resource, ""));
        let some = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
        let attributes = ResourceAttributes {
            group: some(&need.group),
            resource: some(resource),
            subresource: some(part),
            namespace: some(&need.namespace),
            name: some(&need.name),
            verb: some(need.verb),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.questions.client.clone());
        let params = PostParams::default();
        let answer = self.questions.put(|| api.create(&params, &review).boxed()).await.map_err(|(_, why)| why)?;
        let status = answer.status.ok_or("the review does not decide")?;
        Ok(match status.allowed {
            true => Permitted::Yes,
            false => Permitted::No(status.reason.unwrap_or_default()),
        })
    }

    /// What doing it shows: it is done in the smallest way.
    async fn tried(&self, need: &Permission) -> Permitted {
        let kind = all_kinds()
            .find(|kind| kind.plural == need.resource && kind.group == need.group && *kind.name == *need.name);
        let Some(kind) = kind else {
            return if need.resource == "pods/log" { self.tried_log().await } else { self.tried_port().await };
        };
        // Who may not read one version may not read another.
        let api = kind.api(self.questions.client, kind.versions.first().copied().unwrap_or("v1"), &need.namespace);
        let done = match need.verb {
            "watch" => {
                let params = WatchParams::default().timeout(1);
                self.questions.put(|| async { api.watch(&params, "0").await.map(drop) }.boxed()).await
            }
            _ => {
                let params = kind.params(1);
                self.questions.put(|| async { api.list(&params).await.map(drop) }.boxed()).await
            }
        };
        match done {
            // What is not installed may be asked for.
            Ok(()) | Err((404, _)) => Permitted::Yes,
            Err((403, _)) => Permitted::No("it was tried".to_string()),
            Err((_, why)) => Permitted::Unknown(why),
        }
    }

    async fn tried_log(&self) -> Permitted {
        let Some(part) = self.parts.first() else { return nobody() };
        let api: Api<Pod> = Api::namespaced(self.questions.client.clone(), &part.origin.namespace);
        let params = LogParams {
            container: Some(part.origin.container.to_string()),
            tail_lines: Some(1),
            ..LogParams::default()
        };
        match self.questions.put(|| api.logs(&part.origin.pod, &params).boxed()).await {
            Err((403, _)) => Permitted::No("it was tried".to_string()),
            Err((0, why)) => Permitted::Unknown(why),
            // Whatever else is wrong with this log, it may be read.
            Ok(_) | Err(_) => Permitted::Yes,
        }
    }

    async fn tried_port(&self) -> Permitted {
        let istiod = self.parts.iter().find(|part| part.origin.role == Role::Istiod);
        let (Some(part), Ok(request)) = (istiod, Request::new(Program::Istiod, "/version")) else { return nobody() };
        let api: Api<Pod> = Api::namespaced(self.questions.client.clone(), &part.origin.namespace);
        let Err(error) = admin::get(&api, &part.origin.pod, &request, self.questions.limits.answer_bytes_max).await
        else {
            return Permitted::Yes;
        };
        match error.downcast_ref::<kube::Error>() {
            Some(kube::Error::Api(status)) if status.code == 403 => Permitted::No("it was tried".to_string()),
            _ => Permitted::Unknown(plain(error.as_ref())),
        }
    }
}

fn nobody() -> Permitted {
    Permitted::Unknown("no pod of the mesh is known to try it on".to_string())
}
