/**
 * Owns what an algorithm of motion is: a definition (name, version, parameters with units and sources, what its rows mean)
 * and an instance that takes one reading at a time. An instance allocates nothing per reading, keeps all its mutable state
 * in what `save` writes, and so gives the same bits live, in a batch, and continued from a checkpoint.
 */

import { assert } from '#base/assert.ts';

/** A parameter as people tune it. */
export interface ParameterSpec {
  readonly default: number;
  readonly min: number;
  readonly max: number;
  /** SI, as text: `s`, `rad/s`, `m/s2`, `deg`, or `1`. */
  readonly unit: string;
  readonly summary: string;
  /** Paper, standard, or how the default was found (never from test data). */
  readonly source: string;
}

export type Parameters<S extends Readonly<Record<string, ParameterSpec>>> = {
  readonly [K in keyof S]: number;
};

export interface AlgorithmDefinition<
  S extends Readonly<Record<string, ParameterSpec>> = Readonly<Record<string, ParameterSpec>>,
> {
  /** Kebab-case: `vqf`, `foot-contacts`. */
  readonly name: string;
  /** Grows whenever the same readings may give other numbers. Part of the key of stored results. */
  readonly version: number;
  readonly summary: string;
  /** Paper with DOI. */
  readonly source: string;
  readonly parameters: S;
  /** Columns of one reading, with units: `acc_x (m/s2)`. */
  readonly inputs: readonly string[];
  /** Columns of one row of output. */
  readonly outputs: readonly string[];
  /** Rows that one reading can cause at most. */
  readonly maxRows: number;
  /** How long after the moment that a row is about it comes at most, in seconds; 0 for filters. */
  readonly latencyS: number;
  create(rateHz: number, parameters?: Partial<Parameters<S>>): Algorithm;
}

export interface Algorithm {
  readonly definition: AlgorithmDefinition;
  /**
   * Takes the reading at `input[at .. at + inputs.length)`. Writes 0 to `maxRows` rows of `outputs.length` values to the
   * beginning of `out` and returns how many. A reading that is not finite counts as missing: time goes on by one period.
   */
  update(input: Float64Array, at: number, out: Float64Array): number;
  /** As when it was created. */
  reset(): void;
  /** Values of the state. */
  readonly stateLength: number;
  save(into: Float64Array): void;
  load(from: Float64Array): void;
}

/** The given parameters over the defaults. Throws on an unknown name and on a value out of range: a bug of the caller. */
export function parametersOf<S extends Readonly<Record<string, ParameterSpec>>>(
  specs: S,
  given: Partial<Parameters<S>> = {},
): Parameters<S> {
  const values: Record<string, number> = {};
  for (const [name, { default: value }] of Object.entries(specs)) values[name] = value;
  for (const [name, value] of Object.entries(given)) {
    const spec = specs[name];
    assert(spec !== undefined, `there is no parameter ${name}`);
    assert(
      typeof value === 'number' && value >= spec.min && value <= spec.max,
      `${name} is from ${spec.min} to ${spec.max} ${spec.unit}`,
    );
    values[name] = value;
  }
  return values as Parameters<S>;
}

/** All rows that `count` readings give, row-major, one after the other: what live gives, by the same calls. */
export function runBatch(algorithm: Algorithm, readings: Float64Array, count: number): Float64Array {
  const { inputs, outputs, maxRows } = algorithm.definition;
  const out = new Float64Array(maxRows * outputs.length);
  let rows = new Float64Array(Math.max(1, count) * outputs.length);
  let length = 0;
  for (let i = 0; i < count; i++) {
    const written = algorithm.update(readings, i * inputs.length, out) * outputs.length;
    if (length + written > rows.length) {
      const grown = new Float64Array(2 * rows.length + written);
      grown.set(rows);
      rows = grown;
    }
    rows.set(out.subarray(0, written), length);
    length += written;
  }
  return rows.slice(0, length);
}
