//! From a place in the tree to the next: what is there, and what the providers must be asked for it.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::content::Content;
use super::document::{Document, DocumentFile};
use super::name::{self, FileName};
use super::node::{Kind, Node, SecretNode, Which};
use super::path::SecretPath;
use super::refusal::Refusal;
use crate::cache::{Failure, Generation, Good, Held, Memory, Source, Sources};
use crate::config::ScopeName;
use crate::provider::{Identity, Known, Presence, VersionSelector};

/// The longest that the kernel may remember that a directory is there without asking again.
const DIRECTORY_TTL: Duration = Duration::from_secs(1);
/// The same for a file; its attributes are taken back earlier when the value changes.
const FILE_TTL: Duration = Duration::from_secs(60);

/// What `stat` tells of a node.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    pub kind: Kind,
    /// In bytes, exact.
    pub size: u64,
    /// When the version was created.
    pub modified: SystemTime,
    /// How long this stays true.
    pub valid_for: Duration,
}

/// A node that is there.
#[derive(Debug, Clone)]
pub struct Found {
    pub node: Node,
    pub facts: Facts,
    /// Of a directory below a scope: what it is.
    pub holds: Presence,
}

/// A line of a directory.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    pub found: Found,
    /// Only what it is called, and that it is a file: the rest of `found.facts` takes looking it up.
    pub is_only_named: bool,
}

/// The tree over all scopes.
pub struct Namespace {
    sources: Arc<Sources>,
    memory: Arc<Memory>,
    mounted: SystemTime,
}

impl Namespace {
    pub fn new(sources: Arc<Sources>, memory: Arc<Memory>) -> Self {
        Self { sources, memory, mounted: SystemTime::now() }
    }

    /// The tree over the scopes of another configuration.
    #[must_use]
    pub fn followed_by(&self, sources: Arc<Sources>) -> Self {
        Self { sources, memory: Arc::clone(&self.memory), mounted: self.mounted }
    }

    pub fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// A scope as an identity sees it.
    pub fn source(&self, scope: &ScopeName, identity: Identity) -> Result<Arc<Source>, Refusal> {
        let source = self.sources.get(scope, identity).ok_or(Refusal::NoSuchEntry)?;
        source.map_err(|error| Refusal::Failed(Failure::Provider(error)))
    }

    /// The current value, if memory holds one.
    pub fn current(&self, at: &SecretNode) -> Option<Good<Document>> {
        self.memory.current(self.generation(&at.scope)?, at)
    }

    /// What a scope is at present; None where there is no such scope.
    pub fn generation(&self, scope: &ScopeName) -> Option<Generation> {
        self.sources.own().get(scope).map(|own| own.generation)
    }

    fn source_of(&self, at: &SecretNode) -> Result<Arc<Source>, Refusal> {
        self.source(&at.scope, at.identity)
    }

    /// What `parent` holds by the name `name`.
    pub async fn child(&self, parent: &Node, name: &OsStr, deadline: Instant) -> Result<Found, Refusal> {
        // The kernel lets names through that are longer than what `statfs` says we take.
        if name.len() > name::MAX_LEN {
            return Err(Refusal::NameTooLong);
        }
        match parent {
            Node::Root => {
                let scope = name.to_str().and_then(ScopeName::new).ok_or(Refusal::NoSuchEntry)?;
                if !self.sources.own().contains_key(&scope) {
                    return Err(Refusal::NoSuchEntry);
                }
                Ok(self.directory(Node::Scope(scope, Identity::Own), Presence::NOTHING))
            }
            Node::Scope(scope, identity) => {
                let name = FileName::parse(name).ok_or(Refusal::NoSuchEntry)?;
                let path = SecretPath::child(None, &name).ok_or(Refusal::NoSuchEntry)?;
                self.top_directory(SecretNode { scope: scope.clone(), identity: *identity, path }, deadline).await
            }
            Node::Directory(at) => match hidden(at, name) {
                Some(node) => self.facts(node, deadline).await,
                None => self.key_or_directory(at, name, deadline).await,
            },
            Node::Version(at, id) => {
                let file = file_of_version(at, id, name).ok_or(Refusal::NoSuchEntry)?;
                self.facts(file, deadline).await
            }
            Node::File(..) | Node::Link(..) => Err(Refusal::NotADirectory),
        }
    }

