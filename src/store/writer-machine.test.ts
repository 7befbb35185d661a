import { expect, test } from 'vitest';

import { subtract, union, type RangeSet } from '#base/ranges.ts';
import type { EpochProgress, Frame, FrameSource, StreamClaim } from '#contract/readings.ts';
import {
  createWriterMachine,
  defaultWriterConfig,
  type WriterEffect,
  type WriterMachine,
} from '#store/writer-machine.ts';

interface TestSource extends FrameSource {
  claim: StreamClaim | null;
  waiting: Frame[];
  readonly heard: string[];
}

/** A source of the connection of this generation, which was told at its opening that nothing is settled. */
function claiming(generation: number, name: string, ...frames: [number, number][]): TestSource {
  const one = source(name, ...frames);
  one.claim = { generation, opened: { committed: [], lost: [] } };
  return one;
}

function source(name: string, ...frames: [number, number][]): TestSource {
  const heard: string[] = [];
  const self: TestSource = {
    handle: {
      key: name,
      orgId: 'o',
      deviceId: 'd',
      epoch: '0000000000000001',
      retentionClass: 0,
      readingBytes: 4,
      definition: {
        stream: name,
        session: 's',
        segment: 'pelvis',
        sensor: 'imu',
        axes: [{ name: 'x', unit: '1' }],
        rateHz: 200,
        encoding: 'float32',
        clock: 'device',
      },
    },
    claim: null,
    waiting: frames.map(([firstSeq, count]) => ({
      streamId: name,
      epoch: '0000000000000001',
      firstSeq,
      count,
      firstUs: 0,
      periodNs: 0,
      deltasUs: null,
      payload: new Uint8Array(count * 4),
      liveOnly: false,
      historical: false,
      sentUs: 0,
      arrivalUs: 0,
      offsetUs: 0,
    })),
    heard,
    pendingReadings: () => self.waiting.reduce((sum, frame) => sum + frame.count, 0),
    take: () => self.waiting.splice(0),
    takeLosses: () => [],
    settled: (progress) => void heard.push(`settled ${format(progress.committed)}`),
    rewind: (fromSeq) => void heard.push(`rewind ${fromSeq}`),
    refused: () => void heard.push('refused'),
    unknown: () => void heard.push('unknown'),
    superseded: () => void heard.push('superseded'),
    outdated: () => void heard.push('outdated'),
  };
  return self;
}

const format = (ranges: RangeSet): string => ranges.map((r) => `${r.from}-${r.to}`).join(' ');

/** A database of one table of ranges, carried out at once; `fail` makes the named step fail the next time. */
function database(machine: WriterMachine) {
  const committed = new Map<string, EpochProgress>();
  /** Of the connection that wrote last, by stream. */
  const generations = new Map<string, number>();
  const steps: string[] = [];
  const failures: {
    step: string;
    kind: 'gone' | 'blocked' | 'data' | 'partition';
    afterwards?: boolean;
    when?: () => boolean;
  }[] = [];
  let pending = new Map<string, EpochProgress>();
  let claims = new Map<string, number>();
  let current: readonly FrameSource[] = [];
  let nowMs = 0;
  let wakeAt = Number.POSITIVE_INFINITY;
  const run = (effects: WriterEffect[]): void => {
    for (const effect of effects) apply(effect);
  };
  function apply(effect: WriterEffect): void {
    if (effect.type === 'wake') {
      wakeAt = Math.min(wakeAt, effect.atMs);
      return;
    }
    steps.push(effect.type);
    const index = failures.findIndex((f) => f.step === effect.type && (f.when?.() ?? true));
    const failure = index < 0 ? undefined : failures[index];
    if (effect.type === 'lock') {
      current = effect.sources;
      pending = new Map();
      claims = new Map();
    }
    if (failure !== undefined && failure.afterwards !== true) {
      if (failure.when === undefined) failures.splice(index, 1);
      return run(machine.handle({ type: 'failed', kind: failure.kind, message: 'injected' }, nowMs));
    }
    switch (effect.type) {
      case 'lock':
        return run(
          machine.handle(
            {
              type: 'locked',
              rows: effect.sources.map((s) => ({
                key: s.handle.key,
                progress: committed.get(s.handle.key) ?? null,
                generation: generations.get(s.handle.key) ?? 0,
              })),
            },
            nowMs,
          ),
        );
      case 'write':
        for (const change of effect.changes) {
          const old = committed.get(change.source.handle.key)!;
          pending.set(change.source.handle.key, {
            committed: union(old.committed, change.committed),
            lost: subtract(union(old.lost, change.lost), change.committed),
          });
          claims.set(change.source.handle.key, change.source.claim?.generation ?? 0);
        }
        return run(machine.handle({ type: 'written' }, nowMs));
      case 'commit':
        for (const [key, progress] of pending) committed.set(key, progress);
        for (const [key, generation] of claims)
          generations.set(key, Math.max(generation, generations.get(key) ?? 0));
        if (failure !== undefined) {
          failures.splice(index, 1);
          return run(machine.handle({ type: 'failed', kind: failure.kind, message: 'injected' }, nowMs));
        }
        return run(machine.handle({ type: 'committed' }, nowMs));
      case 'rollback':
        return run(machine.handle({ type: 'rolledBack' }, nowMs));
      case 'terminateBlockers':
      case 'makePartitions':
    }
  }
  return {
    committed,
    generations,
    steps,
    failures,
    current: () => current,
    open(...sources: TestSource[]) {
      for (const s of sources) committed.set(s.handle.key, { committed: [], lost: [] });
    },
    due(...sources: TestSource[]) {
      for (const s of sources) run(machine.handle({ type: 'due', source: s }, nowMs));
    },
    /** Lets time pass until nothing wakes any more, or `limitMs` is reached. */
    pass(limitMs: number) {
      while (wakeAt <= limitMs) {
        nowMs = Math.max(nowMs, wakeAt);
        wakeAt = Number.POSITIVE_INFINITY;
        run(machine.handle({ type: 'tick' }, nowMs));
      }
      nowMs = limitMs;
    },
  };
}

