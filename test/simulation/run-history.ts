/**
 * Owns one history from its scenario to its verdict: the world is made, faults happen, all heals, and within
 * REST_MS of simulated time everything has come to rest; then it is judged. A pure function of the scenario: the same one
 * gives the same trace. One history at a time in a thread, since the platform's entropy is the seed's meanwhile.
 */

import { createCoverage, type CoverageCounts } from '#test/simulation/coverage.ts';
import type { DeviceNode } from '#test/simulation/device-node.ts';
import { createNemesis, type Nemesis } from '#test/simulation/nemesis.ts';
import { createOracle, type Oracle } from '#test/simulation/oracle/oracle.ts';
import type { Reckoning } from '#test/simulation/oracle/final-audit.ts';
import type { Violation } from '#test/simulation/oracle/verdict.ts';
import type { Scenario } from '#test/simulation/scenario.ts';
import { seedEntropy } from '#test/simulation/seeded-entropy.ts';
import { createTrace, TRACE_NOTES } from '#test/simulation/trace.ts';
import { createWorld, type World } from '#test/simulation/world.ts';

export interface History {
  readonly scenario: Scenario;
  /** What was found wrong first; null: nothing. */
  readonly violation: Violation | null;
  readonly simulatedMs: number;
  readonly events: number;
  readonly traceHash: string;
  readonly trace: readonly string[];
  readonly coverage: CoverageCounts;
  readonly reckoning: Reckoning | null;
}

export interface HistoryOptions {
  readonly maxNotes?: number;
}

/** From the end of the last fault to rest (ISSUE: progress once faults cease). */
const REST_MS = 120_000;
/** Between two looks at bounds and at whether all has come to rest. */
const LOOK_MS = 200;
/**
 * A viewer of a healthy world sees what was taken this long ago at the latest: the device gathers for up to 0.2 s, its
 * line takes up to 0.25 s, and both servers' turns and the rest are less than 0.1 s.
 */
const FRESH_MS = 1500;

export async function runHistory(scenario: Scenario, options: HistoryOptions = {}): Promise<History> {
  const trace = createTrace(options.maxNotes ?? TRACE_NOTES);
  const coverage = createCoverage();
  const oracle = createOracle({ scenario, trace, coverage });
  const { verdict } = oracle;
  const crashed = (thrown: unknown): void =>
    verdict.fail(
      'process crashed',
      thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown),
    );
  const giveBackEntropy = seedEntropy(scenario.seed);
  process.on('unhandledRejection', crashed);
  let world: World | null = null;
  let reckoning: Reckoning | null = null;
  try {
    world = createWorld(
      {
        seed: scenario.seed,
        servers: scenario.servers,
        devices: scenario.devices,
        viewers: scenario.viewers,
        gateway: scenario.gateway,
        writer: scenario.writer,
        timing: scenario.timing,
        hub: scenario.hub,
        latencyMs: scenario.latencyMs,
        rollUpMs: 500,
      },
      oracle.observer,
    );
    oracle.attach(world);
    reckoning = await live(world, scenario, oracle);
  } catch (thrown) {
    crashed(thrown);
  } finally {
    process.off('unhandledRejection', crashed);
    giveBackEntropy();
  }
  return {
    scenario,
    violation: verdict.violation,
    simulatedMs: world?.scheduler.nowMs ?? 0,
    events: world?.scheduler.events ?? 0,
    traceHash: trace.hash,
    trace: verdict.violation === null && options.maxNotes === undefined ? [] : trace.lines(),
    coverage: coverage.counts,
    reckoning,
  };
}

interface Course {
  readonly world: World;
  readonly scenario: Scenario;
  readonly oracle: Oracle;
  /** Runs until then, or until something is wrong. */
  until(ms: number): Promise<void>;
  readonly isOver: () => boolean;
}

