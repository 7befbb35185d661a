/**
 * Owns the cookie of a sign-in (RFC 6265): no script reads it (HttpOnly), no foreign page sends it with what it embeds or
 * posts (SameSite=Lax), and behind TLS no other host can set it and no clear text carries it (`__Host-`, Secure).
 */

import type { OriginRule } from '#api/origin.ts';

type Security = Pick<OriginRule, 'isSecure'>;

const nameOf = ({ isSecure }: Security): string => (isSecure ? '__Host-kymo.session' : 'kymo.session');

/** The token in a Cookie header; null when there is none. */
export function signInToken(header: string | undefined, security: Security): string | null {
  if (header === undefined) return null;
  const name = nameOf(security);
  for (const pair of header.split(';')) {
    const [key = '', value = ''] = pair.trim().split('=', 2);
    if (key === name) return value === '' ? null : value;
  }
  return null;
}

/** For Set-Cookie. It ends with the sign-in at the latest. */
export function signInCookie(token: string, expiresAt: Date, security: Security): string {
  return `${nameOf(security)}=${token}; Path=/; Expires=${expiresAt.toUTCString()}; ${attributes(security)}`;
}

/** For Set-Cookie: the browser forgets it. */
export function endedCookie(security: Security): string {
  return `${nameOf(security)}=; Path=/; Max-Age=0; ${attributes(security)}`;
}

function attributes({ isSecure }: Security): string {
  return `HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`;
}
