/** Owns the names of what carries channels among the metrics: the histories of a single process, or Redis. */

import type { Namers } from '#app/metrics.ts';
import type { OpenedCarriers } from '#app/carriers.ts';

export function addCarrierMetrics(
  { counter, gauge }: Namers,
  { memory, redis }: Pick<OpenedCarriers, 'memory' | 'redis'>,
): void {
  if (memory !== null) {
    const { counters } = memory;
    gauge('kymo_history_addresses', 'channels that have a history', () => memory.held.addresses);
    gauge('kymo_history_bytes', 'bytes of all kept messages', () => memory.held.bytes);
    counter(
      'kymo_history_evictions_total',
      'histories given up to make room; their readers begin again',
      () => counters.evictedAddresses,
    );
    counter(
      'kymo_publish_key_evictions_total',
      'idempotency keys forgotten before their time',
      () => counters.evictedKeys,
    );
  }
  if (redis === null) return;
  const { broker, bus, presence } = redis;
  gauge('kymo_redis_up', '1 while Redis answers', () => Number(redis.state.isUp));
  counter('kymo_redis_losses_total', 'times that Redis was lost', () => redis.counters.lost);
  counter('kymo_redis_connects_total', 'attempts to connect to Redis', () => redis.counters.attempts);
  counter('kymo_redis_publications_total', 'messages kept in Redis', () => broker.counters.published);
  counter(
    'kymo_redis_repeats_total',
    'scripts run again since Redis was lost under them',
    () => broker.counters.repeated,
  );
  counter(
    'kymo_redis_failures_total',
    'publications and histories that Redis did not answer',
    () => broker.counters.failed,
  );
  counter('kymo_redis_refusals_total', 'publications sent away as too many', () => broker.counters.refused);
  counter(
    'kymo_redis_epoch_changes_total',
    'histories that began anew after another Redis was found',
    () => broker.counters.epochChanges,
  );
  counter('kymo_bus_sent_total', 'live messages sent to other instances', () => bus.counters.sent);
  counter('kymo_bus_received_total', 'live messages of other instances', () => bus.counters.received);
  counter(
    'kymo_bus_dropped_total',
    'live messages not sent, by reason',
    () => ({ busy: bus.counters.dropped, away: bus.counters.unsent }),
    'reason',
  );
  counter(
    'kymo_presence_cleared_rooms_total',
    'channels from which members of dead instances were taken',
    () => presence.counters.clearedRooms,
  );
  counter(
    'kymo_presence_lost_leases_total',
    'times that this instance was thought dead',
    () => presence.counters.lostLeases,
  );
}
