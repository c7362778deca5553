//! Runs pushes over one connection to a broker.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::controller::{Controller, Effect, Input};
use super::plan::{Image, Waits};
use super::topic::{Base, DeviceId, Topics};
use crate::evidence::{By, End, Event, Evidence};
use crate::mqtt::{CannotConnect, Happening, Keep, Letter, NotSent, Options, Quality, Session};

/// How often times are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Most transfers at the same time, whatever is asked for. A broker keeps a copy of the image for each.
const MOST_AT_ONCE: usize = 128;
/// Pushes under way for each transfer under way: the others look for their device, or wait for its restart.
const UNDER_WAY: usize = 16;
/// Devices whose retained messages may be under way. Each has about 25, and mosquitto drops what exceeds 1000
/// (`max_queued_messages`).
const SETTLING: usize = 20;

/// One push to one device.
#[derive(Debug, Clone)]
pub struct Request {
    /// The broker.
    pub broker: Options,
    /// The base topic of the device.
    pub base: Base,
    /// The device.
    pub device: DeviceId,
    /// The image.
    pub image: Image,
    /// The times.
    pub waits: Waits,
    /// The evidence to wait for: [`Evidence::Sent`], [`Evidence::Taken`] or [`Evidence::Running`].
    pub until: Evidence,
}

/// One device of many.
#[derive(Debug, Clone)]
pub struct Job {
    /// The device.
    pub device: DeviceId,
    /// Its image. Clones share the bytes.
    pub image: Image,
}

/// Pushes to many devices.
#[derive(Debug, Clone)]
pub struct Pushes {
    /// The broker.
    pub broker: Options,
    /// The base topic of the devices.
    pub base: Base,
    /// The devices and their images.
    pub jobs: Vec<Job>,
    /// The times.
    pub waits: Waits,
    /// The evidence to wait for.
    pub until: Evidence,
    /// Most transfers at the same time. At least 1 and at most 128 are used.
    pub at_once: usize,
}

/// Pushes an image to a device. If the future is dropped, the connection closes, and the last [`Event::Reached`] tells what
/// the device has.
pub async fn push(request: Request, tell: &mut dyn FnMut(Event)) -> End {
    let Request { broker, base, device, image, waits, until } = request;
    let jobs = vec![Job { device, image }];
    let pushes = Pushes { broker, base, jobs, waits, until, at_once: 1 };
    let mut ends = push_many(pushes, &mut |_, event| tell(event)).await;
    match ends.pop() {
        Some((_, end)) => end,
        None => failed("nothing was pushed".into(), "", Evidence::Nothing),
    }
}

/// Pushes images to many devices over one connection. Returns the end of each job, in their order.
pub async fn push_many(pushes: Pushes, tell: &mut dyn FnMut(&DeviceId, Event)) -> Vec<(DeviceId, End)> {
    let Pushes { broker, base, jobs, waits, until, at_once } = pushes;
    let begun = Instant::now();
    let mut run = Run {
        begun,
        at_once: at_once.clamp(1, MOST_AT_ONCE),
        pushes: Vec::with_capacity(jobs.len()),
        by_id: HashMap::new(),
        next: 0,
        under_way: 0,
        queue: VecDeque::new(),
        turns: 0,
        tickets: HashMap::new(),
        unfinished: jobs.len(),
    };
    for job in jobs {
        run.add(&base, job, until, waits);
    }
    if run.unfinished > 0 {
        tell_all(&run, tell, Event::Waits { what: "the broker" });
        match Session::open(broker).await {
            Ok(session) => run.drive(session, &base, tell).await,
            Err(error) => run.end_all(&cannot_connect(&error)),
        }
    }
    let end = |push: OnePush| {
        let lost = || failed("the push was abandoned".into(), "", Evidence::Nothing);
        (push.topics.id().clone(), push.end.unwrap_or_else(lost))
    };
    run.pushes.into_iter().map(end).collect()
}

struct OnePush {
    topics: Topics,
    topic: String,
    image: Image,
    controller: Controller,
    watched: bool,
    has_turn: bool,
    wants_turn: bool,
    end: Option<End>,
}

struct Run {
    begun: Instant,
    at_once: usize,
    pushes: Vec<OnePush>,
    by_id: HashMap<DeviceId, usize>,
    /// The first push that has not begun.
    next: usize,
    under_way: usize,
    queue: VecDeque<usize>,
    turns: usize,
    /// Messages whose sending will be reported.
    tickets: HashMap<u64, usize>,
    unfinished: usize,
}

