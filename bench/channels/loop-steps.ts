/**
 * Owns the steps that deliver as fast as a server can: a broadcast to many subscribers of one channel, and many rooms of
 * ten. The sides take turns, each with a server that lives for the whole step.
 */

import { startClient, type Client } from '#bench/channels/clients.ts';
import type { ChannelsServer, ChannelsSide } from '#bench/channels/sides.ts';
import {
  closeFleet,
  cpuSOf,
  fleetPlan,
  perSecond,
  warmUp,
  withProcesses,
  type ChannelsRun,
  type StepFigures,
} from '#bench/channels/step.ts';
import { rounded } from '#bench/support/report.ts';

const FLEET = 'loop';
/** Connections that publish to a broadcast in turn; a server may limit what one of them sends. */
const PUBLISHERS = 16;

export interface LoopShape {
  readonly title: string;
  /** In front of each figure: `broadcast500`. */
  readonly key: string;
  readonly subscribers: number;
  readonly roomSize: number;
  readonly inFlight: number;
  readonly inFlightPerGroup: number;
  /** Rooms publish by their own members; a broadcast by connections that are not subscribed. */
  readonly isByMembers: boolean;
}

interface LoopSide {
  readonly side: ChannelsSide;
  readonly server: ChannelsServer;
  readonly client: Client;
  readonly rounds: Round[];
}

interface Round {
  readonly deliveries: number;
  readonly elapsedMs: number;
  readonly serverCpuS: number;
  readonly clientCpuS: number;
}

/** Figures by the name of the side. A side that fails in a step has none of it, and the others go on. */
export async function measureLoops(
  run: ChannelsRun,
  sides: readonly ChannelsSide[],
  shapes: readonly LoopShape[],
): Promise<ReadonlyMap<string, StepFigures>> {
  return withProcesses(async (scope) => {
    const { options, say } = run;
    const connectingAtOnce = options['connecting-at-once'];
    const started: Omit<LoopSide, 'rounds'>[] = [];
    for (const side of sides)
      await run.attempt(side, 'starting', async () => {
        const server = await side.startServer(scope, {});
        const client = await startClient(scope);
        await warmUp(client, fleetPlan(side, server, { connectingAtOnce }), options);
        started.push({ side, server, client });
      });
    const figures = new Map<string, StepFigures>();
    for (const shape of shapes) {
      let turns = started.map((one): LoopSide => ({ ...one, rounds: [] }));
      for (let round = 1; round <= options.rounds; round++)
        for (const turn of turns) {
          say(`${shape.title}: ${turn.side.name}, round ${round} of ${options.rounds}`);
          const isMeasured = await run.attempt(turn.side, shape.title, async () => {
            turn.rounds.push(await measureRound(turn, shape, run));
          });
          if (!isMeasured) turns = turns.filter((other) => other !== turn);
        }
      for (const { side, rounds } of turns)
        figures.set(side.name, { ...figures.get(side.name), ...figuresOf(shape.key, rounds) });
    }
    return figures;
  }, run.scope);
}

async function measureRound(turn: LoopSide, shape: LoopShape, { options }: ChannelsRun): Promise<Round> {
  const { side, server, client } = turn;
  const { subscribers: count, roomSize, inFlight, inFlightPerGroup } = shape;
  const publishers = shape.isByMembers ? 0 : PUBLISHERS;
  const plan = fleetPlan(side, server, { connectingAtOnce: options['connecting-at-once'] });
  await client.run({ type: 'fleet', fleet: FLEET, plan });
  await client.run({ type: 'connect', fleet: FLEET, count: count + publishers });
  const members = { fleet: FLEET, first: 0, count, roomSize } as const;
  await client.run({ type: 'subscribe', ...members, prefix: `bench/${shape.key.toLowerCase()}-` });
  let serverCpuS = 0;
  const done = await client.runMeasured(
    {
      type: 'loop',
      ...members,
      firstPublisher: count,
      publishers,
      inFlight,
      inFlightPerGroup,
      payloadBytes: options['payload-bytes'],
      warmUpMs: options['warm-up-seconds'] * 1000,
      windowMs: options.seconds * 1000,
    },
    (moment) => {
      serverCpuS = cpuSOf(server) - (moment === 'begin' ? 0 : serverCpuS);
    },
  );
  await closeFleet(client, FLEET);
  return { deliveries: done.deliveries, elapsedMs: done.elapsedMs, clientCpuS: done.cpuS, serverCpuS };
}

function figuresOf(key: string, rounds: readonly Round[]): StepFigures {
  const sum = (of: (round: Round) => number): number => rounds.reduce((total, round) => total + of(round), 0);
  const deliveries = sum((r) => r.deliveries);
  const elapsedMs = sum((r) => r.elapsedMs);
  const rates = rounds.map((r) => r.deliveries / r.elapsedMs);
  return {
    [`${key}PerS`]: perSecond(deliveries, elapsedMs),
    [`${key}CpuUsPerDelivery`]: rounded((sum((r) => r.serverCpuS) * 1e6) / deliveries),
    [`${key}ServerBusyShare`]: rounded((sum((r) => r.serverCpuS) * 1000) / elapsedMs),
    [`${key}GeneratorBusyShare`]: rounded((sum((r) => r.clientCpuS) * 1000) / elapsedMs),
    [`${key}Spread`]: rounded(Math.max(...rates) / Math.min(...rates)),
  };
}
