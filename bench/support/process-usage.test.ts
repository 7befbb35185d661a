import { expect, test } from 'vitest';

import { parseMachineCpuS, parseStat, sumTree, type ProcessStat } from '#bench/support/process-usage.ts';

test('a program name with blanks and brackets does not shift the fields', () => {
  const fields = Array.from({ length: 50 }, (_, i) => String(i + 3));
  fields[0] = 'S';
  expect(parseStat(`77 (a (b) c) ${fields.join(' ')}`)).toEqual({
    pid: 77,
    parentPid: 4,
    ownTicks: 14 + 15,
    reapedTicks: 16 + 17,
    residentBytes: 24 * 4096,
  });
});

const process = (pid: number, parentPid: number, ownTicks: number): ProcessStat => ({
  pid,
  parentPid,
  ownTicks,
  reapedTicks: 1,
  residentBytes: 2 ** 20,
});

test('a tree is the root and all below it, nothing beside it', () => {
  const processes = [
    process(1, 0, 1000),
    process(10, 1, 100),
    process(11, 10, 50),
    process(12, 11, 25),
    process(20, 1, 9),
  ];
  expect(sumTree(processes, 10)).toEqual({ cpuS: 1.78, rssMiB: 3, processes: 3, pids: expect.any(Array) });
});

test('the machine is busy with all but idling and waiting for disks', () => {
  expect(parseMachineCpuS('cpu  100 20 30 99999 8888 4 5 600 0 0\ncpu0 1 2 3\n')).toBeCloseTo(7.59);
});

test('a root that is gone is an error, not a zero', () => {
  expect(() => sumTree([process(1, 0, 1)], 10)).toThrow('process 10 is gone');
});
