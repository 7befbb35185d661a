/**
 * Owns the HTTP side of what a subscriber asks: publications and requests one after the other, in their order, history and
 * members beside them. Answers are given back as the messages that a WebSocket would bring.
 */

import { AppError } from '#base/errors.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { HubMessage, ViewerMessage } from '#contract/live-messages.ts';
import { problemOf } from '#sdk/http-client.ts';
import type { Credential } from '#sdk/live-link.ts';

/** As much of the platform's `fetch` as is used. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** What is asked takes no longer than the patience of who asked; beyond it the way is thought lost. */
const ASK_MS = 20_000;

export interface HttpCall {
  readonly method: 'GET' | 'POST';
  /** Below `/v1`. */
  readonly path: string;
  readonly query?: URLSearchParams;
  readonly accept?: string;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

export interface LiveHttp {
  /** Null: the way to the server failed, or this was closed. */
  call(call: HttpCall, signal: AbortSignal): Promise<Result<Response, AppError> | null>;
  setToken(token: string): void;
}

/** `url`: of the live endpoint, `wss://host/v1/live`. */
export function createLiveHttp(url: string, credential: Credential, fetch: Fetch): LiveHttp {
  const base = url.replace(/^ws/, 'http').replace(/\/live$/, '');
  let token = credential.kind === 'token' ? credential.text : null;
  return {
    async call({ method, path, query, accept = 'application/json', headers, body }, signal) {
      const search = query === undefined ? '' : `?${query.toString()}`;
      try {
        const response = await fetch(`${base}${path}${search}`, {
          method,
          headers: {
            accept,
            ...(token === null ? {} : { authorization: `Bearer ${token}` }),
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...headers,
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          cache: 'no-store',
          signal,
        });
        if (response.ok) return ok(response);
        const isOurs = response.headers.get('content-type')?.includes('json') === true;
        // A page of a proxy: what was asked for is not there, or not let through.
        if (!isOurs && response.status < 500)
          return fail(new AppError('unusable', `${path} is answered with ${response.status}`));
        return fail(await problemOf(response));
      } catch {
        return null;
      }
    },
    setToken(next) {
      token = next;
    },
  };
}

type AskMessage = Extract<ViewerMessage, { type: 'publish' | 'request' | 'history' | 'members' | 'state' }>;

export interface HttpAsker {
  ask(message: AskMessage): void;
}

export interface HttpAskerOptions {
  readonly http: LiveHttp;
  readonly signal: AbortSignal;
  readonly answered: (message: HubMessage) => void;
  /** The way to the server failed. */
  readonly lost: () => void;
}

export function createHttpAsker({ http, signal, answered, lost }: HttpAskerOptions): HttpAsker {
  // At most as many wait as may be under way (live-asks.ts).
  let lane: Promise<void> = Promise.resolve();
  const perform = async (message: AskMessage): Promise<void> => {
    if (signal.aborted) return;
    const answer = await answerTo(message, http, AbortSignal.any([signal, AbortSignal.timeout(ASK_MS)]));
    if (signal.aborted) return;
    if (answer === null) lost();
    else answered(answer);
  };
  return {
    ask(message) {
      if (message.type === 'publish' || message.type === 'request') lane = lane.then(() => perform(message));
      else void perform(message);
    },
  };
}

/** Null: no answer came. */
async function answerTo(
  message: AskMessage,
  http: LiveHttp,
  signal: AbortSignal,
): Promise<HubMessage | null> {
  const { id } = message;
  const refuse = ({ code, message: text }: AppError): HubMessage => ({
    type: 'error',
    id,
    code,
    message: text,
  });
  if (message.type === 'state')
    return refuse(new AppError('invalid-field', 'what others see is changed over a WebSocket only'));
  const result = await http.call(callOf(message), signal);
  if (result === null) return null;
  if (!result.ok) return refuse(result.error);
  try {
    return { ...toMessage(message, await result.value.json()), id } as HubMessage;
  } catch {
    return null;
  }
}

function callOf(message: Exclude<AskMessage, { type: 'state' }>): HttpCall {
  const path = `/channels/${message.channel}`;
  switch (message.type) {
    case 'publish': {
      const { event, data, key } = message;
      const headers = key === undefined ? {} : { 'idempotency-key': key };
      return { method: 'POST', path: `${path}/messages`, headers, body: { event, data: data ?? null } };
    }
    case 'request':
      return { method: 'POST', path: `${path}/requests/${message.name}`, body: message.data ?? null };
    case 'history': {
      const query = new URLSearchParams();
      for (const name of ['after', 'before', 'limit'] as const)
        if (message[name] !== undefined) query.set(name, String(message[name]));
      return { method: 'GET', path: `${path}/messages`, query };
    }
    case 'members':
      return { method: 'GET', path: `${path}/members` };
  }
}

function toMessage(asked: AskMessage, answer: unknown): object {
  if (asked.type === 'request') return { type: 'response', data: answer };
  const type = asked.type === 'publish' ? 'published' : asked.type;
  return { ...(answer as object), type };
}
