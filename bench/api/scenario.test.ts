import { expect, test } from 'vitest';

import { seededRandom } from '#base/random.ts';
import { drawWork, organisationOf, panelOf, readScenario, sessionCount } from '#bench/api/scenario.ts';

const scenario = readScenario();

test('the shares are those of the issue and add up to one', () => {
  const shareOf = (...names: string[]): number =>
    scenario.operations.filter(({ name }) => names.includes(name)).reduce((sum, { share }) => sum + share, 0);
  expect(scenario.operations.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  expect(shareOf('patient-page')).toBeCloseTo(0.4);
  expect(shareOf('patient-list', 'session-list', 'search')).toBeCloseTo(0.2);
  expect(shareOf('session-summary')).toBeCloseTo(0.15);
  expect(shareOf('progress')).toBeCloseTo(0.15);
  expect(shareOf('note', 'annotation', 'consent')).toBeCloseTo(0.1);
});

test('there are 200 clinicians, 50,000 patients and a million sessions', () => {
  let sessions = 0;
  for (let i = 0; i < scenario.patients; i++) sessions += sessionCount(scenario, i);
  expect([scenario.clinicians, scenario.patients, sessions]).toEqual([200, 50_000, 1_000_000]);
});

test('clinicians look at patients of their own organisation, mostly at those of their day', () => {
  const random = seededRandom(1);
  const panels = Array.from({ length: scenario.clinicians }, (_, c) => panelOf(scenario, c));
  expect(new Set(panels.flat()).size).toBe(scenario.clinicians * scenario.panelPatients);
  let ofPanel = 0;
  let drawn = 0;
  for (let i = 0; i < 5_000; i++) {
    const { clinician, path } = drawWork(scenario, random);
    const id = /patients\/0190b000-0000-7000-8000-([0-9a-f]{12})/.exec(path)?.[1];
    if (id === undefined) continue;
    const patient = Number.parseInt(id, 16);
    expect(organisationOf(scenario, patient)).toBe(organisationOf(scenario, clinician));
    drawn++;
    if (panels[clinician]!.includes(patient)) ofPanel++;
  }
  expect(ofPanel / drawn).toBeCloseTo(scenario.panelShare, 1);
});
