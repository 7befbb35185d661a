/**
 * Owns the closed loop of publications: a fixed number is on its way, and the next one leaves when one has reached every
 * subscriber. So a server is never flooded, and what it delivers a second is what it sustains. Every delivery is counted;
 * what does not arrive is an error of the run.
 */

import type { Fleet, Member } from '#bench/channels/fleet.ts';

const TAKEN_AT_ONCE = 4096;

export interface GroupPlan {
  readonly channel: string;
  /** Take turns. */
  readonly publishers: readonly Member[];
  readonly subscribers: readonly Member[];
}

interface Group {
  readonly frame: Buffer;
  readonly publishers: readonly Member[];
  published: number;
  readonly size: number;
  delivered: number;
  /** Deliveries at which the next publication is complete. */
  due: number;
}

export interface LoopPlan {
  readonly groups: readonly GroupPlan[];
  /** Publications on their way at a time, in all. */
  readonly inFlight: number;
  /** The same in one group. */
  readonly inFlightPerGroup: number;
  readonly json: string;
}

export interface PublishLoop {
  readonly published: number;
  readonly delivered: number;
  start(): void;
  /** No more publications; those on their way still arrive. */
  stop(): void;
  /** Deliveries that are missing. */
  missing(): number;
}

export function createPublishLoop(fleet: Fleet, plan: LoopPlan): PublishLoop {
  let published = 0;
  let delivered = 0;
  let expected = 0;
  let isRunning = false;
  /** Groups that may publish, each as often as it may; a ring, so that all take turns. */
  const idle: Group[] = [];
  let idleAt = 0;

  for (const { channel, publishers, subscribers } of plan.groups) {
    const group: Group = {
      frame: fleet.dialect.publish(channel, plan.json),
      publishers,
      published: 0,
      size: subscribers.length,
      delivered: 0,
      due: subscribers.length,
    };
    for (const member of subscribers) member.group = group;
    for (let i = 0; i < plan.inFlightPerGroup; i++) idle.push(group);
  }
  const publishNext = (): void => {
    const group = idle[idleAt++];
    if (group === undefined) return;
    // Taken from the front and added at the end: what was taken is cut off now and then, not each time.
    if (idleAt === TAKEN_AT_ONCE) {
      idle.splice(0, idleAt);
      idleAt = 0;
    }
    published++;
    expected += group.size;
    group.publishers[group.published++ % group.publishers.length]!.send(group.frame);
  };
  fleet.onPublication = (member) => {
    delivered++;
    const group = member.group as Group | null;
    if (group === null) return;
    if (++group.delivered < group.due) return;
    group.due += group.size;
    idle.push(group);
    if (isRunning) publishNext();
  };
  return {
    get published() {
      return published;
    },
    get delivered() {
      return delivered;
    },
    start() {
      isRunning = true;
      for (let i = 0; i < plan.inFlight; i++) publishNext();
    },
    stop() {
      isRunning = false;
    },
    missing: () => expected - delivered,
  };
}
