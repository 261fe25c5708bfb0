use http::{HeaderMap, header};

const CSV: &str = "text/csv";
const JSON: &str = "application/json";

/// The preference of a client for a media type ([RFC 9110, section 12.5.1]).
///
/// [RFC 9110, section 12.5.1]: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
#[derive(Clone, Copy, Debug, PartialEq)]
struct Preference {
    /// From 0, which is not acceptable, to 1.
    quality: f32,
    /// 2 for the media type itself, 1 for all subtypes, and 0 for everything.
    specificity: u8,
    /// The position of the range in the header.
    position: usize,
}

/// Returns `true` if the client prefers CSV to JSON. If it wants both equally, `text/csv` must be listed first.
pub(crate) fn prefers_csv(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT).iter().filter_map(|list| list.to_str().ok());
    let ranges: Vec<&str> = lists.flat_map(|list| list.split(',')).collect();
    let Some(csv) = preference(&ranges, CSV).filter(|csv| csv.quality > 0.0) else { return false };
    preference(&ranges, JSON).is_none_or(|json| {
        let is_first = csv.specificity == 2 && csv.position < json.position;
        csv.quality > json.quality || (csv.quality >= json.quality && is_first)
    })
}

/// Returns the preference for a media type: that of the most specific range. `None` if no range includes it.
fn preference(ranges: &[&str], media_type: &str) -> Option<Preference> {
    let (kind, _) = media_type.split_once('/')?;
    let found = ranges.iter().enumerate().filter_map(|(position, range)| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let specificity = match name.strip_suffix("/*") {
            _ if name == media_type => 2,
            Some("*") => 0,
            Some(other) if other == kind => 1,
            _ => return None,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = weight.map_or(Some(1.0), |text| text.parse::<f32>().ok())?;
        Some(Preference { quality: quality.clamp(0.0, 1.0), specificity, position })
    });
    // Of equally specific ranges, the first one.
    found.reduce(|best, other| if other.specificity > best.specificity { other } else { best })
}
