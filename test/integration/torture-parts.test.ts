/** What a torture run attacks with does what it says: links that are cut, silent, slow; clocks that are set; disks that fill. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { afterEach, expect, test } from 'vitest';

import { openBadLink, type BadLink } from '#test/torture/bad-link.ts';
import { clockPreload } from '#test/torture/line-process.ts';
import { mountPrivateDisk } from '#test/torture/private-disk.ts';
import { createRunGuard } from '#test/torture/run-guard.ts';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

/** A link to a server that says everything back. */
async function echoBehindLink(): Promise<BadLink> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endings.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  const link = await openBadLink({ target: port, host: '127.0.0.1', random: () => 0.5 });
  endings.push(() => link.close());
  return link;
}

interface Talker {
  readonly socket: Socket;
  heard(): string;
  says(text: string): Promise<void>;
}

async function talkTo({ host, port }: BadLink): Promise<Talker> {
  const socket = connect({ host, port });
  endings.push(() => socket.destroy());
  socket.on('error', () => undefined);
  let heard = '';
  socket.setEncoding('utf8').on('data', (text: string) => (heard += text));
  await once(socket, 'connect');
  return {
    socket,
    heard: () => heard,
    says: async (text) => {
      socket.write(text);
      await expect.poll(() => heard.endsWith(text), { interval: 5 }).toBe(true);
    },
  };
}

test('a cut link closes what is open, and one that refuses closes what comes', async () => {
  const link = await echoBehindLink();
  const talker = await talkTo(link);
  await talker.says('one');
  const closed = once(talker.socket, 'close');
  link.cut();
  await closed;
  link.setRefusing(true);
  const refused = await talkTo(link);
  if (!refused.socket.destroyed) await once(refused.socket, 'close');
  link.heal();
  const again = await talkTo(link);
  await again.says('two');
  expect(again.heard()).toBe('two');
});

test('a link that stands still delivers everything in order when it goes on', async () => {
  const link = await echoBehindLink();
  const talker = await talkTo(link);
  await talker.says('a');
  link.setStanding(true);
  for (let i = 0; i < 1000; i++) talker.socket.write(`${i};`);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(talker.heard()).toBe('a');
  link.setStanding(false);
  const all = `a${Array.from({ length: 1000 }, (_, i) => `${i};`).join('')}`;
  await expect.poll(() => talker.heard()).toBe(all);
});

test('a half-open link swallows bytes and tells nobody; a new connection after it is good', async () => {
  const link = await echoBehindLink();
  const talker = await talkTo(link);
  await talker.says('before');
  link.silence('down');
  talker.socket.write('during');
  await new Promise((resolve) => setTimeout(resolve, 100));
  link.heal();
  talker.socket.write('after');
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(talker.heard()).toBe('before');
  expect(talker.socket.destroyed).toBe(false);
  await (await talkTo(link)).says('anew');
});

test('a delayed link takes its time twice, and a throttled one the time of its bytes', async () => {
  const link = await echoBehindLink();
  const talker = await talkTo(link);
  link.setDelay(100);
  const startedMs = performance.now();
  await talker.says('there and back');
  expect(performance.now() - startedMs).toBeGreaterThan(190);
  link.heal();
  link.setRate(100_000);
  const throttledMs = performance.now();
  await talker.says('x'.repeat(20_000));
  expect(performance.now() - throttledMs).toBeGreaterThan(190);
  // A second's worth is held; a link that is good again passes it at once.
  talker.socket.write('y'.repeat(100_000));
  await new Promise((resolve) => setTimeout(resolve, 100));
  link.heal();
  const healedMs = performance.now();
  await talker.says('z');
  expect(performance.now() - healedMs).toBeLessThan(500);
});

test('a process loaded with the preload has the wall clock of its file, and the monotonic clock of the machine', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kymo-clock-'));
  endings.push(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'clock');
  writeFileSync(file, '90000');
  const program = `
    import { systemClock } from '#base/clock.ts';
    setInterval(() => console.log([Date.now(), new Date().getTime(), systemClock.nowUs() / 1000, performance.now()].join(' ')), 50);
    process.stdin.on('end', () => process.exit(0)).resume();`;
  const child = spawn(
    process.execPath,
    ['--import', clockPreload, '--input-type=module-typescript', '-e', program],
    { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, KYMO_TORTURE_CLOCK: file } },
  );
  endings.push(() => child.kill('SIGKILL'));
  let times: number[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => (times = line.split(' ').map(Number)));
  const skews = (): number[] => times.slice(0, 3).map((ms) => Math.round((ms - Date.now()) / 1000));
  await expect.poll(skews, { timeout: 10_000 }).toEqual([90, 90, 90]);
  const monotonicMs = times[3]!;
  writeFileSync(file, '-3600000');
  await expect.poll(skews, { timeout: 10_000 }).toEqual([-3600, -3600, -3600]);
  expect(times[3]! - monotonicMs).toBeLessThan(30_000);
});

test('a disk of its own takes nothing once filled, and takes again when freed; nothing of it outlives the guard', async (context) => {
  const guard = createRunGuard();
  endings.push(() => guard.release());
  const directory = join(guard.directory, 'disk');
  mkdirSync(directory);
  const imageFile = join(guard.directory, 'image');
  const disk = mountPrivateDisk(guard, { directory, imageFile, mebibytes: 16, kinds: ['ext4', 'tmpfs'] });
  if ('absent' in disk) return context.skip(disk.absent);
  const file = join(directory, 'file');
  disk.fill();
  expect(() => writeFileSync(file, Buffer.alloc(65_536))).toThrow('ENOSPC');
  disk.free();
  writeFileSync(file, Buffer.alloc(65_536));
  await guard.release();
  expect(existsSync(guard.directory)).toBe(false);
});
