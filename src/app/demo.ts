/**
 * Owns the demo: a recorded walk and a synthetic walker, each fed by the device SDK over a real socket at true rate.
 * Every loop is a new session. Bound: KEPT_SESSIONS sessions; older ones are erased as new ones begin.
 */

import { fileURLToPath } from 'node:url';

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { uuidv7 } from '#base/uuid.ts';
import { loadRecording, recordingSource } from '#simulator/recording.ts';
import { connectSimulatedDevice } from '#simulator/simulated-device.ts';
import { play } from '#simulator/player.ts';
import type { ReadingSource } from '#simulator/reading-source.ts';
import { createSyntheticWalker, walkerCode, walkerOfSeed } from '#simulator/synthetic-walker.ts';
import { typicalErrors } from '#simulator/sensor-errors.ts';
import { createWalkerTable, walkerSource } from '#simulator/walker-source.ts';
import { walkerSegments } from '#simulator/walker-body.ts';
import { markDemoSession, pruneDemoSessions } from '#store/demo-sessions.ts';
import type { Pools } from '#store/pools.ts';

const KEPT_SESSIONS = 20;
/** A synthetic session lasts as long as a short visit. */
const SYNTHETIC_DURATION_S = 300;
const WALKER_SEED = 7;

export interface DemoOptions {
  readonly url: string;
  readonly orgId: string;
  readonly pools: Pools;
  readonly clock: Clock;
  readonly log: Log;
  /** The key of the demo device of this name. */
  readonly deviceKey: (name: string) => Promise<string>;
  /** PEM certificate to trust when the server has its own. */
  readonly ca?: string;
}

export interface Demo {
  /** Ends the sessions and waits until everything is acknowledged. */
  stop(): Promise<void>;
}

export async function startDemo(options: DemoOptions): Promise<Demo> {
  const ended = new AbortController();
  const recording = await loadRecording(
    fileURLToPath(new URL('../../data/gaitmap', import.meta.url)),
    'healthy_2x20m',
  );
  const table = createWalkerTable(createSyntheticWalker(walkerOfSeed(WALKER_SEED)));
  const walks = [
    walk(options, ended.signal, {
      device: 'demo-recorded-feet',
      label: 'gaitmap healthy 2x20 m',
      patient: { code: 'DEMO-recorded', diagnosis: 'Healthy, walks 2 x 20 m' },
      sources: recording.streams.map(recordingSource),
      durationS: Number.POSITIVE_INFINITY,
    }),
    walk(options, ended.signal, {
      device: 'demo-synthetic-walker',
      label: walkerCode(WALKER_SEED),
      patient: { code: 'DEMO-synthetic', diagnosis: 'Made by a computer' },
      sources: walkerSegments.map((segment, i) =>
        walkerSource(table, {
          segment,
          firstRow: 0,
          errors: { model: typicalErrors, seed: WALKER_SEED * 16 + i },
        }),
      ),
      durationS: SYNTHETIC_DURATION_S,
    }),
  ];
  return {
    async stop() {
      ended.abort();
      await Promise.all(walks);
    },
  };
}

interface Walk {
  readonly device: string;
  readonly label: string;
  readonly patient: { readonly code: string; readonly diagnosis: string };
  readonly sources: readonly ReadingSource[];
  readonly durationS: number;
}

/** Plays the same walk again and again, each time as a new session, until the signal. */
async function walk(options: DemoOptions, signal: AbortSignal, what: Walk): Promise<void> {
  const { pools, orgId, clock, log } = options;
  const device = await connectSimulatedDevice({
    url: options.url,
    key: await options.deviceKey(what.device),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  });
  while (!signal.aborted) {
    const session = uuidv7(clock);
    try {
      await markDemoSession(pools, {
        orgId,
        session,
        label: what.label,
        synthetic: what.sources.some((source) => source.definition.synthetic),
        patient: { ...what.patient, id: uuidv7(clock), consentId: uuidv7(clock) },
      });
      await pruneDemoSessions(pools, orgId, KEPT_SESSIONS);
    } catch (error) {
      log.warn('old demo sessions could not be erased', { error: messageOf(error) });
    }
    await play({ ...what, device, session, clock, signal });
  }
  await device.close({ drainMs: 3_000 });
}
