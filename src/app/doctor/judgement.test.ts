/** Owns the proof of where findings turn from well to warning to problem. What they look like for real is in test/integration. */

import { expect, test } from 'vitest';

import { judgeClock, type ClockFacts } from '#app/doctor/clock.ts';
import { judgeDurability, judgeRoom, judgeVersion, type DatabaseSettings } from '#app/doctor/database.ts';
import { judgeDescriptors } from '#app/doctor/descriptors.ts';
import { judgeDisk } from '#app/doctor/disk.ts';
import type { Finding } from '#app/doctor/finding.ts';
import { judgeMemory } from '#app/doctor/memory.ts';
import { judgeBufferutil, judgeNode } from '#app/doctor/node-runtime.ts';
import { judgeRoles } from '#app/doctor/roles.ts';
import { judgePartitions, judgeTimeline } from '#app/doctor/schema.ts';
import { judgeReadiness, judgeUpkeep } from '#app/doctor/server.ts';
import { judgeCertificate } from '#app/doctor/tls.ts';

const states = (...found: readonly (Finding | readonly Finding[])[]): string[] =>
  found.flat().map((finding) => finding.state);

test('whatever is not well says what to do, and what is well does not', () => {
  for (const finding of [
    judgeNode('20.1.0'),
    judgeNode('24.0.0'),
    ...judgeDisk('/d', { ...disk, freeMib: 1 }),
  ])
    expect(finding.fix === null).toBe(finding.state === 'ok');
});

test('Node and the native module', () => {
  expect(states(judgeNode('24.21.0'), judgeNode('25.0.0'), judgeNode('22.9.0'))).toEqual([
    'ok',
    'ok',
    'problem',
  ]);
  expect(states(judgeBufferutil(true), judgeBufferutil(false))).toEqual(['ok', 'warning']);
});

const disk = { freeMib: 50_000, freeInodes: 1_000_000, type: 0xef53 };

test.each([
  [{}, ['ok']],
  [{ freeMib: 4 * 1024 }, ['ok']],
  [{ freeMib: 4 * 1024 - 1 }, ['warning']],
  [{ freeMib: 255 }, ['problem']],
  [{ freeInodes: 9_999 }, ['ok', 'warning']],
  [{ type: 0x6969 }, ['ok', 'warning']],
  [{ type: 0x794c7630 }, ['ok', 'warning']],
  [{ type: 0x01021994 }, ['ok', 'warning']],
])('a disk with %j is %j', (change, expected) => {
  expect(states(judgeDisk('/data', { ...disk, ...change }))).toEqual(expected);
});

test('a disk says how long what is left lasts, and never less than nothing', () => {
  expect(judgeDisk('/data', disk)[0]!.text).toMatch(/^\/data has 48 GiB free, about 23\d hours/);
  expect(judgeDisk('/data', { ...disk, freeMib: 10 })[0]!.text).toContain('has 10 MiB free');
});

test.each([
  [256, 'problem'],
  [1_099, 'problem'],
  [1_100, 'warning'],
  [10_100, 'ok'],
])('%d descriptors are a %s', (limit, state) => {
  expect(judgeDescriptors(limit)).toMatchObject({
    state,
    text: expect.stringContaining(`${limit - 100} conn`) as string,
  });
});

const clock: ClockFacts = {
  nowMs: Date.UTC(2026, 0, 1),
  isSynchronised: true,
  service: 'chronyd',
  isContainer: false,
  source: 'tsc',
  database: null,
  newestCommitMs: null,
};

test.each([
  [{}, ['ok']],
  [{ nowMs: 0 }, ['problem']],
  [{ isSynchronised: false }, ['warning']],
  [{ isSynchronised: null }, ['ok']],
  [{ isSynchronised: null, service: null }, ['warning']],
  [{ isSynchronised: null, service: null, isContainer: true }, ['ok']],
  [{ source: 'hpet' }, ['ok', 'warning']],
  [{ database: { offsetMs: -900, uncertaintyMs: 1 } }, ['ok', 'ok']],
  [{ database: { offsetMs: 1_500, uncertaintyMs: 100 } }, ['ok', 'warning']],
  [{ database: { offsetMs: 1_500, uncertaintyMs: 600 } }, ['ok', 'ok']],
  [{ database: { offsetMs: -3_600_000, uncertaintyMs: 1 } }, ['ok', 'problem']],
  [{ newestCommitMs: Date.UTC(2026, 0, 1) + 59_000 }, ['ok']],
  [{ newestCommitMs: Date.UTC(2026, 0, 2) }, ['ok', 'problem']],
])('a clock with %j is %j', (change, expected) => {
  expect(states(judgeClock({ ...clock, ...change }))).toEqual(expected);
});

const settings: DatabaseSettings = {
  server_version_num: '180004',
  server_version: '18.4',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  synchronous_standby_names: 'ANY 1 (two)',
  data_checksums: 'on',
  max_connections: '50',
  superuser_reserved_connections: '3',
  max_wal_size: '2048',
};

test.each([
  [{}, ['ok', 'ok']],
  [{ fsync: 'off' }, ['problem', 'ok']],
  [{ full_page_writes: 'off' }, ['problem', 'ok']],
  [{ synchronous_commit: 'off' }, ['warning', 'ok']],
  [{ synchronous_commit: 'local' }, ['ok', 'warning']],
  [{ data_checksums: 'off' }, ['warning', 'ok']],
  [{ fsync: 'off', full_page_writes: 'off' }, ['problem', 'problem', 'ok']],
  [{ synchronous_standby_names: '' }, ['ok', 'warning']],
])('durability with %j is %j', (change, expected) => {
  expect(states(judgeDurability({ ...settings, ...change }, false))).toEqual(expected);
});