    /// What a node is like now; asks again where what is known is too old.
    pub async fn facts(&self, node: Node, deadline: Instant) -> Result<Found, Refusal> {
        match &node {
            Node::Root | Node::Scope(..) => Ok(self.directory(node, Presence::NOTHING)),
            Node::Directory(at) => {
                let presence = self.directory_presence(at, deadline).await?;
                Ok(self.directory(node, presence))
            }
            Node::Version(at, id) => {
                let document = self.document(at, &VersionSelector::Named(id.clone()), deadline).await?;
                Ok(self.directory(node, Presence { changed: document.created, ..Presence::NOTHING }))
            }
            Node::File(at, id, file) => {
                let document = self.document(at, &selector(id.as_deref()), deadline).await?;
                let size = document.size(file)?.ok_or(Refusal::NoSuchEntry)?;
                let facts = self.file_facts(at, &document, size)?;
                Ok(Found { node, facts, holds: Presence::NOTHING })
            }
            Node::Link(at, which) => {
                let document = self.document(at, &which.selector(), deadline).await?;
                let target = link_target(&document).ok_or(Refusal::NoSuchEntry)?;
                let facts = Facts { kind: Kind::Link, ..self.file_facts(at, &document, target.len())? };
                Ok(Found { node, facts, holds: Presence::NOTHING })
            }
        }
    }

    /// As [`Namespace::facts`], as far as memory knows, be it old. Asks nobody.
    pub fn known(&self, node: &Node) -> Option<Found> {
        match node {
            Node::Root | Node::Scope(..) => Some(self.directory(node.clone(), Presence::NOTHING)),
            Node::Directory(at) => {
                let source = self.source_of(at).ok()?;
                let current = || self.current(at).map(|good| proven_by(&good.value));
                let holds = self.memory.known_presence(&source, &at.path).or_else(current);
                Some(self.directory(node.clone(), holds.unwrap_or(Presence::NOTHING)))
            }
            Node::File(at, None, file) => {
                let document = Held { good: self.current(at)?, stale: false };
                let size = document.size(file).ok()??;
                let facts = self.file_facts(at, &document, size).ok()?;
                Some(Found { node: node.clone(), facts, holds: Presence::NOTHING })
            }
            Node::Version(..) | Node::File(_, Some(_), _) | Node::Link(..) => None,
        }
    }

    /// Everything that a directory shows.
    pub async fn entries(&self, node: &Node, deadline: Instant) -> Result<Vec<Entry>, Refusal> {
        match node {
            Node::Root => {
                let mut scopes: Vec<_> = self.sources.own().keys().collect();
                scopes.sort();
                let entry = |scope: &ScopeName| Entry {
                    name: scope.to_string(),
                    found: self.directory(Node::Scope(scope.clone(), Identity::Own), Presence::NOTHING),
                    is_only_named: false,
                };
                Ok(scopes.into_iter().map(entry).collect())
            }
            Node::Scope(scope, identity) => self.directories_in(scope, *identity, None, deadline).await,
            Node::Directory(at) => {
                let here = match self.presence_on_the_way(at, deadline).await? {
                    // A value says nothing of what is below it: without that this were half of a listing.
                    here if here.children == Known::Unknown => self.presence(at, deadline).await?,
                    here => here,
                };
                let mut entries = Vec::new();
                if here.children == Known::Yes {
                    entries = self.directories_in(&at.scope, at.identity, Some(&at.path), deadline).await?;
                }
                if here.secret != Known::No {
                    let keys = match self.keys(at, deadline).await {
                        Ok(keys) => keys,
                        // What is below a secret that is refused is another matter.
                        Err(refusal) if refusal.is_denied_by_provider() && !entries.is_empty() => return Ok(entries),
                        Err(refusal) => return Err(refusal),
                    };
                    // A key that is called like a child secret is hidden behind it.
                    let children: std::collections::HashSet<String> =
                        entries.iter().map(|entry| entry.name.clone()).collect();
                    entries.extend(keys.into_iter().filter(|key| !children.contains(&key.name)));
                } else if here.children == Known::No {
                    return Err(Refusal::NoSuchEntry);
                }
                Ok(entries)
            }
            Node::Version(at, id) => {
                let document = self.document(at, &VersionSelector::Named(id.clone()), deadline).await?;
                self.key_entries(at, Some(id), &document)
            }
            Node::File(..) | Node::Link(..) => Err(Refusal::NotADirectory),
        }
    }

