/**
 * Owns the attacks on a real server that are said: handshakes, requests and conversations that nobody should send. Whatever
 * comes back must be coded; what does not is a problem of the report. Bound: AT_ONCE connections at once.
 */

import { closeCodes, errorCodes } from '#protocol/codes.ts';
import type { Chance } from '#test/fuzz/chance.ts';
import type { BesiegedServer } from '#test/fuzz/sockets/besieged-server.ts';
import {
  conversation,
  hostileConversation,
  violations,
  type Conversation,
} from '#test/fuzz/sockets/conversations.ts';
import { handshake, hostileHandshake, hostileRequest, type Endpoint } from '#test/fuzz/sockets/handshakes.ts';
import { openRaw, type RawConnection } from '#test/fuzz/sockets/raw-connection.ts';
import { encodeFrame, opcodes } from '#test/fuzz/sockets/wire-frames.ts';

/** Hostile connections at once. */
const AT_ONCE = 48;
/** What must end ends within this. */
export const END_MS = 8_000;
const ANSWER_MS = 2_000;
/** RFC 9110 and RFC 6585: what a server may say to what it does not understand or want. */
const refusals = new Set([
  400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 417, 422, 426, 429, 431, 501, 503, 505,
]);
/** RFC 6455 section 7.4.1, as docs/protocol.md names them, and the normal closure that answers ours. */
const standardCloses = new Set([1000, 1002, 1007, 1008, 1009]);
const ownCloses: ReadonlySet<number> = new Set(Object.values(closeCodes));

export interface SiegeReport {
  inputs: number;
  connections: number;
  readonly answers: Map<string, number>;
  /** What was not as it must be, each kind once. */
  readonly problems: Set<string>;
  /** Errors that were heard. */
  errors: number;
}

export function newSiegeReport(): SiegeReport {
  return { inputs: 0, connections: 0, answers: new Map(), problems: new Set(), errors: 0 };
}

/** Adds one to how often this was answered. */
export function count(report: SiegeReport, answer: string): void {
  report.answers.set(answer, (report.answers.get(answer) ?? 0) + 1);
}

