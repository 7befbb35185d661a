import { expect, test } from 'vitest';

import { parametersOf } from '#motion/algorithm.ts';
import {
  createFootReport,
  MOST_ROWS_OF_STEP,
  REPORT_LENGTH,
  reportParameters,
  type FootReport,
} from '#motion/gait/foot-report.ts';
import { footColumn, footColumns, footRowKind } from '#motion/gait/foot-rows.ts';
import type { FootStep } from '#motion/gait/foot-step.ts';

const plain: FootStep = {
  finalContact: 0,
  initialContact: 0,
  pitchFinal: 60,
  pitchInitial: -20,
  lengthM: 1.3,
  heightChangeM: 0.01,
  clearanceM: 0.2,
  turnDeg: 1,
  terrain: 0,
};

type Row = Partial<Record<keyof typeof footColumn, number>>;

/** Rows as records without what is not known. */
function rowsOf(out: Float64Array, count: number): Row[] {
  return Array.from({ length: count }, (_, r) =>
    Object.fromEntries(
      Object.entries(footColumn)
        .map(([name, column]) => [name, out[r * footColumns.length + column]!] as const)
        .filter(([, value]) => !Number.isNaN(value)),
    ),
  );
}

function created(): {
  report: FootReport;
  take(step: Partial<FootStep>, finalS: number, endS: number): Row[];
} {
  const report = createFootReport(new Float64Array(REPORT_LENGTH), 0, parametersOf(reportParameters));
  report.reset();
  const out = new Float64Array(MOST_ROWS_OF_STEP * footColumns.length);
  return {
    report,
    take: (step, finalS, endS) =>
      rowsOf(out, report.step({ ...plain, ...step }, { finalS, endS }, { out, from: 0 })),
  };
}

const { initialContact, finalContact, stride, turn } = footRowKind;
const kindsOf = (rows: readonly Row[]): (number | undefined)[] => rows.map(({ kind }) => kind);

test('the first step has contacts, the next ones strides between them', () => {
  const { take } = created();
  expect(take({}, 1, 1.4)).toEqual([
    { kind: finalContact, time: 1, pitch: 60, bout: 0 },
    { kind: initialContact, time: 1.4, pitch: -20, bout: 0 },
  ]);
  expect(take({}, 2, 2.4)[2]).toEqual({
    kind: stride,
    time: 2.4,
    start: 1.4,
    final: 2,
    length: 1.3,
    heightChange: 0.01,
    clearance: 0.2,
    turn: 1,
    pitch: -20,
    pitchFinal: 60,
    terrain: 0,
    bout: 0,
  });
});

test('after a break of more than 3 s a new bout begins, without a stride over it', () => {
  const { take } = created();
  take({}, 1, 1.4);
  const rows = take({}, 4.1, 4.5);
  expect(kindsOf(rows)).toEqual([finalContact, initialContact]);
  expect(rows[0]!.bout).toBe(1);
});

test('a foot that slides ahead has initial contacts and strides, but no final contact', () => {
  const { take } = created();
  take({}, 1, 1.4);
  const rows = take({}, Number.NaN, 2.4);
  expect(kindsOf(rows)).toEqual([initialContact, stride]);
  expect(rows[1]!.final).toBeUndefined();
  expect(rows[1]!.pitchFinal).toBeUndefined();
});

test('a final contact right before the initial one, or before the last one, is none', () => {
  const { take } = created();
  take({}, 1, 1.4);
  expect(kindsOf(take({}, 2.35, 2.4))).toEqual([initialContact, stride]);
  expect(kindsOf(take({}, 2.3, 3.4))).toEqual([initialContact, stride]);
});

test('a short movement is no step, unless it turns the foot', () => {
  const { take } = created();
  expect(take({ lengthM: 0.05 }, 1, 1.4)).toEqual([]);
  expect(kindsOf(take({ lengthM: 0.05, turnDeg: -40 }, 2, 2.4))).toEqual([finalContact, initialContact]);
});

test('steps to one side are one turn, told by the first straight step', () => {
  const { take, report } = created();
  take({}, 1, 1.4);
  take({ turnDeg: 30 }, 2, 2.4);
  take({ turnDeg: 50 }, 3, 3.4);
  expect(report.isTurning()).toBe(true);
  const rows = take({}, 4, 4.4);
  expect(rows[0]).toEqual({ kind: turn, time: 3.4, start: 2, turn: 80, bout: 0 });
  expect(report.isTurning()).toBe(false);
});

test('a turn to the other side ends the one before, and little turning is none', () => {
  const { take } = created();
  take({ turnDeg: 60 }, 1, 1.4);
  expect(take({ turnDeg: -30 }, 2, 2.4)[0]).toMatchObject({ kind: turn, turn: 60 });
  expect(kindsOf(take({}, 3, 3.4))).toEqual([finalContact, initialContact, stride]);
});

test('a turn that nothing follows is told after the longest stride', () => {
  const { take, report } = created();
  take({ turnDeg: -90 }, 1, 1.4);
  const out = new Float64Array(MOST_ROWS_OF_STEP * footColumns.length);
  expect(report.wait(4.3, { out, from: 0 })).toBe(0);
  expect(report.wait(4.5, { out, from: 0 })).toBe(1);
  expect(rowsOf(out, 1)[0]).toMatchObject({ kind: turn, turn: -90, start: 1, time: 1.4 });
  expect(report.isTurning()).toBe(false);
});
