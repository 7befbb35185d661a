/**
 * Owns one plain value for a JSON schema of the OpenAPI document: what a request needs to get past validation. Ids are
 * taken from `idOf` by the name of their property. Bound: the first choice of every union, nothing that is optional.
 */

import fc from 'fast-check';

export interface JsonSchema {
  readonly [key: string]: unknown;
}

export interface Sampling {
  readonly document: JsonSchema;
  readonly idOf: (property: string) => string;
}

export function sampleOf(schema: JsonSchema, sampling: Sampling, property = ''): unknown {
  const reference = schema['$ref'];
  if (typeof reference === 'string') {
    const found = reference
      .slice(2)
      .split('/')
      .reduce((at: unknown, part) => (at as JsonSchema)[part], sampling.document);
    return sampleOf(found as JsonSchema, sampling, property);
  }
  if ('const' in schema) return schema['const'];
  if (Array.isArray(schema['enum'])) return schema['enum'][0];
  const choice = schema['anyOf'] ?? schema['oneOf'];
  if (Array.isArray(choice)) return sampleOf(choice[0] as JsonSchema, sampling, property);
  switch (schema['type']) {
    case 'object': {
      const required = (schema['required'] ?? []) as readonly string[];
      const properties = (schema['properties'] ?? {}) as Readonly<Record<string, JsonSchema>>;
      return Object.fromEntries(required.map((name) => [name, sampleOf(properties[name]!, sampling, name)]));
    }
    case 'array': {
      const items = schema['items'] as JsonSchema;
      return Array.from({ length: Number(schema['minItems'] ?? 0) }, () =>
        sampleOf(items, sampling, property),
      );
    }
    case 'integer':
    case 'number':
      return Math.max(Number(schema['minimum'] ?? 0), 0);
    case 'boolean':
      return false;
    case 'null':
      return null;
    default:
      return textOf(schema, sampling, property);
  }
}

function textOf(schema: JsonSchema, { idOf }: Sampling, property: string): string {
  switch (schema['format']) {
    case 'uuid':
      return idOf(property);
    case 'date-time':
      return '2026-01-01T00:00:00.000Z';
    case 'date':
      return '2026-01-01';
    case 'email':
      return 'nobody@example.org';
    case 'uri':
      return 'https://example.org/';
    default:
  }
  const pattern = schema['pattern'];
  if (typeof pattern === 'string')
    return fc.sample(
      fc
        .stringMatching(new RegExp(pattern, 'u'))
        .filter((text) => text.length >= Number(schema['minLength'] ?? 0)),
      { numRuns: 1, seed: 1 },
    )[0]!;
  return 'x'.repeat(Math.max(1, Number(schema['minLength'] ?? 1)));
}
