/**
 * Owns requests of commands to a running server: its address with the key in it or beside it, and its problem details as
 * AppError. `overloaded` and the like are tried again for a while, as the server asks.
 */

import type { Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { Problem } from '#contract/rest.ts';

/** A place for an export comes free when another one ends: minutes, not seconds. */
const RETRY_FOR_MS = 120_000;
const RETRY_MS = 2_000;

export interface ServerRequests {
  /** Answers of any size. Rejects with AppError: the server's code, or `unreachable`. */
  open(path: string, signal: AbortSignal): Promise<Response>;
}

/** `url` as given on the command line; a `#key=` in it, as `kymo start` prints, counts when `key` is not given. */
export function createServerRequests(options: {
  url: string;
  key: string | undefined;
  clock: Clock;
}): ServerRequests {
  const { clock } = options;
  const { origin, key } = addressOf(options);
  async function open(path: string, signal: AbortSignal): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(`${origin}${path}`, {
        headers: { authorization: `Bearer ${key}` },
        signal,
      });
    } catch (cause) {
      if (signal.aborted) throw cause;
      throw new AppError(
        'unreachable',
        `${origin} does not answer (${messageOf((cause as Error).cause ?? cause)}): is it running there? --url says where`,
        { temporary: true, cause },
      );
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }
  return {
    async open(path, signal) {
      const giveUpAtMs = clock.monotonicMs() + RETRY_FOR_MS;
      for (;;) {
        try {
          return await open(path, signal);
        } catch (error) {
          const isWorthIt = error instanceof AppError && error.code === 'overloaded';
          if (!isWorthIt || clock.monotonicMs() > giveUpAtMs) throw error;
          await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve));
          signal.throwIfAborted();
        }
      }
    },
  };
}

function addressOf(given: { url: string; key: string | undefined }): { origin: string; key: string } {
  let url: URL;
  try {
    url = new URL(given.url);
  } catch (cause) {
    throw new AppError('invalid-field', `--url ${given.url} is no address: http://127.0.0.1:7900 is one`, {
      cause,
    });
  }
  const key = given.key ?? /[#&]key=([^&]+)/.exec(url.hash)?.[1];
  if (key === undefined)
    throw new AppError(
      'invalid-field',
      'give --key with an access key (ka_...), or --url with the whole address that kymo start printed, in quotes',
    );
  return { origin: url.origin, key };
}

async function problemOf(response: Response): Promise<AppError> {
  const body = (await response.json().catch(() => ({}))) as Partial<Problem>;
  const text = typeof body.detail === 'string' ? body.detail : `the server answered ${response.status}`;
  const code = typeof body.code === 'string' ? body.code : 'internal';
  return new AppError(code, text, { temporary: response.status >= 500 });
}
