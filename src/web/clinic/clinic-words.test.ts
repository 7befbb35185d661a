import { expect, test } from 'vitest';

import { bodyWords, heightWords, massWords, numberOf } from '#web/clinic/clinic-words.ts';

const patient = {
  birthYear: 1961,
  sex: 'female',
  heightM: 1.744,
  massKg: 81.04,
} as Parameters<typeof bodyWords>[0];

test('a body is described by what is known of it', () => {
  expect(bodyWords(patient)).toBe('born 1961, female, 174\u202fcm, 81\u202fkg');
  expect(bodyWords({ ...patient, birthYear: null, heightM: null })).toBe('female, 81\u202fkg');
});

test('what is not known is a dash', () => {
  expect([heightWords(null), massWords(null)]).toEqual(['–', '–']);
});

test('a number is read with a comma or a point, and nothing else is one', () => {
  expect(['174', ' 81,5 ', '-2.5', '', '1e3', '12 cm'].map(numberOf)).toEqual([
    174,
    81.5,
    -2.5,
    null,
    Number.NaN,
    Number.NaN,
  ]);
});