const create = () => {
  const machine = createWriterMachine(defaultWriterConfig, () => 0.5);
  return { machine, db: database(machine) };
};

test('a flush waits for the interval, takes all streams, and settles after the commit', () => {
  const { machine, db } = create();
  const a = source('a', [0, 10]);
  const b = source('b', [0, 20]);
  db.open(a, b);
  db.due(a, b);
  db.pass(249);
  expect(db.steps).toEqual([]);
  db.pass(260);
  expect(db.steps).toEqual(['lock', 'write', 'commit']);
  expect(a.heard).toEqual(['settled 0-10']);
  expect(b.heard).toEqual(['settled 0-20']);
  expect(machine.isIdle).toBe(true);
});

test('500 waiting readings of one stream flush at once', () => {
  const { db } = create();
  const a = source('a', [0, 500]);
  db.open(a);
  db.due(a);
  expect(a.heard).toEqual(['settled 0-500']);
});

test('nothing is settled when the commit fails, and the same readings are tried again', () => {
  const { machine, db } = create();
  const a = source('a', [0, 500]);
  db.open(a);
  db.failures.push({ step: 'commit', kind: 'gone' });
  db.due(a);
  expect(a.heard).toEqual([]);
  expect(machine.isStalled).toBe(true);
  db.pass(10_000);
  expect(a.heard).toEqual(['settled 0-500']);
  expect(machine.counters.storedReadings).toBe(500);
});

test('a commit whose answer was lost is recognised by the guard and not written twice', () => {
  const { machine, db } = create();
  const a = source('a', [0, 500]);
  db.open(a);
  db.failures.push({ step: 'commit', kind: 'gone', afterwards: true });
  db.due(a);
  db.pass(10_000);
  expect(db.steps).toEqual(['lock', 'write', 'commit', 'rollback', 'lock', 'commit']);
  expect(a.heard).toEqual(['settled 0-500']);
  expect(machine.counters.duplicateReadings).toBe(500);
});

test('a refused batch is bisected until the guilty stream stands alone', () => {
  const { machine, db } = create();
  const sources = Array.from({ length: 9 }, (_, i) => source(`s${i}`, [0, 10]));
  db.open(...sources);
  db.failures.push({
    step: 'write',
    kind: 'data',
    when: () => db.current().some((s) => s.handle.key === 's5'),
  });
  db.due(...sources);
  db.pass(20_000);
  for (const s of sources) expect(s.heard).toEqual(s.handle.key === 's5' ? ['refused'] : ['settled 0-10']);
  expect(machine.counters.refusedStreams).toBe(1);
  expect(machine.isIdle).toBe(true);
});

test('a missing partition is asked for and the flush tried again', () => {
  const { db } = create();
  const a = source('a', [0, 500]);
  db.open(a);
  db.failures.push({ step: 'write', kind: 'partition' });
  db.due(a);
  db.pass(10_000);
  expect(db.steps).toContain('makePartitions');
  expect(a.heard).toEqual(['settled 0-500']);
});

test('a stream that the database does not know is opened again; the others go on', () => {
  const { db } = create();
  const a = source('a', [0, 500]);
  const b = source('b', [0, 10]);
  db.open(b);
  db.due(b, a);
  db.pass(1_000);
  expect(a.heard).toEqual(['unknown']);
  expect(b.heard).toEqual(['settled 0-10']);
});

test('while guard rows are locked by another, its blockers are looked at every second', () => {
  const machine = createWriterMachine(defaultWriterConfig, () => 0.5);
  const a = source('a', [0, 500]);
  expect(machine.handle({ type: 'due', source: a }, 0).map((e) => e.type)).toEqual(['lock', 'wake']);
  expect(machine.handle({ type: 'tick' }, 999).map((e) => e.type)).not.toContain('terminateBlockers');
  expect(machine.handle({ type: 'tick' }, 1_000).map((e) => e.type)).toContain('terminateBlockers');
  expect(machine.handle({ type: 'tick' }, 2_000).map((e) => e.type)).toContain('terminateBlockers');
});

