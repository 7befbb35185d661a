/**
 * Owns the way of live readings into a guided calibration: which frames are of which sensor, and their values in SI.
 */

import type { BodyModel } from '#contract/motion.ts';
import type { StreamDetail } from '#contract/rest.ts';
import type { CalibrationGuide } from '#motion/calibration/guide.ts';
import { readingTimeUs } from '#protocol/data-codec.ts';
import type { LiveFrame } from '#protocol/live-codec.ts';
import { unpackReadings, type Packing } from '#protocol/reading-values.ts';

export interface CalibrationFeed {
  /** Returns whether what is shown may have changed. */
  take(frames: readonly LiveFrame[]): boolean;
}

interface Source {
  readonly placement: number;
  readonly packing: Packing;
  /** Columns and factors of acc x, y, z, gyr x, y, z. */
  readonly columns: readonly number[];
  readonly scales: readonly number[];
}

export function createCalibrationFeed(
  guide: Pick<CalibrationGuide, 'update'>,
  model: BodyModel,
  streams: readonly StreamDetail[],
): CalibrationFeed {
  const sources = new Map<string, Source>();
  for (const [placement, { stream, acc, gyr }] of model.placements.entries()) {
    const detail = streams.find(({ definition }) => definition.stream === stream);
    if (detail === undefined) continue;
    const { encoding, scale, axes } = detail.definition;
    sources.set(stream, {
      placement,
      packing: { encoding, axisCount: axes.length, ...(scale === undefined ? {} : { scale }) },
      columns: [...acc.axes, ...gyr.axes],
      scales: [acc, acc, acc, gyr, gyr, gyr].map((one) => one.scale),
    });
  }
  const values = new Float64Array(6);
  let out = new Float32Array(0);
  const takeFrame = (frame: LiveFrame, source: Source): boolean => {
    const { count } = frame;
    const { axisCount } = source.packing;
    if (out.length < count * axisCount) out = new Float32Array(count * axisCount);
    unpackReadings(frame.payload, source.packing, { count, out });
    let hasChanged = false;
    for (let i = 0; i < count; i++) {
      for (let k = 0; k < 6; k++) values[k] = out[i * axisCount + source.columns[k]!]! * source.scales[k]!;
      if (guide.update(source.placement, readingTimeUs(frame, i), values, 0)) hasChanged = true;
    }
    return hasChanged;
  };
  return {
    take(frames) {
      let hasChanged = false;
      for (const frame of frames) {
        const source = sources.get(frame.streamId);
        if (source !== undefined && takeFrame(frame, source)) hasChanged = true;
      }
      return hasChanged;
    },
  };
}