async function live(world: World, scenario: Scenario, oracle: Oracle): Promise<Reckoning | null> {
  const { scheduler } = world;
  const isOver = (): boolean => {
    oracle.poll();
    return oracle.verdict.violation !== null;
  };
  const course: Course = {
    world,
    scenario,
    oracle,
    isOver: () => oracle.verdict.violation !== null,
    async until(ms) {
      while (scheduler.nowMs < ms && oracle.verdict.violation === null) {
        await scheduler.run(Math.min(ms, scheduler.nowMs + LOOK_MS), isOver);
        oracle.look();
      }
    },
  };
  const nemesis = createNemesis(world, scenario, oracle.witness);
  await course.until(scenario.durationMs);
  if (course.isOver()) return null;
  nemesis.heal();
  oracle.healed();
  const deadlineMs = scheduler.nowMs + REST_MS;
  await comeAlive(course, deadlineMs);
  nemesis.endAll();
  await comeToRest(course, nemesis, deadlineMs);
  return course.isOver() ? null : oracle.audit();
}

/** Every viewer sees its session again, and from then on what is new. */
async function comeAlive(course: Course, deadlineMs: number): Promise<void> {
  const { world, oracle, isOver } = course;
  const healedMs = world.scheduler.nowMs;
  const waiting = (sinceMs: number): string[] =>
    world.viewers
      .filter((viewer) => {
        const { org, device } = viewer.plan;
        const seen = world.devices[device]!;
        // Erased, or its sensors pause: there is nothing to see.
        const isSilent =
          world.scheduler.nowMs - sinceMs >= FRESH_MS && oracle.newestMs(viewer.sessionId) < sinceMs;
        return org === planOrg(course, seen) && !isSilent;
      })
      .filter((viewer) => oracle.viewers.newestMs(viewer) < sinceMs)
      .map(({ name }) => name);
  if (world.viewers.length === 0) return;
  while (waiting(healedMs).length > 0 && world.scheduler.nowMs < deadlineMs && !isOver())
    await course.until(world.scheduler.nowMs + LOOK_MS);
  // What a fault leads to may come later still: of a line that brings nothing any more a device learns by silence.
  let behind: string[];
  do {
    await course.until(world.scheduler.nowMs + FRESH_MS + LOOK_MS);
    behind = isOver() ? [] : waiting(world.scheduler.nowMs - FRESH_MS);
  } while (behind.length > 0 && world.scheduler.nowMs < deadlineMs);
  if (behind.length > 0)
    oracle.verdict.fail(
      'viewers see the newest',
      `${behind.join(', ')}: nothing of the last ${FRESH_MS} ms is shown`,
    );
}

function planOrg({ scenario }: Course, device: DeviceNode): string {
  return scenario.devices.find(({ name }) => device.name.startsWith(name))!.org;
}

async function comeToRest(course: Course, nemesis: Nemesis, deadlineMs: number): Promise<void> {
  const { world, oracle, isOver } = course;
  for (;;) {
    const open = unrest(course, nemesis);
    if (open === null || isOver()) return;
    if (world.scheduler.nowMs >= deadlineMs)
      return oracle.verdict.fail('progress', `${REST_MS / 1000} s after the last fault: ${open}`);
    await course.until(world.scheduler.nowMs + LOOK_MS);
  }
}

/** What is still to come, in words; null: everything is at rest. */
function unrest(course: Course, nemesis: Nemesis): string | null {
  const { world, oracle } = course;
  for (const device of world.devices) {
    if (device.process === null || device.device === null) continue;
    const { phase } = device.device.status();
    const twin = world.devices.find(
      (other) =>
        other !== device && other.process !== null && other.identity.deviceId === device.identity.deviceId,
    );
    const owed = oracle.owes(device);
    if (twin !== undefined) {
      // Two with one identity send each other away: one after the other is heard, then its user switches it off.
      if (owed === null && phase !== 'connecting' && phase !== 'greeting') {
        device.kill();
        twin.device?.reconnect();
      } else if (phase === 'stopped' && twin.device?.status().phase === 'stopped') device.device.reconnect();
      return `${device.name} and ${twin.name} have one identity`;
    }
    if (owed !== null) {
      if (phase === 'stopped') device.device.reconnect();
      return `${device.name} (${phase}): ${owed}`;
    }
  }
  void nemesis;
  return oracle.toRollUp();
}
