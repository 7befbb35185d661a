/**
 * Owns the metrics of the process in Prometheus' terms: it reads the counters that the parts keep and gives them names.
 * No label names a patient, a session or a device.
 */

import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';

import type { DurableCounters } from '#bus/durable-broker.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import type { GatewayStatistics } from '#ingest/gateway-output.ts';
import type { ChannelCounters } from '#live/channel-counters.ts';
import type { HubCounters } from '#live/counters.ts';
import type { IdentityCounters } from '#identity/keyring.ts';
import type { Pools } from '#store/pools.ts';
import type { Writer } from '#store/writer.ts';
import { addAnalysisMetrics } from '#app/analysis-metrics.ts';
import type { AnalysisThread } from '#app/analysis-thread.ts';
import { addAuditMetrics, type OpenedAudit } from '#app/audit.ts';
import { addCarrierMetrics } from '#app/carrier-metrics.ts';
import { addCacheMetrics } from '#app/answer-cache.ts';
import type { OpenedCarriers } from '#app/carriers.ts';
import type { DeliveryCounters } from '#app/command-delivery.ts';
import type { ConnectionLimit } from '#app/connection-limit.ts';
import type { RunningMotion } from '#app/live-motion.ts';
import { addJobMetrics } from '#app/job-metrics.ts';
import type { OpenedJobs } from '#app/jobs.ts';
import { addMailMetrics } from '#app/mail-metrics.ts';
import type { ServerMail } from '#app/mail.ts';
import { addMotionMetrics } from '#app/motion-metrics.ts';
import { addGuardMetrics, type RequestGuards } from '#app/request-guards.ts';
import type { ProcessorCounters } from '#app/extensions/processors.ts';
import type { WatcherCounters } from '#app/extensions/watcher-counters.ts';
import { addPeopleMetrics, type OpenedPeople } from '#app/people.ts';
import type { SummaryWishes } from '#app/summary-wishes.ts';
import type { UpkeepThread } from '#app/upkeep-thread.ts';

export interface Measured {
  readonly gateway: GatewayStatistics;
  readonly writer: Writer;
  /** Null where another process has it. */
  readonly upkeep: UpkeepThread | null;
  /** Null: this server does not analyse. */
  readonly analysis: AnalysisThread | null;
  readonly hub: Readonly<HubCounters>;
  readonly channels: Readonly<ChannelCounters>;
  readonly durable: DurableCounters;
  readonly commands: DeliveryCounters;
  readonly watchers: Readonly<WatcherCounters>;
  readonly processors: ProcessorCounters;
  readonly pools: Pools;
  readonly identity: IdentityCounters;
  readonly connections: ConnectionLimit['counters'];
  readonly carriers: Pick<OpenedCarriers, 'memory' | 'redis'>;
  readonly cache: ReadCache;
  readonly audit: OpenedAudit;
  readonly guards: RequestGuards;
  readonly jobs: OpenedJobs;
  readonly people: OpenedPeople;
  /** Null: none is sent. */
  readonly mail: ServerMail | null;
  readonly summaries: Pick<SummaryWishes, 'counters'>;
  readonly motion: Pick<RunningMotion, 'live' | 'counters'>;
}

