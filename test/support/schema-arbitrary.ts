/**
 * Owns the way from a message schema to fast-check values that match it, so that a new message is fuzzed without
 * anyone thinking of it. Covers the JSON Schema keywords that this project's messages use, and says so otherwise.
 */

import fc from 'fast-check';
import type { TSchema } from 'typebox';

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

/** Values that match the schema, limits and beyond-ASCII characters included; arrays are kept short. */
export function arbitraryOf(schema: TSchema): fc.Arbitrary<unknown> {
  return fromJsonSchema(schema);
}

function fromJsonSchema(schema: JsonSchema): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(fromJsonSchema));
  switch (schema.type) {
    case 'object':
      return objectOf(schema);
    case 'array':
      return arrayOf(schema);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.integer({
        min: schema.minimum ?? Number.MIN_SAFE_INTEGER,
        max: schema.maximum ?? Number.MAX_SAFE_INTEGER,
      });
    case 'number':
      return fc.double({
        min: schema.exclusiveMinimum ?? schema.minimum ?? -1e9,
        max: schema.maximum ?? 1e9,
        minExcluded: schema.exclusiveMinimum !== undefined,
        noNaN: true,
      });
    case 'string':
      if (schema.pattern !== undefined)
        return fc.stringMatching(new RegExp(schema.pattern), { maxLength: schema.maxLength ?? 200 });
      return fc.string({
        minLength: schema.minLength ?? 0,
        maxLength: Math.min(schema.maxLength ?? 64, 300),
        unit: 'binary',
      });
    default:
      // The schema of anything at all has no keyword.
      if (Object.keys(schema).length === 0) return fc.jsonValue();
      throw new Error(`no values are known for ${JSON.stringify(schema)}`);
  }
}

function objectOf({ properties = {}, required = [] }: JsonSchema): fc.Arbitrary<unknown> {
  const fields = Object.fromEntries(Object.entries(properties).map(([k, v]) => [k, fromJsonSchema(v)]));
  return fc.record(fields, { requiredKeys: [...required] });
}

function arrayOf({ items, minItems = 0, maxItems = 8 }: JsonSchema): fc.Arbitrary<unknown> {
  if (Array.isArray(items)) return fc.tuple(...(items as readonly JsonSchema[]).map(fromJsonSchema));
  return fc.array(fromJsonSchema(items as JsonSchema), {
    minLength: minItems,
    maxLength: Math.min(maxItems, 8),
  });
}
