/**
 * Owns the one place where failures become HTTP: every error leaves as problem details (RFC 9457) with a stable code,
 * and what is temporary says when to come back (Retry-After, RFC 9110 section 10.2.3). A failure that nobody foresaw is
 * logged with its request's id and told without its details.
 */

import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { AppError } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { Problem } from '#contract/rest.ts';
import { errorCodes, type ErrorCode } from '#protocol/codes.ts';

/** Status by code; a temporary failure that is not here is 503, any other 400. */
const statusOfCode: Partial<Record<ErrorCode, number>> = {
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  erased: 410,
  conflict: 409,
  outdated: 409,
  'stream-mismatch': 409,
  'stream-refused': 409,
  'stream-closed': 409,
  'new-epoch-required': 409,
  'message-too-large': 413,
  misdirected: 421,
  'rate-limited': 429,
  'damaged-readings': 500,
  internal: 500,
};

/** A pool or database that is busy recovers in seconds; a failed key drains from its address once a second. */
const retryAfterS = { 429: 5, 503: 2 } as const;

/** What Fastify itself refuses, in our codes. */
const codeOfFastify: Record<string, { code: ErrorCode; status: number; detail: string }> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'message-too-large', status: 413, detail: 'the body is too large' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'malformed-message',
    status: 415,
    detail: 'the body must be JSON: send Content-Type: application/json',
  },
  FST_ERR_CTP_EMPTY_JSON_BODY: { code: 'malformed-message', status: 400, detail: 'the body is empty' },
  FST_ERR_CTP_INVALID_JSON_BODY: { code: 'malformed-message', status: 400, detail: 'the body is not JSON' },
  FST_ERR_MAX_PARAM_LENGTH: {
    code: 'invalid-field',
    status: 414,
    detail: 'a part of the address is too long',
  },
  FST_ERR_BAD_URL: { code: 'malformed-message', status: 400, detail: 'the address is malformed' },
};

export interface Failure {
  readonly problem: Problem;
  readonly headers: Readonly<Record<string, string>>;
}

/** The answer to anything that was thrown. `unforeseen` is set when it was no expected failure. */
export function failureOf(thrown: unknown, requestId: string): Failure & { unforeseen: boolean } {
  const error = toAppError(thrown);
  if (error === null)
    return {
      ...describe(new AppError('internal', 'an unexpected failure; it was logged'), 500, requestId),
      unforeseen: true,
    };
  return { ...describe(error.error, error.status, requestId), unforeseen: false };
}

/** Answers every error and every unknown address of `app` with problem details. */
export function answerWithProblems(app: FastifyInstance, log: Log): void {
  app.setErrorHandler(async (error: FastifyError, request, reply) => {
    const failure = failureOf(error, request.id);
    if (failure.unforeseen)
      log.error('a request failed unexpectedly', {
        requestId: request.id,
        route: request.routeOptions.url ?? '',
        error: error.stack ?? String(error),
      });
    return sendFailure(reply, failure);
  });
  app.setNotFoundHandler(async (request, reply) => sendNotFound(request, reply));
}

/** What Fastify refuses before any route is found: an address that is none, or a parameter of inhuman length. */
export function answerFrameworkError(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  // No hook runs where no route was looked for.
  reply.headers({
    'x-request-id': request.id,
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  });
  return sendFailure(reply, failureOf(error, request.id));
}

export function sendNotFound(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return sendFailure(
    reply,
    failureOf(new AppError('not-found', 'there is nothing at this address'), request.id),
  );
}

function sendFailure(reply: FastifyReply, failure: Failure): FastifyReply {
  // A limit knows better than this table when to come back.
  const { 'retry-after': retryAfter, ...headers } = failure.headers;
  if (retryAfter !== undefined && !reply.hasHeader('retry-after')) reply.header('retry-after', retryAfter);
  return reply
    .code(failure.problem.status)
    .headers(headers)
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send(failure.problem);
}

function toAppError(thrown: unknown): { error: AppError; status: number } | null {
  if (thrown instanceof AppError) return { error: thrown, status: statusOf(thrown) };
  const { code, statusCode } = thrown as { code?: unknown; statusCode?: unknown };
  const known = typeof code === 'string' ? codeOfFastify[code] : undefined;
  if (known !== undefined) return { error: new AppError(known.code, known.detail), status: known.status };
  // Broken JSON and other faults of the client's that Fastify names by status alone.
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
    return { error: new AppError('malformed-message', (thrown as Error).message), status: statusCode };
  return null;
}

function statusOf(error: AppError): number {
  if (error.code === 'limit-exceeded' && error.temporary) return 429;
  return statusOfCode[error.code as ErrorCode] ?? (error.temporary ? 503 : 400);
}

function describe(error: AppError, status: number, requestId: string): Failure {
  const known: { text: string } | undefined = errorCodes[error.code as ErrorCode];
  const problem: Problem = {
    type: `urn:kymo:problem:${error.code}`,
    title: known?.text ?? error.code,
    status,
    detail: error.message,
    code: error.code,
    ...(error.field === undefined ? {} : { field: error.field }),
    requestId,
  };
  const headers: Record<string, string> = {};
  if (status === 401) headers['www-authenticate'] = 'Bearer realm="kymo"';
  if (status === 429 || status === 503) headers['retry-after'] = String(retryAfterS[status]);
  return { problem, headers };
}
