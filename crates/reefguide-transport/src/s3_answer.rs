//! Answers that are not S3's: pages of proxies, portals and applications that stand in its place.
//!
//! S3 names an object's version (`ETag`) in each answer that has or takes its content, and words everything else in
//! XML; so do the servers that speak its language. Ids of requests are no help: not every such server has them.

use std::fmt;

use reqwest::Url;

/// How much of a page is read, in bytes.
pub const READ: usize = 64 << 10;
/// How much of a page is told, in characters.
const TOLD: usize = 80;

/// What a request asks for, as far as that decides what an answer of S3 is.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    wanted: Wanted,
    /// Whether the object may be a web page, by its name.
    page: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// The headers of an object's content.
    Headers,
    /// An object's content, or that content is stored.
    Content,
    /// XML.
    Document,
    /// That something is removed.
    Removal,
}

/// What the headers of an answer say of where it comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Judgement {
    /// S3 answered.
    OfS3,
    /// It has no such thing as S3's answers have.
    Without(&'static str),
    /// The body decides.
    Unclear,
}

/// The headers of an answer, as far as they matter.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The HTTP status.
    pub status: u16,
    /// Whether it has an `ETag`.
    pub has_etag: bool,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Location`, where it redirects to.
    pub location: Option<String>,
    /// Whether it has a header that only S3 and servers like it send.
    pub marked: bool,
}

/// An answer that is not S3's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    status: u16,
    content_type: Option<String>,
    without: &'static str,
    /// What it says, in a few words.
    said: Option<String>,
    /// Where it redirects to.
    location: Option<String>,
}

impl std::error::Error for Foreign {}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(location) = &self.location {
            return write!(f, ", a redirect to {location}, which is not followed");
        }
        match &self.content_type {
            Some(content_type) => write!(f, " with {content_type}")?,
            None => f.write_str(" without a content type")?,
        }
        if let Some(said) = &self.said {
            write!(f, " ({said:?})")?;
        }
        write!(f, " and without {}", self.without)
    }
}

impl Asked {
    /// What a request of this method and URL asks for.
    pub fn by(method: &str, url: &str) -> Self {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let lists = || query.split('&').any(|pair| pair.starts_with("list-type="));
        let wanted = match method {
            "HEAD" => Wanted::Headers,
            "DELETE" => Wanted::Removal,
            "POST" => Wanted::Document,
            "GET" if lists() => Wanted::Document,
            _ => Wanted::Content,
        };
        let page = [".html", ".htm"].iter().any(|end| path.ends_with(end));
        Self { wanted, page }
    }

    /// What the headers alone tell.
    pub fn judge(self, head: &Head) -> Judgement {
        let web_page = head.is("text/html") && !head.marked;
        match self.wanted {
            Wanted::Headers | Wanted::Content if head.is_success() => match head.has_etag {
                false => Judgement::Without("an ETag"),
                true if web_page && !self.page => {
                    Judgement::Without("any header of S3 but an ETag")
                }
                true => Judgement::OfS3,
            },
            Wanted::Headers if head.marked || head.is_xml() => Judgement::OfS3,
            Wanted::Headers => Judgement::Without("a request id"),
            Wanted::Removal if web_page && head.is_success() => Judgement::Without("a request id"),
            _ => Judgement::Unclear,
        }
    }

    /// Judges an answer by its body where its headers leave that open.
    ///
    /// # Errors
    /// [`Foreign`] unless it is S3's.
    pub fn conclude(self, judgement: Judgement, head: &Head, body: &[u8]) -> Result<(), Foreign> {
        let root = root(body);
        let of_s3 = match (judgement, self.wanted, head.is_success()) {
            (Judgement::OfS3, ..) => true,
            (Judgement::Without(what), ..) => return Err(head.foreign(what, body)),
            (_, Wanted::Removal, true) => head.marked || body.is_empty(),
            (_, _, true) => root.is_some_and(|root| {
                // The last is moto's.
                ["Result", "Error", "Response"]
                    .iter()
                    .any(|end| root.ends_with(end))
            }),
            (_, _, false) if body.is_empty() => head.marked || head.is_xml(),
            (_, _, false) => root == Some("Error"),
        };
        match of_s3 {
            true => Ok(()),
            false => Err(head.foreign("XML of S3", body)),
        }
    }
}

impl Head {
    /// The headers of an answer with this status.
    pub fn of<'a>(status: u16, headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut head = Self {
            status,
            ..Self::default()
        };
        for (name, value) in headers {
            let text = || Some(String::from_utf8_lossy(value).into_owned());
            match name {
                "etag" => head.has_etag = !value.is_empty(),
                "content-type" => head.content_type = text(),
                "location" => head.location = text(),
                _ => head.marked |= is_marked(name),
            }
        }
        head
    }

    /// Whether its status says that the request succeeded.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn is(&self, content_type: &str) -> bool {
        let own = self.content_type.as_deref().unwrap_or_default();
        let own = own.split(';').next().unwrap_or_default().trim();
        own.eq_ignore_ascii_case(content_type)
    }

    fn is_text(&self) -> bool {
        ["text/html", "text/plain", "application/json"]
            .iter()
            .any(|text| self.is(text))
    }

    fn is_xml(&self) -> bool {
        self.is("application/xml") || self.is("text/xml")
    }

    /// The answer that it is the head of, which is not S3's.
    fn foreign(&self, without: &'static str, body: &[u8]) -> Foreign {
        let redirects = (300..400).contains(&self.status);
        let location = self.location.as_deref().filter(|_| redirects);
        Foreign {
            status: self.status,
            content_type: self.content_type.as_deref().map(short),
            without,
            // What has no such type may be an object.
            said: said(body).filter(|_| !self.is_success() || self.is_text()),
            location: location.map(place),
        }
    }
}

/// Whether a header of this name is S3's. Its neighbours at Amazon have some that are much like them.
fn is_marked(name: &str) -> bool {
    let of_neighbours = |rest: &str| rest.starts_with("cf-") || rest.starts_with("apigw-");
    let own = name.strip_prefix("x-amz-");
    name == "x-amzn-requestid" || own.is_some_and(|rest| !of_neighbours(rest))
}

/// The name of the element that XML consists of, without its namespace.
fn root(xml: &[u8]) -> Option<&str> {
    let start = &xml[..xml.len().min(READ)];
    let mut rest = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&start[..error.valid_up_to()]).ok()?,
    };
    rest = rest.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = match rest {
            _ if rest.starts_with("<?") => "?>",
            _ if rest.starts_with("<!--") => "-->",
            _ => break,
        };
        rest = rest.split_once(end)?.1.trim_start();
    }
    let name = rest.strip_prefix('<')?;
    let name = name
        .split(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))
        .next()?;
    Some(name.rsplit(':').next().unwrap_or(name))
}

/// What a page says: its title, or how it begins. Nothing that may repeat a signed request.
fn said(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|at| {
        let start = at + lower[at..].find('>')? + 1;
        let end = start + lower[start..].find("</")?;
        text.get(start..end)
    });
    let said = short(title.unwrap_or(text));
    let secret = [
        "signature",
        "credential",
        "x-amz-",
        "token",
        "awsaccesskeyid",
    ];
    let lower = said.to_ascii_lowercase();
    let tells = secret.iter().any(|word| lower.contains(word));
    (!said.is_empty() && !tells).then_some(said)
}

/// A few words of a text, on one line.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = line.chars().count() > TOLD;
    let mut short: String = line
        .chars()
        .filter(|c| !c.is_control())
        .take(TOLD)
        .collect();
    if cut {
        short.push('…');
    }
    short
}

/// An address without what may be secret in it: user, password and query.
fn place(location: &str) -> String {
    match Url::parse(location) {
        Ok(mut url) => {
            // An address that has no host has none of these either.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            short(url.as_str())
        }
        Err(_) => short(location.split(['?', '#']).next().unwrap_or_default()),
    }
}
