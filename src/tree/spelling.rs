//! What a path names by its spelling alone: for telling of places that nobody has been to.

use std::ffi::OsStr;

use super::document::DocumentFile;
use super::name::FileName;
use super::namespace::{of_version, special_file};
use super::node::{Node, SecretNode};
use super::path::SecretPath;
use crate::config::ScopeName;
use crate::provider::Identity;

/// The names of a path, from the mountpoint on. In a scope the last of several is taken for a key, and the others
/// for the secret's name. None where no file is ever called so.
pub fn spelled(names: &[&OsStr]) -> Option<Node> {
    let Some((scope, rest)) = names.split_first() else { return Some(Node::Root) };
    let scope = ScopeName::new(scope.to_str()?)?;
    let mut at: Option<SecretNode> = None;
    for (index, name) in rest.iter().enumerate() {
        let is_last = index + 1 == rest.len();
        if let Some(at) = at.clone() {
            if let Some(file) = special_file(name).filter(|_| is_last) {
                return Some(Node::File(at, None, file));
            }
            if name.to_str().is_some_and(|name| name.starts_with('@')) {
                return version(at, name, rest.get(index + 1..)?);
            }
            if is_last {
                return Some(Node::File(at, None, DocumentFile::Key(FileName::parse(name)?)));
            }
        }
        let path = SecretPath::child(at.as_ref().map(|at| &at.path), &FileName::parse(name)?)?;
        at = Some(SecretNode { scope: scope.clone(), identity: Identity::Own, path });
    }
    Some(at.map_or(Node::Scope(scope, Identity::Own), Node::Directory))
}

fn version(at: SecretNode, name: &OsStr, rest: &[&OsStr]) -> Option<Node> {
    let key = match rest {
        [] => None,
        [key] => Some(special_file(key).or_else(|| FileName::parse(key).map(DocumentFile::Key))?),
        _ => return None,
    };
    match (name.to_str()?, key) {
        ("@current", None) => Some(Node::Link(at, super::node::Which::Current)),
        ("@previous", None) => Some(Node::Link(at, super::node::Which::Previous)),
        ("@current", Some(file)) => Some(Node::File(at, None, file)),
        ("@previous", Some(file)) => Some(Node::File(at, Some("previous".to_owned()), file)),
        (_, key) => match (of_version(&Node::Directory(at), name)?, key) {
            (Node::Version(at, id), Some(file)) => Some(Node::File(at, Some(id), file)),
            (node, _) => Some(node),
        },
    }
}

/// The directories on the way to a node, from the root on, without itself.
pub fn way_to(node: &Node) -> Vec<Node> {
    let mut way = Vec::new();
    let Some(scope) = node.scope() else { return way };
    way.push(Node::Root);
    let Some(at) = node.secret() else { return way };
    way.push(Node::Scope(scope.clone(), node.identity()));
    let spelled = at.path.as_str();
    let ends = spelled.match_indices('/').map(|(end, _)| end).chain([spelled.len()]);
    let directories = ends.filter_map(|end| SecretPath::parse(spelled.get(..end)?));
    way.extend(directories.map(|path| Node::Directory(SecretNode { path, ..at.clone() })));
    match node {
        Node::Directory(_) => drop(way.pop()),
        Node::File(at, Some(id), _) => way.push(Node::Version(at.clone(), id.clone())),
        Node::Root | Node::Scope(..) | Node::Version(..) | Node::File(..) | Node::Link(..) => {}
    }
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(path: &str) -> Option<Node> {
        super::spelled(&path.split('/').filter(|name| !name.is_empty()).map(OsStr::new).collect::<Vec<_>>())
    }

    #[test]
    fn a_path_is_what_it_looks_like() {
        let paths = |text: &str| spelled(text).map(|node| node.path());
        for path in
            ["prod", "prod/db", "prod/db/KEY", "prod/team/app/KEY", "prod/db/.json", "prod/db/@v1", "prod/db/@v1/KEY"]
        {
            assert_eq!(paths(path).as_deref(), Some(path));
        }
        assert_eq!(paths("prod/db/@current/KEY").as_deref(), Some("prod/db/KEY"));
        assert_eq!(paths("").as_deref(), Some("."));
        for path in ["prod/.hidden", "prod/db/@v1/a/b", "prod/100%", ".json"] {
            assert_eq!(paths(path), None, "{path}");
        }
    }

    #[test]
    fn the_way_to_a_place_is_every_directory_above_it() {
        let way = |path: &str| way_to(&spelled(path).unwrap()).iter().map(Node::path).collect::<Vec<_>>();
        assert_eq!(way("prod/team/app/KEY"), [".", "prod", "prod/team", "prod/team/app"]);
        assert_eq!(way("prod/db/@v1/KEY"), [".", "prod", "prod/db", "prod/db/@v1"]);
        assert_eq!(way("prod/db"), [".", "prod"]);
        assert_eq!(way("prod"), ["."]);
        assert!(way("").is_empty());
    }
}
