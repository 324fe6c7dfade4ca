//! A case, and the short way to write a table of them.

use crate::answer::Answer;
use crate::world::World;
use crate::{grpc, pages};
use futures::future::BoxFuture;
use prost::Message;
use std::future::Future;
use std::sync::Arc;

pub type Act = Box<dyn FnOnce(Arc<World>) -> BoxFuture<'static, Answer> + Send>;

pub struct Case {
    /// The class of bad input, 1 to 30.
    pub class: u8,
    pub name: String,
    pub act: Act,
    pub expect: Expect,
}

/// What must come back, and whether the database may be another after it.
#[derive(Clone, Copy, Debug)]
pub struct Expect {
    /// Any one of these.
    pub codes: &'static [&'static str],
    /// A part of the text.
    pub text: &'static str,
    pub may_write: bool,
}

impl Expect {
    pub fn met_by(&self, answer: &Answer) -> bool {
        self.codes.contains(&answer.code.as_str()) && answer.text.contains(self.text)
    }
}

/// Collects the cases of a family: a line or two for each.
#[derive(Default)]
pub struct Table {
    class: u8,
    cases: Vec<Case>,
}

const INVALID: &[&str] = &["InvalidArgument"];
const NOT_FOUND: &[&str] = &["NotFound"];
const OK: &[&str] = &["Ok"];

impl Table {
    /// The class of the cases that follow.
    pub fn class(&mut self, class: u8) {
        self.class = class;
    }

    /// A call that is refused with INVALID_ARGUMENT and writes nothing.
    pub fn invalid<M: Message + 'static>(&mut self, name: &str, request: M, text: &'static str) {
        self.refused(name, request, INVALID, text);
    }

    /// A call that is told NOT_FOUND and writes nothing.
    pub fn not_found<M: Message + 'static>(&mut self, name: &str, request: M, text: &'static str) {
        self.refused(name, request, NOT_FOUND, text);
    }

    /// A call that is refused with one of these codes and writes nothing.
    pub fn refused<M: Message + 'static>(
        &mut self,
        name: &str,
        request: M,
        codes: &'static [&'static str],
        text: &'static str,
    ) {
        let expect = Expect { codes, text, may_write: false };
        self.act(name, expect, move |world| async move { grpc::call(&world, &request).await });
    }

    /// A call that looks bad and is to be taken: what the limits say is still allowed, or is cut to what is.
    pub fn taken<M: Message + 'static>(&mut self, name: &str, request: M) {
        let expect = Expect { codes: OK, text: "", may_write: true };
        self.act(name, expect, move |world| async move { grpc::call(&world, &request).await });
    }

    /// An HTTP/1.1 request to the pages, written out, that changes nothing. `\n` becomes the end of a line on the wire.
    pub fn page(
        &mut self,
        name: &str,
        request: impl Into<Vec<u8>>,
        codes: &'static [&'static str],
        text: &'static str,
    ) {
        let request = request.into();
        let expect = Expect { codes, text, may_write: false };
        self.act(name, expect, move |world| async move { pages::send(&world, &request).await });
    }

    /// Anything else.
    pub fn act<F>(&mut self, name: &str, expect: Expect, act: impl FnOnce(Arc<World>) -> F + Send + 'static)
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let act: Act = Box::new(move |world| Box::pin(act(world)));
        self.cases.push(Case { class: self.class, name: name.into(), act, expect });
    }

    pub fn cases(self) -> Vec<Case> {
        self.cases
    }
}
