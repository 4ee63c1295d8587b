//! What the watcher found becomes what is read: new partitions are assigned, discontinuous logs are read on elsewhere, and
//! after an outage the backlog is measured anew. Runs on the reading thread, between batches.

use std::sync::Arc;
use std::time::Instant;

use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

use crate::event::TopicPartition;

use super::partition::{Partition, Service};
use super::run::{Fatal, Follower, Slot, Trouble};
use super::watch::{Finding, Report, Snapshot, does_not_exist};
use super::{Discontinuity, RecordHandler};

impl<H: RecordHandler> Follower<H> {
    pub(super) fn take(&mut self, report: Report) -> Result<(), Fatal> {
        let snapshot = match report.outcome {
            Ok(snapshot) => snapshot,
            Err(why) => {
                if self.trouble.is_none() && self.started {
                    tracing::warn!(%why, "kafka: not ready");
                }
                self.trouble = Some(Trouble { why, since: Instant::now() });
                return Ok(());
            }
        };
        let recovered = self.trouble.as_ref().is_some_and(|trouble| trouble.since < report.began);
        if !snapshot.missing.is_empty() {
            let why = does_not_exist(&snapshot.missing).into();
            self.trouble = Some(Trouble { why, since: Instant::now() });
        } else if recovered {
            self.trouble = None;
            if self.started {
                tracing::info!("kafka: the brokers answer again");
                self.filled = false;
            }
        }
        let again = recovered && self.started && self.trouble.is_none();
        self.compare(&snapshot, again)?;
        self.add_new(&snapshot)?;
        self.started = true;
        Ok(())
    }

    /// Partitions that are followed already. `again`: after an outage.
    fn compare(&mut self, snapshot: &Snapshot, again: bool) -> Result<(), Fatal> {
        for slot in 0..self.slots.len() {
            let partition = &mut self.slots[slot].partition;
            let tp = partition.id.clone();
            let Some(found) = snapshot.partitions.get(&tp) else {
                if !snapshot.missing.iter().any(|topic| **topic == **tp.topic())
                    && partition.service != Service::Retired
                {
                    tracing::warn!(partition = %tp, "the partition does not exist any more");
                    partition.service = Service::Retired;
                    self.unassign(slot);
                }
                continue;
            };
            partition.end_is(found.end);
            if let Some((to, reason)) = leap(partition, found) {
                let expected = partition.next();
                tracing::error!(partition = %tp, expected, found = to, %reason, "the log is discontinuous");
                partition.jump(to, found.end);
                self.handler.discontinuity(&tp, expected, to, reason);
                self.assign(slot)?;
            } else if partition.service != Service::Served || (again && found.end > partition.next()) {
                // From the same place: serves what was refused, and makes the end be told anew.
                if partition.service == Service::OutOfRange {
                    partition.service = Service::Served;
                }
                let next = partition.held().map_or(partition.next(), |held| held.record.offset() + 1);
                if again {
                    partition.aim(found.end);
                }
                self.assign_at(slot, next)?;
            }
        }
        Ok(())
    }

    fn add_new(&mut self, snapshot: &Snapshot) -> Result<(), Fatal> {
        let mut new: Vec<(TopicPartition, Finding, i64)> = (snapshot.partitions.iter())
            .filter(|(tp, _)| !self.index.contains_key(*tp))
            .filter_map(|(tp, found)| found.start.map(|start| (tp.clone(), *found, start)))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        new.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let starts: Vec<(TopicPartition, i64)> = new.iter().map(|(tp, _, start)| (tp.clone(), *start)).collect();
        tracing::info!(partitions = starts.len(), "kafka: following");
        self.handler.assigned(&starts);
        for (tp, found, start) in new {
            let partition = Partition::new(tp.clone(), start, found.end);
            self.shared.gauges.lock().push(Arc::clone(partition.gauges()));
            let slot = self.slots.len();
            self.slots.push(Slot { partition, queue: None });
            self.queued.push(false);
            self.index.insert(tp, slot);
            self.assign(slot)?;
        }
        Ok(())
    }

    fn assign(&mut self, slot: usize) -> Result<(), Fatal> {
        let next = self.slots[slot].partition.next();
        self.assign_at(slot, next)
    }

    /// (Re)starts reading a partition at `offset`. What its queue still holds from before is outdated for librdkafka and
    /// never comes out.
    fn assign_at(&mut self, slot: usize, offset: i64) -> Result<(), Fatal> {
        self.unassign(slot);
        let tp = self.slots[slot].partition.id.clone();
        // The queue is split off before the assignment, or the first records would come by the common one.
        let mut queue = self
            .consumer
            .split_partition_queue(tp.topic(), tp.partition())
            .ok_or_else(|| Fatal::from(format!("librdkafka has no queue for {tp}")))?;
        let shared = Arc::clone(&self.shared);
        queue.set_nonempty_callback(move || shared.waker.ready(slot));
        let list = one(&tp, Offset::Offset(offset))?;
        self.consumer.incremental_assign(&list).map_err(|e| Fatal::from(format!("cannot assign {tp}: {e}")))?;
        self.slots[slot].queue = Some(queue);
        self.enqueue(slot);
        Ok(())
    }

    fn unassign(&mut self, slot: usize) {
        if self.slots[slot].queue.take().is_some()
            && let Ok(list) = one(&self.slots[slot].partition.id, Offset::Invalid)
            && let Err(error) = self.consumer.incremental_unassign(&list)
        {
            tracing::warn!(%error, partition = %self.slots[slot].partition.id, "cannot unassign");
        }
    }
}

/// Where reading goes on if the log is not what it was.
fn leap(partition: &Partition, found: &Finding) -> Option<(i64, Discontinuity)> {
    if partition.service == Service::Retired {
        return Some((found.low, Discontinuity::Recreated));
    }
    // What was found out before an earlier jump does not count.
    let fresh = partition.gauges().standing().generation == found.generation;
    if let Some(jump) = found.jump.filter(|_| fresh) {
        return Some((jump.to, jump.reason));
    }
    (partition.service == Service::OutOfRange && found.low > partition.next())
        .then_some((found.low, Discontinuity::Trimmed))
}

fn one(tp: &TopicPartition, offset: Offset) -> Result<TopicPartitionList, Fatal> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(tp.topic(), tp.partition(), offset)
        .map_err(|e| Fatal::from(format!("cannot address {tp} at {offset:?}: {e}")))?;
    Ok(list)
}
