//! Several models in one role. Whoever gets a panel asks its members one by one; the panel itself
//! answers nothing.

use super::{ChatError, ChatModel, Completion, ModelIdentity, Request, Scores};
use crate::base::digest_json;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use std::sync::Arc;

/// Several models that are asked the same.
pub struct Panel {
    members: Vec<Arc<dyn ChatModel>>,
}

impl Panel {
    /// Returns a panel of these models. A panel of one is that model itself.
    ///
    /// # Panics
    /// Panics without any model.
    pub fn of(members: Vec<Arc<dyn ChatModel>>) -> Arc<dyn ChatModel> {
        match <[_; 1]>::try_from(members) {
            Ok([only]) => only,
            Err(members) => {
                assert!(!members.is_empty(), "a panel has members");
                Arc::new(Self { members })
            }
        }
    }
}

/// Returns the members of a panel, or the model itself if it is none.
pub fn each_member(model: &Arc<dyn ChatModel>) -> Vec<Arc<dyn ChatModel>> {
    let members = model.members();
    if members.is_empty() { vec![Arc::clone(model)] } else { members }
}

impl ChatModel for Panel {
    fn complete(&self, _: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        ready(Err(no_answer())).boxed()
    }

    fn score(&self, _: Request, _: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        ready(Err(no_answer())).boxed()
    }

    /// The members' names in one, and a digest of their digests.
    fn identity(&self) -> ModelIdentity {
        let identities: Vec<ModelIdentity> = self.members.iter().map(|member| member.identity()).collect();
        let digests: Vec<_> = identities.iter().map(|identity| identity.digest).collect();
        let names: Vec<_> = identities.into_iter().map(|identity| identity.name).collect();
        ModelIdentity { name: names.join(" + "), digest: digest_json("maspo panel", &digests) }
    }

    fn members(&self) -> Vec<Arc<dyn ChatModel>> {
        self.members.clone()
    }
}

fn no_answer() -> ChatError {
    ChatError::Model("several models cannot give one answer: ask each of them".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CancelToken;
    use crate::chat::{Ledger, Message, Metered, ModelRole, Sampling, ScriptedModel};
    use futures::executor::block_on;

    #[test]
    fn what_wraps_a_panel_wraps_each_member() {
        let says = |text: &'static str| -> Arc<dyn ChatModel> { Arc::new(ScriptedModel::new(move |_| text.into())) };
        let ledger = Ledger::new();
        let panel = Panel::of(vec![says("one"), says("two")]);
        let metered = Metered::new(panel, ModelRole::Judge, ledger.clone(), CancelToken::new());
        let metered: Arc<dyn ChatModel> = Arc::new(metered);
        let request = Request {
            messages: vec![Message::user("?")],
            max_new_tokens: 4,
            max_thinking_tokens: None,
            sampling: Sampling::GREEDY,
        };
        let texts: Vec<String> = each_member(&metered)
            .iter()
            .map(|member| block_on(member.complete(request.clone())).unwrap().text)
            .collect();
        assert_eq!((texts.join(" ").as_str(), ledger.line(ModelRole::Judge).calls), ("one two", 2));
        assert!(block_on(metered.complete(request)).unwrap_err().to_string().contains("ask each of them"));
        assert_ne!(metered.identity(), says("one").identity());
        assert_eq!(each_member(&Panel::of(vec![says("one")])).len(), 1);
    }
}
