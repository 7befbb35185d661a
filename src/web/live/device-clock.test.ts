import { expect, test } from 'vitest';

import { createDeviceClock } from '#web/live/device-clock.ts';

test('a measured offset is taken as it is', () => {
  const clock = createDeviceClock();
  expect(clock.offsetUs).toBeNull();
  expect(clock.observe({ sentUs: 1000, arrivalUs: 5_002_000, offsetUs: 5_000_000 })).toBe(false);
  expect(clock.offsetUs).toBe(5_000_000);
  expect(clock.isMeasured).toBe(true);
});

test('a better measurement is followed smoothly, without a jump', () => {
  const clock = createDeviceClock();
  let before = 0;
  for (let i = 0; i < 100; i++) {
    const offsetUs = i < 10 ? 0 : 3000;
    const sentUs = i * 50_000;
    expect(clock.observe({ sentUs, arrivalUs: sentUs + 5000, offsetUs })).toBe(false);
    expect(Math.abs(clock.offsetUs! - before)).toBeLessThanOrEqual(300);
    before = clock.offsetUs!;
  }
  expect(clock.offsetUs).toBeCloseTo(3000, -1);
});

test('a clock that was set makes the map jump, and says so', () => {
  const clock = createDeviceClock();
  clock.observe({ sentUs: 0, arrivalUs: 1000, offsetUs: 0 });
  expect(clock.observe({ sentUs: 50_000, arrivalUs: 1e15 + 51_000, offsetUs: 1e15 })).toBe(true);
  expect(clock.offsetUs).toBe(1e15);
});

test('without a measurement the fastest arrival stands in', () => {
  const clock = createDeviceClock();
  // The device thinks that it is 1970 and has measured nothing yet.
  const base = 1.7e15;
  for (const [i, delayUs] of [40_000, 9_000, 30_000, 9_500].entries())
    clock.observe({ sentUs: i * 50_000, arrivalUs: base + i * 50_000 + delayUs, offsetUs: 0 });
  expect(clock.isMeasured).toBe(false);
  expect(Math.abs(clock.offsetUs! - (base + 9_000))).toBeLessThan(31_000);
});

test('an offset that puts the arrival before the sending is not believed', () => {
  const clock = createDeviceClock();
  clock.observe({ sentUs: 0, arrivalUs: 1_000, offsetUs: 400_000 });
  expect(clock.isMeasured).toBe(false);
  expect(clock.offsetUs).toBe(1_000);
});
