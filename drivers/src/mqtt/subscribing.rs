//! What was asked of a broker on one connection, and what it granted.

use super::Subscription;
use super::topics::{Wanted, covers};
use rumqttc::v5::{
    AsyncClient,
    mqttbytes::{
        QoS,
        v5::{Filter, RetainForwardRule, SubscribeReasonCode},
    },
};
use std::collections::{BTreeMap, VecDeque};

/// Filters in one SUBSCRIBE: small enough for every broker's packet limit.
const MOST_AT_ONCE: usize = 32;

/// The state of one connection's subscriptions.
#[derive(Debug)]
pub(super) struct Subscribing<'a> {
    wanted: &'a [Wanted],
    /// Asked for and not yet given a packet id, in order.
    asked: VecDeque<Vec<usize>>,
    /// On their way under a packet id.
    under_way: BTreeMap<u16, Vec<usize>>,
    granted: Vec<Option<Result<(), String>>>,
}

impl<'a> Subscribing<'a> {
    pub(super) fn new(wanted: &'a [Wanted]) -> Self {
        let granted = vec![None; wanted.len()];
        Self { wanted, asked: VecDeque::new(), under_way: BTreeMap::new(), granted }
    }

    /// Asks for everything that is not granted. Never waits; says why if the client does not take it.
    pub(super) fn ask(&mut self, client: &AsyncClient) -> Result<(), String> {
        let open = |index: &usize| !matches!(self.granted[*index], Some(Ok(())));
        let missing: Vec<usize> = (0..self.wanted.len()).filter(open).collect();
        for some in missing.chunks(MOST_AT_ONCE) {
            let filters = some.iter().map(|index| filter(&self.wanted[*index]));
            client.try_subscribe_many(filters).map_err(|_| "the topics could not be asked for".to_owned())?;
            self.asked.push_back(some.to_vec());
        }
        Ok(())
    }

    /// A SUBSCRIBE went out under a packet id.
    pub(super) fn sent(&mut self, packet: u16) {
        if let Some(asked) = self.asked.pop_front() {
            self.under_way.insert(packet, asked);
        }
    }

    /// The broker answered.
    pub(super) fn answered(&mut self, packet: u16, codes: &[SubscribeReasonCode]) {
        let Some(asked) = self.under_way.remove(&packet) else { return };
        for (place, index) in asked.into_iter().enumerate() {
            let wanted = &self.wanted[index];
            self.granted[index] = Some(match codes.get(place) {
                Some(SubscribeReasonCode::Success(given)) => {
                    if wanted.at_least_once && *given == QoS::AtMostOnce {
                        tracing::warn!(
                            topic = wanted.filter,
                            "the broker grants QoS 0 only: what it sends while we are away or busy is lost"
                        );
                    }
                    Ok(())
                }
                Some(SubscribeReasonCode::NotAuthorized) => Err("we may not read it".into()),
                Some(SubscribeReasonCode::TopicFilterInvalid) => Err("it is no topic filter to the broker".into()),
                Some(SubscribeReasonCode::QuotaExceeded) => Err("the broker's quota is used up".into()),
                Some(SubscribeReasonCode::WildcardSubscriptionsNotSupported) => {
                    Err("the broker knows no wildcards".into())
                }
                Some(SubscribeReasonCode::SharedSubscriptionsNotSupported) => {
                    Err("the broker knows no shared subscriptions".into())
                }
                Some(other) => Err(format!("{other:?}")),
                None => Err("the broker did not say whether".into()),
            });
        }
    }

    /// Whether everything was answered.
    pub(super) fn is_settled(&self) -> bool {
        self.granted.iter().all(Option::is_some)
    }

    /// What was refused, in words.
    pub(super) fn refused(&self) -> Option<String> {
        let refused = self.wanted.iter().zip(&self.granted).filter_map(|(wanted, granted)| match granted {
            Some(Err(why)) => Some(format!("\"{}\" ({why})", wanted.filter)),
            _ => None,
        });
        let refused: Vec<String> = refused.collect();
        (!refused.is_empty()).then(|| format!("the broker refuses the topic {}", refused.join(", ")))
    }

    /// Of each subscription whether all of its filters are granted.
    pub(super) fn open(&self, subscriptions: &[Subscription]) -> Vec<bool> {
        let granted = |filter: &String| {
            let mut all = self.wanted.iter().zip(&self.granted);
            all.any(|(wanted, granted)| matches!(granted, Some(Ok(()))) && covers(&wanted.filter, filter))
        };
        subscriptions.iter().map(|subscription| subscription.filters().iter().all(granted)).collect()
    }
}

fn filter(wanted: &Wanted) -> Filter {
    let qos = if wanted.at_least_once { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    let mut filter = Filter::new(wanted.filter.clone(), qos);
    filter.retain_forward_rule = match wanted.retained_again {
        true => RetainForwardRule::OnEverySubscribe,
        false => RetainForwardRule::OnNewSubscribe,
    };
    filter
}
