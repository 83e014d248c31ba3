//! A lint for Nix: names that `let` or a function's pattern binds and nothing in their scope uses.
//! Nix itself says nothing about them. A pattern with `@` is left alone: there the names may be what
//! the function accepts.

use rnix::SyntaxKind::{
    NODE_ATTRPATH, NODE_ATTRPATH_VALUE, NODE_IDENT, NODE_INHERIT, NODE_INHERIT_FROM, NODE_LAMBDA,
    NODE_LET_IN, NODE_PAT_BIND, NODE_PAT_ENTRY, NODE_PATTERN,
};
use rnix::SyntaxNode;

/// The unused names of a file that Nix can read.
pub(crate) fn names(text: &str) -> Vec<String> {
    let root = rnix::Root::parse(text).syntax();
    root.descendants().flat_map(|node| unused_in(&node)).collect()
}

fn unused_in(node: &SyntaxNode) -> Vec<String> {
    let bound: Vec<SyntaxNode> = match node.kind() {
        NODE_LET_IN => node.children().flat_map(|child| bound_by(&child)).collect(),
        NODE_LAMBDA => node.children().flat_map(|child| taken_by(&child)).collect(),
        _ => Vec::new(),
    };
    let names = bound.iter().map(|ident| ident.text().to_string());
    names.filter(|name| !node.descendants().any(|other| is_use(&other, name))).collect()
}

/// The names that one line of a `let` binds.
fn bound_by(line: &SyntaxNode) -> Vec<SyntaxNode> {
    match line.kind() {
        NODE_ATTRPATH_VALUE => {
            let path = line.children().find(|child| child.kind() == NODE_ATTRPATH);
            let first = path.and_then(|path| path.children().next());
            first.filter(|first| first.kind() == NODE_IDENT).into_iter().collect()
        }
        NODE_INHERIT => line.children().filter(|child| child.kind() == NODE_IDENT).collect(),
        _ => Vec::new(),
    }
}

/// The names that a function's pattern binds.
fn taken_by(pattern: &SyntaxNode) -> Vec<SyntaxNode> {
    let is_pattern = pattern.kind() == NODE_PATTERN;
    if !is_pattern || pattern.children().any(|child| child.kind() == NODE_PAT_BIND) {
        return Vec::new();
    }
    let entries = pattern.children().filter(|child| child.kind() == NODE_PAT_ENTRY);
    entries.filter_map(|entry| entry.children().next()).collect()
}

/// Whether a node uses the name, rather than binding it or naming an attribute by it.
fn is_use(node: &SyntaxNode, name: &str) -> bool {
    if node.kind() != NODE_IDENT || node.text() != name {
        return false;
    }
    let Some(parent) = node.parent() else { return true };
    match parent.kind() {
        NODE_ATTRPATH | NODE_PAT_BIND => false,
        NODE_PAT_ENTRY => parent.children().next().as_ref() != Some(node),
        NODE_INHERIT => !parent.children().any(|child| child.kind() == NODE_INHERIT_FROM),
        _ => true,
    }
}

#[test]
fn what_is_used_and_what_is_not() {
    let unused = |text: &str| names(text).join(" ");
    assert_eq!(unused("let a = 1; b = 2; in a"), "b");
    assert_eq!(unused("let a = 1; in { a = 2; }"), "a", "an attribute's name is no use");
    assert_eq!(unused("let a = 1; in { inherit a; }"), "");
    assert_eq!(unused("let a = 1; in { inherit (x) a; }"), "a");
    assert_eq!(unused("let inherit (x) a b; in b"), "a");
    assert_eq!(unused("let a = \"x\"; in y.${a}"), "");
    assert_eq!(unused("{ a, b ? a, c ? d }: b"), "c");
    assert_eq!(unused("{ a }@all: all"), "");
    assert_eq!(unused("x: y: y"), "", "an argument by position has to be there");
}