/** Random handshakes, requests and conversations until so many inputs were sent. */
export async function storm(
  server: BesiegedServer,
  report: SiegeReport,
  { inputs, chance }: { inputs: number; chance: Chance },
): Promise<void> {
  const end = report.inputs + inputs;
  const worker = async (): Promise<void> => {
    while (report.inputs < end) {
      const draw = chance.below(10);
      if (draw < 3) await knock(server, report, hostileHandshake(chance, server.deviceKeys), chance);
      else if (draw < 4) await knock(server, report, hostileRequest(chance, server.deviceKeys), chance);
      else {
        const device = chance.below(server.deviceKeys.length);
        await talk(server, report, hostileConversation(chance, device), { chance, device });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Every frame that breaks the framing, on either endpoint: each is closed with a code. */
export async function violate(server: BesiegedServer, report: SiegeReport, chance: Chance): Promise<void> {
  const all = Object.entries(violations).map(([name, frames]) => conversation(name, [frames], true));
  for (const one of all) await talk(server, report, one, { chance, device: 0 });
}

async function knock(
  server: BesiegedServer,
  report: SiegeReport,
  text: string,
  chance: Chance,
): Promise<void> {
  report.inputs++;
  report.connections++;
  const raw = openRaw(server.port);
  raw.send(Buffer.from(text, 'latin1'));
  // Of an unfinished head nothing is heard before the time that heads may take.
  if (chance.is(0.8)) raw.end();
  await raw.until(() => raw.status !== null || raw.isOver, ANSWER_MS);
  const { status } = raw;
  count(report, status === null ? 'no answer' : `status ${status}`);
  if (status === 101) checkOpen(raw, report);
  else if (status !== null && status >= 300 && !refusals.has(status))
    report.problems.add(`status ${status} to ${text.slice(0, 200)}`);
  raw.destroy();
}

async function talk(
  server: BesiegedServer,
  report: SiegeReport,
  said: Conversation,
  { chance, device }: { chance: Chance; device: number },
): Promise<void> {
  report.inputs += said.inputs;
  report.connections++;
  const endpoint: Endpoint = chance.is(0.8) ? '/v1/device' : '/v1/live';
  const key = endpoint === '/v1/live' ? server.accessKey : chance.is(0.9) ? server.deviceKeys[device]! : null;
  const raw = openRaw(server.port);
  const offer = chance.is(0.3)
    ? ['Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits']
    : [];
  raw.send(handshake(endpoint, key, offer));
  if (!(await raw.until(() => raw.status !== null || raw.isOver, END_MS)) || raw.status !== 101) {
    // Sockets of one address that have not said who they are are limited.
    count(report, `status ${raw.status ?? 'none'}`);
    if (raw.status !== 429 && raw.status !== 503)
      report.problems.add(`status ${raw.status ?? 'none'} to a right handshake`);
    raw.destroy();
    return;
  }
  for (const [i, bytes] of said.stages.entries()) {
    const heard = raw.frames.length;
    sendInPieces(raw, bytes, chance);
    if (i + 1 < said.stages.length) await raw.until(() => raw.frames.length > heard || raw.isOver, ANSWER_MS);
  }
  if (said.mustEnd) {
    const isEnded = await raw.until(() => closeOf(raw) !== null || raw.isOver, END_MS);
    if (!isEnded || closeOf(raw) === null)
      report.problems.add(`${said.name} on ${endpoint}: ${isEnded ? 'ended without a code' : 'not ended'}`);
  } else {
    raw.send(encodeFrame({ opcode: opcodes.ping, payload: Buffer.from('all said') }));
    await raw.until(() => raw.isOver || closeOf(raw) !== null || isPonged(raw), ANSWER_MS);
  }
  checkOpen(raw, report);
  if (chance.is(0.3)) raw.end();
  raw.destroy();
}

/** The pieces that TCP makes of it: one, or many. */
function sendInPieces(raw: RawConnection, bytes: Buffer, chance: Chance): void {
  if (chance.is(0.8)) return raw.send(bytes);
  for (let at = 0; at < bytes.length;) {
    const size = 1 + chance.below(Math.max(1, bytes.length >> 2));
    raw.send(bytes.subarray(at, at + size));
    at += size;
  }
}

function isPonged(raw: RawConnection): boolean {
  return raw.frames.some(
    ({ opcode, payload }) => opcode === opcodes.pong && payload.toString() === 'all said',
  );
}

/** The code that the server closed with; null when it did not. */
export function closeOf(raw: RawConnection): number | null {
  const close = raw.frames.find(({ opcode }) => opcode === opcodes.close);
  if (close === undefined) return null;
  return close.payload.length >= 2 ? close.payload.readUInt16BE(0) : 1000;
}

/** Everything that came over an open socket: framed as it must be, understood, and coded. */
export function checkOpen(raw: RawConnection, report: SiegeReport): void {
  if (raw.head.includes('sec-websocket-extensions')) report.problems.add('compression was agreed to');
  for (const { opcode, fin, rsv, isMasked, payload } of raw.frames) {
    if (!fin || rsv !== 0 || isMasked) report.problems.add('a frame of the server is not plain');
    if (opcode === opcodes.text) checkText(payload.toString(), report);
    else if (opcode === opcodes.close) {
      const code = closeOf(raw)!;
      count(report, `close ${code}`);
      if (!standardCloses.has(code) && !ownCloses.has(code)) report.problems.add(`close code ${code}`);
    } else if (opcode !== opcodes.pong && opcode !== opcodes.binary) report.problems.add(`opcode ${opcode}`);
  }
}

function checkText(text: string, report: SiegeReport): void {
  const message = JSON.parse(text) as { type: string; code?: string };
  if (message.type !== 'error') return;
  report.errors++;
  count(report, `error ${message.code}`);
  if (!Object.hasOwn(errorCodes, message.code ?? '')) report.problems.add(`error code ${message.code}`);
}
