/**
 * Owns the check of what a request carries, against the schema that documents it. A body is checked as it is; query
 * and path, which are text, are read strictly as what their schema says. The first fault is named by its JSON pointer.
 */

import { Compile } from 'typebox/compile';
import type { TSchema } from 'typebox';

import { AppError } from '#base/errors.ts';

interface SchemaProblem {
  readonly instancePath: string;
  readonly message: string;
  readonly params: object;
}

export interface ValidatorRequest {
  readonly schema: TSchema;
  /** `body`, `querystring`, `params` or `headers`. */
  readonly httpPart?: string | undefined;
}

export type Checked = { value: unknown } | { error: AppError };

/** For Fastify's `setValidatorCompiler`. */
export function compileValidator({ schema, httpPart }: ValidatorRequest): (value: unknown) => Checked {
  const validator = Compile(schema);
  const types = httpPart === 'body' ? null : propertyTypes(schema);
  return (value) => {
    const read = types === null ? value : readTexts(value, types);
    if (validator.Check(read)) return { value: read };
    return { error: invalidField(validator.Errors(read)[0], httpPart ?? 'request') };
  };
}

function invalidField(problem: SchemaProblem | undefined, part: string): AppError {
  const { required, additional } = namesIn(problem?.params ?? {});
  const missing = required ?? additional;
  const field = `${problem?.instancePath ?? ''}${missing === undefined ? '' : `/${missing}`}`;
  const message =
    additional === undefined
      ? (problem?.message ?? 'does not match its schema')
      : 'is not a field of this request';
  return new AppError('invalid-field', `${part} ${field === '' ? '' : `${field} `}${message}`, { field });
}

function namesIn(params: object): { required: string | undefined; additional: string | undefined } {
  const { requiredProperties, additionalProperties } = params as {
    requiredProperties?: readonly string[];
    additionalProperties?: readonly string[];
  };
  return { required: requiredProperties?.[0], additional: additionalProperties?.[0] };
}

function propertyTypes(schema: TSchema): ReadonlyMap<string, unknown> {
  const properties = (schema as { properties?: Record<string, { type?: unknown }> }).properties ?? {};
  return new Map(Object.entries(properties).map(([name, property]) => [name, property.type]));
}

// Text that is not exactly a number stays text, so that the check says "must be integer" and nothing is guessed.
function readTexts(value: unknown, types: ReadonlyMap<string, unknown>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const read: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(value)) {
    // One value of a parameter that may come several times is no list yet.
    if (types.get(name) === 'array' && typeof text === 'string') {
      read[name] = [text];
      continue;
    }
    const isInteger = types.get(name) === 'integer' && typeof text === 'string' && /^-?\d{1,16}$/.test(text);
    read[name] = isInteger ? Number(text) : text;
  }
  return read;
}
