/** Owns the operations of a history that happens at two places (twin-history.ts): what each actor does, at either. */

import type { DeviceIdentity, StreamHandle } from '#contract/readings.ts';
import type { ErasureTarget } from '#store/erasure.ts';
import type { Actor, Place, WriterActor } from '#test/simulation/database/twin-place.ts';
import type { TwinWriter, Work } from '#test/simulation/database/twin-writer.ts';
import { frameOf } from '#test/support/frames.ts';

/** One of the places, with the writers' connections there. */
export interface Side {
  readonly place: Place;
  readonly writers: Readonly<Record<WriterActor, TwinWriter>>;
  loseCommit(actor: WriterActor, fate: 'answer-lost' | 'dies-before'): void;
}

export interface Operation {
  readonly actor: Actor;
  readonly name: string;
  /** For the counts, where the name says too little. */
  readonly label?: string;
  readonly text: string;
  run(side: Side): Promise<unknown>;
}

export function connect(actor: WriterActor): Operation {
  return { actor, name: 'connect', text: 'connect', run: ({ writers }) => writers[actor].connect() };
}

export function lock(actor: WriterActor, handles: readonly StreamHandle[]): Operation {
  const text = `lock ${handles.map(({ key }) => shortKey(key)).join(', ')}`;
  return { actor, name: 'lock', text, run: ({ writers }) => writers[actor].lock(handles) };
}

export function write(actor: WriterActor, work: readonly Work[]): Operation {
  const text = `write ${work.map(textOf).join('; ')}`;
  return { actor, name: 'write', text, run: ({ writers }) => writers[actor].write(work) };
}

/** A time that no row can hold. */
export function writeUnpackable(actor: WriterActor, handle: StreamHandle): Operation {
  const frame = frameOf(handle, 100_000, 1, { firstUs: 1e300 });
  const work = [{ handle, frames: [frame], losses: [], generation: 0 }];
  return { ...write(actor, work), label: 'write what cannot be packed' };
}

export function commit(actor: WriterActor): Operation {
  return { actor, name: 'commit', text: 'commit', run: ({ writers }) => writers[actor].commit() };
}

export function commitLost(actor: WriterActor, fate: 'answer-lost' | 'dies-before'): Operation {
  return {
    ...commit(actor),
    label: `commit ${fate}`,
    text: `commit, ${fate}`,
    run(side) {
      side.loseCommit(actor, fate);
      return side.writers[actor].commit();
    },
  };
}

export function rollback(actor: WriterActor): Operation {
  return { actor, name: 'rollback', text: 'rollback', run: ({ writers }) => writers[actor].rollback() };
}

/** While the writer waits for a lock. */
export function terminateBlockers(actor: WriterActor): Operation {
  return {
    actor: 'reader',
    name: 'terminateBlockers',
    text: `end the blockers of ${actor}`,
    run: ({ writers }) => writers[actor].terminateBlockers(),
  };
}

export function destroy(actor: WriterActor): Operation {
  return {
    actor: 'reader',
    name: 'destroy',
    text: `cut the connection of ${actor}`,
    run({ writers }) {
      writers[actor].destroy();
      return Promise.resolve();
    },
  };
}

export function openStream(
  device: DeviceIdentity,
  { definition, epoch, key }: StreamHandle,
  previousStoreLost: boolean,
): Operation {
  return {
    actor: 'opener',
    name: 'openStream',
    text: `open ${shortKey(key)}${previousStoreLost ? ', the store before is lost' : ''}`,
    async run({ place }) {
      const opened = await place
        .catalogueOf('opener')
        .openStream(device, { definition, epoch, previousStoreLost });
      if (!opened.ok) return opened;
      const { handle, progress, firstCommitDay } = opened.value;
      return { handle, progress, hasDay: firstCommitDay !== null };
    },
  };
}

export function endStream(device: DeviceIdentity, streamId: string): Operation {
  return {
    actor: 'opener',
    name: 'endStream',
    text: `end ${shortKey(streamId)}`,
    run: ({ place }) => place.catalogueOf('opener').endStream(device, streamId),
  };
}

export function checksumOf(device: DeviceIdentity, handle: StreamHandle, seq: number): Operation {
  return {
    actor: 'reader',
    name: 'checksumOf',
    text: `checksum of ${shortKey(handle.key)} ${seq}`,
    run: ({ place }) =>
      place
        .catalogueOf('reader')
        .checksumOf(device, { streamId: handle.definition.stream, epoch: handle.epoch }, seq),
  };
}

export function isErased(device: DeviceIdentity, { definition }: StreamHandle): Operation {
  return {
    actor: 'reader',
    name: 'isErased',
    text: `is ${shortKey(definition.stream)} erased`,
    run: ({ place }) => place.catalogueOf('reader').isErased(device, definition),
  };
}

/** Generations follow the clock, which is another at either place: that they grow is what both must do. */
export function drawGeneration({ deviceId }: DeviceIdentity): Operation {
  return {
    actor: 'reader',
    name: 'generation',
    text: 'draw a generation',
    async run({ place }) {
      const drawn = await place.generation(deviceId);
      if (drawn === null) return null;
      const isGreater = drawn.generation > (newestGenerations.get(place) ?? 0);
      newestGenerations.set(place, drawn.generation);
      return { isGreater, incarnation: drawn.incarnation };
    },
  };
}

const newestGenerations = new WeakMap<object, number>();

export function listDirty(streamIds: readonly string[]): Operation {
  return {
    actor: 'reader',
    name: 'dirty epochs',
    text: 'list what is not rolled up',
    async run({ place }) {
      const found = await place.dirtyEpochs();
      const own = found.filter(({ streamId }) => streamIds.includes(streamId));
      return own.map(({ streamId, epoch }) => `${streamId}/${epoch}`).toSorted();
    },
  };
}

export function makePartitions(actor: WriterActor): Operation {
  return {
    actor,
    name: 'make partitions',
    text: 'make partitions',
    run: ({ place }) => place.writers[actor].makePartitions(),
  };
}

export function roll(actor: Actor, { definition, epoch, key }: StreamHandle): Operation {
  return {
    actor,
    name: 'roll',
    text: `roll up ${shortKey(key)}`,
    run: ({ place }) => place.roll(actor, { streamId: definition.stream, epoch }),
  };
}

export function eraseTarget({ orgId }: DeviceIdentity, target: ErasureTarget): Operation {
  return {
    actor: 'eraser',
    name: 'erase',
    text: `erase the ${target.kind} ${shortKey(target.id)}`,
    run: ({ place }) => place.erase(orgId, target),
  };
}

/** The ends of ids tell them apart. */
function shortKey(key: string): string {
  return key
    .split('/')
    .map((id) => id.slice(-4))
    .join('/');
}

function textOf({ handle, frames, losses, generation }: Work): string {
  const parts = [
    ...frames.map(({ firstSeq, count }) => `${firstSeq}+${count}`),
    ...losses.map(({ from, to }) => `lost ${from}-${to}`),
  ];
  return `${shortKey(handle.key)} ${parts.join(', ')} of ${generation}`;
}
