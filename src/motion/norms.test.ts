import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { metricOf } from '#motion/metric-catalogue.ts';
import {
  compareToNorm,
  gaitVariableScore,
  normBand,
  normOf,
  readFigureNorms,
  readJointNorms,
  shareOutside,
} from '#motion/norms.ts';

const read = (file: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../data/norms/${file}`, import.meta.url), 'utf8'));
const joints = readJointNorms(read('joint-angles.json'));
const figures = readFigureNorms(read('spatio-temporal.json'));

test('the band of knee flexion of adults bends by 60 to 70 degrees in swing', () => {
  const band = normBand(joints, { name: 'knee-flexion', side: 'left' })!;
  expect(band.population).toBe('adults, own pace');
  const peak = band.mean.indexOf(Math.max(...band.mean));
  expect(band.mean[peak]).toBeGreaterThan(60);
  expect(band.mean[peak]).toBeLessThan(70);
  expect(peak).toBeGreaterThan(65);
  expect(peak).toBeLessThan(80);
  expect(band.high[peak]! - band.mean[peak]!).toBeCloseTo(band.mean[peak]! - band.low[peak]!, 4);
});

test('angles of the pelvis change sign with the side, those of limbs do not', () => {
  const mean = (name: string, side: 'left' | 'right'): number => normBand(joints, { name, side })!.mean[10]!;
  expect(mean('pelvis-obliquity', 'left')).toBeGreaterThan(4);
  expect(mean('pelvis-obliquity', 'right')).toBe(-mean('pelvis-obliquity', 'left'));
  expect(mean('pelvis-rotation', 'right')).toBeGreaterThan(4);
  expect(mean('pelvis-tilt', 'right')).toBe(mean('pelvis-tilt', 'left'));
  expect(mean('hip-adduction', 'right')).toBe(mean('hip-adduction', 'left'));
});

test('the foot lands with the toes up and leaves with the toes down', () => {
  const { mean } = normBand(joints, { name: 'foot-pitch', side: 'right' })!;
  expect(mean[0]).toBeGreaterThan(15);
  expect(mean[60]).toBeLessThan(-50);
  expect(Math.abs(mean[20]!)).toBeLessThan(5);
});

test('children have their own band, drawn from 51 to 101 points', () => {
  const child = normBand(joints, { name: 'knee-flexion', side: 'left' }, { ageYears: 9, sex: null })!;
  expect(child.population).toBe('children, own pace');
  expect(child.mean).toHaveLength(101);
  expect(child.mean[1]).toBeCloseTo((child.mean[0]! + child.mean[2]!) / 2, 5);
  expect(normBand(joints, { name: 'foot-pitch', side: 'left' }, { ageYears: 9, sex: null })).toBeNull();
  expect(normBand(joints, { name: 'knee-flexion', side: 'left' }, { ageYears: 2, sex: null })).toBeNull();
});

test('ranges are those of the age and sex, of all adults when neither is known', () => {
  expect(normOf(figures, 'cadence', { ageYears: 25.9, sex: 'male' })).toEqual({
    population: 'men of 18 to 29 years, own pace',
    about: 'GAITRite Normals, Jefferson',
    low: 99.1,
    high: 113.1,
  });
  expect(normOf(figures, 'speed')).toMatchObject({
    population: 'men and women of 18 to 69 years, own pace',
    low: 1.1,
    high: 1.65,
  });
  expect(normOf(figures, 'speed', { ageYears: 5, sex: null })!.population).toBe(
    'children of 5 years, own pace',
  );
  expect(normOf(figures, 'speed', { ageYears: 99, sex: 'male' })).toBeNull();
  expect(normOf(figures, 'clearance')).toBeNull();
});

test('every range is of a metric of the catalogue', () => {
  for (const { bands } of figures.groups)
    for (const name of Object.keys(bands)) expect(metricOf(name), name).not.toBeNull();
});

test('says on which side of a range a value is and how far', () => {
  expect(compareToNorm(0.9, { low: 1, high: 1.4 })).toEqual({
    place: 'below',
    deviations: expect.closeTo(-1.5, 9),
  });
  expect(compareToNorm(1.2, { low: 1, high: 1.4 }).place).toBe('within');
  expect(compareToNorm(1.4, { low: 1, high: 1.4 })).toEqual({
    place: 'within',
    deviations: expect.closeTo(1, 9),
  });
  expect(compareToNorm(1.6, { low: 1, high: 1.4 })).toEqual({
    place: 'above',
    deviations: expect.closeTo(2, 9),
  });
});

test('scores a curve by its root mean square distance from the mean', () => {
  const band = normBand(joints, { name: 'hip-flexion', side: 'left' })!;
  const shifted = band.mean.map((value, i) => value + (i % 2 === 0 ? 3 : -3));
  expect(gaitVariableScore(shifted, band)).toBeCloseTo(3, 5);
  expect(gaitVariableScore(band.mean, band)).toBe(0);
  shifted[50] = Number.NaN;
  expect(gaitVariableScore(shifted, band)).toBeNull();
});

test('tells in how much of the stride a curve is outside', () => {
  const band = normBand(joints, { name: 'hip-flexion', side: 'left' })!;
  const curve = band.mean.map((value, i) => (i < 10 ? value + 1.5 * (band.high[i]! - value) : value));
  expect(shareOutside(curve, band, 1)).toBeCloseTo(10 / 101, 9);
  expect(shareOutside(curve, band, 2)).toBe(0);
  curve[0] = Number.NaN;
  expect(shareOutside(curve, band, 1)).toBeNull();
});
