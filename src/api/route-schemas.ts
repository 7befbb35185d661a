/** Owns the parts that route schemas share: the answers that any route of a kind may give, and its security. */

import { Type, type TSchema } from 'typebox';

import { Problem } from '#contract/rest.ts';
import type { Access } from '#api/access.ts';

const problem = (description: string): TSchema => ({ ...Problem, description });

const failures = {
  400: problem('A field is missing or wrong; `field` says which.'),
  401: problem('No valid key.'),
  403: problem('A valid key that may not do this.'),
  404: problem('There is no such thing, or it is not yours.'),
  409: problem('The request contradicts what is stored.'),
  413: problem('The body is too large.'),
  415: problem('The body is not JSON.'),
  426: problem('This address is a WebSocket.'),
  429: problem('Too many wrong keys, connections or messages; Retry-After says when to try again.'),
  500: problem('An unexpected failure; it was logged under `requestId`.'),
  503: problem('The database cannot be reached or is busy; Retry-After says when to try again.'),
} as const;

type Failure = keyof typeof failures;

/** The answers of a route: its own success, what it may refuse with, and what every route may. */
export function answers(
  success: Record<number, TSchema>,
  options: { access: Access; refusals?: readonly Failure[] },
): Record<number, TSchema> {
  const statuses: Failure[] = [...(options.refusals ?? []), 500];
  if (options.access !== 'public') statuses.push(401, 403, 429, 503);
  return { ...success, ...Object.fromEntries(statuses.map((status) => [status, failures[status]])) };
}

/** OpenAPI security requirements: which kinds of key open the route. */
export function security(access: Access): { [name: string]: string[] }[] {
  if (access === 'public') return [];
  const anyone = [{ signIn: [] }, { accessKey: [] }, { deviceKey: [] }, { token: [] }];
  if (access === 'any') return anyone;
  if (access === 'person') return [{ signIn: [] }];
  if (access === 'stream') return [...anyone, { ticket: [] }];
  return access === 'device' ? [{ deviceKey: [] }] : [{ signIn: [] }, { accessKey: [] }];
}

export function described<T extends TSchema>(schema: T, description: string): T {
  return { ...schema, description };
}

/** An answer without a body. */
export const NoContent = Type.Null({ description: 'Done.' });
