/**
 * Owns the way from a history that fails to the smallest that fails in the same check: events are left out by delta
 * debugging (A. Zeller and R. Hildebrandt, IEEE TSE 2002), then viewers, devices, streams, servers and limits one by one,
 * then times are made shorter. Every candidate is run; nothing is assumed. Bound: `maxRuns` histories.
 */

import type { Scenario, ScenarioEvent } from '#test/simulation/scenario.ts';

export interface Shrunk {
  readonly scenario: Scenario;
  readonly runs: number;
}

/** `fails`: whether the check that failed first fails in this history too. */
export async function shrink(
  scenario: Scenario,
  fails: (candidate: Scenario) => Promise<boolean>,
  maxRuns = 400,
): Promise<Shrunk> {
  let best = scenario;
  let runs = 0;
  const attempt = async (candidate: Scenario): Promise<boolean> => {
    if (runs >= maxRuns || JSON.stringify(candidate) === JSON.stringify(best)) return false;
    runs++;
    if (!(await fails(candidate))) return false;
    best = candidate;
    return true;
  };
  for (let before: Scenario | null = null; before !== best && runs < maxRuns;) {
    before = best;
    await dropEvents(() => best, attempt);
    for (const simplify of simplifications) await simplify(() => best, attempt);
  }
  return { scenario: best, runs };
}

type Best = () => Scenario;
type Attempt = (candidate: Scenario) => Promise<boolean>;

/** Halves first, then ever smaller parts. */
async function dropEvents(best: Best, attempt: Attempt): Promise<void> {
  for (let size = Math.ceil(best().events.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let at = 0; at < best().events.length;) {
      const { events } = best();
      if (!(await attempt({ ...best(), events: [...events.slice(0, at), ...events.slice(at + size)] })))
        at += size;
    }
}

const simplifications: readonly ((best: Best, attempt: Attempt) => Promise<unknown>)[] = [
  async (best, attempt) => {
    for (let i = best().viewers.length - 1; i >= 0; i--)
      await attempt({ ...best(), viewers: best().viewers.filter((_, at) => at !== i) });
  },
  async (best, attempt) => {
    for (let i = best().devices.length - 1; i > 0; i--)
      await attempt({
        ...best(),
        devices: best().devices.filter((_, at) => at !== i),
        viewers: best().viewers.filter(({ device }) => device !== i),
      });
  },
  async (best, attempt) => {
    for (let i = 0; i < best().devices.length; i++) await simplifyDevice(best, attempt, i);
  },
  async (best, attempt) => {
    while (best().servers > 1 && (await attempt({ ...best(), servers: best().servers - 1 })));
  },
  async (best, attempt) => {
    for (const part of ['gateway', 'writer', 'timing', 'hub'] as const)
      for (const key of Object.keys(best()[part])) {
        const { [key]: _, ...rest } = best()[part] as Record<string, unknown>;
        await attempt({ ...best(), [part]: rest });
      }
  },
  (best, attempt) => attempt({ ...best(), latencyMs: [1, 1] }),
  async (best, attempt) => {
    // The end comes sooner, and what was to happen behind it does not.
    for (let share = 0.5; share < 1; share += 0.2) {
      const durationMs = Math.round(best().durationMs * share);
      await attempt({ ...best(), durationMs, events: best().events.filter(({ atMs }) => atMs < durationMs) });
    }
  },
  async (best, attempt) => {
    for (let i = 0; i < best().events.length; i++)
      for (const change of eventChanges) {
        const event = best().events[i]!;
        const changed = { ...event, ...change(event) };
        if (JSON.stringify(changed) === JSON.stringify(event)) continue;
        const events = best().events.map((other, at) => (at === i ? changed : other));
        await attempt({ ...best(), events: events.sort((a, b) => a.atMs - b.atMs) });
      }
  },
];

const eventChanges: readonly ((event: ScenarioEvent) => Partial<ScenarioEvent>)[] = [
  () => ({ target: 0 }),
  () => ({ stream: 0 }),
  ({ forMs }) => ({ forMs: Math.max(20, Math.round(forMs / 200) * 100) }),
  ({ atMs }) => ({ atMs: Math.round(atMs / 100) * 100 }),
  ({ amount }) => ({ amount: Math.round(amount * 10) / 10 }),
];

async function simplifyDevice(best: Best, attempt: Attempt, index: number): Promise<void> {
  const change = (changed: Partial<Scenario['devices'][number]>): Promise<boolean> => {
    const devices = best().devices.map((device, at) => (at === index ? { ...device, ...changed } : device));
    return attempt({ ...best(), devices });
  };
  const device = (): Scenario['devices'][number] => best().devices[index]!;
  while (device().streams.length > 1 && (await change({ streams: device().streams.slice(0, -1) })));
  if (device().maxBytes < 1 << 22) await change({ maxBytes: 1 << 22 });
  if (device().store === 'file') await change({ store: 'memory' });
  if (device().clock === 'none') await change({ clock: 'device' });
  const plain = { axes: 2, rateHz: 10, readingsPerPush: 1 };
  await change({ streams: device().streams.map(() => plain) });
}
