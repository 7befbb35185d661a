import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import type { Patient } from '#contract/clinic.ts';
import { draftOfPatient, emptyMeasures, measuresOf } from '#web/clinic/patient-form.ts';

test('nothing typed is nothing known', () => {
  expect(measuresOf(emptyMeasures)).toEqual({
    birthYear: null,
    sex: null,
    heightM: null,
    massKg: null,
    affectedSide: null,
    diagnosis: '',
  });
});

test('what is stored comes back as it was when nobody changes it', () => {
  const stored = {
    birthYear: 1961,
    sex: 'male',
    heightM: 1.745,
    massKg: 81.5,
    affectedSide: 'left',
    diagnosis: 'Stroke',
  } as Patient;
  expect(measuresOf(draftOfPatient(stored))).toEqual(stored);
});

test.each([
  ['height', '1,74', '/heightM'],
  ['mass', 'eighty', '/massKg'],
  ['birthYear', '61', '/birthYear'],
])('a wrong %s is said at its field', (name, text, field) => {
  const draft = { ...emptyMeasures, [name]: text };
  expect(() => measuresOf(draft)).toThrow(expect.objectContaining({ field }) as AppError);
});
