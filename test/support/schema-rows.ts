/**
 * Owns the description of a message schema as rows of a table: one a field, nested ones by their path, with the values
 * that it may have. docs/protocol.md shows these rows, and a test holds them against the schemas.
 */

import type { TSchema } from 'typebox';

import { limits } from '#protocol/limits.ts';

export interface FieldRow {
  /** Such as `definition.axes[].name`. */
  readonly path: string;
  /** Such as `integer 0 to 65535, optional`. */
  readonly values: string;
}

interface JsonSchema {
  readonly type?: string;
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema | readonly JsonSchema[];
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
}

/** The rows of a message, without `type`. */
export function fieldRows(schema: TSchema): FieldRow[] {
  return rowsOf(schema as JsonSchema, '').filter(({ path }) => path !== 'type');
}

function rowsOf({ properties = {}, required = [] }: JsonSchema, prefix: string): FieldRow[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const path = `${prefix}${name}`;
    const row = { path, values: valuesOf(schema) + (required.includes(name) ? '' : ', optional') };
    const item = Array.isArray(schema.items) ? undefined : (schema.items as JsonSchema | undefined);
    return [row, ...rowsOf(schema, `${path}.`), ...(item === undefined ? [] : rowsOf(item, `${path}[].`))];
  });
}

/** A time in microseconds; docs/protocol.md says once what its range is. */
const LAST_TIME_US = limits.timeUsExclusive - 1;

const patternNames: Readonly<Record<string, string>> = {
  '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$': 'UUID',
  '^[0-9a-f]{16}$': '16 hexadecimal digits',
  '^[a-z0-9][a-z0-9/_-]*$': 'channel name',
  '^[a-z0-9*][a-z0-9/_*-]*$': 'channel name or pattern',
  '^[a-z0-9]{1,16}$': '1 to 16 letters and digits',
  '^[a-z][a-zA-Z0-9-]{0,39}$': 'event name',
};

function valuesOf(schema: JsonSchema): string {
  if (schema.minimum === -LAST_TIME_US && schema.maximum === LAST_TIME_US) return 'time';
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf !== undefined) return schema.anyOf.map(valuesOf).join(', ');
  if (schema.type === undefined) return 'any JSON';
  switch (schema.type) {
    case 'object':
    case 'boolean':
      return schema.type;
    case 'array':
      return arrayText(schema);
    case 'string':
      return stringText(schema);
    default:
      return numberText(schema);
  }
}

function arrayText({ items, minItems = 0, maxItems }: JsonSchema): string {
  // The only arrays in arrays are ranges, pairs of `from` and `to`.
  const { type } = items as JsonSchema;
  const what = type === 'array' ? 'ranges' : `${type}s`;
  return `array of ${minItems} to ${maxItems ?? 'any number of'} ${what}`;
}

function stringText({ pattern, minLength = 0, maxLength }: JsonSchema): string {
  if (pattern !== undefined) return patternNames[pattern] ?? `text like ${pattern}`;
  return maxLength === undefined ? 'text' : `text of ${minLength} to ${maxLength} characters`;
}

function numberText({ type, minimum, exclusiveMinimum, maximum }: JsonSchema): string {
  const from =
    exclusiveMinimum === undefined
      ? minimum === undefined
        ? ''
        : ` ${power(minimum)}`
      : ` above ${exclusiveMinimum}`;
  const to = maximum === undefined ? '' : ` to ${power(maximum)}`;
  return `${type}${from}${to}${from !== '' && to === '' ? ' or more' : ''}`;
}

/** Large limits as powers of two, so that a reader recognises them. */
function power(value: number): string {
  if (value === 2 ** 53 - 1) return '2^53 - 1';
  if (value === LAST_TIME_US) return '2^53 - 2^32 - 1';
  return value === 2 ** 32 - 1 ? '2^32 - 1' : String(value);
}
