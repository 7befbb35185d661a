/** Owns asking a server of this machine how it is, over HTTP or HTTPS whatever its certificate says. */

import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';

/** A healthy server answers in milliseconds; a stopped one never does. */
const ANSWER_MS = 3_000;
/** The text of all metrics is about 60 kB. */
const MAX_BYTES = 1024 * 1024;

export interface ServerAnswer {
  readonly status: number;
  readonly body: string;
}

/** Gets `path` from the server at `address`; null when nothing answers in time. No key is sent. */
export function askServer(address: string, path: string): Promise<ServerAnswer | null> {
  const url = new URL(path, address);
  return new Promise((resolve) => {
    const hear = (answer: IncomingMessage): void => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text: string) => (body = (body + text).slice(0, MAX_BYTES)));
      answer.once('end', () => resolve({ status: answer.statusCode ?? 0, body }));
      answer.once('error', () => resolve(null));
    };
    // The address is of this machine and nothing secret is sent, so a certificate for another name does no harm.
    const options = { timeout: ANSWER_MS, rejectUnauthorized: false, agent: false } as const;
    const asking =
      url.protocol === 'https:' ? requestHttps(url, options, hear) : requestHttp(url, options, hear);
    asking.once('timeout', () => asking.destroy());
    asking.once('error', () => resolve(null));
    asking.end();
  });
}

/** Whether the server at `address` is alive. */
export async function answers(address: string): Promise<boolean> {
  return (await askServer(address, '/healthz'))?.status === 200;
}
