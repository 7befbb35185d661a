/**
 * Owns what makes a stream's definition whole, and what makes it the same as a stored one. Pure. The schema
 * (protocol/messages.ts) has checked types and sizes before; here are the rules between fields, and those that the
 * database's text type sets.
 */

import { fail, ok, type Result } from '#base/result.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import type { WireError } from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';
import type { Axis, StreamDefinition } from '#protocol/messages.ts';

/** A row of kymo.stream with its session's mark. */
export interface StreamRow {
  readonly id: string;
  readonly org_id: string;
  readonly session_id: string;
  readonly device_id: string;
  readonly segment: string;
  readonly sensor: string;
  readonly axes: readonly Axis[];
  readonly rate_hz: number;
  readonly encoding: 'float32' | 'int16';
  readonly scale: readonly number[] | null;
  readonly clock: 'device' | 'none';
  readonly retention_class: number;
  readonly synthetic: boolean;
}

/** Bytes that one packed reading takes. */
export function packedBytes(definition: Pick<StreamDefinition, 'axes' | 'encoding'>): number {
  return definition.axes.length * (definition.encoding === 'float32' ? 4 : 2);
}

/** `invalid-field` with the JSON pointer of the first field that breaks a rule. */
export function checkDefinition(definition: StreamDefinition): Result<null, WireError> {
  const { axes, encoding, scale } = definition;
  if (encoding === 'int16' && scale?.length !== axes.length)
    return invalid('/definition/scale', 'int16 needs one scale an axis');
  if (encoding === 'float32' && scale !== undefined)
    return invalid('/definition/scale', 'float32 readings have no scale');
  if (scale?.some((value) => !Number.isFinite(value) || value === 0))
    return invalid('/definition/scale', 'a scale is finite and not 0');
  const names = new Set<string>();
  for (const [i, axis] of axes.entries()) {
    if (names.has(axis.name)) return invalid(`/definition/axes/${i}/name`, 'axis names differ');
    names.add(axis.name);
  }
  const texts: [string, string][] = [
    ['/segment', definition.segment],
    ['/sensor', definition.sensor],
    ['/label', definition.label ?? ''],
    ...axes.flatMap((axis, i): [string, string][] => [
      [`/axes/${i}/name`, axis.name],
      [`/axes/${i}/unit`, axis.unit],
    ]),
  ];
  for (const [field, text] of texts) {
    if (!isPlain(text)) return invalid(`/definition${field}`, 'a name has no control characters');
    // Names of a map's keys reach this function unmeasured: JSON Schema's records have no length for them.
    if (text.length > limits.nameCharacters || (text === '' && field !== '/label'))
      return invalid(`/definition${field}`, `a name has 1 to ${limits.nameCharacters} characters`);
  }
  return ok(null);
}

/** `stream-mismatch` with the JSON pointer of the first field in which `row` differs. */
export function compareDefinition(
  row: StreamRow,
  identity: DeviceIdentity,
  definition: StreamDefinition,
): Result<null, WireError> {
  const { axes, scale } = definition;
  if (row.device_id !== identity.deviceId) return mismatch('stream', 'belongs to another device');
  if (row.session_id !== definition.session) return mismatch('session', 'belongs to another session');
  for (const field of ['segment', 'sensor', 'encoding', 'clock'] as const)
    if (row[field] !== definition[field]) return mismatch(field, `was opened with ${field} ${row[field]}`);
  if (row.rate_hz !== definition.rateHz) return mismatch('rateHz', `was opened with ${row.rate_hz} Hz`);
  if (row.axes.length !== axes.length) return mismatch('axes', `was opened with ${row.axes.length} axes`);
  for (const [i, axis] of row.axes.entries()) {
    if (axis.name !== axes[i]?.name) return mismatch(`axes/${i}/name`, `was opened with axis ${axis.name}`);
    if (axis.unit !== axes[i]?.unit) return mismatch(`axes/${i}/unit`, `was opened with unit ${axis.unit}`);
  }
  if ((row.scale === null) !== (scale === undefined) || row.scale?.some((value, i) => value !== scale?.[i]))
    return mismatch('scale', 'was opened with another scale');
  if (row.synthetic !== (definition.synthetic ?? false))
    return mismatch('synthetic', `is in a session that is ${row.synthetic ? '' : 'not '}synthetic`);
  return ok(null);
}

// PostgreSQL's text holds neither U+0000 nor half a surrogate pair; other control characters only confuse people.
function isPlain(text: string): boolean {
  // oxlint-disable-next-line no-control-regex
  return text.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(text);
}

function invalid(field: string, message: string): Result<null, WireError> {
  return fail({ code: 'invalid-field', field, message });
}

function mismatch(field: string, message: string): Result<null, WireError> {
  return fail({ code: 'stream-mismatch', field: `/definition/${field}`, message: `the stream ${message}` });
}
