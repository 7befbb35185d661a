import { expect, test } from 'vitest';

import { actions, actionsOfRole, authorise, may, roles, type Actor } from '#contract/permissions.ts';

const own = '01890000-0000-7000-8000-000000000001';
const other = '01890000-0000-7000-8000-000000000002';

function actor(overrides: Partial<Actor>): Actor {
  return { orgId: 'o1', role: 'clinician', patientId: null, permissions: null, ...overrides };
}

test('a role does what its row says, and a key narrows it and never widens it', () => {
  for (const role of roles)
    for (const action of actions) {
      expect(may(actor({ role }), action)).toBe(actionsOfRole[role].includes(action));
      expect(may(actor({ role, permissions: [] }), action)).toBe(false);
      expect(may(actor({ role, permissions: actions }), action)).toBe(may(actor({ role }), action));
    }
});

test('only owners and services manage people, keys and the log of accesses', () => {
  for (const action of ['organisation.manage', 'key.manage', 'audit.read', 'patient.erase'] as const)
    expect(roles.filter((role) => may(actor({ role }), action))).toEqual(['owner', 'service']);
});

test('a patient reaches its own record alone, and hears of no other', () => {
  const patient = actor({ role: 'patient', patientId: own });
  expect(() => authorise(patient, 'patient.read', { patientId: own })).not.toThrow();
  for (const resource of [{ patientId: other }, { patientId: null }])
    expect(() => authorise(patient, 'session.read', resource)).toThrow(/not yours/);
  expect(() => authorise(patient, 'programme.record', { patientId: own })).not.toThrow();
  expect(() => authorise(patient, 'programme.record', { patientId: other })).toThrow(/not yours/);
  expect(() => authorise(patient, 'patient.write', { patientId: own })).toThrow(/patient\.write/);
  expect(() => authorise(patient, 'session.read', null)).toThrow(/own records/);
  expect(() => authorise(patient, 'session.write', { patientId: own })).toThrow(/session\.write/);
  expect(() =>
    authorise(actor({ role: 'patient' }), 'patient.read', { patientId: null as unknown as string }),
  ).toThrow(/not yours/);
});
