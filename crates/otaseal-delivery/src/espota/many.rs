//! Pushes to many devices at once.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::rc::Rc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinSet, LocalSet};

use super::drive::push;
use super::{Request, ends};
use crate::evidence::{End, Event, Evidence};

/// One of many pushes.
#[derive(Debug, Clone)]
pub struct Job {
    /// The push.
    pub request: Request,
    /// Where the device is: an access point, a house. Devices of one site share their air.
    pub site: String,
}

/// How many devices are updated at once.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Of all.
    pub at_once: NonZeroUsize,
    /// Of one site.
    pub per_site: NonZeroUsize,
}

/// What happens to one of many devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Its push begins.
    Begins,
    /// Something happened.
    Event(Event),
    /// Its push is over.
    Ended(End),
}

/// Pushes to many devices at once. Returns the ends, in the order of the jobs.
///
/// `tell` hears the number of the job and what happened. Where the local ports are fixed, no more devices are updated at
/// once than the smallest range has ports. Dropping the future ends all pushes, as it does for [`push`].
pub async fn push_all(jobs: Vec<Job>, pace: Pace, tell: &mut dyn FnMut(usize, News)) -> Vec<End> {
    let mut ends: Vec<Option<End>> = vec![None; jobs.len()];
    let ranges = jobs.iter().filter_map(|job| job.request.local.ports.clone());
    let at_once = ranges.map(|ports| ports.len().max(1)).fold(pace.at_once.get(), usize::min);
    let all = Rc::new(Semaphore::new(at_once));
    let mut sites: HashMap<String, Rc<Semaphore>> = HashMap::new();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let local = LocalSet::new();
    let mut tasks = JoinSet::new();
    for (number, job) in jobs.into_iter().enumerate() {
        let new = || Rc::new(Semaphore::new(pace.per_site.get()));
        let site = Rc::clone(sites.entry(job.site).or_insert_with(new));
        let (all, sender) = (Rc::clone(&all), sender.clone());
        tasks.spawn_local_on(
            async move {
                // A device that waits for its site holds up no other site. The semaphores are never closed.
                let Ok(_of_site) = site.acquire().await else { return };
                let Ok(_of_all) = all.acquire().await else { return };
                let _ = sender.send((number, News::Begins));
                let end = push(job.request, &mut |event| {
                    let _ = sender.send((number, News::Event(event)));
                })
                .await;
                let _ = sender.send((number, News::Ended(end)));
            },
            &local,
        );
    }
    drop(sender);
    local
        .run_until(async {
            while let Some((number, news)) = receiver.recv().await {
                if let News::Ended(end) = &news {
                    ends[number] = Some(end.clone());
                }
                tell(number, news);
            }
        })
        .await;
    let lost = || ends::failed(Evidence::Nothing, "The push did not end.", "");
    ends.into_iter().map(|end| end.unwrap_or_else(lost)).collect()
}