export function createMetrics(measured: Measured): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const { gateway, writer, upkeep, hub, pools, identity, connections } = measured;
  const { counter, gauge } = namers(registry);

  gauge('kymo_device_connections', 'open device connections', () => gateway.connections);
  gauge('kymo_stream_buffers', 'streams with a buffer', () => gateway.buffers);
  gauge(
    'kymo_credit_reserved_bytes',
    'durable credit granted and not settled',
    () => gateway.credit.reservedBytes,
  );
  gauge('kymo_credit_pool_bytes', 'the most that may be reserved', () => gateway.credit.totalBytes);
  counter(
    'kymo_credit_shortages_total',
    'times a connection got less credit than it asked for',
    () => gateway.credit.shortages,
  );
  counter(
    'kymo_credit_reclaimed_bytes_total',
    'credit that devices gave back which sent nothing',
    () => gateway.session.reclaimedBytes,
  );
  counter('kymo_received_messages_total', 'messages from devices', () => gateway.session.messages);
  counter(
    'kymo_received_readings_total',
    'readings received, repeats included',
    () => gateway.session.readings,
  );
  counter('kymo_received_bytes_total', 'bytes of data messages', () => gateway.session.bytes);
  counter(
    'kymo_live_only_frames_total',
    'frames sent for display only',
    () => gateway.session.liveOnlyFrames,
  );
  counter(
    'kymo_historical_frames_total',
    'frames replayed from device stores',
    () => gateway.session.historicalFrames,
  );
  counter(
    'kymo_overwritten_frames_total',
    'frames dropped from a full buffer and asked for again',
    () => gateway.overwrittenFrames,
  );
  counter(
    'kymo_dropped_losses_total',
    'declared losses dropped from a full buffer, which devices repeat',
    () => gateway.droppedLosses,
  );
  counter(
    'kymo_late_frames_total',
    'frames of streams that the server had just closed',
    () => gateway.session.lateFrames,
  );
  counter(
    'kymo_discarded_frames_total',
    'frames of erased streams, acknowledged and not stored',
    () => gateway.session.discardedFrames,
  );
  counter(
    'kymo_control_floods_total',
    'connections closed for too many control messages',
    () => gateway.session.controlFloods,
  );
  counter(
    'kymo_skipped_clock_observations_total',
    'clock observations that came too often to be kept',
    () => gateway.session.skippedClocks,
  );
  counter(
    'kymo_refused_greetings_total',
    'hellos of devices that were being greeted too often already',
    () => gateway.refusedGreetings,
  );
  counter(
    'kymo_superseded_total',
    'connections closed for a newer one of the same device',
    () => gateway.superseded,
  );
  counter(
    'kymo_database_changes_total',
    'times that the database was restored or a standby took over',
    () => gateway.databaseChanges,
  );
  counter('kymo_device_errors_total', 'errors sent to devices', () => gateway.session.errors, 'code');

  counter('kymo_flushes_total', 'flushes begun', () => writer.counters.flushes);
  counter('kymo_stored_readings_total', 'readings committed', () => writer.counters.storedReadings);
  counter(
    'kymo_duplicate_readings_total',
    'readings that were committed already',
    () => writer.counters.duplicateReadings,
  );
  counter(
    'kymo_lost_readings_total',
    'readings that devices declared lost',
    () => writer.counters.declaredReadings,
  );
  counter(
    'kymo_refused_streams_total',
    'streams that the database refuses',
    () => writer.counters.refusedStreams,
  );
  counter(
    'kymo_fragment_refusals_total',
    'flushes of a stream with too many open gaps',
    () => writer.counters.fragmentRefusals,
  );
  counter('kymo_flush_failures_total', 'failed flushes', () => writer.counters.failures, 'kind');
  gauge('kymo_store_stalled', '1 while the database has failed and is tried again', () =>
    Number(writer.isStalled),
  );

  counter('kymo_upkeep_steps_total', 'steps of background work', () => upkeep?.counters.steps ?? {}, 'task');
  counter('kymo_upkeep_failures_total', 'steps that failed', () => upkeep?.counters.failures ?? {}, 'task');
  counter('kymo_upkeep_deaths_total', 'times that its thread died', () => upkeep?.deaths ?? 0);
  counter('kymo_upkeep_work_total', 'what background work did', () => upkeep?.counters.tasks ?? {}, 'work');

  addAnalysisMetrics({ counter, gauge }, () => measured.analysis?.counts ?? null);
  addHubMetrics({ counter, gauge }, hub);
  addChannelMetrics({ counter, gauge }, measured);
  addAuditMetrics({ counter, gauge }, measured.audit);
  addGuardMetrics({ counter, gauge }, measured);
  addPeopleMetrics({ counter, gauge }, measured.people);
  addCarrierMetrics({ counter, gauge }, measured.carriers);
  addCacheMetrics({ counter, gauge }, measured);
  addMotionMetrics({ counter, gauge }, measured.motion);
  addJobMetrics({ counter, gauge }, measured.jobs);
  addMailMetrics({ counter, gauge }, measured.mail);
  counter(
    'kymo_summary_wishes_dropped_total',
    'sessions whose figures were not asked for anew, as too many were at once',
    () => measured.summaries.counters.dropped,
  );
  counter(
    'kymo_dropped_connections_total',
    'connections that came when there were too many',
    () => connections.dropped,
  );
  counter('kymo_key_lookups_total', 'keys looked up in the database', () => identity.lookups);
  counter('kymo_key_failures_total', 'keys that were refused', () => identity.failures);
  for (const role of ['app', 'auth', 'writer'] as const) {
    gauge(
      `kymo_pool_${role}_connections`,
      `connections of the ${role} pool`,
      () => pools[role].stats.connections,
    );
    gauge(
      `kymo_pool_${role}_waiting`,
      `callers that wait for the ${role} pool`,
      () => pools[role].stats.waiting,
    );
    counter(
      `kymo_pool_${role}_refused_total`,
      `callers sent away by the ${role} pool`,
      () => pools[role].stats.refused,
    );
  }
  return registry;
}

