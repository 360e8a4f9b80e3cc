//! Where records are fetched, as data.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    config::{Pull, ReceiptRule, Secret},
    table::Layout,
};

/// `[[exchange.departments.sources]]`: an address that gives records of one kind, or of several.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Names it within its department.
    pub id: String,
    /// Kind of its records, one of `records`; none = each record says its own as `kind`.
    #[serde(default)]
    pub kind: Option<String>,
    /// Address.
    pub url: String,
    /// How it is called.
    #[serde(default)]
    pub method: Method,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Headers whose values are secret: tokens, keys of applications. They stand in no log and no answer.
    #[serde(default)]
    pub secret_headers: BTreeMap<String, Secret>,
    /// Body of a `post`, with `{page}`, `{offset}`, `{size}` and `{cursor}`.
    #[serde(default)]
    pub body: Option<String>,
    /// How an answer holds records.
    #[serde(default)]
    pub layout: Layout,
    /// Which answers are good, for one that answers 200 and an error in the body; its `number` means nothing here.
    #[serde(default)]
    pub receipt: Option<ReceiptRule>,
    /// How it goes on to further pages; none = one answer holds all.
    #[serde(default)]
    pub pages: Option<Pages>,
    /// Time between two rounds, seconds.
    pub every_s: u32,
    /// Time for an answer, seconds.
    #[serde(default = "timeout_s")]
    pub timeout_s: u32,
}

fn timeout_s() -> u32 {
    10
}

/// How a source is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// POST.
    Post,
}

/// How pages are asked for. A parameter that is empty is not sent: the body has it then.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Pages {
    /// By number, until a page has fewer than `size` records.
    Page {
        /// Parameter of the number.
        #[serde(default)]
        param: String,
        /// Number of the first page.
        #[serde(default = "first")]
        first: u64,
        /// Records of a page.
        size: u64,
        /// Parameter of the size.
        #[serde(default)]
        size_param: String,
    },
    /// By the number of records before it, until a page has fewer than `size`.
    Offset {
        /// Parameter of the offset.
        #[serde(default)]
        param: String,
        /// Records of a page.
        size: u64,
        /// Parameter of the size.
        #[serde(default)]
        size_param: String,
    },
    /// By a mark that each answer gives, until there is none, it stays the same, or no record comes. The next round goes
    /// on from it.
    Cursor {
        /// Parameter of the mark.
        #[serde(default)]
        param: String,
        /// JSON pointer to the next mark.
        at: String,
        /// The first mark.
        #[serde(default)]
        first: String,
    },
    /// By an address that each answer gives, on the same host.
    Link {
        /// JSON pointer to the address.
        at: String,
    },
}

fn first() -> u64 {
    1
}

impl Source {
    /// The short form: `GET <url>?since=<cursor>` answers `{"records":[{"kind":…, …}],"next":cursor}`.
    pub(crate) fn of_pull(pull: &Pull) -> Self {
        let pages = Pages::Cursor { param: "since".to_owned(), at: "/next".to_owned(), first: "0".to_owned() };
        Self {
            id: "pull".to_owned(),
            kind: None,
            url: pull.url.clone(),
            method: Method::Get,
            headers: BTreeMap::new(),
            secret_headers: BTreeMap::new(),
            body: None,
            layout: Layout { records: "/records".to_owned(), ..Layout::default() },
            receipt: None,
            pages: Some(pages),
            every_s: pull.every_s,
            timeout_s: pull.timeout_s,
        }
    }

    /// The key that is wrong, and what is wrong with it, in both languages.
    pub(crate) fn check(&self, kinds: &[&String]) -> Result<(), (&'static str, &'static str)> {
        use axum::http::{HeaderName, HeaderValue};
        if self.id.is_empty() || self.id == "pull" || self.id == "push" {
            return Err(("id", "编号为空或为保留字 the id is empty or reserved"));
        }
        if self.kind.as_ref().is_some_and(|kind| !kinds.contains(&kind)) {
            return Err(("kind", "没有这类记录的映射 there is no mapping of this kind"));
        }
        let plain = self.headers.iter().map(|(name, value)| (name, value.as_str()));
        let secret = self.secret_headers.iter().map(|(name, value)| (name, value.text()));
        let fits =
            |(name, value): (&String, &str)| HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok();
        if !plain.chain(secret).all(fits) {
            return Err(("headers", "不是可用的请求头 no usable headers"));
        }
        if self.body.is_some() && self.method == Method::Get {
            return Err(("body", "只有 post 有内容 only a post has a body"));
        }
        if self.every_s == 0 {
            return Err(("every_s", "须大于 0 must be more than 0"));
        }
        let pointer = match &self.pages {
            Some(Pages::Page { size, .. } | Pages::Offset { size, .. }) if *size == 0 => {
                return Err(("pages", "size 须大于 0 size must be more than 0"));
            }
            Some(Pages::Cursor { at, .. } | Pages::Link { at }) => at.as_str(),
            _ => "/",
        };
        if !pointer.starts_with('/') {
            return Err(("pages", "须为 JSON 指针 must be a JSON pointer"));
        }
        if let Some(Err(message)) = self.receipt.as_ref().map(ReceiptRule::check) {
            return Err(("receipt", message));
        }
        self.layout.check().map_err(|message| ("layout", message))
    }
}
