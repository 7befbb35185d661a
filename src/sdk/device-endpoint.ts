/** Owns where a device connects to: the WebSocket URL of a server's device endpoint, never with a key in it. */

import { AppError } from '#base/errors.ts';

/**
 * The endpoint of the server at `url` (`http(s)://` or `ws(s)://`; the path defaults to `/v1/device`). Throws AppError
 * `invalid-field` when it cannot be used, or would carry readings in clear beyond this machine and `isInsecure` is false.
 */
export function deviceEndpoint(url: string, isInsecure: boolean): URL {
  if (!URL.canParse(url)) throw new AppError('invalid-field', `'${url}' is not a URL`, { field: '/url' });
  const endpoint = new URL(url);
  endpoint.protocol = endpoint.protocol.replace(/^http/, 'ws');
  if (endpoint.protocol !== 'ws:' && endpoint.protocol !== 'wss:')
    throw new AppError('invalid-field', 'a server is reached by http(s) or ws(s)', { field: '/url' });
  if (endpoint.protocol === 'ws:' && !isLoopback(endpoint.hostname) && !isInsecure)
    throw new AppError('invalid-field', `${url} would send readings in clear: use https, or insecure: true`, {
      field: '/url',
    });
  if (endpoint.pathname === '/') endpoint.pathname = '/v1/device';
  return endpoint;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
