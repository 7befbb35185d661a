/**
 * Owns what time alone makes due on a connection: heartbeats, clock probes, tombstones of new losses, asking again for
 * refused streams, and the judgement that the server is silent or no longer acknowledges.
 */

import { beginAgainWhenStuck, isWaiting } from '#sdk/device-channel.ts';
import { CHECK_MS, retryRefused, stateLosses } from '#sdk/device-dialogue.ts';
import { durableLeft } from '#sdk/device-sender.ts';
import { flushWithin, send, type Connection, type MachineState } from '#sdk/device-state.ts';

/** Probes that were never answered are forgotten beyond this many. */
const PROBES_IN_FLIGHT = 16;
/** Heartbeats that may fail to come before a server counts as gone. */
const SILENT_HEARTBEATS = 3;

/** Does what is due at `nowMs`. Returns why the connection must be given up, or null. */
export function upkeep(state: MachineState, connection: Connection, nowMs: number): string | null {
  if (nowMs >= connection.heartbeatAtMs) {
    connection.heartbeatAtMs = nowMs + connection.heartbeatMs;
    send(state, { type: 'heartbeat' });
  }
  if (nowMs >= connection.probeAtMs) probe(state, connection, nowMs);
  if (nowMs < connection.checkAtMs) return null;
  connection.checkAtMs = nowMs + Math.min(CHECK_MS, connection.heartbeatMs);
  if (nowMs - state.receivedMs > SILENT_HEARTBEATS * connection.heartbeatMs)
    return 'the server was silent for three heartbeats';
  const { timing } = state;
  const isStarved = connection.sender.isStarved || durableLeft(connection.sender) <= 0;
  const stallMs = isStarved ? timing.starvedStallMs : timing.stallMs;
  let waits = false;
  for (const run of state.runList) {
    stateLosses(state, run);
    retryRefused(state, run);
    const { log, channel } = run;
    if (channel === null) continue;
    if (isWaiting(log, channel)) waits = true;
    const { progressMs } = connection;
    if (beginAgainWhenStuck(log, channel, { nowMs, stallMs, progressMs })) flushWithin(state, timing.flushMs);
  }
  if (!waits) connection.progressMs = nowMs;
  return nowMs - connection.progressMs > stallMs ? 'nothing was acknowledged for too long' : null;
}

function probe(state: MachineState, connection: Connection, nowMs: number): void {
  const { probeBurst, probeBurstMs, probeMs } = state.timing;
  const t0Us = state.options.clock.nowUs();
  if (state.filter.hasStepped(t0Us, nowMs)) connection.probesInBurst = 0;
  if (connection.probesInBurst < probeBurst) connection.probesInBurst++;
  connection.probeAtMs = nowMs + (connection.probesInBurst < probeBurst ? probeBurstMs : probeMs);
  const id = connection.nextProbeId;
  connection.nextProbeId = (id + 1) % 0x1_0000_0000;
  const oldest = connection.probes.keys().next().value;
  if (connection.probes.size >= PROBES_IN_FLIGHT && oldest !== undefined) connection.probes.delete(oldest);
  connection.probes.set(id, t0Us);
  send(state, { type: 'probe', id, t0Us });
}