test('pauses between retries grow to their maximum and end with the first success', () => {
  const { machine, db } = create();
  const a = source('a', [0, 500]);
  db.open(a);
  for (let i = 0; i < 8; i++) db.failures.push({ step: 'lock', kind: 'gone' });
  db.due(a);
  db.pass(60_000);
  expect(machine.counters.failures.gone).toBe(8);
  expect(machine.isStalled).toBe(false);
  expect(a.heard).toEqual(['settled 0-500']);
});

test('a timer that fires a little early is asked for again', () => {
  const machine = createWriterMachine(defaultWriterConfig, () => 0.5);
  const a = source('a', [0, 10]);
  expect(machine.handle({ type: 'due', source: a }, 0)).toEqual([{ type: 'wake', atMs: 250 }]);
  expect(machine.handle({ type: 'tick' }, 249.6)).toEqual([{ type: 'wake', atMs: 250 }]);
  expect(machine.handle({ type: 'tick' }, 250).map((effect) => effect.type)).toContain('lock');
});

test('two sources of one stream never share a transaction, since neither would see what the other adds', () => {
  const { machine, db } = create();
  const first = source('a', [0, 10]);
  const second = source('a', [0, 10]);
  db.open(first);
  db.due(first, second);
  db.pass(10_000);
  expect(first.heard).toEqual(['settled 0-10']);
  expect(second.heard).toEqual(['settled 0-10']);
  expect(machine.counters).toMatchObject({ storedReadings: 10, duplicateReadings: 10 });
});

test('a source that was emptied since it was due keeps no other of its stream waiting', () => {
  const { machine, db } = create();
  const old = source('a', [0, 5]);
  const fresh = source('a', [0, 5]);
  db.open(old);
  db.due(old);
  old.waiting = [];
  db.due(fresh);
  db.pass(1000);
  expect(fresh.heard).toEqual(['settled 0-5']);
  expect(machine.isIdle).toBe(true);
});

test('a connection claims its stream with its first flush, also when that has nothing new, and an older one is turned away', () => {
  const { machine, db } = create();
  const first = claiming(1, 'a', [0, 10]);
  db.open(first);
  db.due(first);
  db.pass(1_000);
  expect(first.heard).toEqual(['settled 0-10']);
  expect(db.generations.get('a')).toBe(1);

  const opened = { committed: [{ from: 0, to: 10 }], lost: [] };
  const newer = source('a', [0, 10]);
  newer.claim = { generation: 2, opened };
  db.due(newer);
  db.pass(2_000);
  expect(newer.heard).toEqual(['settled 0-10']);
  expect(db.generations.get('a')).toBe(2);

  first.waiting = claiming(1, 'a', [10, 5]).waiting;
  db.due(first);
  db.pass(3_000);
  expect(first.heard).toEqual(['settled 0-10', 'superseded']);
  expect(db.committed.get('a')).toEqual(opened);
  expect(machine.counters).toMatchObject({ supersededStreams: 1, outdatedStreams: 0, storedReadings: 10 });
});

test('a stream into which others wrote after it was opened is turned away before anything of it is stored', () => {
  const { machine, db } = create();
  const first = claiming(1, 'a', [0, 10]);
  const second = claiming(2, 'a', [0, 12]);
  db.open(first);
  db.due(first);
  db.pass(1_000);
  db.due(second);
  db.pass(2_000);
  expect(second.heard).toEqual(['outdated']);
  expect(db.generations.get('a')).toBe(1);
  expect(db.committed.get('a')).toEqual({ committed: [{ from: 0, to: 10 }], lost: [] });
  expect(machine.counters).toMatchObject({ outdatedStreams: 1, storedReadings: 10 });
});

test('a claim whose commit had an unknown outcome is found to be its own', () => {
  const { db } = create();
  const first = claiming(1, 'a', [0, 10]);
  db.open(first);
  db.failures.push({ step: 'commit', kind: 'gone', afterwards: true });
  db.due(first);
  db.pass(10_000);
  expect(first.heard).toEqual(['settled 0-10']);
});

test('what did not fit into a batch is flushed at once, and not an interval later', () => {
  const machine = createWriterMachine({ ...defaultWriterConfig, batchReadings: 10 }, () => 0.5);
  const db = database(machine);
  const one = source('a', [0, 10], [10, 10], [20, 5]);
  one.take = (room) => {
    let left = room;
    const count = one.waiting.findIndex((frame) => (left -= frame.count) <= 0) + 1;
    return one.waiting.splice(0, count === 0 ? one.waiting.length : count);
  };
  db.open(one);
  db.due(one);
  db.pass(defaultWriterConfig.flushIntervalMs);
  expect(one.heard).toEqual(['settled 0-10', 'settled 0-20', 'settled 0-25']);
});
