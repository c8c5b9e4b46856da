//! What one request may cost. All of it is known before anything is looked up.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, FragmentDefinition, Selection, SelectionSet};
use async_graphql::{Name, Positioned, Request};

use crate::body::bad;
use crate::error::ApiError;

/// Levels of fields: the query of a client that asks for the whole schema has 14.
pub(super) const DEPTH: usize = 16;
/// All that is asked for at a time; a field costs 1, and what reads costs more.
pub(super) const COMPLEXITY: usize = 500;
/// One job, and whatever else is looked up once.
pub(super) const READ: usize = 20;
/// A page of jobs, a job to be done, and a job to be followed.
pub(super) const PAGE: usize = 100;
/// Directives of one field.
pub(super) const DIRECTIVES: usize = 4;
/// Largest query in bytes; long values are for variables.
const QUERY: usize = 16 << 10;
/// Most brackets within each other: the parser goes as deep as the query.
const NESTED: usize = 64;
/// Most fields, where every fragment is put in its place.
const FIELDS: usize = 1000;

/// The same request, if it is small enough to be looked at.
pub(super) fn checked(mut request: Request) -> Result<Request, ApiError> {
    if request.query.len() > QUERY {
        let found = request.query.len();
        return Err(bad(format!("query: {found} bytes are not allowed; allowed: {QUERY}")).about("query"));
    }
    if nested(&request.query) > NESTED {
        return Err(bad(format!("query: more than {NESTED} levels are not allowed")).about("query"));
    }
    // What cannot be parsed is told by whoever executes it.
    if let Ok(document) = request.parsed_query()
        && fields(document).is_none()
    {
        return Err(bad(format!("query: more than {FIELDS} fields are not allowed, fragments counted each time"))
            .about("query"));
    }
    Ok(request)
}

/// Levels of brackets; those in strings count, too.
fn nested(query: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for byte in query.bytes() {
        match byte {
            b'{' | b'[' | b'(' => (now, most) = (now + 1, most.max(now + 1)),
            b'}' | b']' | b')' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// How many fields all operations have; none if they are too many. Fragments that name each other would
/// double them a hundred times.
fn fields(document: &ExecutableDocument) -> Option<usize> {
    let mut count = Count { fragments: &document.fragments, known: HashMap::new() };
    let mut all = 0;
    for (_, operation) in document.operations.iter() {
        all += count.set(&operation.node.selection_set.node)?;
        if all > FIELDS {
            return None;
        }
    }
    Some(all)
}

struct Count<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    /// Fields of each fragment; none while it is looked at.
    known: HashMap<&'a str, Option<usize>>,
}

impl<'a> Count<'a> {
    fn set(&mut self, set: &'a SelectionSet) -> Option<usize> {
        let mut all = 0_usize;
        for selection in &set.items {
            all += match &selection.node {
                Selection::Field(field) => 1 + self.set(&field.node.selection_set.node)?,
                Selection::InlineFragment(inline) => 1 + self.set(&inline.node.selection_set.node)?,
                Selection::FragmentSpread(spread) => 1 + self.fragment(&spread.node.fragment_name.node)?,
            };
            if all > FIELDS {
                return None;
            }
        }
        Some(all)
    }

    fn fragment(&mut self, name: &str) -> Option<usize> {
        // One that is not there is told by whoever executes it.
        let Some((name, fragment)) = self.fragments.get_key_value(name) else { return Some(0) };
        if let Some(known) = self.known.get(name.as_str()) {
            return *known;
        }
        // A fragment that leads back to itself has no end.
        self.known.insert(name, None);
        let fields = self.set(&fragment.node.selection_set.node)?;
        self.known.insert(name, Some(fields));
        Some(fields)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn refused(query: &str) -> Option<String> {
        checked(Request::new(query)).err().map(|error| error.message)
    }

    #[test]
    fn s20_a_query_is_small_before_anything_looks_at_it() {
        assert_eq!(refused("{ jobs { jobs { id } } }"), None);
        assert_eq!(refused("{ broken"), None);
        assert!(refused(&format!("{}{}", "{a".repeat(65), "}".repeat(65))).is_some());
        assert!(refused(&"[".repeat(10_000)).is_some());
        assert!(refused(&format!("{{ {} }}", "a ".repeat(1001))).is_some());
        assert!(refused(&format!("{{ a(b: \"{}\") }}", "x".repeat(QUERY))).is_some());
        assert!(refused("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }").is_some());
        let mut doubled = String::from("{ ...f0 }");
        for number in 0..60 {
            write!(doubled, " fragment f{number} on Query {{ ...f{} ...f{} }}", number + 1, number + 1).unwrap();
        }
        assert!(refused(&format!("{doubled} fragment f60 on Query {{ capabilities }}")).is_some());
    }
}
