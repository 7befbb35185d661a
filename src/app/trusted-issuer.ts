/** Owns the reading of what the configuration trusts of a foreign back end: its shared secret, its keys, its name. */

import { readFileSync } from 'node:fs';

import type { Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import {
  createForeignTokens,
  keySetOfPem,
  tokenLimits,
  type ForeignTokens,
} from '#identity/foreign-tokens.ts';
import { isLoopbackHost, type Config } from '#app/config.ts';

/** Null when no issuer is configured. Throws AppError `invalid-field` naming the setting. */
export function readTrustedIssuer(
  config: Config,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): ForeignTokens | null {
  const secret = config['token-secret'];
  const place = config['token-keys'];
  const org = config['token-org'];
  if (secret === '' && place === '') return null;
  if (secret !== '' && Buffer.byteLength(secret) < tokenLimits.secretBytes)
    throw invalid(
      'token-secret',
      `has at least ${tokenLimits.secretBytes} bytes: make one with "openssl rand -base64 32"`,
    );
  if (org === '')
    throw invalid(
      'token-org',
      'says which organisation tokens are for, by its id, or "any" when each token says it',
    );
  if (org !== 'any' && !/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(org))
    throw invalid('token-org', 'is the id of an organisation, or "any"');
  return createForeignTokens({
    secret: secret === '' ? null : Buffer.from(secret),
    jwks: place === '' ? null : readKeys(place),
    issuer: config['token-issuer'] === '' ? null : config['token-issuer'],
    audience: config['token-audience'] === '' ? null : config['token-audience'],
    orgId: org === 'any' ? null : org,
    clock,
    onUnreachable: (cause) =>
      log.warn("the keys of the tokens' issuer cannot be fetched", { error: messageOf(cause) }),
  });
}

/** An address that is asked when a token names an unknown key, or a file with a JWKS or a PEM public key. */
function readKeys(place: string): URL | { keys: object[] } {
  if (/^https?:/.test(place)) {
    const url = URL.parse(place);
    if (url === null) throw invalid('token-keys', 'is no valid address');
    if (url.protocol === 'http:' && !isLoopbackHost(url.hostname))
      throw invalid(
        'token-keys',
        'is fetched in clear text, where anybody on the way could change it: use https',
      );
    return url;
  }
  let text: string;
  try {
    text = readFileSync(place, 'utf8');
  } catch (cause) {
    throw invalid('token-keys', `cannot be read: ${messageOf(cause)}`);
  }
  try {
    if (text.trimStart().startsWith('-----BEGIN')) return keySetOfPem(text);
    const { keys } = JSON.parse(text) as { keys?: unknown };
    if (Array.isArray(keys)) return { keys: keys as object[] };
  } catch {
    // Told below.
  }
  throw invalid('token-keys', `${place} is neither a JWKS (JSON with "keys") nor a PEM public key`);
}

function invalid(name: string, text: string): AppError {
  return new AppError('invalid-field', `--${name} ${text}`, { field: name });
}
