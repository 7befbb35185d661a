/**
 * Owns smooth periodic curves: uniform quintic B-splines (de Boor 1978) through the sequence of their control points,
 * several channels sharing one parameter. They are four times continuously differentiable, and where six control
 * points in a row are equal the curve is exactly constant, which is what lets a simulated foot be truly at rest.
 * Control points are smoothed, not met: a curve is what passed a low-pass of about 0.7 control points.
 */

import { assert } from '#base/assert.ts';

export interface PeriodicSpline {
  /** Number of control points, which is the period of the parameter. */
  readonly period: number;
  readonly channels: number;
  /** Writes every channel at `parameter` (in control points, any real number) to the start of `out`. */
  evaluate(parameter: number, out: Float64Array): void;
}

/** `control` is row-major: one row of `channels` values a control point. It is kept, not copied. */
export function createPeriodicSpline(control: Float64Array, channels: number): PeriodicSpline {
  const period = control.length / channels;
  assert(Number.isInteger(period) && period >= 6, 'a quintic spline needs at least six control points');
  return {
    period,
    channels,
    evaluate(parameter, out) {
      const whole = Math.floor(parameter);
      const f = parameter - whole;
      const f2 = f * f;
      const f3 = f2 * f;
      const f4 = f2 * f2;
      const f5 = f4 * f;
      const g = 1 - f;
      const w0 = (g * g * g * g * g) / 120;
      const w1 = (26 - 50 * f + 20 * f2 + 20 * f3 - 20 * f4 + 5 * f5) / 120;
      const w2 = (66 - 60 * f2 + 30 * f4 - 10 * f5) / 120;
      const w3 = (26 + 50 * f + 20 * f2 - 20 * f3 - 20 * f4 + 10 * f5) / 120;
      const w4 = (1 + 5 * f + 10 * f2 + 10 * f3 + 5 * f4 - 5 * f5) / 120;
      const w5 = f5 / 120;
      const first = whole - 2;
      const r0 = modulo(first, period) * channels;
      const r1 = modulo(first + 1, period) * channels;
      const r2 = modulo(first + 2, period) * channels;
      const r3 = modulo(first + 3, period) * channels;
      const r4 = modulo(first + 4, period) * channels;
      const r5 = modulo(first + 5, period) * channels;
      for (let c = 0; c < channels; c++) {
        out[c] =
          w0 * control[r0 + c]! +
          w1 * control[r1 + c]! +
          w2 * control[r2 + c]! +
          w3 * control[r3 + c]! +
          w4 * control[r4 + c]! +
          w5 * control[r5 + c]!;
      }
    },
  };
}

function modulo(value: number, period: number): number {
  const rest = value % period;
  return rest < 0 ? rest + period : rest;
}
