/**
 * Owns codes of authenticators: TOTP (RFC 6238) with SHA-1, six digits and 30 s, which is what every authenticator speaks,
 * accepted one step early or late for clocks that differ. Pure; that a step is accepted once is second-factors.ts's.
 */

import { createHmac } from 'node:crypto';

const STEP_S = 30;
const DIGITS = 6;
const DRIFT_STEPS = 1;
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** RFC 4226 section 4: at least 128 bits, better 160. */
export const TOTP_SECRET_BYTES = 20;

/** The code of a time step (RFC 4226 section 5.3). */
export function codeOfStep(secret: Buffer, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac('sha1', secret).update(counter).digest();
  const offset = mac[mac.length - 1]! & 0x0f;
  const number = mac.readUInt32BE(offset) & 0x7fff_ffff;
  return String(number % 10 ** DIGITS).padStart(DIGITS, '0');
}

export function stepAt(timeUs: number): number {
  return Math.floor(timeUs / (STEP_S * 1e6));
}

/** The newest step after `lastStep` that the code is of, at `timeUs`; null when it is of none. */
export function findStep(
  secret: Buffer,
  code: string,
  at: { timeUs: number; lastStep: number },
): number | null {
  const now = stepAt(at.timeUs);
  for (let step = now + DRIFT_STEPS; step >= now - DRIFT_STEPS; step--)
    if (step > at.lastStep && codeOfStep(secret, step) === code) return step;
  return null;
}

/** RFC 4648 section 6, without padding. */
export function base32(bytes: Buffer): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xffff;
    bits += 8;
    while (bits >= 5) {
      text += alphabet.charAt((value >> (bits - 5)) & 31);
      bits -= 5;
    }
  }
  return bits === 0 ? text : text + alphabet.charAt((value << (5 - bits)) & 31);
}

/** What an authenticator reads from a QR code (Google's key URI format). */
export function otpauthUri(secret: Buffer, account: { issuer: string; email: string }): string {
  const label = encodeURIComponent(`${account.issuer}:${account.email}`);
  const query = new URLSearchParams({
    secret: base32(secret),
    issuer: account.issuer,
    algorithm: 'SHA1',
    digits: String(DIGITS),
    period: String(STEP_S),
  });
  return `otpauth://totp/${label}?${query.toString().replaceAll('+', '%20')}`;
}
