//! Every limit of this crate, with its unit and the reason for it.

/// Longest query, in bytes. A query is held several times over while it is translated.
pub const MAX_QUERY_BYTES: usize = 16 * 1024;

/// Deepest nesting of parentheses, NOT and function calls, in levels. The parser recurses once a level.
pub const MAX_QUERY_DEPTH: usize = 64;

/// Longest piece of the query that an error quotes, in characters: an error must not echo a whole query.
pub const MAX_QUOTED_CHARS: usize = 64;

/// Most search attributes of one request, in keys.
pub const MAX_SEARCH_ATTRIBUTE_KEYS: usize = 100;

/// Longest value of one search attribute, in bytes of its payload data.
pub const MAX_SEARCH_ATTRIBUTE_VALUE_BYTES: usize = 2048;

/// Largest set of search attributes of one request, in bytes as encoded on the wire.
pub const MAX_SEARCH_ATTRIBUTES_TOTAL_BYTES: usize = 40 * 1024;
