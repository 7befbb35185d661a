/**
 * Owns the device's parsing of control messages, by hand, so that a browser needs no schema library for it. A test
 * holds it against the schemas of protocol/messages.ts. Unknown types are null: a newer server may say more.
 */

import { fail, ok, type Result } from '#base/result.ts';
import { limits } from '#protocol/limits.ts';
import type { ServerMessage } from '#protocol/messages.ts';

type Fields = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const integer =
  (minimum: number, maximum: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= minimum && (value as number) <= maximum;
/** A character of the schema is one or two units of a JavaScript string. */
const text =
  (maxCharacters: number): Check =>
  (value) =>
    typeof value === 'string' && value.length <= 2 * maxCharacters;
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const object =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value) =>
    isObject(value) && Object.entries(checks).every(([key, check]) => check(value[key]));

const boolean: Check = (value) => typeof value === 'boolean';
const seq = integer(0, limits.seqExclusive - 1);
const timeUs = integer(1 - limits.timeUsExclusive, limits.timeUsExclusive - 1);
const ref = integer(0, 65_535);
const uint32 = integer(0, 0xffff_ffff);
const credit = object({ durable: seq, live: seq });
const uuid: Check = (value) =>
  typeof value === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value);
const ranges: Check = (value) =>
  Array.isArray(value) &&
  value.length <= limits.rangesPerAck &&
  value.every((r) => Array.isArray(r) && r.length === 2 && seq(r[0]) && seq(r[1]));
const settled = { next: seq, ranges };
const streams: Check = (value) =>
  Array.isArray(value) &&
  value.length <= limits.streamsPerConnection &&
  value.every(object({ ref, ...settled }));

const checks: { readonly [T in ServerMessage['type']]: Check } = {
  welcome: object({
    version: integer(1, 65_535),
    incarnation: uuid,
    generation: integer(1, Number.MAX_SAFE_INTEGER),
    serverUs: timeUs,
    heartbeatMs: integer(1, Number.MAX_SAFE_INTEGER),
    credit,
  }),
  opened: object({
    ref,
    settled: object(settled),
    discarded: optional(boolean),
    newest: optional(object({ seq, timeUs: optional(timeUs), crc32: uint32 })),
  }),
  ack: object({ streams, credit }),
  closed: object({ ref }),
  credit: object({ credit }),
  reclaim: object({ id: uint32, durable: seq }),
  rewind: object({ ref, fromSeq: seq }),
  probe: object({ id: uint32, t0Us: timeUs, t1Us: timeUs, t2Us: timeUs }),
  command: object({ id: uuid, name: text(limits.nameCharacters), argument: optional(text(4096)) }),
  error: object({ code: text(64), message: text(1024), field: optional(text(256)), ref: optional(ref) }),
  heartbeat: object({}),
  bye: object({ afterMs: integer(0, Number.MAX_SAFE_INTEGER) }),
};

/** The message, null for a type that this version does not know, or why the text is no message. */
export function parseServerMessage(json: string): Result<ServerMessage | null, string> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return fail('not JSON');
  }
  if (!isObject(value) || typeof value['type'] !== 'string') return fail('no type');
  const type = value['type'];
  if (!Object.hasOwn(checks, type)) return ok(null);
  if (!checks[type as ServerMessage['type']](value)) return fail(`a field of ${type} has a wrong value`);
  return ok(value as unknown as ServerMessage);
}
