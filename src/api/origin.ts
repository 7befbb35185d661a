/**
 * Owns which web pages may talk to this server: those of its own origin, and those that the operator lists. Nothing here
 * says who somebody is: whoever is no browser sends what Origin it likes, and cookies identify nobody. The rule keeps
 * a foreign page from using what its visitor can reach (cross-site WebSocket hijacking, RFC 6455 section 10.2).
 */

import { AppError } from '#base/errors.ts';

export interface OriginRule {
  /** Origins (RFC 6454 section 6.2) that are let in besides the server's own; `*` lets all in. */
  readonly allowed: ReadonlySet<string>;
  /** TLS ends here or at the proxy: a page that came in clear text is then a foreign one, whatever its host. */
  readonly isSecure: boolean;
}

/** `none`: no page asks, or one of the same origin with GET. `allowed`: a foreign page that was let in. */
export type OriginVerdict = 'none' | 'same' | 'allowed' | 'foreign';

/** Headers of a request, as Node gives them. */
export interface OriginHeaders {
  readonly origin?: string | undefined;
  readonly host?: string | undefined;
}

export function judgeOrigin({ allowed, isSecure }: OriginRule, headers: OriginHeaders): OriginVerdict {
  const { origin, host } = headers;
  if (origin === undefined) return 'none';
  if (isOwn(origin, host, isSecure)) return 'same';
  // `null` is every sandboxed frame and every file: nobody in particular.
  if (origin === 'null') return 'foreign';
  return allowed.has('*') || allowed.has(origin) ? 'allowed' : 'foreign';
}

/** The message of a refusal: it says what the operator has to do. */
export function refusalOfOrigin(origin: string): string {
  return (
    `pages of ${origin.slice(0, 200)} are foreign to this server: list the origin in --allowed-origins, or, ` +
    'if a proxy stands between, let it pass the Host header on'
  );
}

/** A name or address with an optional port (RFC 3986 section 3.2.2): nothing that a URL would read as a user or a path. */
const hostText = /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

function isOwn(origin: string, host: string | undefined, isSecure: boolean): boolean {
  if (host === undefined || !hostText.test(host)) return false;
  const scheme = /^(https?):\/\//.exec(origin)?.[1];
  if (scheme === undefined || (isSecure && scheme !== 'https')) return false;
  // What a URL makes of it decides: `:443` and letter case tell nothing apart.
  return URL.parse(`${scheme}://${host}`)?.origin === origin;
}

/** `--allowed-origins`: origins separated by commas, or `*`. Throws AppError `invalid-field` naming what is none. */
export function parseAllowedOrigins(text: string): ReadonlySet<string> {
  const allowed = new Set<string>();
  for (const entry of text.split(',').map((part) => part.trim())) {
    if (entry === '') continue;
    const origin = entry === '*' ? entry : originOf(entry);
    if (origin === null)
      throw new AppError(
        'invalid-field',
        `--allowed-origins has "${entry}": it takes origins such as https://app.example.org, separated by commas`,
        { field: 'allowed-origins' },
      );
    allowed.add(origin);
  }
  return allowed;
}

/** As a browser writes it; null for what is no origin. Apps in a shell have schemes of their own (`capacitor://localhost`). */
function originOf(entry: string): string | null {
  const url = URL.parse(entry);
  if (url === null) return null;
  if (/^https?:$/.test(url.protocol)) return /^https?:\/\/[^/?#@*]+\/?$/i.test(entry) ? url.origin : null;
  return /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9._-]+$/.test(entry) ? entry : null;
}