    /// The bytes of a file, to be pinned by an open handle, and the version that they are of.
    pub async fn open(&self, node: &Node, deadline: Instant) -> Result<(Content, Held<Document>), Refusal> {
        let Node::File(at, id, file) = node else { return Err(Refusal::Unknown) };
        let document = self.document(at, &selector(id.as_deref()), deadline).await?;
        let content = Content::of(Arc::clone(&document.good.value), modified(&document), file)?;
        Ok((content, document))
    }

    /// Where a link points.
    pub async fn target(&self, node: &Node, deadline: Instant) -> Result<String, Refusal> {
        let Node::Link(at, which) = node else { return Err(Refusal::NotALink) };
        let document = self.document(at, &which.selector(), deadline).await?;
        link_target(&document).ok_or(Refusal::NoSuchEntry)
    }

    /// The version of the secret that a file or version directory belongs to.
    pub async fn document(
        &self,
        at: &SecretNode,
        version: &VersionSelector,
        deadline: Instant,
    ) -> Result<Held<Document>, Refusal> {
        let source = self.source_of(at)?;
        Ok(self.memory.document(&source, &at.path, version, deadline).await?)
    }

    /// What is at a directory below a scope. A value in memory is proof enough of a secret when the
    /// provider cannot be asked.
    async fn presence(&self, at: &SecretNode, deadline: Instant) -> Result<Presence, Refusal> {
        let source = self.source_of(at)?;
        match self.memory.presence(&source, &at.path, deadline).await {
            Ok(presence) => Ok(presence),
            Err(failure) => match self.current(at) {
                Some(good) if failure.is_outage() => Ok(proven_by(&good.value)),
                Some(_) | None => Err(failure.into()),
            },
        }
    }

    /// As `presence`, for the way to a value: one that is fresh does not wait for the provider to say
    /// that it is still there, but for a refusal that is known. Nor does a folder that was there.
    async fn presence_on_the_way(&self, at: &SecretNode, deadline: Instant) -> Result<Presence, Refusal> {
        let source = self.source_of(at)?;
        let known = self.memory.presence_now(&source, &at.path);
        let Some(good) = self.memory.fresh(&source, &at.path) else {
            return match known {
                // What is in it is asked for in its turn.
                Some(Ok(presence)) if presence.is_mere_folder() => Ok(presence),
                _ => self.presence(at, deadline).await,
            };
        };
        match known {
            Some(Ok(presence)) => Ok(presence),
            Some(Err(failure)) if !failure.is_outage() => Err(failure.into()),
            Some(Err(_)) | None => Ok(proven_by(&good.value)),
        }
    }

    /// As `presence_on_the_way`, for who goes on to a key or to what is below: a fresh value is proof of its secret, and
    /// a folder that was there a short while ago is taken to be there still, so neither costs a call. What is new in
    /// either is asked for by its own name; a new child that is called like a key in use is not, and hides that once a
    /// listing has it.
    async fn presence_in_passing(&self, at: &SecretNode, deadline: Instant) -> Result<Presence, Refusal> {
        let source = self.source_of(at)?;
        match self.memory.presence_in_use(&source, &at.path) {
            Some(known) => Ok(known?),
            None => self.presence_on_the_way(at, deadline).await,
        }
    }

    /// While questions about names are too many, as while they are refused, it is not known what is there. Asking for a
    /// value tells, where that is not too many as well.
    fn or_unknown_if_too_many(&self, at: &SecretNode, told: Result<Presence, Refusal>) -> Result<Presence, Refusal> {
        match told {
            Err(refusal) if refusal.is_throttled() && self.source_of(at)?.budget.counts_names_apart() => {
                Ok(Presence::UNKNOWN)
            }
            told => told,
        }
    }

    /// A name directly in a scope. Where the provider will not say what there is, or not now, every name is taken
    /// for a directory; asking for a key in it tells.
    async fn top_directory(&self, at: SecretNode, deadline: Instant) -> Result<Found, Refusal> {
        let presence = self.or_unknown_if_too_many(&at, self.presence_in_passing(&at, deadline).await)?;
        if presence.is_nothing() {
            return Err(Refusal::NoSuchEntry);
        }
        Ok(self.directory(Node::Directory(at), presence))
    }

