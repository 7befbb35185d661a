/**
 * Owns the attacks on a real server that are not said: connections that stay half open, that say nothing, that were refused
 * and stay, and floods from clients that do not read. What the server holds of them is bounded, and goes.
 */

import { closeCodes } from '#protocol/codes.ts';
import type { BesiegedServer } from '#test/fuzz/sockets/besieged-server.ts';
import { handshake } from '#test/fuzz/sockets/handshakes.ts';
import { openRaw, type RawConnection } from '#test/fuzz/sockets/raw-connection.ts';
import { checkOpen, closeOf, count, END_MS, type SiegeReport } from '#test/fuzz/sockets/siege.ts';
import { encodeFrame, opcodes } from '#test/fuzz/sockets/wire-frames.ts';

/** Opens so many connections that say part of a handshake or nothing; they stay until `leave` is called. */
export async function halfOpen(
  server: BesiegedServer,
  report: SiegeReport,
  connections: number,
): Promise<{ held: number; leave: () => void }> {
  const text = handshake('/v1/device', null);
  const raws: RawConnection[] = [];
  for (let i = 0; i < connections; i++) {
    const raw = openRaw(server.port);
    raw.send(text.slice(0, (i * 7) % (text.length - 2)));
    raws.push(raw);
    // A backlog of connections is accepted in turns; faster, and they would wait for a repeated SYN.
    if (i % 100 === 99) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  report.inputs += connections;
  report.connections += connections;
  await new Promise((resolve) => setTimeout(resolve, 500));
  return {
    held: raws.filter((raw) => !raw.isOver).length,
    leave() {
      for (const raw of raws) raw.destroy();
    },
  };
}

/** Whole handshakes without a key, and then nothing: so many are let in, and closed when no hello comes. */
export async function sayNothing(
  server: BesiegedServer,
  report: SiegeReport,
  connections: number,
): Promise<void> {
  const raws = Array.from({ length: connections }, () => openRaw(server.port));
  for (const raw of raws) raw.send(handshake('/v1/device', null));
  report.inputs += connections;
  report.connections += connections;
  await Promise.all(raws.map((raw) => raw.until(() => raw.status !== null, END_MS)));
  const open = raws.filter(({ status }) => status === 101);
  if (open.length > 256) report.problems.add(`${open.length} strangers of one address`);
  await Promise.all(open.map((raw) => raw.until(() => closeOf(raw) !== null, END_MS)));
  for (const raw of raws) {
    count(report, raw.status === 101 ? `close ${closeOf(raw)}` : `status ${raw.status}`);
    if (raw.status === 101 && closeOf(raw) !== closeCodes.helloTimeout)
      report.problems.add('silence was not closed as such');
    raw.destroy();
  }
}

/** Refused handshakes whose clients stay, and go on talking: the server lets go of each by itself. */
export async function stayRefused(
  server: BesiegedServer,
  report: SiegeReport,
  connections: number,
): Promise<void> {
  const before = await descriptorsOf(server);
  const raws = Array.from({ length: connections }, () => openRaw(server.port));
  report.inputs += connections;
  report.connections += connections;
  await Promise.all(
    raws.map(async (raw, i) => {
      raw.send(handshake(i % 2 === 0 ? '/v1/other' : '/v1/live', null));
      await raw.until(() => raw.status !== null, END_MS);
      count(report, `status ${raw.status ?? 'none'}`);
      raw.send('more');
    }),
  );
  const deadlineMs = performance.now() + END_MS;
  while ((await descriptorsOf(server)) > before + connections / 10 && performance.now() < deadlineMs)
    await new Promise((resolve) => setTimeout(resolve, 100));
  const held = (await descriptorsOf(server)) - before;
  if (held > connections / 10) report.problems.add(`${held} refused handshakes are still held by the server`);
  for (const raw of raws) raw.destroy();
}

async function descriptorsOf(server: BesiegedServer): Promise<number> {
  return (await server.metrics()).get('process_open_fds') ?? 0;
}

/** Pings and requests without end from clients that do not read: what waits for them is bounded. */
export async function floodUnread(server: BesiegedServer, report: SiegeReport, pings: number): Promise<void> {
  const ping = encodeFrame({ opcode: opcodes.ping, payload: Buffer.alloc(125) });
  const block = Buffer.concat(Array.from({ length: 100 }, () => ping));
  const raws = server.deviceKeys.map((key) => ({ raw: openRaw(server.port), path: '/v1/device', key }));
  raws.push({ raw: openRaw(server.port), path: '/v1/live', key: server.accessKey });
  await Promise.all(
    raws.map(async ({ raw, path, key }) => {
      raw.send(handshake(path, key));
      await raw.until(() => raw.status !== null, END_MS);
      raw.setReading(false);
      for (let sent = 0; sent < pings && !raw.isOver; sent += 100) {
        raw.send(block);
        await new Promise((resolve) => setImmediate(resolve));
      }
      raw.setReading(true);
      await raw.until(() => raw.isOver, 300);
      checkOpen(raw, report);
      raw.destroy();
    }),
  );
  report.inputs += pings * raws.length;
  report.connections += raws.length;
}
