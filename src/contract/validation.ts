/**
 * Owns the parse of JSON control messages at the edge: text in, a typed message or a coded error naming the field out.
 * A text over `maxBytes` is refused before it is parsed.
 */

import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import type { TLocalizedValidationError } from 'typebox/error';

import { fail, ok, type Result } from '#base/result.ts';
import type { WireError } from '#protocol/data-codec.ts';

export type MessageParser<T> = (text: string) => Result<T, WireError>;

/** A parser for messages that are told apart by `type`. `schemas` has one schema for each. */
export function createMessageParser<T extends { type: string }>(
  schemas: Record<T['type'], TSchema>,
  maxBytes: number,
): MessageParser<T> {
  const validators = new Map(
    Object.entries<TSchema>(schemas).map(([type, schema]) => [type, Compile(schema)]),
  );
  return (text) => {
    // A UTF-16 length is a lower bound of the UTF-8 length; the transport bounds the bytes themselves.
    if (text.length > maxBytes)
      return fail({ code: 'message-too-large', message: `a control message is at most ${maxBytes} bytes` });
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return fail({ code: 'malformed-message', message: 'not JSON' });
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return fail({ code: 'malformed-message', message: 'a message is a JSON object' });
    const type: unknown = (value as { type?: unknown }).type;
    const validator = typeof type === 'string' ? validators.get(type) : undefined;
    if (validator === undefined)
      return fail({
        code: 'invalid-field',
        field: '/type',
        message: `unknown type; known are ${[...validators.keys()].join(', ')}`,
      });
    if (validator.Check(value)) return ok(value as T);
    return fail(firstError(type as string, validator.Errors(value)));
  };
}

/** Checks one value against one schema: null when it matches, else the first error with its field below `at`. */
export function createValueCheck(schema: TSchema, at: string): (value: unknown) => WireError | null {
  const validator = Compile(schema);
  return (value) => {
    if (validator.Check(value)) return null;
    const error = firstError('', validator.Errors(value));
    return {
      ...error,
      field: `${at}${error.field ?? ''}`.slice(0, 256),
      message: error.message.replace(/^: /, ''),
    };
  };
}

/** What is wrong first, naming the field: of a field that is missing or unknown its own name, not its parent's. */
function firstError(type: string, errors: readonly TLocalizedValidationError[]): WireError {
  const [first] = errors;
  if (first === undefined) return { code: 'invalid-field', field: '', message: `${type}: not valid` };
  let field = first.instancePath;
  let message = first.message;
  if (first.keyword === 'required') {
    field += `/${first.params.requiredProperties[0]}`;
    message = 'is missing';
  } else if (first.keyword === 'boolean') message = 'is not a field of this message';
  // A name that the peer made up may be as long as its message; an error's field is at most 256 characters.
  return {
    code: 'invalid-field',
    field: field.slice(0, 256),
    message: `${type}: ${message}`,
  };
}
