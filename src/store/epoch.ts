/**
 * Owns the two forms of an epoch: 16 hexadecimal digits on the wire, a signed bigint (two's complement) in PostgreSQL,
 * which has no unsigned type. The mapping is a bijection of all 2^64 values.
 */

import { assert } from '#base/assert.ts';

/** The column's value of an epoch. Asserts 16 lower-case hexadecimal digits: the edge has validated them. */
export function epochToInt8(epoch: string): bigint {
  assert(/^[0-9a-f]{16}$/.test(epoch), 'an epoch is 16 lower-case hexadecimal digits');
  return BigInt.asIntN(64, BigInt(`0x${epoch}`));
}

/** The epoch of a column's value, as PostgreSQL prints it or as a bigint. */
export function int8ToEpoch(value: string | bigint): string {
  return BigInt.asUintN(64, BigInt(value)).toString(16).padStart(16, '0');
}
