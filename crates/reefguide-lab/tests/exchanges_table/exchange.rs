//! A recorded exchange: a request, `###`, and the response to it.

/// A request or response; `start` is its first line.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

pub(crate) struct Exchange {
    pub(crate) request: Message,
    pub(crate) response: Message,
}

impl Exchange {
    pub(crate) fn parse(text: &str) -> Self {
        let (request, response) = text.split_once("\n###\n").unwrap();
        Self {
            request: Message::parse(request),
            response: Message::parse(response),
        }
    }
}

impl Message {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let start = lines.next().unwrap().to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        };
        // The line break at the end of a file is not part of the body.
        Self {
            start,
            headers: lines.map(header).collect(),
            body: body.trim_end_matches('\n').to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn set_header(&mut self, name: &str, value: String) {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value));
    }
}