test('an embedded database has no standby, and is told so without alarm', () => {
  const [, standby] = judgeDurability({ ...settings, synchronous_standby_names: '' }, true);
  expect(standby).toMatchObject({
    state: 'ok',
    text: expect.stringContaining('not the loss of this disk') as string,
  });
});

test('version, connections and log size', () => {
  const room = (change: Partial<DatabaseSettings>): string[] => states(judgeRoom({ ...settings, ...change }));
  expect(judgeVersion({ ...settings, server_version_num: '140011' }, false).state).toBe('problem');
  expect(judgeVersion({ ...settings, server_version_num: '150000' }, false).state).toBe('ok');
  expect(room({})).toEqual(['ok']);
  expect(room({ max_connections: '22' })).toEqual(['problem']);
  expect(room({ max_wal_size: '1023' })).toEqual(['ok', 'warning']);
});

test('memory and shared memory', () => {
  const memory = { allowedMib: 2_000, creditPoolMib: 256, isEmbedded: true, sharedMib: 1_000 };
  expect(states(judgeMemory(memory))).toEqual(['ok']);
  expect(states(judgeMemory({ ...memory, allowedMib: 512 }))).toEqual(['warning']);
  expect(states(judgeMemory({ ...memory, allowedMib: 600, isEmbedded: false, sharedMib: null }))).toEqual([
    'ok',
  ]);
  expect(states(judgeMemory({ ...memory, sharedMib: 64 }))).toEqual(['ok', 'warning']);
  expect(states(judgeMemory({ ...memory, sharedMib: 0 }))).toEqual(['ok', 'problem']);
});

test('missing partitions matter only while a server runs', () => {
  const missing = { classes: 1, missing: ['chunk_c0'] };
  expect(judgePartitions({ classes: 1, missing: [] }, true).state).toBe('ok');
  expect(judgePartitions(missing, false).state).toBe('ok');
  expect(judgePartitions(missing, true)).toMatchObject({
    state: 'problem',
    text: expect.stringContaining('chunk_c0') as string,
  });
  expect(judgePartitions({ classes: 0, missing: [] }, true).state).toBe('problem');
});

test('a server that is not ready, or not understood', () => {
  expect(judgeReadiness(7, '{"ok":true,"checks":{"store":"ok"}}').state).toBe('ok');
  expect(judgeReadiness(7, '{"ok":false,"checks":{"store":"gone"}}').text).toContain('store: gone');
  expect(judgeReadiness(7, '<html>').state).toBe('problem');
});

test('background work by its counters', () => {
  const steps = 'kymo_upkeep_steps_total{task="partitions"} 3\n';
  expect(judgeUpkeep(steps)).toMatchObject({
    state: 'ok',
    text: expect.stringContaining('partitions') as string,
  });
  expect(judgeUpkeep('kymo_upkeep_steps_total{task="partitions"} 0\n').state).toBe('warning');
  expect(judgeUpkeep('').state).toBe('warning');
  const failed = `${steps}kymo_upkeep_failures_total{task="seal"} 2\nkymo_upkeep_failures_total{task="x"} 0\n`;
  expect(judgeUpkeep(failed)).toMatchObject({
    state: 'warning',
    text: expect.stringContaining('seal 2 times') as string,
  });
});

const DAY_MS = 24 * 3600 * 1000;
const certificate = {
  names: ['kymo.example'],
  validFromMs: 0,
  validToMs: 100 * DAY_MS,
  isFor: (host: string) => host === 'kymo.example',
};

test.each([
  [50, 'kymo.example', ['ok']],
  [50, '0.0.0.0', ['ok']],
  [50, '192.0.2.1', ['ok', 'warning']],
  [81, '::', ['warning']],
  [101, '::', ['problem']],
  [-1, '::', ['problem']],
])('a certificate of 100 days on day %d for %s is %j', (day, host, expected) => {
  expect(states(judgeCertificate(certificate, { host, nowMs: day * DAY_MS }))).toEqual(expected);
});

test('a certificate without a name is refused by every client', () => {
  const nameless = { ...certificate, names: [] };
  expect(states(judgeCertificate(nameless, { host: '::', nowMs: DAY_MS }))).toContain('problem');
});

test('a database that hides its log is warned about, since its failovers would go unnoticed', () => {
  expect(judgeTimeline(true)).toEqual([]);
  expect(judgeTimeline(false)).toMatchObject([{ state: 'warning', check: 'standby' }]);
});

test('the working roles', () => {
  const unsafe = { role: 'kymo_jobs', as: 'kymo_app' };
  expect(states(judgeRoles([], []), judgeRoles(['kymo_audit'], []))).toEqual(['ok', 'warning']);
  expect(judgeRoles([], [unsafe, { role: 'kymo_audit', as: 'kymo_audit' }])).toMatchObject([
    { state: 'problem', fix: expect.stringContaining('revoke kymo_app from kymo_jobs') as string },
    { state: 'problem', fix: expect.stringContaining('alter role kymo_audit nosuperuser') as string },
  ]);
});