impl Run {
    /// Adds a job. What cannot be pushed is refused before anything is sent.
    fn add(&mut self, base: &Base, job: Job, until: Evidence, waits: Waits) {
        let Job { device, image } = job;
        let topics = base.device(&device);
        let (topic, mut refusal) = match topics.firmware(image.topic_md5) {
            Ok(topic) => (topic, None),
            Err(error) => (
                String::new(),
                Some(refused("topic-too-long", &format!("{error}. Shorten the base topic or the id."))),
            ),
        };
        if image.bytes.first() != Some(&0xE9) {
            let why =
                "Homie takes a plain or signed ESP8266 image over MQTT. It refuses gzip and everything else.";
            refusal = Some(refused("homie-takes-plain-images", why));
        }
        if self.by_id.contains_key(&device) {
            refusal = Some(refused("device-twice", "The same device is in the list twice."));
        } else {
            self.by_id.insert(device, self.pushes.len());
        }
        self.unfinished -= usize::from(refusal.is_some());
        let controller = Controller::new(image.clone(), until, waits, Duration::ZERO);
        self.pushes.push(OnePush {
            topics,
            topic,
            image,
            controller,
            watched: false,
            has_turn: false,
            wants_turn: false,
            end: refusal,
        });
    }

    async fn drive(&mut self, mut session: Session, base: &Base, tell: &mut dyn FnMut(&DeviceId, Event)) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.unfinished > 0 {
            tokio::select! {
                happening = session.next() => match happening {
                    Some(happening) => self.happened(happening, base, &session, tell),
                    None => self.end_all(&failed("the connection ended".into(), "", Evidence::Nothing)),
                },
                _ = ticks.tick() => {
                    for index in 0..self.next {
                        self.step(index, Input::Tick, &session, tell);
                    }
                }
            }
            self.watch(&session, tell);
            self.give_turns(&session, tell);
        }
        session.close().await;
    }

    fn happened(
        &mut self,
        happening: Happening,
        base: &Base,
        session: &Session,
        tell: &mut dyn FnMut(&DeviceId, Event),
    ) {
        match happening {
            Happening::Message { topic, payload, retained, .. } => {
                if let Some((id, attribute)) = base.split(&topic)
                    && let Some(&index) = self.by_id.get(&id)
                {
                    let input = Input::Message { attribute, payload: &payload, retained };
                    self.step(index, input, session, tell);
                }
            }
            Happening::Sent { ticket } => {
                if let Some(index) = self.tickets.remove(&ticket) {
                    self.step(index, Input::HandedOver, session, tell);
                }
            }
            Happening::Down { why, after } => {
                self.tickets.clear();
                for index in 0..self.next {
                    if self.pushes[index].end.is_none() {
                        let event =
                            Event::Retries { why: format!("no connection to the broker: {why}"), after };
                        tell(self.pushes[index].topics.id(), event);
                    }
                    self.pushes[index].watched = false;
                    self.step(index, Input::Down, session, tell);
                }
            }
            Happening::Over { why } => {
                let advice = "Remove the large retained message from the broker.";
                self.end_all(&failed(why, advice, Evidence::Nothing));
            }
            Happening::Subscribed { refused } if refused > 0 => {
                let why = "the broker does not let us read the device's topics";
                self.end_all(&failed(why.into(), "Look at its access list.", Evidence::Nothing));
            }
            Happening::Up | Happening::Subscribed { .. } | Happening::Rejected { .. } => {}
        }
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn step(
        &mut self,
        index: usize,
        input: Input<'_>,
        session: &Session,
        tell: &mut dyn FnMut(&DeviceId, Event),
    ) {
        if self.pushes[index].end.is_some() {
            return;
        }
        let now = self.now();
        for effect in self.pushes[index].controller.step(input, now) {
            match effect {
                Effect::WantTurn => {
                    self.pushes[index].wants_turn = true;
                    self.queue.push_back(index);
                }
                Effect::GiveTurn => self.take_turn(index),
                Effect::Tell(event) => tell(self.pushes[index].topics.id(), event),
                Effect::Publish => self.publish(index, session, tell),
                Effect::End(end) => self.end(index, end, session),
            }
        }
    }

    fn publish(&mut self, index: usize, session: &Session, tell: &mut dyn FnMut(&DeviceId, Event)) {
        let push = &self.pushes[index];
        let letter = Letter {
            topic: push.topic.clone(),
            payload: push.image.bytes.clone(),
            quality: Quality::Once,
            keep: Keep::No,
        };
        match session.publish(letter) {
            Ok(ticket) => _ = self.tickets.insert(ticket, index),
            // The connection is lost, and the event that says so is on its way.
            Err(NotSent::Down | NotSent::Busy) => self.step(index, Input::Down, session, tell),
            Err(error @ (NotSent::TooLarge { .. } | NotSent::Topic)) => {
                let why = format!("{error}. Raise the broker's limit (mosquitto: max_packet_size).");
                self.end(index, refused("too-large-for-broker", &why), session);
            }
        }
    }

    fn take_turn(&mut self, index: usize) {
        let push = &mut self.pushes[index];
        push.wants_turn = false;
        self.turns -= usize::from(std::mem::take(&mut push.has_turn));
    }

    fn end(&mut self, index: usize, end: End, session: &Session) {
        self.take_turn(index);
        let push = &mut self.pushes[index];
        if push.end.is_none() {
            push.end = Some(end);
            self.unfinished -= 1;
            self.under_way -= 1;
            // A full queue only means that some messages come in vain.
            _ = session.unsubscribe(&push.topics.filters());
        }
    }

    fn end_all(&mut self, end: &End) {
        for push in self.pushes.iter_mut().filter(|push| push.end.is_none()) {
            push.end = Some(end.clone());
        }
        self.unfinished = 0;
    }

    /// Begins pushes, and requests their topics. Not all at once: see [`SETTLING`].
    fn watch(&mut self, session: &Session, tell: &mut dyn FnMut(&DeviceId, Event)) {
        let now = self.now();
        let is_open = |push: &OnePush| push.end.is_none();
        while self.next < self.pushes.len() && self.under_way < self.at_once * UNDER_WAY {
            if is_open(&self.pushes[self.next]) {
                let push = &mut self.pushes[self.next];
                let (image, until, waits) = push.controller.plan();
                // Its times begin now.
                push.controller = Controller::new(image, until, waits, now);
                tell(push.topics.id(), Event::Waits { what: "the device" });
                self.under_way += 1;
            }
            self.next += 1;
        }
        let begun = &self.pushes[..self.next];
        let mut settling = begun
            .iter()
            .filter(|push| is_open(push) && push.watched && push.controller.is_settling(now))
            .count();
        for index in 0..self.next {
            let push = &self.pushes[index];
            if push.watched || !is_open(push) {
                continue;
            }
            if settling >= SETTLING || session.subscribe(&push.topics.filters()).is_err() {
                break;
            }
            settling += 1;
            self.pushes[index].watched = true;
            self.step(index, Input::Watching, session, tell);
        }
    }

    fn give_turns(&mut self, session: &Session, tell: &mut dyn FnMut(&DeviceId, Event)) {
        while self.turns < self.at_once
            && let Some(index) = self.queue.pop_front()
        {
            let push = &mut self.pushes[index];
            if std::mem::take(&mut push.wants_turn) && push.end.is_none() {
                push.has_turn = true;
                self.turns += 1;
                self.step(index, Input::Turn, session, tell);
            }
        }
    }
}

fn tell_all(run: &Run, tell: &mut dyn FnMut(&DeviceId, Event), event: Event) {
    for push in run.pushes.iter().filter(|push| push.end.is_none()) {
        tell(push.topics.id(), event.clone());
    }
}

fn refused(code: &str, why: &str) -> End {
    End::Refused { by: By::Us, code: code.into(), says: String::new(), why: why.into() }
}

fn failed(why: String, advice: &str, evidence: Evidence) -> End {
    End::Failed { evidence, why, advice: advice.into() }
}

/// The end of everything that needs a broker that is not there.
pub(super) fn cannot_connect(error: &CannotConnect) -> End {
    let advice = match error {
        CannotConnect::Login { .. } => "Check the user's name and the password in the broker's address.",
        CannotConnect::Tls { .. } => "Give the file of the authority that signed the broker's certificate.",
        CannotConnect::Trust(_) => "Give a file with certificates in PEM form.",
        CannotConnect::Refused { .. } => "Look at the broker's log.",
        CannotConnect::Unreachable { .. } => "Check the broker's address, and whether it runs.",
    };
    let mut why = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        why.push_str(": ");
        why.push_str(&source.to_string());
    }
    failed(why, advice, Evidence::Nothing)
}
