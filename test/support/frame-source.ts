/** Owns a stream for tests of the writer: what ingest's buffer is to it, without its bounds, noting every answer. */

import type {
  EpochProgress,
  Frame,
  FrameSource,
  LossDeclaration,
  StreamClaim,
  StreamHandle,
} from '#contract/readings.ts';

export interface TestSource extends FrameSource {
  push(...frames: Frame[]): void;
  declare(...losses: LossDeclaration[]): void;
  /** `settled`, `rewind 7`, `refused`, `unknown`, `superseded`, `outdated`, in order. */
  readonly heard: readonly string[];
  /** What was settled last. */
  readonly progress: EpochProgress;
}

export function createTestSource(handle: StreamHandle, claim: StreamClaim | null = null): TestSource {
  let waiting: Frame[] = [];
  let losses: LossDeclaration[] = [];
  const heard: string[] = [];
  let progress: EpochProgress = { committed: [], lost: [] };
  return {
    handle,
    claim,
    heard,
    get progress() {
      return progress;
    },
    push: (...frames) => void waiting.push(...frames),
    declare: (...more) => void losses.push(...more),
    pendingReadings: () => waiting.reduce((sum, frame) => sum + frame.count, 0),
    take() {
      const taken = waiting;
      waiting = [];
      return taken;
    },
    takeLosses() {
      const taken = losses;
      losses = [];
      return taken;
    },
    settled(now) {
      progress = now;
      heard.push('settled');
    },
    rewind: (fromSeq) => void heard.push(`rewind ${fromSeq}`),
    refused: () => void heard.push('refused'),
    unknown: () => void heard.push('unknown'),
    superseded: () => void heard.push('superseded'),
    outdated: () => void heard.push('outdated'),
  };
}
