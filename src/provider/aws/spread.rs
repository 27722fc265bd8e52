//! Many small calls, a few at a time.

use tokio::task::JoinSet;

/// Few, so that questions do not take the service's rate away from reads.
const AT_ONCE: usize = 4;

/// Runs `call` on each of `items`; the answers in their order. None is one that ended without an answer.
/// Dropping this ends what is under way.
pub(super) async fn spread<T, R, F>(items: Vec<T>, call: impl Fn(T) -> F) -> Vec<Option<R>>
where
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let mut answers: Vec<Option<R>> = Vec::new();
    answers.resize_with(items.len(), || None);
    let mut items = items.into_iter().enumerate();
    let mut calls = JoinSet::new();
    loop {
        while calls.len() < AT_ONCE
            && let Some((at, item)) = items.next()
        {
            let call = call(item);
            calls.spawn(async move { (at, call.await) });
        }
        match calls.join_next().await {
            None => return answers,
            Some(Ok((at, answer))) => {
                if let Some(place) = answers.get_mut(at) {
                    *place = Some(answer);
                }
            }
            Some(Err(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn answers_come_in_order_and_calls_a_few_at_a_time() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let answers = spread((0..50).collect(), |number: u32| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                for _ in 0..(number * 7) % 5 {
                    tokio::task::yield_now().await;
                }
                now.fetch_sub(1, Ordering::SeqCst);
                assert_ne!(number, 30, "one that ends without an answer");
                number
            }
        })
        .await;
        let expected: Vec<Option<u32>> = (0..50).map(|number| (number != 30).then_some(number)).collect();
        assert_eq!(answers, expected);
        assert!((2..=AT_ONCE).contains(&most.load(Ordering::SeqCst)));
    }
}