function addHubMetrics({ counter, gauge }: Namers, hub: Readonly<HubCounters>): void {
  gauge('kymo_viewers', 'connected viewers', () => hub.viewers);
  gauge('kymo_viewer_subscriptions', 'channels that viewers follow', () => hub.subscriptions);
  gauge('kymo_lagging_viewers', 'viewers that are skipped until they drain', () => hub.laggingViewers);
  counter('kymo_viewer_messages_total', 'messages sent to viewers', () => hub.messagesSent);
  counter('kymo_viewer_bytes_total', 'bytes sent to viewers', () => hub.bytesSent);
  counter('kymo_viewer_skipped_ticks_total', 'ticks that slow viewers did not get', () => hub.ticksSkipped);
  counter('kymo_viewer_errors_total', 'errors sent to viewers', () => hub.errorsByCode, 'code');
  counter('kymo_viewer_closes_total', 'ended viewers', () => hub.closesByReason, 'reason');
  gauge('kymo_open_channels', 'channels that have viewers here', () => hub.channels);
  gauge('kymo_channel_tail_bytes', 'newest publications kept for viewers', () => hub.tailBytes);
  gauge('kymo_viewer_requests_under_way', 'requests of viewers not answered yet', () => hub.underWay);
  counter('kymo_viewer_overloads_total', 'requests beyond those that may be under way', () => hub.overloads);
  counter('kymo_channel_gaps_total', 'holes found by offset', () => hub.gapsFound);
  counter('kymo_channel_history_reads_total', 'reads of histories for viewers', () => hub.historyReads);
  counter('kymo_channel_history_failures_total', 'those that failed', () => hub.historyFailures);
  counter('kymo_channel_resets_total', 'viewers told of a gap nothing can fill', () => hub.resets);
  counter(
    'kymo_channel_recovered_messages_total',
    'messages given from histories',
    () => hub.messagesRecovered,
  );
  counter('kymo_channel_tail_evictions_total', 'publications that left a full tail', () => hub.tailEvicted);
  counter(
    'kymo_channel_pending_drops_total',
    'publications read again for want of room',
    () => hub.pendingDropped,
  );
  counter(
    'kymo_presence_failures_total',
    'enterings, leavings and readings that failed',
    () => hub.presenceFailures,
  );
}

function addChannelMetrics(
  { counter, gauge }: Namers,
  { channels, durable, commands, watchers, processors }: Measured,
): void {
  gauge('kymo_watchers', 'watchers of extensions that run', () => watchers.running);
  counter('kymo_watcher_starts_total', 'starts of watchers', () => watchers.starts, 'watcher');
  counter(
    'kymo_processor_windows_total',
    'windows that processors of extensions worked on',
    () => processors.windows,
    'processor',
  );
  counter(
    'kymo_processor_failures_total',
    'windows at which they broke',
    () => processors.failures,
    'processor',
  );
  counter('kymo_watcher_failures_total', 'watchers that broke', () => watchers.failures, 'watcher');
  counter(
    'kymo_watcher_notifications_total',
    'notifications of databases that watchers got',
    () => watchers.notifications,
  );
  counter(
    'kymo_watcher_feed_messages_total',
    'messages of feeds that watchers got',
    () => watchers.feedMessages,
  );
  counter(
    'kymo_watcher_disconnects_total',
    'connections to databases and feeds that broke',
    () => watchers.disconnects,
  );
  counter('kymo_watcher_gaps_total', 'times that a watcher had to read again', () => watchers.gaps);
  gauge('kymo_channel_calls', 'publishes and requests that are worked on', () => channels.underWay);
  gauge(
    'kymo_channel_abandoned_calls',
    'rules and handlers that were given up and still run',
    () => channels.abandoned,
  );
  counter('kymo_channel_publications_total', 'messages published', () => channels.published);
  counter(
    'kymo_channel_duplicates_total',
    'messages that were published already under their key',
    () => channels.duplicates,
  );
  counter('kymo_channel_requests_total', 'requests put to handlers', () => channels.requests);
  counter(
    'kymo_channel_refusals_total',
    'publishes and requests answered with an error',
    () => channels.refusedByCode,
    'code',
  );
  counter('kymo_channel_failures_total', 'rules and handlers that broke', () => channels.failures);
  counter('kymo_commands_sent_total', 'commands sent to devices, repeats included', () => commands.sent);
  counter('kymo_commands_completed_total', 'commands that devices carried out', () => commands.completed);
  counter('kymo_commands_refused_total', 'commands that were not carried out', () => commands.refused);
  counter('kymo_commands_expired_total', 'commands without an answer in time', () => commands.expired);
  counter('kymo_commands_dropped_total', 'ends of commands that could not be told', () => commands.dropped);
  counter('kymo_durable_appends_total', 'transactions of durable channels', () => durable.appends);
  counter('kymo_durable_refusals_total', 'durable messages sent away as too many', () => durable.refused);
  counter(
    'kymo_durable_holes_total',
    'announcements of durable messages that did not come',
    () => durable.holes,
  );
}

type Counts = Readonly<Partial<Record<string, number>>>;

export interface Namers {
  counter(name: string, help: string, read: () => number | Counts, label?: string): void;
  gauge(name: string, help: string, read: () => number): void;
}

function namers(registry: Registry): Namers {
  const registers = [registry];
  return {
    counter(name, help, read, label) {
      new Counter({
        name,
        help,
        registers,
        labelNames: label === undefined ? [] : [label],
        collect() {
          this.reset();
          const value = read();
          if (typeof value === 'number') this.inc(value);
          else
            for (const [key, count] of Object.entries(value))
              this.inc({ [label ?? 'label']: key }, count ?? 0);
        },
      });
    },
    gauge(name, help, read) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    },
  };
}
