//! The limit on a request's head. The cursor does not count: a client brings it back only after it was admitted
//! without one, so a head that was small enough once is small enough when it comes again.

use http::{Request, Version};
use sluice_wire::{Problem, is_last_event_id};

use super::connection;
use super::settings::ListenerSettings;

const CURSOR_FIELD: &str = "last-event-id";
/// What HTTP/2 counts for each field besides its name and value. Source: RFC 9113, section 10.5.1.
const HTTP2_FIELD_OVERHEAD: usize = 32;
/// The colon, the space and the end of a line of HTTP/1.
const HTTP1_FIELD_OVERHEAD: usize = 4;
/// The four pseudo-header fields of HTTP/2 with their overhead.
const HTTP2_REQUEST_OVERHEAD: usize = 160;
/// The spaces, version and end of a request line of HTTP/1, and the empty line.
const HTTP1_REQUEST_OVERHEAD: usize = 14;

/// Returns the size of the longest head that must be read before it can be judged: an allowed one and a cursor.
pub(super) fn read_bytes_max(settings: &ListenerSettings) -> usize {
    settings.header_bytes_max.saturating_add(cursor_bytes_max(settings))
}

/// Returns the answer to a request whose head is too large without its cursor.
pub(super) fn exceeded<B>(request: &Request<B>, settings: &ListenerSettings) -> Option<Problem> {
    let (size, cursor) = sizes(request);
    let size = size - cursor.min(cursor_bytes_max(settings)).min(size);
    let fields = request.headers().len() - usize::from(request.headers().contains_key(CURSOR_FIELD));
    let (size_max, fields_max) = (settings.header_bytes_max, settings.header_count_max);
    let detail = if size > size_max {
        format!(
            "the head of this request has {size} bytes without its cursor; limits.header_bytes_max allows {size_max}"
        )
    } else if request.version() < Version::HTTP_2 && fields > fields_max {
        format!("this request has {fields} header fields; limits.header_count_max allows {fields_max}")
    } else {
        return None;
    };
    connection::count("malformed");
    Some(Problem::new(431, "head-too-large", "Request head too large", detail))
}

/// The most that a cursor adds to a head, as a field or as a parameter.
fn cursor_bytes_max(settings: &ListenerSettings) -> usize {
    settings.cursor_bytes_max.saturating_add(CURSOR_FIELD.len() + HTTP2_FIELD_OVERHEAD)
}

/// The size of a head in bytes, and how much of it is cursor.
fn sizes<B>(request: &Request<B>) -> (usize, usize) {
    let (request_overhead, field_overhead) = if request.version() == Version::HTTP_2 {
        (HTTP2_REQUEST_OVERHEAD, HTTP2_FIELD_OVERHEAD)
    } else {
        (HTTP1_REQUEST_OVERHEAD, HTTP1_FIELD_OVERHEAD)
    };
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    let line = request.method().as_str().len() + scheme + authority + target + request_overhead;
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + field_overhead);
    // Of several cursors one is used; the others count.
    let field = request.headers().get(CURSOR_FIELD);
    let field = field.map_or(0, |value| CURSOR_FIELD.len() + value.len() + field_overhead);
    let is_cursor = |pair: &&str| pair.split_once('=').is_some_and(|(name, _)| is_last_event_id(name));
    let pair = uri.query().unwrap_or_default().split('&').rfind(is_cursor);
    let pair = pair.map_or(0, |pair| pair.len() + "&".len());
    (line + fields.sum::<usize>(), field + pair)
}