    /// A plain name in a directory: a child secret or folder if there is one, else a key.
    async fn key_or_directory(&self, at: &SecretNode, name: &OsStr, deadline: Instant) -> Result<Found, Refusal> {
        let name = FileName::parse(name).ok_or(Refusal::NoSuchEntry)?;
        let child = SecretPath::child(Some(&at.path), &name).map(|path| SecretNode { path, ..at.clone() });
        let source = self.source_of(at)?;
        if let Some(child) = &child
            && let Some(Ok(there)) = self.memory.presence_in_use(&source, &child.path)
            && there.is_something()
        {
            return Ok(self.directory(Node::Directory(child.clone()), there));
        }
        let fresh = self.memory.fresh(&source, &at.path);
        let is_at_hand = fresh.as_ref().is_some_and(|good| good.value.keys.get(&name).is_some());
        let here = match fresh {
            Some(_) if is_at_hand => self.presence_in_passing(at, deadline).await,
            // It may be new below a secret that has been in use for long.
            Some(_) => self.presence(at, deadline).await,
            None => self.presence_on_the_way(at, deadline).await,
        };
        let here = self.or_unknown_if_too_many(at, here)?;
        // Where nobody says whether anything is below, a key that is at hand is taken for what is meant.
        let may_be_hidden = here.children == Known::Yes || here.children == Known::Unknown && !is_at_hand;
        let mut unsure = None;
        if let Some(child) = child.filter(|_| may_be_hidden) {
            match self.child_presence(&child, is_at_hand, deadline).await {
                Ok(there) if there.is_something() => return Ok(self.directory(Node::Directory(child), there)),
                Ok(_) => {}
                Err(refusal) => unsure = Some(refusal),
            }
        }
        if here.secret == Known::No {
            return Err(unsure.unwrap_or(Refusal::NoSuchEntry));
        }
        let found = self.facts(Node::File(at.clone(), None, DocumentFile::Key(name)), deadline).await;
        match (found, unsure) {
            (Err(Refusal::NoSuchEntry), Some(unsure)) => Err(unsure),
            (found, _) => found,
        }
    }

    /// What is known of a child, which may hide a key of the same name. A key that is at hand is not kept waiting for the
    /// answer.
    async fn child_presence(
        &self,
        child: &SecretNode,
        is_at_hand: bool,
        deadline: Instant,
    ) -> Result<Presence, Refusal> {
        let source = self.source_of(child)?;
        if is_at_hand && let Some(known) = self.memory.presence_now(&source, &child.path) {
            return Ok(known?);
        }
        self.presence_on_the_way(child, deadline).await
    }

    /// What is at a directory below a scope, from whoever knows and not from what will do on the way to a value.
    pub async fn holds(&self, at: &SecretNode, deadline: Instant) -> Result<Presence, Refusal> {
        self.presence(at, deadline).await
    }

    /// Is a directory still there, and as what?
    async fn directory_presence(&self, at: &SecretNode, deadline: Instant) -> Result<Presence, Refusal> {
        let presence = self.or_unknown_if_too_many(at, self.presence_in_passing(at, deadline).await)?;
        if presence.is_nothing() {
            return Err(Refusal::NoSuchEntry);
        }
        Ok(presence)
    }

    async fn directories_in(
        &self,
        scope: &ScopeName,
        identity: Identity,
        parent: Option<&SecretPath>,
        deadline: Instant,
    ) -> Result<Vec<Entry>, Refusal> {
        let listing = self.memory.listing(&self.source(scope, identity)?, deadline).await?;
        let children = listing.children(parent);
        let entries = children.filter_map(|(name, child)| {
            let file_name = FileName::parse(OsStr::new(name))?;
            let path = SecretPath::child(parent, &file_name)?;
            let node = Node::Directory(SecretNode { scope: scope.clone(), identity, path });
            let sure = |yes| if yes { Known::Yes } else { Known::No };
            let (secret, children) = (sure(child.is_secret), sure(child.has_children));
            let presence = Presence { secret, children, changed: child.changed };
            Some(Entry { name: name.to_owned(), found: self.directory(node, presence), is_only_named: false })
        });
        Ok(entries.collect())
    }

    /// The keys of the current version: from memory, else by their names where the provider tells those without the
    /// value.
    async fn keys(&self, at: &SecretNode, deadline: Instant) -> Result<Vec<Entry>, Refusal> {
        let source = self.source_of(at)?;
        if self.memory.fresh(&source, &at.path).is_none()
            && let Some(names) = self.memory.key_names(&source, &at.path, deadline).await
        {
            return Ok(names.iter().map(|file| self.named(at, file)).collect());
        }
        let document = self.document(at, &VersionSelector::Current, deadline).await?;
        self.key_entries(at, None, &document)
    }

