//! Tells S3's answers from those of proxies, portals and other applications in its place.
//!
//! S3, and servers with the same protocol, send an `ETag` in each answer that returns or stores content, and XML
//! otherwise. Request ids do not help, since some of these servers have none.

use std::fmt;

use reqwest::Url;

/// How many bytes of a page are read at most.
pub const READ: usize = 64 << 10;
/// How many characters of a page an error shows at most.
const SHOWN: usize = 80;

/// What a request asks for, as far as it determines S3's answer.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    wanted: Wanted,
    /// Whether the object may be a web page, judging by its name.
    page: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// The headers of an object's content.
    Headers,
    /// An object's content, or the confirmation that content is stored.
    Content,
    /// XML.
    Document,
    /// The confirmation that something is deleted.
    Removal,
}

/// Whether an answer is S3's, judging by its headers.
#[derive(Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is.
    OfS3,
    /// It is not: it lacks this.
    Without(&'static str),
    /// The body decides.
    Unclear,
}

/// The status and those headers of an answer that matter.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The HTTP status.
    pub status: u16,
    /// Whether it has an `ETag`.
    pub has_etag: bool,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Location`, the target of a redirect.
    pub location: Option<String>,
    /// Whether it has a header that only S3 and compatible servers send.
    pub marked: bool,
}

/// An answer that is not S3's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignAnswer {
    status: u16,
    content_type: Option<String>,
    without: &'static str,
    /// Its title or first words.
    said: Option<String>,
    /// The target of a redirect.
    location: Option<String>,
}

impl std::error::Error for ForeignAnswer {}

impl fmt::Display for ForeignAnswer {
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
    /// For a request with this method and URL.
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

    /// Judges an answer by its headers.
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

    /// Judges an answer by its body if the headers are unclear.
    ///
    /// # Errors
    /// [`ForeignAnswer`] unless it is S3's.
    pub fn conclude(
        self,
        judgement: Judgement,
        head: &Head,
        body: &[u8],
    ) -> Result<(), ForeignAnswer> {
        let root = root(body);
        let of_s3 = match (judgement, self.wanted, head.is_success()) {
            (Judgement::OfS3, ..) => true,
            (Judgement::Without(what), ..) => return Err(head.foreign(what, body)),
            (_, Wanted::Removal, true) => head.marked || body.is_empty(),
            (_, _, true) => root.is_some_and(|root| {
                // moto's end with `Response`.
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
    /// Collects the headers that matter.
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

    /// Describes the answer with this head, which is not S3's.
    fn foreign(&self, without: &'static str, body: &[u8]) -> ForeignAnswer {
        let redirects = (300..400).contains(&self.status);
        let location = self.location.as_deref().filter(|_| redirects);
        ForeignAnswer {
            status: self.status,
            content_type: self.content_type.as_deref().map(short),
            without,
            // A successful answer of another type may be an object's content.
            said: said(body).filter(|_| !self.is_success() || self.is_text()),
            location: location.map(place),
        }
    }
}

/// Whether a header of this name is S3's. CloudFront and API Gateway send others with the same prefix.
fn is_marked(name: &str) -> bool {
    let of_neighbours = |rest: &str| rest.starts_with("cf-") || rest.starts_with("apigw-");
    let own = name.strip_prefix("x-amz-");
    name == "x-amzn-requestid" || own.is_some_and(|rest| !of_neighbours(rest))
}

/// The name of the root element of XML, without its namespace.
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

/// The title of a page or its first words, unless they may repeat a signed request.
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
    let is_secret = secret.iter().any(|word| lower.contains(word));
    (!said.is_empty() && !is_secret).then_some(said)
}

/// The first words of a text, on one line.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = line.chars().count() > SHOWN;
    let mut short: String = line
        .chars()
        .filter(|c| !c.is_control())
        .take(SHOWN)
        .collect();
    if cut {
        short.push('…');
    }
    short
}

/// A URL without the parts that may be secret: user, password and query.
fn place(location: &str) -> String {
    match Url::parse(location) {
        Ok(mut url) => {
            // These fail only for a URL without a host, which has neither.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            short(url.as_str())
        }
        Err(_) => short(location.split(['?', '#']).next().unwrap_or_default()),
    }
}
