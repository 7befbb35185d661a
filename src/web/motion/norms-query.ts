/** Owns how the page gets the norms: files of their own with a licence of their own, read once when a page needs them. */

import { useQuery } from '@tanstack/react-query';

import { normBand, readFigureNorms, readJointNorms, type NormBand } from '#motion/norms.ts';
import type { FigureNorms, JointNorms } from '#motion/norms.ts';
import { readDocument } from '#web/server.ts';

const jointFile = new URL('../../../data/norms/joint-angles.json', import.meta.url).href;
const figureFile = new URL('../../../data/norms/spatio-temporal.json', import.meta.url).href;

export interface Norms {
  readonly joints: JointNorms;
  readonly figures: FigureNorms;
}

/** Null until they have come; a page without them shows everything else. */
export function useNorms(): Norms | null {
  const { data } = useQuery({
    queryKey: ['norms'],
    queryFn: async () => {
      const [joints, figures] = await Promise.all([
        readDocument<unknown>(jointFile),
        readDocument<unknown>(figureFile),
      ]);
      return { joints: readJointNorms(joints), figures: readFigureNorms(figures) };
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
  return data ?? null;
}

/** One band where both sides have the same, two for angles that change sign with the side; none where nothing is known. */
export function bandsOf(norms: Norms | null, curve: string): NormBand[] {
  if (norms === null) return [];
  const bands = (['left', 'right'] as const).flatMap(
    (side) => normBand(norms.joints, { name: curve, side }) ?? [],
  );
  const [left, right] = bands;
  const isSame =
    left !== undefined && right !== undefined && left.mean.every((value, i) => value === right.mean[i]);
  return isSame ? [left] : bands;
}