    fn named(&self, at: &SecretNode, file: &FileName) -> Entry {
        let node = Node::File(at.clone(), None, DocumentFile::Key(file.clone()));
        let facts = Facts { kind: Kind::File, size: 0, modified: self.mounted, valid_for: Duration::ZERO };
        let found = Found { node, facts, holds: Presence::NOTHING };
        Entry { name: file.as_str().to_owned(), found, is_only_named: true }
    }

    fn key_entries(
        &self,
        at: &SecretNode,
        version: Option<&String>,
        document: &Held<Document>,
    ) -> Result<Vec<Entry>, Refusal> {
        let entry = |key: &super::keys::Key| {
            let file = DocumentFile::Key(key.file.clone());
            let node = Node::File(at.clone(), version.cloned(), file);
            let facts = self.file_facts(at, document, key.value.len())?;
            let found = Found { node, facts, holds: Presence::NOTHING };
            Ok(Entry { name: key.file.as_str().to_owned(), found, is_only_named: false })
        };
        document.keys.iter().map(entry).collect()
    }

    fn directory(&self, node: Node, holds: Presence) -> Found {
        let source = node.scope().and_then(|scope| self.sources.own().get(scope));
        let valid_for = match source {
            Some(source) => source.scope.cache.list_ttl.min(DIRECTORY_TTL),
            // What is in the root is what the configuration says.
            None => FILE_TTL,
        };
        let facts =
            Facts { kind: Kind::Directory, size: 0, modified: holds.changed.unwrap_or(self.mounted), valid_for };
        Found { node, facts, holds }
    }

    fn file_facts(&self, at: &SecretNode, document: &Held<Document>, size: usize) -> Result<Facts, Refusal> {
        let source = self.source_of(at)?;
        let left = document.good.fresh_until(&source.values()).saturating_sub(self.memory.now());
        Ok(Facts {
            kind: Kind::File,
            size: size as u64,
            modified: modified(document),
            valid_for: if document.stale { Duration::ZERO } else { left.min(FILE_TTL) },
        })
    }
}

fn proven_by(document: &Document) -> Presence {
    Presence::of_value(document.created)
}

/// The names in a secret's directory that resolve but are never listed.
fn hidden(at: &SecretNode, name: &OsStr) -> Option<Node> {
    if let Some(file) = special_file(name) {
        return Some(Node::File(at.clone(), None, file));
    }
    match name.to_str()?.strip_prefix('@')? {
        "current" => Some(Node::Link(at.clone(), Which::Current)),
        "previous" => Some(Node::Link(at.clone(), Which::Previous)),
        id => Some(Node::Version(at.clone(), FileName::parse(OsStr::new(id))?.unescape())),
    }
}

fn file_of_version(at: &SecretNode, id: &str, name: &OsStr) -> Option<Node> {
    let file = special_file(name).or_else(|| FileName::parse(name).map(DocumentFile::Key))?;
    Some(Node::File(at.clone(), Some(id.to_owned()), file))
}

/// A version's directory, or a file in one, by its name in `parent`. None for every other name.
pub fn of_version(parent: &Node, name: &OsStr) -> Option<Node> {
    match parent {
        Node::Directory(at) => hidden(at, name).filter(|node| matches!(node, Node::Version(..))),
        Node::Version(at, id) => file_of_version(at, id, name),
        Node::Root | Node::Scope(..) | Node::File(..) | Node::Link(..) => None,
    }
}

pub(super) fn special_file(name: &OsStr) -> Option<DocumentFile> {
    match name.to_str()? {
        ".raw" => Some(DocumentFile::Raw),
        ".json" => Some(DocumentFile::Json),
        ".env" => Some(DocumentFile::Env),
        _ => None,
    }
}

fn selector(version: Option<&str>) -> VersionSelector {
    version.map_or(VersionSelector::Current, |id| VersionSelector::Named(id.to_owned()))
}

/// None where the provider's version id cannot be a file name.
fn link_target(document: &Document) -> Option<String> {
    FileName::escape(&document.version).map(|id| format!("@{}", id.as_str()))
}

/// When a version was created, or at least came here.
fn modified(document: &Held<Document>) -> SystemTime {
    document.created.unwrap_or(document.good.fetched_wall)
}
#[cfg(test)]
mod tests;
